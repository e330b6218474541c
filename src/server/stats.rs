//! What has happened since the start, in numbers.

use std::fmt;
use std::ops::{AddAssign, Sub};
use std::time::SystemTime;

use bytesize::ByteSize;

use crate::texts::statistics as texts;
use crate::transport::{CloseReason, Connection};

/// What has happened since the start, or between two moments. Shown as one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// When the server started.
    pub started: SystemTime,
    /// How many users are online now.
    pub online: usize,
    /// How often a user has logged in.
    pub logins: u64,
    /// What has gone through all connections.
    pub traffic: Traffic,
    /// How many connections have ended, at the index `reason as usize`.
    closed: [u64; CloseReason::ALL.len()],
}

/// Nothing has happened, and the server starts now.
impl Default for Stats {
    fn default() -> Stats {
        Stats {
            started: SystemTime::now(),
            online: 0,
            logins: 0,
            traffic: Traffic::default(),
            closed: Default::default(),
        }
    }
}

impl Stats {
    /// How many connections have ended for this reason.
    pub fn closed(&self, reason: CloseReason) -> u64 {
        self.closed[reason as usize]
    }

    /// Adds one connection.
    pub(super) fn add(&mut self, connection: ConnectionStats) {
        self.traffic += connection.traffic;
        if let Some(reason) = connection.closed {
            self.count_closed(reason);
        }
    }

    pub(super) fn count_closed(&mut self, reason: CloseReason) {
        self.closed[reason as usize] += 1;
    }

    /// What has happened since `earlier`.
    pub fn since(&self, earlier: &Stats) -> Stats {
        let closed = |index: usize| self.closed[index].saturating_sub(earlier.closed[index]);
        Stats {
            logins: self.logins.saturating_sub(earlier.logins),
            traffic: self.traffic - earlier.traffic,
            closed: std::array::from_fn(closed),
            ..*self
        }
    }
}

/// In the language of the process.
impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |count, one: &str, many: fn(u64) -> String| match count {
            1 => one.to_owned(),
            _ => many(count),
        };
        let online = counted(self.online as u64, texts::one_user(), texts::users);
        let logins = counted(self.logins, texts::one_login(), texts::logins);
        let messages = counted(self.traffic.messages, texts::one_message(), texts::messages);
        let ended: Vec<String> = CloseReason::ALL
            .iter()
            .map(|(reason, _)| (self.closed(*reason), *reason))
            .filter(|(count, _)| *count > 0)
            .map(|(count, reason)| texts::ended(count, in_words(reason)))
            .collect();
        let ended = match ended.is_empty() {
            true => texts::none_ended().to_owned(),
            false => ended.join(texts::comma()),
        };
        f.write_str(&texts::numbers(
            &online,
            &logins,
            &messages,
            ByteSize(self.traffic.received),
            ByteSize(self.traffic.sent),
            &ended,
        ))
    }
}

/// Why connections have ended. The log always has the English words of [`CloseReason::ALL`] for one connection.
fn in_words(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::LoggedOut => texts::logged_out(),
        CloseReason::ClosedByClient => texts::closed_by_client(),
        CloseReason::ConnectionLost => texts::connection_lost(),
        CloseReason::Unresponsive => texts::unresponsive(),
        CloseReason::SlowConsumer => texts::slow_consumer(),
        CloseReason::BadInput => texts::bad_input(),
        CloseReason::OtherProtocol => texts::other_protocol(),
        CloseReason::HttpAnswered => texts::http_answered(),
        CloseReason::HandshakeFailed => texts::handshake_failed(),
        CloseReason::LoginTimeout => texts::login_timeout(),
        CloseReason::WrongPasswords => texts::wrong_passwords(),
        CloseReason::Rejected => texts::rejected(),
        CloseReason::MadeRoom => texts::made_room(),
        CloseReason::Kicked => texts::kicked(),
        CloseReason::Banned => texts::banned(),
        CloseReason::ServerStopping => texts::server_stopping(),
        CloseReason::InternalError => texts::internal_error(),
    }
}

/// What one connection has done so far, and its end, if it ends.
pub(super) struct ConnectionStats {
    traffic: Traffic,
    closed: Option<CloseReason>,
}

impl ConnectionStats {
    pub(super) fn of(connection: &Connection) -> ConnectionStats {
        ConnectionStats {
            traffic: Traffic {
                messages: connection.messages(),
                received: connection.received(),
                sent: connection.sent(),
            },
            closed: connection.close_cause().map(|cause| cause.reason),
        }
    }
}

/// What has gone through a connection, or through many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages from clients, to the room and private ones, that were passed on.
    pub messages: u64,
    /// Bytes that came, as they went over the network.
    pub received: u64,
    /// Bytes that went out.
    pub sent: u64,
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, more: Traffic) {
        self.messages += more.messages;
        self.received += more.received;
        self.sent += more.sent;
    }
}

impl Sub for Traffic {
    type Output = Traffic;

    /// What has gone since `earlier`.
    fn sub(self, earlier: Traffic) -> Traffic {
        Traffic {
            messages: self.messages.saturating_sub(earlier.messages),
            received: self.received.saturating_sub(earlier.received),
            sent: self.sent.saturating_sub(earlier.sent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_those_of_the_log() {
        for (reason, words) in CloseReason::ALL {
            assert_eq!(in_words(reason), words);
        }
    }

    #[test]
    fn numbers_are_told_in_one_line_and_since_the_last() {
        let first = Stats::default();
        assert_eq!(
            first.to_string(),
            "0 users online now; 0 logins, 0 messages, 0 B received, 0 B sent; connections ended: none"
        );
        let mut second = Stats {
            online: 1,
            logins: 1,
            ..first
        };
        second.traffic += Traffic {
            messages: 2,
            received: 2048,
            sent: 10,
        };
        second.count_closed(CloseReason::SlowConsumer);
        second.count_closed(CloseReason::LoggedOut);
        second.count_closed(CloseReason::LoggedOut);
        assert_eq!(
            second.since(&first).to_string(),
            "1 user online now; 1 login, 2 messages, 2.0 KiB received, 10 B sent; \
             connections ended: 2 logged out, 1 too slow a reader"
        );
        let mut third = second;
        third.count_closed(CloseReason::Kicked);
        let third = third.since(&second);
        assert_eq!((third.logins, third.traffic.messages), (0, 0));
        assert_eq!(third.closed(CloseReason::Kicked), 1);
        assert_eq!(third.closed(CloseReason::SlowConsumer), 0);
    }
}
