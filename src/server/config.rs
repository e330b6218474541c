//! Every setting, with its default and its unit, as a flag and as an environment variable.

use std::ffi::{OsStr, OsString};
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use clap::builder::FalseyValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, CommandFactory, FromArgMatches, Parser};

use super::console_window;
use super::error::StartError;
use crate::printable::Printable;
use crate::texts::lists::listed;
use crate::texts::{Language, set_language, settings as texts, system_language};
use crate::wire::framing::FRAME_CEILING;

/// The largest frame before login, in bytes: no more is needed to say who one is.
pub const MAX_FRAME_BEFORE_LOGIN: usize = 4 << 10;

/// The largest frame may not be set smaller, in bytes: every sentence that the server says fits into a line of this size.
const SMALLEST_MAX_FRAME: usize = 1 << 10;

/// No time may be set shorter than this.
const SHORTEST_TIME: Duration = Duration::from_millis(1);

/// No time may be set longer than this.
const LONGEST_TIME: Duration = Duration::from_secs(24 * 60 * 60);

/// No machine holds more connections, with a thread each.
const MOST_CONNECTIONS: usize = 1_000_000;

/// The largest backlog that may be set, in bytes.
const LARGEST_BACKLOG: usize = 1 << 30;

/// A chat server for a classroom LAN.
///
/// Started without any option it listens on all addresses, port 4004 for plain connections and port 4399 for TLS,
/// and keeps its certificate and the registered names in the folder chatd-data. Each option can also be given by
/// the environment variable named with it.
#[derive(Clone, Debug, Parser)]
#[command(name = "chatd", version, max_term_width = 100)]
pub struct Config {
    /// Address to listen on; may be repeated [default: all addresses, IPv4 and IPv6]
    #[arg(
        long,
        env = "CHATD_BIND",
        value_name = "ADDRESS",
        value_delimiter = ','
    )]
    pub bind: Vec<IpAddr>,

    /// Port for plain connections; 0 lets the system choose one
    #[arg(long, env = "CHATD_PORT", default_value_t = 4004)]
    pub port: u16,

    /// Port for TLS connections; 0 lets the system choose one
    #[arg(
        long,
        env = "CHATD_TLS_PORT",
        value_name = "PORT",
        default_value_t = 4399
    )]
    pub tls_port: u16,

    /// Do not listen for TLS
    #[arg(long, env = "CHATD_NO_TLS", value_parser = FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub no_tls: bool,

    /// Certificate for TLS, a PEM file [default: certificate.pem in the data folder, made on first start]
    #[arg(long, env = "CHATD_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// Private key of the certificate, a PEM file [default: key.pem in the data folder]
    #[arg(long, env = "CHATD_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// Folder for the registered names, the bans and the certificate; made if it does not exist
    #[arg(
        long,
        env = "CHATD_DATA_DIR",
        value_name = "FOLDER",
        default_value = "chatd-data"
    )]
    pub data_dir: PathBuf,

    /// Register no new names; those registered before can still log in
    #[arg(long, env = "CHATD_NO_REGISTRATION", value_parser = FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub no_registration: bool,

    /// Take the teacher's commands from standard input, even if that is no terminal
    #[arg(long, env = "CHATD_CONSOLE", value_parser = FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub console: bool,

    /// Language of what people read, en or zh (Chinese): this program's words in the terminal, and the reasons that clients
    /// are told [default: the system's, else en]
    #[arg(long, env = "CHATD_LANG", value_name = "LANGUAGE", value_parser = Language::from_str)]
    pub lang: Option<Language>,

    /// File to append the log to; the terminal keeps warnings and errors. At 10MiB it is renamed to FILE.1, and a new one
    /// begins [default: standard error]
    #[arg(long, env = "CHATD_LOG", value_name = "FILE")]
    pub log: Option<PathBuf>,

    /// File to which what is said in the room is written, never what is private; it is appended to. Everybody who logs in is
    /// told
    #[arg(long, env = "CHATD_TRANSCRIPT", value_name = "FILE")]
    pub transcript: Option<PathBuf>,

    /// Time between two heartbeats
    #[arg(long, env = "CHATD_HEARTBEAT", value_name = "TIME", default_value = "15s", value_parser = parse_time)]
    pub heartbeat: Duration,

    /// Time after which a client that acknowledges nothing is cut off; at most three quarters of the heartbeat
    /// [default: three quarters of the heartbeat]
    #[arg(long, env = "CHATD_DEAD_AFTER", value_name = "TIME", value_parser = parse_time)]
    pub dead_after: Option<Duration>,

    /// Connections at the same time
    #[arg(long, env = "CHATD_MAX_CONNECTIONS", value_name = "COUNT", default_value_t = 4096, value_parser = at_least_one)]
    pub max_connections: usize,

    /// Connections at the same time from one address, loopback excepted; 0 is no limit
    #[arg(
        long,
        env = "CHATD_MAX_PER_ADDRESS",
        value_name = "COUNT",
        default_value_t = 256,
        value_parser = whole_number::<usize>
    )]
    pub max_per_address: usize,

    /// Time to finish the TLS handshake
    #[arg(long, env = "CHATD_HANDSHAKE_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = parse_time)]
    pub handshake_timeout: Duration,

    /// Time to log in
    #[arg(long, env = "CHATD_LOGIN_TIMEOUT", value_name = "TIME", default_value = "60s", value_parser = parse_time)]
    pub login_timeout: Duration,

    /// Largest message from a client that is logged in (4KiB before login), and longest line to a client, rosters excepted;
    /// at least 1KiB, below 16MiB
    #[arg(long, env = "CHATD_MAX_FRAME", value_name = "SIZE", default_value = "64KiB", value_parser = parse_size)]
    pub max_frame: usize,

    /// Commands a second from one address; a faster one is read more slowly; 0 is no limit. On loopback each
    /// connection is counted for itself
    #[arg(long, env = "CHATD_RATE", value_name = "COUNT", default_value_t = 50, value_parser = whole_number::<u64>)]
    pub rate: u64,

    /// Commands that one address may send at once after a rest
    #[arg(long, env = "CHATD_BURST", value_name = "COUNT", default_value_t = 200, value_parser = whole_number::<u64>)]
    pub burst: u64,

    /// Bytes a second from one address; a faster one is read more slowly; 0 is no limit
    #[arg(long, env = "CHATD_BYTE_RATE", value_name = "SIZE", default_value = "64KiB", value_parser = parse_size)]
    pub byte_rate: usize,

    /// Bytes that one address may send at once after a rest
    #[arg(long, env = "CHATD_BYTE_BURST", value_name = "SIZE", default_value = "256KiB", value_parser = parse_size)]
    pub byte_burst: usize,

    /// Names that one connection may register, and one address twenty times as many; 0 is no limit
    #[arg(
        long,
        env = "CHATD_MAX_REGISTRATIONS",
        value_name = "COUNT",
        default_value_t = 5,
        value_parser = whole_number::<usize>
    )]
    pub max_registrations: usize,

    /// Wrong passwords from one connection, after which it is closed; one address may send twenty times as many
    #[arg(long, env = "CHATD_MAX_LOGIN_FAILURES", value_name = "COUNT", default_value_t = 5, value_parser = at_least_one)]
    pub max_login_failures: usize,

    /// Output that may wait for one connection before it is cut off as too slow; at least four times the largest
    /// message
    #[arg(long, env = "CHATD_MAX_BACKLOG", value_name = "SIZE", default_value = "1MiB", value_parser = parse_size)]
    pub max_backlog: usize,
}

/// The defaults, whatever the environment says.
impl Default for Config {
    fn default() -> Config {
        let command = Config::command().mut_args(|argument| argument.env(None::<&'static str>));
        let matches = command.get_matches_from(["chatd"]);
        Config::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

impl Config {
    /// The settings that this process was started with. An option wins over its variable, and an empty variable is
    /// as good as none.
    ///
    /// `--help`, `--version`, and what can't be read end the process, the latter with a sentence on standard error and
    /// status 2. The error says which settings contradict each other. The language of the process is that of the settings from
    /// here on, or that of the system.
    pub fn of_process() -> Result<Config, StartError> {
        let arguments = with_negative_values(std::env::args_os());
        let matches = read(&arguments).unwrap_or_else(|error| exit(&printable(error)));
        let config = Config::from_arg_matches(&matches).unwrap_or_else(|error| exit(&error));
        set_language(config.lang.unwrap_or_else(system_language));
        match config.check() {
            Err(StartError::Setting(what)) => {
                Err(StartError::Setting(with_variables(&matches, what)))
            }
            other => other.map(|()| config),
        }
    }

    /// Checks what one setting alone can't tell.
    pub fn check(&self) -> Result<(), StartError> {
        let wrong = |what: &str| Err(StartError::Setting(what.to_owned()));
        if !(Duration::from_millis(100)..=LONGEST_TIME).contains(&self.heartbeat) {
            return wrong(texts::heartbeat());
        }
        if !(SHORTEST_TIME..=self.heartbeat * 3 / 4).contains(&self.dead_after()) {
            return wrong(texts::dead_after());
        }
        if !(SHORTEST_TIME..=LONGEST_TIME).contains(&self.handshake_timeout) {
            return wrong(texts::handshake_timeout());
        }
        if !(SHORTEST_TIME..=LONGEST_TIME).contains(&self.login_timeout) {
            return wrong(texts::login_timeout());
        }
        if self.max_connections > MOST_CONNECTIONS {
            return wrong(texts::max_connections());
        }
        if !(SMALLEST_MAX_FRAME..FRAME_CEILING).contains(&self.max_frame) {
            return wrong(texts::max_frame());
        }
        if !(4 * self.max_frame..=LARGEST_BACKLOG).contains(&self.max_backlog) {
            return wrong(texts::max_backlog());
        }
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return wrong(texts::half_a_pair());
        }
        if !self.no_tls && self.port == self.tls_port && self.port != 0 {
            return wrong(texts::same_port());
        }
        Ok(())
    }

    /// The time after which a client that acknowledges nothing is cut off.
    pub fn dead_after(&self) -> Duration {
        self.dead_after
            .unwrap_or(self.heartbeat.saturating_mul(3) / 4)
    }

    /// The largest frame before login, in bytes.
    pub fn max_frame_before_login(&self) -> usize {
        self.max_frame.min(MAX_FRAME_BEFORE_LOGIN)
    }
}

/// Joins each negative number to the option before it, whose value it must be: no option looks like one. Otherwise
/// `-2s` would be told as an unknown option.
fn with_negative_values(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::new();
    for argument in arguments {
        let after_hyphen = argument.to_str().and_then(|text| text.strip_prefix('-'));
        let is_negative =
            after_hyphen.is_some_and(|text| text.starts_with(|c: char| c.is_ascii_digit()));
        match joined.last_mut() {
            Some(option) if is_negative && is_option_without_value(option) => {
                option.push("=");
                option.push(argument);
            }
            _ => joined.push(argument),
        }
    }
    joined
}

fn is_option_without_value(argument: &OsStr) -> bool {
    let name = argument.to_str().and_then(|text| text.strip_prefix("--"));
    name.is_some_and(|name| !name.is_empty() && !name.contains('='))
}

/// Reads the arguments, and the variables for what they don't say.
fn read(arguments: &[OsString]) -> Result<ArgMatches, clap::Error> {
    let with_variables = |is_wanted: &dyn Fn(&Arg) -> bool| {
        Config::command()
            .mut_args(|arg| match is_wanted(&arg) {
                true => arg,
                false => arg.env(None::<&'static str>),
            })
            .try_get_matches_from(arguments)
    };
    // An error is told as the argument's only if the variables have no part in it. The help tells of all of them.
    if let Err(error) = with_variables(&|_| false) {
        return match error.kind() {
            ErrorKind::DisplayHelp => with_variables(&|_| true),
            _ => Err(error),
        };
    }
    with_variables(&is_set).map_err(|error| {
        let command = Config::command();
        let mut variables = command.get_arguments().filter(|arg| is_set(arg));
        variables
            .find_map(|variable| {
                let alone = with_variables(&|arg: &Arg| arg.get_id() == variable.get_id());
                alone.err().map(|error| of_variable(variable, error))
            })
            .unwrap_or(error)
    })
}

/// Whether the variable of this setting is there, and not empty.
fn is_set(arg: &Arg) -> bool {
    let value = arg.get_env().and_then(std::env::var_os);
    value.is_some_and(|value| !value.is_empty())
}

/// Makes an error say that the variable of `arg` is what is wrong.
fn of_variable(arg: &Arg, mut error: clap::Error) -> clap::Error {
    let variable = arg.get_env().unwrap_or_default().to_string_lossy();
    let name = format!("{variable} (--{})", arg.get_long().unwrap_or_default());
    if error.kind() == ErrorKind::InvalidUtf8 {
        let what = format!("the value of {name} is not UTF-8\n");
        return clap::Error::raw(ErrorKind::InvalidUtf8, what);
    }
    error.insert(ContextKind::InvalidArg, ContextValue::String(name));
    error
}

/// Ends the program with what clap has to say: of a mistake, or what was asked for, such as the help.
fn exit(error: &clap::Error) -> ! {
    let _ = error.print();
    if error.use_stderr() {
        console_window::hold_open();
    }
    std::process::exit(error.exit_code())
}

/// Makes what an error quotes fit to be seen.
fn printable(mut error: clap::Error) -> clap::Error {
    let quoted: Vec<(ContextKind, String)> = error
        .context()
        .filter_map(|(kind, value)| match value {
            ContextValue::String(text) => Some((kind, Printable(text).to_string())),
            _ => None,
        })
        .collect();
    for (kind, text) in quoted {
        error.insert(kind, ContextValue::String(text));
    }
    error
}

/// A sentence about settings, with the variables that some of them come from, if any do.
fn with_variables(matches: &ArgMatches, sentence: String) -> String {
    let command = Config::command();
    let words: Vec<&str> = sentence.split_whitespace().collect();
    let is_meant = |arg: &&Arg| {
        let option = format!("--{}", arg.get_long().unwrap_or_default());
        let is_from_variable =
            matches.value_source(arg.get_id().as_str()) == Some(ValueSource::EnvVariable);
        is_from_variable && words.contains(&option.as_str())
    };
    let variables: Vec<String> = command
        .get_arguments()
        .filter(is_meant)
        .filter_map(|arg| Some(arg.get_env()?.to_string_lossy().into_owned()))
        .collect();
    match variables.is_empty() {
        true => sentence,
        false => texts::from_environment(&sentence, &listed(&variables)),
    }
}

fn parse_time(text: &str) -> Result<Duration, &'static str> {
    humantime::parse_duration(text).map_err(|_| "a time looks like 15s, 500ms or 1m30s")
}

fn whole_number<T: FromStr>(text: &str) -> Result<T, &'static str> {
    text.parse()
        .map_err(|_| "a whole number, 0 or more, is needed")
}

fn parse_size(text: &str) -> Result<usize, String> {
    let size: ByteSize = text
        .parse()
        .map_err(|_| "a size looks like 64KiB, 1MiB or 4096".to_owned())?;
    usize::try_from(size.as_u64()).map_err(|_| "this is too large".to_owned())
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a whole number, at least 1, is needed".to_owned()),
        Ok(count) => Ok(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Config, clap::Error> {
        Config::try_parse_from([&["chatd"], arguments].concat())
    }

    #[test]
    fn the_defaults_are_consistent() {
        Config::command().debug_assert();
        let config = Config::default();
        config.check().unwrap();
        assert_eq!((config.port, config.tls_port), (4004, 4399));
        assert_eq!(config.dead_after(), Duration::from_millis(11_250));
        assert_eq!((config.max_frame, config.max_backlog), (65_536, 1_048_576));
    }

    #[test]
    fn sizes_and_times_have_units() {
        let config = parse(&[
            "--max-frame",
            "16KiB",
            "--heartbeat",
            "1m",
            "--byte-rate",
            "0",
        ])
        .unwrap();
        assert_eq!(
            (config.max_frame, config.heartbeat),
            (16 << 10, Duration::from_secs(60))
        );
        assert_eq!(config.byte_rate, 0);
        assert!(parse(&["--heartbeat", "15"]).is_err());
        assert!(parse(&["--max-frame", "lots"]).is_err());
        assert!(parse(&["--max-connections", "0"]).is_err());
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        for arguments in [
            ["--max-frame", "16MiB"],
            ["--max-frame", "1023B"],
            ["--max-frame", "512KiB"],
            ["--dead-after", "12s"],
            ["--port", "4399"],
            ["--tls-cert", "x.pem"],
            ["--heartbeat", "1ms"],
            ["--heartbeat", "60days"],
            ["--login-timeout", "300years"],
            ["--max-connections", "9999999"],
            ["--max-backlog", "2GiB"],
        ] {
            assert!(parse(&arguments).unwrap().check().is_err(), "{arguments:?}");
        }
    }
}
