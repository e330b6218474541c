//! What has happened since the start, in numbers.

use std::fmt;
use std::time::SystemTime;

use bytesize::ByteSize;

use crate::sync::atomic::{AtomicU64, Ordering};
use crate::transport::{EndReason, Traffic};

/// What is counted for connections that have gone. Those that are there count for themselves, so that no message
/// touches what is shared.
#[derive(Debug)]
pub(crate) struct Totals {
    started: SystemTime,
    logins: AtomicU64,
    messages: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    /// By reason, each at the place that `reason as usize` tells.
    ends: [AtomicU64; EndReason::ALL.len()],
}

impl Totals {
    /// Nothing has happened.
    pub(crate) fn new() -> Totals {
        Totals {
            started: SystemTime::now(),
            logins: AtomicU64::new(0),
            messages: AtomicU64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            ends: Default::default(),
        }
    }

    /// Somebody has logged in.
    pub(crate) fn count_login(&self) {
        self.logins.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection has ended.
    pub(crate) fn count_end(&self, reason: EndReason) {
        self.ends[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A connection leaves, and will not count this for itself any more.
    pub(crate) fn add(&self, traffic: Traffic) {
        self.messages.fetch_add(traffic.messages, Ordering::Relaxed);
        self.received.fetch_add(traffic.received, Ordering::Relaxed);
        self.sent.fetch_add(traffic.sent, Ordering::Relaxed);
    }

    /// The numbers, without those of the connections that are there.
    pub(crate) fn read(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            started: self.started,
            online: 0,
            logins: read(&self.logins),
            traffic: Traffic {
                messages: read(&self.messages),
                received: read(&self.received),
                sent: read(&self.sent),
            },
            ends: std::array::from_fn(|place| read(&self.ends[place])),
        }
    }
}

/// What has happened since the start, or between two moments. Shown as one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// When the server started.
    pub started: SystemTime,
    /// How many users are online now.
    pub online: usize,
    /// How often somebody has logged in.
    pub logins: u64,
    /// What has gone through all connections.
    pub traffic: Traffic,
    ends: [u64; EndReason::ALL.len()],
}

impl Stats {
    /// How many connections have ended for this reason.
    pub fn ended(&self, reason: EndReason) -> u64 {
        self.ends[reason as usize]
    }

    /// What has happened since `earlier`.
    pub fn since(&self, earlier: &Stats) -> Stats {
        Stats {
            logins: self.logins.saturating_sub(earlier.logins),
            traffic: self.traffic - earlier.traffic,
            ends: std::array::from_fn(|place| self.ends[place].saturating_sub(earlier.ends[place])),
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
        let ends = EndReason::ALL.map(|reason| (reason, self.ended(reason)));
        let mut ends = ends.iter().filter(|(_, count)| *count > 0).peekable();
        if ends.peek().is_none() {
            return f.write_str("none");
        }
        while let Some((reason, count)) = ends.next() {
            let separator = if ends.peek().is_some() { ", " } else { "" };
            write!(f, "{count} {reason}{separator}")?;
        }
        Ok(())
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
        let totals = Totals::new();
        let first = totals.read();
        assert_eq!(
            first.to_string(),
            "0 users online now; 0 logins, 0 messages, 0 B received, 0 B sent; connections ended: none"
        );
        totals.count_login();
        totals.add(Traffic {
            messages: 2,
            received: 2048,
            sent: 10,
        });
        totals.count_end(EndReason::Slow);
        totals.count_end(EndReason::LoggedOut);
        totals.count_end(EndReason::LoggedOut);
        let second = Stats {
            online: 1,
            ..totals.read()
        };
        assert_eq!(
            second.since(&first).to_string(),
            "1 user online now; 1 login, 2 messages, 2.0 KiB received, 10 B sent; \
             connections ended: 2 logged out, 1 too slow a reader"
        );
        totals.count_end(EndReason::Kicked);
        let third = totals.read().since(&second);
        assert_eq!((third.logins, third.traffic.messages), (0, 0));
        assert_eq!(
            (third.ended(EndReason::Kicked), third.ended(EndReason::Slow)),
            (1, 0)
        );
    }

    #[test]
    fn each_reason_has_its_place() {
        for (place, reason) in EndReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
        }
    }
}
