//! Makes the manual page and the shells' completions from the settings that chatd really takes. `.ci/release` packs them;
//! to see them: `cargo run --example manual -- target/manual && man -l target/manual/chatd.1`

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use chatd::VERSION_DATE;
use chatd::server::CommandLine;
use clap::{CommandFactory, Parser};
use clap_complete::{Shell, generate_to};
use clap_mangen::Man;

#[derive(Parser)]
struct Options {
    /// Folder to write into; made if it does not exist
    folder: PathBuf,
}

/// What the settings alone don't tell, in the language of manual pages (man(7)).
const MORE_SECTIONS: &str = r#".SH ENVIRONMENT
Each option can also be given by the environment variable named with it; the option wins. An empty variable is as good
as none.
.TP
\fBRUST_LOG\fR
How much is logged, to standard error: \fBinfo\fR, unless set; \fBwarn\fR, \fBdebug\fR or \fBoff\fR.
.SH EXIT STATUS
.TP
0
The server was told to stop, and did.
.TP
1
It could not start, or failed. Trying again may help.
.TP
2
A setting is wrong. Trying again does not help.
.SH SIGNALS
SIGINT (Ctrl\-C), SIGTERM and SIGHUP stop the server. Everybody who is online is told. It takes at most five seconds.
.SH FILES
.TP
\fIchatd\-data\fR
The data folder, in the folder where chatd was started, unless \fB\-\-data\-dir\fR names another: registered names
(\fIaccounts.jsonl\fR), bans (\fIbans.json\fR), the certificate (\fIcertificate.pem\fR) and its key (\fIkey.pem\fR).
.TP
\fI/etc/chatd/chatd.env\fR, \fI/var/lib/chatd\fR
Settings and data folder of the systemd service.
.SH EXAMPLES
.TP
.B chatd
Serves a class.
.TP
.B chatd \-\-port 5004 \-\-tls\-port 5399 \-\-web\-port 5080 \-\-data\-dir class\-7b
Serves another class on the same machine.
.TP
.B nc 127.0.0.1 4004
Connects to it. Type {"Command":"01","Name":"Alice"} to log in.
"#;

fn main() -> io::Result<()> {
    let folder = Options::parse().folder;
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("chatd.1"), manual_page()?)?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        completions(shell, &folder)?;
    }
    Ok(())
}

fn manual_page() -> io::Result<Vec<u8>> {
    let man = Man::new(CommandLine::command().override_usage("chatd [OPTION]..."))
        .date(VERSION_DATE.strftime("%F").to_string())
        .manual("User Commands");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    page.write_all(MORE_SECTIONS.as_bytes())?;
    man.render_version_section(&mut page)?;
    Ok(page)
}

fn completions(shell: Shell, folder: &Path) -> io::Result<()> {
    generate_to(shell, &mut CommandLine::command(), "chatd", folder).map(drop)
}
