//! The teacher's console in a terminal: keys, pastes, log lines in between, and what is left of it at the end.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{InputModes, LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::harness::{Client, Way, came, left, said};
use crate::language::bannable_address;
use crate::process::{Chatd, Output, Process, chatd};
use crate::signals::{flood, stalled};

/// What stands before the line.
pub const PROMPT: &str = "> ";

/// What the editor prints when it begins to read a line: pastes are bracketed from here on.
pub const PASTE_ON: &str = "\x1b[?2004h";

/// What it prints when it has read one.
pub const PASTE_OFF: &str = "\x1b[?2004l";

/// What chatd never prints, and changes nothing in a terminal: colours are reset.
const NOTHING: &str = "\x1b[0m";

/// chatd in a terminal.
pub struct Terminal {
    pub chatd: Chatd,
    /// The side of who sits before it.
    keyboard: File,
    /// The side of the programs in it.
    inside: File,
    /// How it was before chatd started.
    modes: Termios,
}

impl Terminal {
    /// Starts chatd in a terminal of this kind, whose output nobody reads.
    pub fn start_unread(kind: &str, mut command: Command) -> Terminal {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap();
        let inside = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let (keyboard, inside) = (File::from(keyboard), File::from(inside));
        resize(&keyboard, 80);
        let modes = tcgetattr(&inside).unwrap();
        command
            .env("TERM", kind)
            .stdin(inside.try_clone().unwrap())
            .stdout(inside.try_clone().unwrap())
            .stderr(inside.try_clone().unwrap());
        let mut process = Process::start_unread(command);
        process.out = Output::held(Some(keyboard.try_clone().unwrap()));
        let banner = String::new();
        Terminal {
            chatd: Chatd { process, banner },
            keyboard,
            inside,
            modes,
        }
    }

    /// Starts chatd in a terminal of this kind, and waits until its console reads a line.
    #[track_caller]
    fn start_as(kind: &str, command: Command) -> Terminal {
        let mut terminal = Terminal::start_unread(kind, command);
        let output = &terminal.chatd.process.out;
        output.read();
        let banner = output.text_after(0, "Type help and Enter");
        if kind != "dumb" {
            output.text_after(banner.len(), PROMPT);
        }
        terminal.chatd.banner = banner.replace('\r', "");
        terminal
    }

    /// Starts chatd in a terminal, in this language, and waits until it reads a line.
    #[track_caller]
    pub fn start_in(lang: &str, command: Command) -> Terminal {
        let mut terminal = Terminal::start_unread("xterm", command);
        let output = &terminal.chatd.process.out;
        output.read();
        let first_words = match lang {
            "zh" => "输入 help",
            _ => "Type help and Enter",
        };
        let banner = output.text_after(0, first_words);
        output.text_after(banner.len(), PROMPT);
        terminal.chatd.banner = banner.replace('\r', "");
        terminal
    }

    /// Starts chatd in a terminal, and waits until it reads a line.
    #[track_caller]
    fn start(folder: &Path) -> Terminal {
        Terminal::start_as("xterm", chatd(folder))
    }

    /// A guest, whose arrival has been logged above the line.
    #[track_caller]
    fn guest(&self, name: &str) -> Client {
        let before = self.printed().len();
        let guest = self.chatd.guest(name);
        let output = &self.chatd.process.out;
        let shown = output.text_after(before, &format!("{name} came"));
        output.text_after(before + shown.len(), PROMPT);
        guest
    }

    /// Types keys.
    pub fn type_keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Types keys, and waits until `shown` stands in what is printed from then on. Returns that.
    #[track_caller]
    pub fn expect(&mut self, keys: &str, shown: &str) -> String {
        let before = self.printed().len();
        self.type_keys(keys);
        self.chatd.process.out.text_after(before, shown)
    }

    /// Types keys, and waits until `answer` is printed, and then the prompt.
    #[track_caller]
    pub fn expect_answer(&mut self, keys: &str, answer: &str) -> String {
        let before = self.printed().len();
        self.type_keys(keys);
        let shown = self.chatd.process.out.text_after(before, answer);
        let prompt = self
            .chatd
            .process
            .out
            .text_after(before + shown.len(), PROMPT);
        shown + &prompt
    }

    /// What has been printed so far.
    pub fn printed(&self) -> String {
        self.chatd.process.out.so_far()
    }

    /// Checks that the program has ended well, and that the terminal is as it was. All that it has printed is there then.
    #[track_caller]
    pub fn expect_end(&mut self, code: i32) {
        let status = self.chatd.process.wait();
        assert_eq!(status.code(), Some(code), "{status}: {:?}", self.printed());
        let modes = tcgetattr(&self.inside).unwrap();
        let needed = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN;
        assert!(modes.local_modes.contains(needed), "{modes:?}");
        assert!(modes.input_modes.contains(InputModes::ICRNL), "{modes:?}");
        assert_eq!(modes.local_modes, self.modes.local_modes);
        assert_eq!(modes.input_modes, self.modes.input_modes);
        // What it wrote last may still be on its way. What is written here comes behind that.
        self.inside.write_all(NOTHING.as_bytes()).unwrap();
        let all = self.chatd.process.out.text_after(0, NOTHING);
        assert!(all.rfind(PASTE_OFF) > all.rfind(PASTE_ON), "{all:?}");
    }

    /// Checks that it is in raw mode, as while a line is edited.
    #[track_caller]
    pub fn expect_raw(&self) {
        let modes = tcgetattr(&self.inside).unwrap();
        let cooked = LocalModes::ICANON | LocalModes::ECHO;
        assert!(!modes.local_modes.intersects(cooked), "{modes:?}");
    }
}

/// Makes the terminal so wide.
fn resize(keyboard: &File, columns: u16) {
    let size = Winsize {
        ws_row: 24,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(keyboard, size).unwrap();
}

#[test]
fn keys_edit_the_line_and_only_the_line_reaches_the_room() {
    let folder = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::start(folder.path());
    let mut anna = terminal.chatd.guest("Anna");
    for (keys, heard) in [
        ("say hllo\x1b[D\x1b[D\x1b[De\r", "hello"),
        ("say 你好吗\x7f\r", "你好"),
        ("ay home\x01s\x05!\r", "home!"),
        ("say one two\x17three\r", "one three"),
        ("rubbish\x15say clean\r", "clean"),
        ("say F-keys\x1b[15~\x1bOP\x1b[5~\r", "F-keys"),
        // The line before last, then the last.
        ("\x1b[A\x1b[A\r", "clean"),
        ("\x1b[A\x1b[A\x1b[B\r", "clean"),
        ("SAY linefeed\n", "linefeed"),
        // Two lines at once.
        ("say first\rsay second\r", "first"),
        ("", "second"),
        // An escape that is typed, not a key.
        ("say an\x16\x1b[2Jend\r", "an [2Jend"),
    ] {
        terminal.type_keys(keys);
        anna.expect(said("admin", heard));
    }
    anna.expect_nothing();
}

#[test]
fn tab_completes_verbs_and_the_names_of_who_is_online() {
    let folder = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::start(folder.path());
    let _users = ["Anna", "Annika", "Bobby"].map(|name| terminal.chatd.guest(name));
    terminal.expect("mu\tbo\t\r", "Bobby is muted");
    terminal.expect("wh\t\r", "Muted by name: Bobby");
    // As far as it is clear, then all that there is.
    terminal.expect("kick an\t", "Ann");
    terminal.expect("\t\t", "Annika");
    terminal.expect("i\t\r", "Annika is kicked");
    terminal.expect("mute al\t\r", "Everybody is muted");
}

#[test]
fn what_is_pasted_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::start(folder.path());
    let mut anna = terminal.chatd.guest("Anna");
    let before = terminal.printed().len();
    terminal.type_keys("say \x1b[200~one\x07\u{9b}31m\r\nquit\rtwo\tthree\n\x1b[201~");
    terminal.type_keys("\r");
    anna.expect(said("admin", "one  31m quit two three"));
    terminal.expect_answer("who\r", "Anna");
    let printed = terminal.printed();
    assert!(
        !printed[before..].contains(['\x07', '\u{9b}', '\t']),
        "{printed:?}"
    );
    anna.expect_nothing();
}

#[test]
fn a_line_that_is_too_long_is_not_carried_out_in_part() {
    let folder = tempfile::tempdir().unwrap();
    // Where the system edits the line, it takes less.
    for (kind, length, is_taken) in [
        ("xterm", 5_000, true),
        ("xterm", 20_000, false),
        ("dumb", 4_000, true),
        ("dumb", 5_000, false),
    ] {
        let mut terminal = Terminal::start_as(kind, chatd(folder.path()));
        let mut anna = terminal.chatd.guest("Anna");
        let text = "x".repeat(length);
        let keys = match kind {
            "dumb" => format!("say {text}\n"),
            _ => format!("\x1b[200~say {text}\x1b[201~\r"),
        };
        if is_taken {
            terminal.type_keys(&keys);
            anna.expect(said("admin", &text));
        } else {
            terminal.expect(&keys, "too long");
            anna.expect_nothing();
        }
        terminal.expect("who\n", "Anna");
    }
}

#[test]
fn a_log_line_comes_above_the_line_that_is_typed() {
    let folder = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::start(folder.path());
    let mut anna = terminal.guest("Anna");
    terminal.expect("say hal", "hal");
    let before = terminal.printed().len();
    let bobby = terminal.chatd.guest("Bobby");
    anna.expect(came("Bobby", true));
    let mut shown = terminal.chatd.process.out.text_after(before, "Bobby came");
    let behind = before + shown.len();
    shown += &terminal.chatd.process.out.text_after(behind, "> say hal");
    // The line was cleared first.
    let cleared = shown.split("\x1b[K");
    let line = cleared
        .flat_map(str::lines)
        .find(|line| line.contains("Bobby came"));
    let line = line.unwrap_or_else(|| panic!("{shown:?}"));
    assert!(
        line.starts_with("20") && line.contains(" INFO  "),
        "{shown:?}"
    );
    terminal.type_keys("f\r");
    anna.expect(said("admin", "half"));
    let before = terminal.printed().len();
    drop(bobby);
    let output = &terminal.chatd.process.out;
    output.text_after(before, "Bobby left");
}

#[test]
fn a_terminal_that_is_resized_keeps_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::start(folder.path());
    let mut anna = terminal.guest("Anna");
    let text = "wide ".repeat(12) + "end";
    terminal.expect(&format!("say {text}"), "end");
    for columns in [20, 100] {
        let before = terminal.printed().len();
        resize(&terminal.keyboard, columns);
        // The system tells only programs whose terminal this is, as a shell would make it.
        terminal.chatd.process.signal("WINCH");
        terminal.chatd.process.out.text_after(before, "end");
        terminal.expect_raw();
    }
    terminal.type_keys("\r");
    anna.expect(said("admin", &text));
}

#[test]
fn ctrl_d_says_how_to_stop_and_the_console_stays() {
    let folder = tempfile::tempdir().unwrap();
    for kind in ["xterm", "dumb"] {
        let mut terminal = Terminal::start_as(kind, chatd(folder.path()));
        for _ in 0..3 {
            match kind {
                "dumb" => terminal.expect("\x04", "type quit"),
                _ => terminal.expect_answer("\x04", "type quit"),
            };
        }
        terminal.expect("who\n", "Nobody is online.");
        assert!(!terminal.printed().contains("has closed"));
        // In a line that is begun it deletes what is under the cursor.
        if kind == "xterm" {
            terminal.expect("xwho\x01\x04\r", "Nobody is online.");
        }
    }
}

#[test]
fn ctrl_c_clears_a_line_and_stops_the_server_only_if_it_comes_twice_on_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::start(folder.path());
    let mut anna = terminal.chatd.guest("Anna");
    terminal.expect("say this", "this");
    terminal.expect_answer("\x03", "\r\n");
    terminal.type_keys("say that\r");
    anna.expect(said("admin", "that"));
    terminal.expect_answer("\x03", "again within two seconds");
    // Another line in between is another time.
    terminal.expect_answer("who\r", "Anna");
    terminal.expect_answer("\x03", "again within two seconds");
    terminal.expect_answer("x\x03", "\r\n");
    anna.expect_nothing();
    terminal.expect_answer("who\r", "Anna");
    terminal.expect_answer("\x03", "again within two seconds");
    terminal.expect("\x03", "The server stops.");
    assert!(anna.expect_notice().contains("stops"));
    terminal.expect_end(0);
}

#[test]
fn quit_asks_when_somebody_is_online_and_any_other_answer_is_a_command() {
    let folder = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::start(folder.path());
    let mut anna = terminal.chatd.guest("Anna");
    let question = "1 user is online. Stop the server? (yes/no)";
    terminal.expect_answer("quit\r", question);
    terminal.expect("no\r", "The server goes on.");
    terminal.expect_answer("quit\r", question);
    let shown = terminal.expect("mute anna\r", "Anna is muted");
    assert!(
        shown.contains("neither yes nor no. The server goes on."),
        "{shown:?}"
    );
    terminal.expect_answer("quit\r", question);
    terminal.expect_answer("\x03", "again");
    let _bobby = terminal.chatd.guest("Bobby");
    terminal.expect("bye\r", "did you mean quit?");
    terminal.expect("quit\r", "2 users are online. Stop");
    terminal.expect(" YES \r", "The server stops.");
    while anna.receive()["Command"] != "10" {}
    terminal.expect_end(0);
}

#[test]
fn a_code_for_telephones_is_shown_where_there_is_room_and_somebody_to_scan_it() {
    let Some(lan) = bannable_address() else {
        eprintln!("SKIPPED: this test needs an address that is not loopback");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let banner = |columns, arguments: &[&str]| {
        let mut command = chatd(folder.path());
        command.args(arguments);
        let mut terminal = Terminal::start_in("en", command);
        // Half a block is a light square above a dark one.
        let has_code = |text: &str| text.contains("For telephones") && text.contains('▄');
        let first = has_code(&terminal.chatd.banner);
        resize(&terminal.keyboard, columns);
        let again = terminal.expect_answer("info\r", "Names, bans");
        terminal.expect("quit\r", "The server stops.");
        terminal.expect_end(0);
        (first, has_code(&again))
    };
    let lan = lan.to_string();
    assert_eq!(banner(80, &["--bind", &lan]), (true, true));
    assert_eq!(banner(40, &["--bind", &lan]), (true, false));
    assert_eq!(banner(80, &["--bind", &lan, "--no-qr"]), (false, false));
    assert_eq!(banner(80, &["--bind", "127.0.0.1"]), (false, false));
    assert_eq!(banner(80, &["--bind", &lan, "--no-web"]), (false, false));
}

#[test]
fn an_account_is_removed_only_after_a_question() {
    let folder = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::start(folder.path());
    let mut anna = terminal.chatd.connect();
    anna.register("Anna", "secret1");
    terminal.expect_answer("forget Bobby\r", "The name Bobby is not registered.");
    let question = "Remove the account anna?";
    terminal.expect_answer("forget anna\r", question);
    terminal.expect_answer("no\r", "The account anna stays.");
    terminal.expect_answer("forget anna\r", question);
    terminal.expect_answer("\x03", "The account anna stays.");
    terminal.expect_answer("forget anna\r", question);
    let shown = terminal.expect_answer("who\r", "Nobody is online.");
    assert!(shown.contains("The account anna stays."), "{shown:?}");
    terminal.expect_answer("forget anna\r", question);
    terminal.expect_answer("yes\r", "The account anna is removed;");
    terminal.expect_answer("forget anna\r", "The name anna is not registered.");
    anna.register("Anna", "secret2");
}

/// A way to end chatd, and the code that it returns then.
type End = (&'static str, i32, fn(&mut Terminal));

#[test]
fn the_terminal_is_as_it_was_however_the_program_ends() {
    let ends: [End; 7] = [
        ("quit", 0, |terminal| {
            terminal.expect("quit\r", "The server stops.");
        }),
        ("Ctrl-C twice", 0, |terminal| {
            terminal.expect_answer("\x03", "again");
            terminal.expect("\x03", "The server stops.");
        }),
        ("SIGTERM", 0, |terminal| {
            terminal.expect_raw();
            terminal.chatd.process.signal("TERM");
        }),
        ("SIGINT from outside", 0, |terminal| {
            terminal.expect_raw();
            terminal.chatd.process.signal("INT");
        }),
        ("SIGHUP", 0, |terminal| {
            terminal.chatd.process.signal("HUP");
        }),
        ("SIGTERM in the middle of a line", 0, |terminal| {
            terminal.expect("say hal", "hal");
            terminal.chatd.process.signal("TERM");
        }),
        (
            "SIGTERM in the middle of a word that is completed",
            0,
            |terminal| {
                terminal.expect("u\t\t", "unmute");
                terminal.chatd.process.signal("TERM");
            },
        ),
    ];
    for (way, code, end) in ends {
        let folder = tempfile::tempdir().unwrap();
        let mut terminal = Terminal::start(folder.path());
        end(&mut terminal);
        terminal.expect_end(code);
        let shown = terminal.printed();
        assert!(shown.contains("stopped"), "{way}: {shown:?}");
    }
}

#[test]
fn the_terminal_is_as_it_was_when_a_second_signal_ends_the_program_at_once() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let folder = tempfile::tempdir().unwrap();
        // It takes seconds to stop, because a client reads nothing.
        let mut command = chatd(folder.path());
        command.args(["--rate=0", "--byte-rate=0", "--max-backlog=256MiB"]);
        let mut terminal = Terminal::start_as("xterm", command);
        let _stalled = stalled(&terminal.chatd, Way::Plain, "Stalled");
        flood(&mut terminal.chatd.guest("Anna"));
        terminal.expect_raw();
        let before = terminal.printed().len();
        terminal.chatd.process.signal(signal);
        terminal.chatd.process.out.text_after(before, "stopping");
        // What comes right behind the first one may have the same cause.
        while terminal.chatd.process.is_running() {
            terminal.chatd.process.signal(signal);
        }
        terminal.expect_end(code);
    }
}

#[test]
fn a_terminal_that_stands_still_holds_up_neither_the_chat_nor_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::start_unread("xterm", chatd(folder.path()));
    let mut printed = Vec::new();
    while !String::from_utf8_lossy(&printed).contains(PROMPT) {
        let mut some = [0; 1024];
        let count = terminal.keyboard.read(&mut some).unwrap();
        printed.extend_from_slice(&some[..count]);
    }
    terminal.chatd.banner = String::from_utf8(printed).unwrap().replace('\r', "");
    // The log of all these is more than a terminal takes that nobody reads.
    let mut anna = terminal.chatd.guest("Anna");
    for _ in 0..600 {
        terminal.chatd.guest("Bobby").log_out();
        anna.expect(came("Bobby", true));
        anna.expect(left("Bobby"));
    }
    anna.say("still here");
    anna.expect(said("Anna", "still here"));
    terminal.expect_raw();
    terminal.chatd.process.signal("TERM");
    anna.expect_notice();
    anna.expect_end();
    assert_eq!(terminal.chatd.process.wait().code(), Some(0));
    let modes = tcgetattr(&terminal.inside).unwrap();
    assert_eq!(modes.local_modes, terminal.modes.local_modes);
    assert_eq!(modes.input_modes, terminal.modes.input_modes);
}
