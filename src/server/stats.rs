//! What has happened since the start, in numbers.

use std::fmt;
use std::ops::{AddAssign, Sub};
use std::time::SystemTime;

use bytesize::ByteSize;

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

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Traffic {
            messages,
            received,
            sent,
        } = self.traffic;
        write!(
            f,
            "{} online now; {}, {}, {} received, {} sent; connections ended: ",
            Count(self.online as u64, "user"),
            Count(self.logins, "login"),
            Count(messages, "message"),
            ByteSize(received),
            ByteSize(sent)
        )?;
        let closed: Vec<String> = CloseReason::ALL
            .iter()
            .map(|(reason, words)| (self.closed(*reason), words))
            .filter(|(count, _)| *count > 0)
            .map(|(count, words)| format!("{count} {words}"))
            .collect();
        f.write_str(&match closed.is_empty() {
            true => "none".to_owned(),
            false => closed.join(", "),
        })
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

/// A number of things.
struct Count(u64, &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} {}{plural}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
