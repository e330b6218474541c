//! Why connections close.

use std::fmt;
use std::io;
use std::time::Duration;

/// Why a connection closed. The log tells it once for each connection.
///
/// A reason also decides how: see [`drains`](Self::drains).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The client logged out (03).
    LoggedOut,
    /// The client closed the connection, or its own side of it.
    ClosedByClient,
    /// The connection was reset, or failed otherwise.
    ConnectionLost,
    /// The client acknowledged nothing for too long: it is gone, or its host is.
    Unresponsive,
    /// More output waits for the client than the backlog allows.
    SlowConsumer,
    /// The client sent what can't be understood, so its stream can't be trusted again.
    BadInput,
    /// The client speaks another protocol.
    OtherProtocol,
    /// An HTTP request was answered, and that was all.
    HttpAnswered,
    /// The TLS handshake failed or took too long.
    HandshakeFailed,
    /// The client did not log in in time.
    LoginTimeout,
    /// Too many wrong passwords.
    WrongPasswords,
    /// A limit on connections was met.
    Rejected,
    /// The server was full, and the client had not logged in: another one has its place.
    MadeRoom,
    /// The user was kicked.
    Kicked,
    /// The user's name or address is banned.
    Banned,
    /// The server stops.
    ServerStopping,
    /// The connection's own thread failed.
    InternalError,
}

impl CloseReason {
    /// All of them with the words of the log, each at the index `reason as usize`.
    pub const ALL: [(CloseReason, &str); 17] = [
        (CloseReason::LoggedOut, "logged out"),
        (CloseReason::ClosedByClient, "closed by the client"),
        (CloseReason::ConnectionLost, "connection lost"),
        (CloseReason::Unresponsive, "no sign of life"),
        (CloseReason::SlowConsumer, "too slow a reader"),
        (CloseReason::BadInput, "bad input"),
        (CloseReason::OtherProtocol, "another protocol"),
        (CloseReason::HttpAnswered, "HTTP answered"),
        (CloseReason::HandshakeFailed, "no TLS handshake"),
        (CloseReason::LoginTimeout, "no login in time"),
        (CloseReason::WrongPasswords, "too many wrong passwords"),
        (CloseReason::Rejected, "refused"),
        (CloseReason::MadeRoom, "made room for another"),
        (CloseReason::Kicked, "kicked"),
        (CloseReason::Banned, "banned"),
        (CloseReason::ServerStopping, "the server stops"),
        (CloseReason::InternalError, "internal error"),
    ];

    /// Whether the connection is drained: its queue, the receipts owed to it and a last line still go out. Otherwise
    /// it is closed at once, because it no longer works or its client understands no answer.
    pub fn drains(self) -> bool {
        !matches!(
            self,
            CloseReason::ConnectionLost
                | CloseReason::Unresponsive
                | CloseReason::SlowConsumer
                | CloseReason::OtherProtocol
                | CloseReason::InternalError
        )
    }

    /// Whether the teacher has thrown the user out. Nothing that it says counts from then on.
    pub fn is_expulsion(self) -> bool {
        matches!(self, CloseReason::Kicked | CloseReason::Banned)
    }

    /// The status code that a browser is told (RFC 6455, section 7.4.1), if the cause has no other.
    pub fn close_code(self) -> u16 {
        match self {
            CloseReason::LoggedOut | CloseReason::ClosedByClient | CloseReason::HttpAnswered => {
                1000
            }
            CloseReason::ServerStopping => 1001,
            CloseReason::LoginTimeout
            | CloseReason::WrongPasswords
            | CloseReason::Rejected
            | CloseReason::MadeRoom
            | CloseReason::Kicked
            | CloseReason::Banned
            | CloseReason::SlowConsumer => 1008,
            CloseReason::BadInput
            | CloseReason::OtherProtocol
            | CloseReason::ConnectionLost
            | CloseReason::Unresponsive
            | CloseReason::HandshakeFailed => 1002,
            CloseReason::InternalError => 1011,
        }
    }

    /// How long a drain waits for the receipts owed to the client before they say 0.
    pub(super) fn receipt_patience(self) -> Duration {
        match self {
            // The user is to go now.
            _ if self.is_expulsion() => Duration::ZERO,
            CloseReason::ServerStopping => Duration::from_secs(1),
            _ => Duration::from_secs(5),
        }
    }

    /// What an error of the socket means, unless a deadline caused it. A host that vanished shows as a timeout
    /// (TCP_USER_TIMEOUT), or as unreachable when a router or the machine's own address resolution noticed first. A client
    /// that closes and has not read all shows as a broken pipe to a thread that sends: its FIN came before its reset.
    pub fn of_error(error: &io::Error) -> CloseReason {
        match error.kind() {
            io::ErrorKind::TimedOut
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable => CloseReason::Unresponsive,
            io::ErrorKind::BrokenPipe => CloseReason::ClosedByClient,
            _ => CloseReason::ConnectionLost,
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(CloseReason::ALL[*self as usize].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_stands_at_its_own_index() {
        for (index, (reason, _)) in CloseReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }

    #[test]
    fn the_errors_of_a_socket_are_told_apart() {
        for (kind, reason) in [
            (io::ErrorKind::TimedOut, CloseReason::Unresponsive),
            (io::ErrorKind::HostUnreachable, CloseReason::Unresponsive),
            (io::ErrorKind::NetworkUnreachable, CloseReason::Unresponsive),
            (io::ErrorKind::ConnectionReset, CloseReason::ConnectionLost),
            (io::ErrorKind::BrokenPipe, CloseReason::ClosedByClient),
        ] {
            assert_eq!(CloseReason::of_error(&kind.into()), reason, "{kind}");
        }
    }
}
