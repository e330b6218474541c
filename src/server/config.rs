//! Every setting, with its default and its unit, as a flag and as an environment variable.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::builder::FalseyValueParser;
use clap::{CommandFactory, FromArgMatches, Parser};

use super::error::StartError;
use crate::wire::framing::FRAME_CEILING;

/// The largest frame before login, in bytes: no more is needed to say who one is.
pub const MAX_FRAME_BEFORE_LOGIN: usize = 4 << 10;

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

    /// Time between two heartbeats
    #[arg(long, env = "CHATD_HEARTBEAT", value_name = "TIME", default_value = "15s", value_parser = humantime::parse_duration)]
    pub heartbeat: Duration,

    /// Time after which a client that acknowledges nothing is cut off; at most three quarters of the heartbeat
    /// [default: three quarters of the heartbeat]
    #[arg(long, env = "CHATD_DEAD_AFTER", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub dead_after: Option<Duration>,

    /// Connections at the same time
    #[arg(long, env = "CHATD_MAX_CONNECTIONS", value_name = "COUNT", default_value_t = 4096, value_parser = at_least_one)]
    pub max_connections: usize,

    /// Connections at the same time from one address, loopback excepted; 0 is no limit
    #[arg(
        long,
        env = "CHATD_MAX_PER_ADDRESS",
        value_name = "COUNT",
        default_value_t = 256
    )]
    pub max_per_address: usize,

    /// Time to finish the TLS handshake
    #[arg(long, env = "CHATD_HANDSHAKE_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    pub handshake_timeout: Duration,

    /// Time to log in
    #[arg(long, env = "CHATD_LOGIN_TIMEOUT", value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    pub login_timeout: Duration,

    /// Largest message from a client that is logged in, below 16MiB (4KiB before login)
    #[arg(long, env = "CHATD_MAX_FRAME", value_name = "SIZE", default_value = "64KiB", value_parser = parse_size)]
    pub max_frame: usize,

    /// Commands a second from one connection; a faster one is read more slowly; 0 is no limit
    #[arg(long, env = "CHATD_RATE", value_name = "COUNT", default_value_t = 50)]
    pub rate: u64,

    /// Commands that one connection may send at once after a rest
    #[arg(long, env = "CHATD_BURST", value_name = "COUNT", default_value_t = 200)]
    pub burst: u64,

    /// Bytes a second from one connection; a faster one is read more slowly; 0 is no limit
    #[arg(long, env = "CHATD_BYTE_RATE", value_name = "SIZE", default_value = "64KiB", value_parser = parse_size)]
    pub byte_rate: usize,

    /// Bytes that one connection may send at once after a rest
    #[arg(long, env = "CHATD_BYTE_BURST", value_name = "SIZE", default_value = "256KiB", value_parser = parse_size)]
    pub byte_burst: usize,

    /// Names that one connection may register; 0 is no limit
    #[arg(
        long,
        env = "CHATD_MAX_REGISTRATIONS",
        value_name = "COUNT",
        default_value_t = 5
    )]
    pub max_registrations: usize,

    /// Wrong passwords from one connection, after which it is closed
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
            return wrong("--heartbeat must be at least 100ms and at most 1day");
        }
        if !(SHORTEST_TIME..=self.heartbeat * 3 / 4).contains(&self.dead_after()) {
            return wrong(
                "--dead-after must be at least 1ms and at most three quarters of --heartbeat",
            );
        }
        if !(SHORTEST_TIME..=LONGEST_TIME).contains(&self.handshake_timeout) {
            return wrong("--handshake-timeout must be at least 1ms and at most 1day");
        }
        if !(SHORTEST_TIME..=LONGEST_TIME).contains(&self.login_timeout) {
            return wrong("--login-timeout must be at least 1ms and at most 1day");
        }
        if self.max_connections > MOST_CONNECTIONS {
            return wrong("--max-connections must be at most 1000000");
        }
        if !(64..FRAME_CEILING).contains(&self.max_frame) {
            return wrong("--max-frame must be at least 64B and below 16MiB");
        }
        if !(4 * self.max_frame..=LARGEST_BACKLOG).contains(&self.max_backlog) {
            return wrong("--max-backlog must be at least four times --max-frame and at most 1GiB");
        }
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return wrong("--tls-cert and --tls-key must be given together");
        }
        if !self.no_tls && self.port == self.tls_port && self.port != 0 {
            return wrong("--port and --tls-port must differ");
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
