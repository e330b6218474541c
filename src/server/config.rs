//! Every setting, with its default and its unit, as a flag and as an environment variable.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use clap::builder::FalseyValueParser;
use clap::{CommandFactory, FromArgMatches, Parser};

use super::error::StartError;
use crate::texts::{Language, settings as texts};
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

/// The settings of a server.
#[derive(Clone, Debug, Parser)]
pub struct Config {
    /// Address to listen on; may be repeated [default: all addresses, IPv4 and IPv6]
    #[arg(
        long,
        env = "CHATD_BIND",
        value_name = "ADDRESS",
        value_delimiter = ',',
        value_parser = parse_address
    )]
    pub bind: Vec<IpAddr>,

    /// Port for plain connections; 0 lets the system choose one
    #[arg(long, env = "CHATD_PORT", default_value_t = 4004, value_parser = parse_port)]
    pub port: u16,

    /// Port for TLS connections; 0 lets the system choose one
    #[arg(
        long,
        env = "CHATD_TLS_PORT",
        value_name = "PORT",
        default_value_t = 4399,
        value_parser = parse_port
    )]
    pub tls_port: u16,

    /// Do not listen for TLS
    #[arg(long, env = "CHATD_NO_TLS", value_parser = FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub no_tls: bool,

    /// Port for browsers: the chat page, and WebSocket; 0 lets the system choose one
    #[arg(
        long,
        env = "CHATD_WEB_PORT",
        value_name = "PORT",
        default_value_t = 4080,
        value_parser = parse_port
    )]
    pub web_port: u16,

    /// Do not listen for browsers
    #[arg(long, env = "CHATD_NO_WEB", value_parser = FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub no_web: bool,

    /// Show no QR code for telephones in the terminal
    #[arg(long, env = "CHATD_NO_QR", value_parser = FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub no_qr: bool,

    /// Name by which browsers may call this server, beside its addresses and the machine's name; may be repeated
    #[arg(
        long,
        env = "CHATD_WEB_HOST",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub web_host: Vec<String>,

    /// Origin of other web pages that may connect, from its http:// or https:// to its port, or null for pages opened as
    /// files; may be repeated
    #[arg(
        long,
        env = "CHATD_WEB_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    pub web_origin: Vec<String>,

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
        let same = |one: u16, other: u16| one == other && one != 0;
        if !self.no_tls && same(self.port, self.tls_port) {
            return wrong(texts::same_port());
        }
        if !self.no_web && same(self.port, self.web_port) {
            return wrong(texts::same_web_port());
        }
        if !self.no_web && !self.no_tls && same(self.tls_port, self.web_port) {
            return wrong(texts::same_tls_and_web_port());
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

fn parse_address(text: &str) -> Result<IpAddr, &'static str> {
    text.parse().map_err(|_| texts::no_address())
}

fn parse_port(text: &str) -> Result<u16, &'static str> {
    text.parse().map_err(|_| texts::no_port())
}

fn parse_time(text: &str) -> Result<Duration, &'static str> {
    humantime::parse_duration(text).map_err(|_| texts::no_time())
}

fn whole_number<T: FromStr>(text: &str) -> Result<T, &'static str> {
    text.parse().map_err(|_| texts::no_number())
}

fn parse_size(text: &str) -> Result<usize, &'static str> {
    let size: ByteSize = text.parse().map_err(|_| texts::no_size())?;
    usize::try_from(size.as_u64()).map_err(|_| texts::too_large())
}

fn at_least_one(text: &str) -> Result<usize, &'static str> {
    match text.parse() {
        Ok(0) | Err(_) => Err(texts::no_positive_number()),
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
