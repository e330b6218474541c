//! Log lines that a client can bring about as often as it can connect: those that repeat are gathered into one.
//!
//! A loop that connects and is refused would otherwise fill the disk, and hide what matters to the teacher. Lines about
//! users who log in are not gathered: logins have limits of their own.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use log::Level;

use super::rejection::Rejection;
use crate::sync::{Condvar, Instant, Mutex};
use crate::transport::{CloseCause, CloseReason, ConnectionLabel};

/// For so long lines of one kind about one address are gathered.
const PERIOD: Duration = Duration::from_secs(10);

/// So many of them are written as they are; further ones are counted.
const WRITTEN: usize = 5;

/// Addresses and kinds that are gathered apart, at most. Any more are gathered by kind, for all addresses together.
const APART: usize = 1024;

/// A line that a client can bring about without logging in.
#[derive(Debug)]
pub(crate) enum RepeatableLine {
    /// A listener does not let a client in.
    Refused {
        peer: SocketAddr,
        rejection: Rejection,
    },
    /// A client has gone before its connection had a thread.
    LeftUnserved { peer: SocketAddr, error: io::Error },
    /// A client has left that was not logged in.
    Left {
        connection: ConnectionLabel,
        cause: CloseCause,
    },
    /// A login was refused.
    LoginRefused {
        connection: ConnectionLabel,
        name: String,
        why: String,
    },
    /// A client has registered as many names as one connection may, and asks for another.
    RegistrationRefused { connection: ConnectionLabel },
}

/// What lines have in common that are gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Refused(Rejection),
    LeftUnserved,
    Left(CloseReason),
    LoginRefused,
    RegistrationRefused,
}

impl RepeatableLine {
    fn kind(&self) -> Kind {
        match self {
            RepeatableLine::Refused { rejection, .. } => Kind::Refused(*rejection),
            RepeatableLine::LeftUnserved { .. } => Kind::LeftUnserved,
            RepeatableLine::Left { cause, .. } => Kind::Left(cause.reason),
            RepeatableLine::LoginRefused { .. } => Kind::LoginRefused,
            RepeatableLine::RegistrationRefused { .. } => Kind::RegistrationRefused,
        }
    }

    /// The client's address.
    fn address(&self) -> IpAddr {
        match self {
            RepeatableLine::Refused { peer, .. } | RepeatableLine::LeftUnserved { peer, .. } => {
                peer.ip()
            }
            RepeatableLine::Left { connection, .. }
            | RepeatableLine::LoginRefused { connection, .. }
            | RepeatableLine::RegistrationRefused { connection } => connection.peer.ip(),
        }
    }

    fn level(&self) -> Level {
        match self {
            RepeatableLine::Refused { .. } | RepeatableLine::RegistrationRefused { .. } => {
                Level::Warn
            }
            RepeatableLine::LeftUnserved { .. }
            | RepeatableLine::Left { .. }
            | RepeatableLine::LoginRefused { .. } => Level::Info,
        }
    }
}

impl fmt::Display for RepeatableLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RepeatableLine::Refused { peer, rejection } => {
                write!(f, "refused a connection from {peer}: {rejection}")
            }
            RepeatableLine::LeftUnserved { peer, error } => {
                write!(f, "{peer} left before it was served: {error}")
            }
            RepeatableLine::Left { connection, cause } => {
                write!(
                    f,
                    "a client that was not logged in left ({cause}; {connection})"
                )
            }
            RepeatableLine::LoginRefused {
                connection,
                name,
                why,
            } => write!(f, "refused the login of {name:?}: {why} ({connection})"),
            RepeatableLine::RegistrationRefused { connection } => {
                write!(f, "refused another registration ({connection})")
            }
        }
    }
}

/// Writes lines to the log, and gathers those that repeat.
#[derive(Debug)]
pub(crate) struct RepeatedLines {
    gathered: Mutex<Gathered>,
    /// Notified when there is a summary to come that there was not before, and at the end.
    changed: Condvar,
}

/// Why [`RepeatedLines::wait`] returns.
#[derive(Debug)]
pub(crate) enum Woken {
    /// These summaries are to be written.
    Due(Vec<Summary>),
    /// The deadline has come.
    Deadline,
    /// There will be no more summaries.
    Closed,
}

impl RepeatedLines {
    /// Nothing is gathered yet.
    pub(crate) fn new() -> RepeatedLines {
        RepeatedLines {
            gathered: Mutex::new(Gathered::new(PERIOD, APART)),
            changed: Condvar::new(),
        }
    }

    /// Writes a line, or counts it if its like were written often enough. At level `debug` all are written.
    pub(crate) fn log(&self, line: RepeatableLine) {
        let level = line.level();
        if !log::log_enabled!(level) {
            return;
        }
        let detail = log::log_enabled!(Level::Debug).then(|| line.to_string());
        if let Some(line) = self.take(line) {
            log::log!(level, "{line}");
        } else if let Some(detail) = detail {
            log::debug!("{detail}");
        }
    }

    /// Returns the line if it is to be written. Otherwise a summary will count it.
    fn take(&self, line: RepeatableLine) -> Option<RepeatableLine> {
        let fate = self.gathered.lock().take(line, Instant::now());
        match fate {
            Fate::Written(line) => Some(line),
            Fate::Counted { is_first } => {
                if is_first {
                    self.changed.notify_all();
                }
                None
            }
        }
    }

    /// Sleeps until a summary is due, until the deadline, or until there will be no more.
    pub(crate) fn wait(&self, deadline: Instant) -> Woken {
        let mut gathered = self.gathered.lock();
        loop {
            if gathered.is_closed {
                return Woken::Closed;
            }
            let now = Instant::now();
            let due = gathered.take_due(now);
            if !due.is_empty() {
                return Woken::Due(due);
            }
            if now >= deadline {
                return Woken::Deadline;
            }
            let next = gathered.next_due().unwrap_or(deadline);
            let _ = self.changed.wait_until(&mut gathered, next.min(deadline));
        }
    }

    /// Writes all summaries that are still to come, and ends the thread that [waits](Self::wait) for them. What is
    /// logged after that is written as it is.
    pub(crate) fn close(&self) {
        let summaries = self.gathered.lock().close(Instant::now());
        self.changed.notify_all();
        for summary in summaries {
            summary.log();
        }
    }
}

/// What has repeated of late.
#[derive(Debug)]
struct Gathered {
    entries: HashMap<Key, Entry>,
    period: Duration,
    /// How many keys there may be that name an address.
    apart: usize,
    is_closed: bool,
}

/// An address, or none for all those that find no place for their own, and what is said of it.
type Key = (Option<IpAddr>, Kind);

#[derive(Debug)]
struct Entry {
    /// When the first line was written.
    began: Instant,
    /// How many lines were written.
    written: usize,
    /// What came after those.
    repeats: Option<Repeats>,
}

/// Lines that were not written.
#[derive(Debug)]
struct Repeats {
    count: u64,
    last: RepeatableLine,
}

/// What is done with a line.
#[derive(Debug)]
enum Fate {
    Written(RepeatableLine),
    /// A summary will count it. `is_first` if that summary would not come without this line.
    Counted {
        is_first: bool,
    },
}

impl Gathered {
    fn new(period: Duration, apart: usize) -> Gathered {
        Gathered {
            entries: HashMap::new(),
            period,
            apart,
            is_closed: false,
        }
    }

    fn take(&mut self, line: RepeatableLine, now: Instant) -> Fate {
        if self.is_closed {
            return Fate::Written(line);
        }
        let key = self.key(&line, now);
        let period = self.period;
        let fresh = || Entry {
            began: now,
            written: 0,
            repeats: None,
        };
        let entry = self.entries.entry(key).or_insert_with(fresh);
        if entry.is_over(period, now) && entry.repeats.is_none() {
            *entry = fresh();
        }
        // A summary that is late counts on, so there is one place only that takes it.
        if entry.written < WRITTEN {
            entry.written += 1;
            return Fate::Written(line);
        }
        let count = entry.repeats.as_ref().map_or(0, |repeats| repeats.count) + 1;
        entry.repeats = Some(Repeats { count, last: line });
        Fate::Counted {
            is_first: count == 1,
        }
    }

    /// Under which key a line is gathered.
    fn key(&mut self, line: &RepeatableLine, now: Instant) -> Key {
        let own = (Some(line.address()), line.kind());
        if self.entries.len() < self.apart || self.entries.contains_key(&own) {
            return own;
        }
        let period = self.period;
        self.entries
            .retain(|_, entry| entry.repeats.is_some() || !entry.is_over(period, now));
        match self.entries.len() < self.apart {
            true => own,
            false => (None, line.kind()),
        }
    }

    /// When the next summary is due, if one is to come.
    fn next_due(&self) -> Option<Instant> {
        let repeating = self.entries.values().filter(|one| one.repeats.is_some());
        repeating.map(|entry| entry.began + self.period).min()
    }

    /// Takes out all summaries that are due.
    fn take_due(&mut self, now: Instant) -> Vec<Summary> {
        let period = self.period;
        self.take_where(now, |entry| entry.is_over(period, now))
    }

    /// Takes out all summaries; nothing is gathered any more.
    fn close(&mut self, now: Instant) -> Vec<Summary> {
        self.is_closed = true;
        self.take_where(now, |_| true)
    }

    fn take_where(&mut self, now: Instant, is_wanted: impl Fn(&Entry) -> bool) -> Vec<Summary> {
        let taken = self.entries.extract_if(|_, entry| is_wanted(entry));
        let summary = |((address, _), entry): (Key, Entry)| {
            entry.repeats.map(|repeats| Summary {
                address,
                time: now - entry.began,
                repeats,
            })
        };
        taken.filter_map(summary).collect()
    }
}

impl Entry {
    fn is_over(&self, period: Duration, now: Instant) -> bool {
        now >= self.began + period
    }
}

/// Says how often a line has repeated, and what it was.
#[derive(Debug)]
pub(crate) struct Summary {
    /// None says that it was about many.
    address: Option<IpAddr>,
    /// Since the first of the lines that were written.
    time: Duration,
    repeats: Repeats,
}

impl Summary {
    pub(crate) fn log(&self) {
        log::log!(self.repeats.last.level(), "{self}");
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "{address}")?,
            None => f.write_str("many addresses")?,
        }
        let Repeats { count, last } = &self.repeats;
        let seconds = self.time.as_secs_f64().round().max(1.0);
        write!(f, ": {count} more like this in {seconds} s: {last}")
    }
}

#[cfg(not(feature = "model"))]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::PortKind;

    const SECOND: Duration = Duration::from_secs(1);

    fn line(last_byte: u8, port: u16, rejection: Rejection) -> RepeatableLine {
        let peer = ([192, 0, 2, last_byte], port).into();
        RepeatableLine::Refused { peer, rejection }
    }

    /// Hands over so many lines, from ports that count up from 1, and returns how many are to be written.
    fn take(
        gathered: &mut Gathered,
        last_byte: u8,
        rejection: Rejection,
        count: u16,
        now: Instant,
    ) -> usize {
        (1..=count)
            .map(|port| gathered.take(line(last_byte, port, rejection), now))
            .filter(|fate| matches!(fate, Fate::Written(_)))
            .count()
    }

    fn texts(summaries: Vec<Summary>) -> Vec<String> {
        let mut texts: Vec<_> = summaries.iter().map(Summary::to_string).collect();
        texts.sort();
        texts
    }

    #[test]
    fn the_first_lines_are_written_and_a_summary_counts_the_rest_and_shows_the_last() {
        let (mut gathered, start) = (Gathered::new(PERIOD, APART), Instant::now());
        assert_eq!(take(&mut gathered, 7, Rejection::Banned, 3, start), 3);
        assert_eq!(gathered.next_due(), None);
        let later = start + 4 * SECOND;
        assert_eq!(take(&mut gathered, 7, Rejection::Banned, 100, later), 2);
        assert_eq!(gathered.next_due(), Some(start + PERIOD));
        assert!(gathered.take_due(start + 9 * SECOND).is_empty());

        let due = gathered.take_due(start + PERIOD);
        assert_eq!(due[0].repeats.last.level(), Level::Warn);
        let shown = line(7, 100, Rejection::Banned);
        assert_eq!(
            texts(due),
            [format!("192.0.2.7: 98 more like this in 10 s: {shown}")]
        );
        assert_eq!(gathered.next_due(), None);
        // It begins anew.
        let later = start + PERIOD;
        assert_eq!(take(&mut gathered, 7, Rejection::Banned, 6, later), WRITTEN);
        assert_eq!(gathered.next_due(), Some(later + PERIOD));
    }

    #[test]
    fn a_line_that_comes_now_and_then_is_always_written() {
        let (mut gathered, start) = (Gathered::new(PERIOD, APART), Instant::now());
        for round in 0..20 {
            let now = start + 11 * SECOND * round;
            assert_eq!(take(&mut gathered, 7, Rejection::Banned, 4, now), 4);
            assert!(gathered.take_due(now + SECOND).is_empty());
        }
        assert_eq!(gathered.next_due(), None);
    }

    #[test]
    fn nothing_is_lost_if_a_summary_is_late() {
        let (mut gathered, start) = (Gathered::new(PERIOD, APART), Instant::now());
        take(&mut gathered, 7, Rejection::Banned, 6, start);
        let late = start + 14 * SECOND;
        assert_eq!(take(&mut gathered, 7, Rejection::Banned, 6, late), 0);
        let due = texts(gathered.take_due(late));
        assert!(due[0].contains(": 7 more like this in 14 s: "), "{due:?}");
    }

    #[test]
    fn each_address_and_each_kind_is_gathered_by_itself() {
        let (mut gathered, now) = (Gathered::new(PERIOD, APART), Instant::now());
        for last_byte in [7, 8] {
            for rejection in [Rejection::Banned, Rejection::NoThread] {
                assert_eq!(take(&mut gathered, last_byte, rejection, 7, now), WRITTEN);
            }
        }
        let summaries = texts(gathered.take_due(now + PERIOD));
        assert_eq!(summaries.len(), 4);
        for (summary, address) in summaries.iter().zip([7, 7, 8, 8]) {
            let start = format!("192.0.2.{address}: 2 more like this");
            assert!(summary.starts_with(&start), "{summary}");
        }
    }

    #[test]
    fn the_kinds_of_lines_are_told_apart_by_what_happened() {
        let connection = ConnectionLabel {
            number: 1,
            peer: ([192, 0, 2, 7], 1).into(),
            kind: PortKind::Plain,
        };
        let peer = connection.peer;
        let left = |reason: CloseReason| RepeatableLine::Left {
            connection,
            cause: CloseCause::new(reason, "why"),
        };
        let mut gathered = Gathered::new(PERIOD, APART);
        let now = Instant::now();
        let lines: [&dyn Fn() -> RepeatableLine; 5] = [
            &|| left(CloseReason::BadInput),
            &|| left(CloseReason::LoginTimeout),
            &|| RepeatableLine::LeftUnserved {
                peer,
                error: io::ErrorKind::NotConnected.into(),
            },
            &|| RepeatableLine::RegistrationRefused { connection },
            &|| line(7, 1, Rejection::Banned),
        ];
        for line in lines {
            for _ in 0..WRITTEN {
                assert!(matches!(gathered.take(line(), now), Fate::Written(_)));
            }
            let fate = gathered.take(line(), now);
            assert!(matches!(fate, Fate::Counted { is_first: true }), "{fate:?}");
            let fate = gathered.take(line(), now);
            assert!(
                matches!(fate, Fate::Counted { is_first: false }),
                "{fate:?}"
            );
        }
    }

    #[test]
    fn more_addresses_than_there_is_room_for_are_gathered_together_and_those_that_are_quiet_make_room()
     {
        let (mut gathered, start) = (Gathered::new(PERIOD, 3), Instant::now());
        for last_byte in 1..=3 {
            assert_eq!(
                take(&mut gathered, last_byte, Rejection::Banned, 1, start),
                1
            );
        }
        let written: usize = (4..=200)
            .map(|last_byte| take(&mut gathered, last_byte, Rejection::Banned, 2, start))
            .sum();
        assert_eq!(written, WRITTEN);
        // Those that have a place keep it.
        assert_eq!(take(&mut gathered, 1, Rejection::Banned, 9, start), 4);
        assert_eq!(gathered.entries.len(), 4);

        let end = start + PERIOD;
        // The two without a count give up their places now.
        for last_byte in [201, 202, 203] {
            take(&mut gathered, last_byte, Rejection::Banned, 7, end);
        }
        let due = texts(gathered.close(end));
        let starts = [
            "192.0.2.1: 5 more like this in 10 s: ",
            "192.0.2.201: 2 more like this in 1 s: ",
            "many addresses: ",
        ];
        assert_eq!(due.len(), starts.len(), "{due:?}");
        for (summary, start) in due.iter().zip(starts) {
            assert!(summary.starts_with(start), "{summary}");
        }
        let together = 2 * 197 - WRITTEN + 14;
        assert!(due[2].contains(&format!(": {together} more like this in 10 s: ")));
    }

    #[test]
    fn the_end_takes_what_was_counted_and_later_lines_are_written() {
        let (mut gathered, start) = (Gathered::new(PERIOD, APART), Instant::now());
        take(&mut gathered, 7, Rejection::Banned, 8, start);
        take(&mut gathered, 8, Rejection::Banned, 1, start);
        let rest = texts(gathered.close(start + 2 * SECOND));
        assert_eq!(rest.len(), 1);
        assert!(rest[0].starts_with("192.0.2.7: 3 more like this in 2 s: "));
        assert_eq!(take(&mut gathered, 7, Rejection::Banned, 8, start), 8);
        assert!(gathered.close(start + PERIOD).is_empty());
    }

    #[test]
    fn who_waits_is_woken_by_a_summary_that_comes_first_and_by_the_end() {
        let lines = RepeatedLines {
            gathered: Mutex::new(Gathered::new(Duration::from_millis(50), APART)),
            changed: Condvar::new(),
        };
        assert!(matches!(lines.wait(Instant::now()), Woken::Deadline));
        let far = Instant::now() + 3600 * SECOND;
        let (told, woken) = crossbeam_channel::unbounded();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..2 {
                    told.send(lines.wait(far)).unwrap();
                }
            });
            // Nothing wakes it yet, so it sleeps until the far deadline.
            assert!(woken.recv_timeout(Duration::from_millis(50)).is_err());
            while lines.take(line(7, 1, Rejection::Banned)).is_some() {}
            let due = woken.recv_timeout(20 * SECOND);
            // This wakes it even if there was no summary, or a failure would hang.
            lines.close();
            let closed = woken.recv_timeout(20 * SECOND);
            assert!(matches!(closed, Ok(Woken::Closed)), "{closed:?}");
            let Ok(Woken::Due(due)) = due else {
                panic!("{due:?}");
            };
            assert!(due[0].to_string().starts_with("192.0.2.7: 1 more like "));
        });
    }
}
