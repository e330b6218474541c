//! Why the server can't start.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::storage::{AccountsError, BansError, CertificateError, DataDirError};

/// Why the server can't start. Each says, in a line, what is wrong and what to do.
#[derive(Debug)]
pub enum StartError {
    /// Settings that can't be.
    Setting(String),
    /// An address can't be listened on; the text is the flag that chose its port.
    Listen(SocketAddr, &'static str, io::Error),
    /// The data folder can't be used.
    DataDir(DataDirError),
    /// The accounts can't be read.
    Accounts(AccountsError),
    /// The bans can't be read.
    Bans(BansError),
    /// The certificate can't be used.
    Certificate(CertificateError),
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
                    io::ErrorKind::PermissionDenied => {
                        write!(
                            f,
                            "the system does not permit it; choose a port above 1023 with {flag}"
                        )
                    }
                    io::ErrorKind::AddrNotAvailable => {
                        write!(
                            f,
                            "this machine has no such address; choose another with --bind"
                        )
                    }
                    _ => write!(
                        f,
                        "{error}; choose another address with --bind or another port with {flag}"
                    ),
                }
            }
            StartError::DataDir(error @ DataDirError::Io(..)) => {
                write!(f, "{error}; choose another with --data-dir")
            }
            StartError::DataDir(error @ DataDirError::InUse(_)) => {
                write!(f, "{error}; stop it or choose another with --data-dir")
            }
            StartError::Accounts(error) => error.fmt(f),
            StartError::Bans(error) => error.fmt(f),
            StartError::Certificate(error) => {
                write!(f, "{error} (see --tls-cert and --tls-key, or --no-tls)")
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
