//! What stands in for the console's socket where the standard library has none, as on Windows.

use std::io;
use std::path::Path;

use super::attach_error::AttachError;
use crate::server::handle::Handle;

/// No socket.
#[derive(Debug)]
pub struct ConsoleSocket;

impl ConsoleSocket {
    /// The error says that there are none.
    pub fn open(_: &Handle) -> io::Result<ConsoleSocket> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The error says that there are none.
pub fn attach(_: &Path) -> Result<(), AttachError> {
    Err(AttachError::NoSockets)
}
