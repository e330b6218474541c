//! Why the server can't start.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::storage::{AccountsError, BansError, CertificateError, DataDirError};
use crate::texts::start_errors as texts;

/// The last port that needs privileges on Unix.
const LAST_PRIVILEGED_PORT: u16 = 1023;

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

/// In the language of the process.
impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match self {
            StartError::Setting(what) => what.clone(),
            StartError::Listen(address, flag, error) => match error.kind() {
                io::ErrorKind::AddrInUse => texts::port_in_use(*address, flag),
                io::ErrorKind::PermissionDenied if is_privileged(address.port()) => {
                    texts::port_is_privileged(*address, LAST_PRIVILEGED_PORT, flag)
                }
                io::ErrorKind::PermissionDenied => match cfg!(windows) {
                    true => texts::port_is_reserved_by_windows(*address, flag),
                    false => texts::port_is_forbidden(*address, flag),
                },
                _ => texts::cannot_listen(*address, error, flag),
            },
            StartError::NoSuchAddress(address, own) => {
                let own: Vec<String> = own.iter().map(IpAddr::to_string).collect();
                texts::no_such_address(*address, &own.join(", "))
            }
            StartError::Transcript(path, error) => texts::transcript(path.display(), error),
            StartError::DataDir(error) => {
                let sentence = error.to_string();
                match error {
                    DataDirError::Io(_, cause) => texts::with_advice(&sentence, advice(cause)),
                    DataDirError::NoLockFile(..) => {
                        texts::with_advice(&sentence, texts::delete_lock_file())
                    }
                    DataDirError::Lock(..) => texts::choose_local_folder(&sentence),
                    DataDirError::InUse(_) => {
                        texts::with_advice(&sentence, texts::stop_the_other())
                    }
                }
            }
            StartError::Accounts(error @ AccountsError::Io(_, cause)) if is_full(cause) => {
                texts::with_advice(&error.to_string(), advice(cause))
            }
            StartError::Accounts(error) => error.to_string(),
            StartError::Bans(error) => error.to_string(),
            // Only a pair in the data folder is ever written.
            StartError::Certificate(error @ CertificateError::Write(_, cause)) => {
                texts::with_advice(&error.to_string(), advice(cause))
            }
            StartError::Certificate(error) => texts::see_tls_options(&error.to_string()),
            StartError::Log(path, error) => texts::log(path.display(), error),
            StartError::Thread(error) => texts::no_thread(error),
            StartError::NoRoom(advice) => texts::no_room(advice),
        })
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
        texts::make_room()
    } else {
        texts::choose_folder()
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
