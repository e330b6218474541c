//! Why the server can't start.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::storage::{AccountsError, BansError, CertificateError, DataDirError};

/// The last port that needs privileges on Unix.
const LAST_PRIVILEGED_PORT: u16 = 1023;

/// Why another port may be forbidden.
#[cfg(windows)]
const RESERVED_PORTS: &str =
    ", perhaps as one of those that Windows reserves (netsh int ipv4 show excludedportrange tcp)";
#[cfg(not(windows))]
const RESERVED_PORTS: &str = ", perhaps by a policy such as SELinux";

/// Why the server can't start. Each says, in a line, what is wrong and what to do.
#[derive(Debug)]
pub enum StartError {
    /// Settings that can't be.
    Setting(String),
    /// An address can't be listened on; the text is the flag that chose its port.
    Listen(SocketAddr, &'static str, io::Error),
    /// An address to listen on that this machine lacks; the others are those it has.
    NoSuchAddress(IpAddr, Vec<IpAddr>),
    /// The data folder can't be used.
    DataDir(DataDirError),
    /// The transcript can't be written.
    Transcript(PathBuf, io::Error),
    /// The accounts can't be read.
    Accounts(AccountsError),
    /// The bans can't be read.
    Bans(BansError),
    /// The certificate can't be used.
    Certificate(CertificateError),
    /// The log file can't be opened.
    Log(PathBuf, io::Error),
    /// The system gives no thread.
    Thread(io::Error),
    /// The system lets the process hold no connection; the text is what would help.
    NoRoom(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Setting(what) => f.write_str(what),
            StartError::Listen(address, flag, error) => {
                write!(f, "cannot listen on {address}: ")?;
                match error.kind() {
                    io::ErrorKind::AddrInUse => write!(
                        f,
                        "another program, perhaps another chatd, uses this port; stop it or choose another port with {flag}"
                    ),
                    io::ErrorKind::PermissionDenied if is_privileged(address.port()) => {
                        write!(
                            f,
                            "the system does not permit it; choose a port above {LAST_PRIVILEGED_PORT} with {flag}"
                        )
                    }
                    io::ErrorKind::PermissionDenied => {
                        write!(
                            f,
                            "the system keeps this port from chatd{RESERVED_PORTS}; choose another port with {flag}"
                        )
                    }
                    _ => write!(
                        f,
                        "{error}; choose another address with --bind or another port with {flag}"
                    ),
                }
            }
            StartError::NoSuchAddress(address, own) => {
                let own: Vec<String> = own.iter().map(IpAddr::to_string).collect();
                write!(
                    f,
                    "cannot listen on {address}: this machine has no such address, but {}; choose one of these with --bind, or leave --bind out",
                    own.join(", ")
                )
            }
            StartError::Transcript(path, error) => write!(
                f,
                "cannot write the transcript {}: {error}; choose another file with --transcript",
                path.display()
            ),
            StartError::DataDir(error @ DataDirError::Io(_, cause)) => {
                write!(f, "{error}; {}", advice(cause))
            }
            StartError::DataDir(error @ DataDirError::NoLockFile(..)) => {
                write!(
                    f,
                    "{error}; delete it, or choose another data folder with --data-dir"
                )
            }
            StartError::DataDir(error @ DataDirError::Lock(..)) => {
                write!(f, "{error}, so choose a local folder with --data-dir")
            }
            StartError::DataDir(error @ DataDirError::InUse(_)) => {
                write!(f, "{error}; stop it or choose another with --data-dir")
            }
            StartError::Accounts(error @ AccountsError::Io(_, cause)) if is_full(cause) => {
                write!(f, "{error}; {}", advice(cause))
            }
            StartError::Accounts(error) => error.fmt(f),
            StartError::Bans(error) => error.fmt(f),
            // Only a pair in the data folder is ever written.
            StartError::Certificate(error @ CertificateError::Write(_, cause)) => {
                write!(f, "{error}; {}", advice(cause))
            }
            StartError::Certificate(error) => {
                write!(f, "{error} (see --tls-cert and --tls-key, or --no-tls)")
            }
            StartError::Log(path, error) => {
                let path = path.display();
                write!(
                    f,
                    "cannot open the log file {path}: {error}; choose another with --log"
                )
            }
            StartError::Thread(error) => write!(f, "the system gives no thread: {error}"),
            StartError::NoRoom(advice) => {
                write!(
                    f,
                    "this machine lets the process hold no connection; {advice}"
                )
            }
        }
    }
}

/// Whether there is no room left to write.
fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

/// What helps if a file of the data folder can't be written.
fn advice(error: &io::Error) -> &'static str {
    if is_full(error) {
        "the disk or the quota is full, so make room there or choose another data folder with --data-dir"
    } else {
        "choose another data folder with --data-dir"
    }
}

/// Whether a port is forbidden to whom has no privileges. Windows has no such ports.
fn is_privileged(port: u16) -> bool {
    cfg!(not(windows)) && port <= LAST_PRIVILEGED_PORT
}

impl std::error::Error for StartError {}

impl From<DataDirError> for StartError {
    fn from(error: DataDirError) -> Self {
        StartError::DataDir(error)
    }
}

impl From<AccountsError> for StartError {
    fn from(error: AccountsError) -> Self {
        StartError::Accounts(error)
    }
}

impl From<BansError> for StartError {
    fn from(error: BansError) -> Self {
        StartError::Bans(error)
    }
}

impl From<CertificateError> for StartError {
    fn from(error: CertificateError) -> Self {
        StartError::Certificate(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_is_full_or_cannot_lock_is_told_from_other_mistakes() {
        let path = || std::path::PathBuf::from("/data/file");
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let over_quota = || io::Error::from(io::ErrorKind::QuotaExceeded);
        let read_only = || io::Error::from(io::ErrorKind::ReadOnlyFilesystem);
        let room = "make room there";
        for (error, words, has_words) in [
            (DataDirError::Io(path(), full()).into(), room, true),
            (AccountsError::Io(path(), full()).into(), room, true),
            (CertificateError::Write(path(), full()).into(), room, true),
            (
                CertificateError::Write(path(), over_quota()).into(),
                room,
                true,
            ),
            (
                CertificateError::Write(path(), read_only()).into(),
                room,
                false,
            ),
            (DataDirError::Io(path(), read_only()).into(), room, false),
            (
                DataDirError::Lock(path(), io::Error::other("no")).into(),
                "network drives, so choose a local",
                true,
            ),
        ] {
            let error: StartError = error;
            let sentence = error.to_string();
            assert_eq!(sentence.contains(words), has_words, "{sentence}");
            assert!(sentence.contains("/data/file"), "{sentence}");
            assert!(sentence.contains("--data-dir"), "{sentence}");
            assert!(!sentence.contains("--no-tls"), "{sentence}");
        }
    }

    #[test]
    fn a_forbidden_port_is_told_as_what_it_is() {
        for (port, is_privileged) in [(80, true), (1023, true), (1024, false), (4004, false)] {
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            let error = io::ErrorKind::PermissionDenied.into();
            let text = StartError::Listen(address, "--port", error).to_string();
            assert!(text.contains(&format!("127.0.0.1:{port}: ")), "{text}");
            assert!(text.ends_with(" with --port"), "{text}");
            let is_privileged = is_privileged && cfg!(not(windows));
            assert_eq!(text.contains("above 1023"), is_privileged, "{text}");
        }
    }
}
