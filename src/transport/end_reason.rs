//! Why connections end.

use std::fmt;
use std::io;

/// Why a connection ended. It is logged once, when it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// The client logged out (03).
    LoggedOut,
    /// The client closed the connection, or its own side of it.
    Closed,
    /// The connection was reset, or failed otherwise.
    Lost,
    /// The client acknowledged nothing for too long: it is gone, or its host is.
    Dead,
    /// More output waits for the client than the backlog allows.
    Slow,
    /// The client sent what can't be understood, so its stream can't be trusted again.
    BadInput,
    /// The client speaks another protocol.
    OtherProtocol,
    /// The TLS handshake failed or took too long.
    NoHandshake,
    /// The client did not log in in time.
    NoLogin,
    /// Too many wrong passwords.
    WrongPasswords,
    /// A limit on connections was met.
    Refused,
    /// The user was kicked.
    Kicked,
    /// The user's name or address is banned.
    Banned,
    /// The server stops.
    Stopping,
    /// The connection's own thread failed.
    Failed,
}

impl EndReason {
    /// All of them, each at the place that `reason as usize` tells.
    pub const ALL: [EndReason; 15] = [
        EndReason::LoggedOut,
        EndReason::Closed,
        EndReason::Lost,
        EndReason::Dead,
        EndReason::Slow,
        EndReason::BadInput,
        EndReason::OtherProtocol,
        EndReason::NoHandshake,
        EndReason::NoLogin,
        EndReason::WrongPasswords,
        EndReason::Refused,
        EndReason::Kicked,
        EndReason::Banned,
        EndReason::Stopping,
        EndReason::Failed,
    ];

    /// What an error of the socket means once nobody set it a deadline.
    pub fn of(error: &io::Error) -> EndReason {
        match error.kind() {
            io::ErrorKind::TimedOut => EndReason::Dead,
            _ => EndReason::Lost,
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EndReason::LoggedOut => "logged out",
            EndReason::Closed => "closed by the client",
            EndReason::Lost => "connection lost",
            EndReason::Dead => "no sign of life",
            EndReason::Slow => "too slow a reader",
            EndReason::BadInput => "bad input",
            EndReason::OtherProtocol => "another protocol",
            EndReason::NoHandshake => "no TLS handshake",
            EndReason::NoLogin => "no login in time",
            EndReason::WrongPasswords => "too many wrong passwords",
            EndReason::Refused => "refused",
            EndReason::Kicked => "kicked",
            EndReason::Banned => "banned",
            EndReason::Stopping => "the server stops",
            EndReason::Failed => "internal error",
        })
    }
}
