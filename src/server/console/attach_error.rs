//! Why `chatd console` can't be had.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::texts::attach as texts;

/// Why there is no console.
#[derive(Debug)]
pub enum AttachError {
    /// No server uses this data folder, or it has no socket there.
    NoServer(PathBuf),
    /// The socket, or its folder, is another user's.
    NotAllowed(PathBuf),
    /// This program has no such sockets on this system.
    NoSockets,
    /// Another failure of the system.
    Socket(PathBuf, io::Error),
    /// The server has ended.
    Ended,
    /// What is typed can't be read.
    Input(io::Error),
    /// The connection to the server has failed.
    Lost(io::Error),
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match self {
            AttachError::NoServer(folder) => texts::no_server(folder.display()),
            AttachError::NotAllowed(folder) => texts::not_allowed(folder.display()),
            AttachError::NoSockets => texts::no_sockets().to_owned(),
            AttachError::Socket(path, error) => texts::socket_fails(path.display(), error),
            AttachError::Ended => texts::ended().to_owned(),
            AttachError::Input(error) => texts::input_fails(error),
            AttachError::Lost(error) => texts::lost(error),
        })
    }
}

impl std::error::Error for AttachError {}
