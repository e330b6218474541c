//! Who has been there, and for how long.

use std::collections::HashMap;
use std::fmt::Write;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::chat::Session;
use crate::sync::{Arc, Mutex, Weak};
use crate::wire::NameKey;

/// Names that are remembered, at most. Any more are not listed.
const REMEMBERED: usize = 10_000;

/// A name that has been online since the server started.
#[derive(Clone, Debug)]
pub struct Attendee {
    /// The name, as its owner wrote it at the last login.
    pub name: String,
    /// Whether the user last logged in without a password.
    pub is_guest: bool,
    /// Where the user's connection came from, the last time.
    pub address: IpAddr,
    /// When the user first logged in.
    pub first_in: SystemTime,
    /// When the user last left; `None` if the user is online.
    pub last_out: Option<SystemTime>,
    /// How long the user was online, all in all.
    pub online: Duration,
    /// How many messages, to the room and private ones, the user has sent.
    pub messages: u64,
}

/// All names that have been online since the start.
#[derive(Debug, Default)]
pub(crate) struct Attendance {
    /// A leaf lock. Logins and ends take it, and who asks.
    attendees: Mutex<HashMap<NameKey, Record>>,
}

#[derive(Debug)]
struct Record {
    /// What is known of the sessions that have ended.
    before: Attendee,
    /// The session that is online, and others that are about to end.
    sessions: Vec<Weak<Session>>,
}

impl Attendance {
    /// Notes that a user has logged in.
    pub(crate) fn come(&self, session: &Arc<Session>) {
        let mut attendees = self.attendees.lock();
        let is_full = attendees.len() >= REMEMBERED;
        if is_full && !attendees.contains_key(session.key()) {
            return;
        }
        let record = attendees
            .entry(session.key().clone())
            .or_insert_with(|| Record {
                before: Attendee {
                    name: String::new(),
                    is_guest: false,
                    address: session.connection().peer().ip(),
                    first_in: session.since(),
                    last_out: None,
                    online: Duration::ZERO,
                    messages: 0,
                },
                sessions: Vec::new(),
            });
        session.name().clone_into(&mut record.before.name);
        record.before.is_guest = session.is_guest();
        record.before.address = session.connection().peer().ip();
        if record.place_of(session).is_none() {
            record.sessions.push(Arc::downgrade(session));
        }
    }

    /// Notes that a user has left.
    pub(crate) fn leave(&self, session: &Arc<Session>) {
        let mut attendees = self.attendees.lock();
        let Some(record) = attendees.get_mut(session.key()) else {
            return;
        };
        if let Some(place) = record.place_of(session) {
            record.sessions.swap_remove(place);
            add(&mut record.before, session);
            record.before.last_out = Some(SystemTime::now());
        }
    }

    /// All of them, in the order of the alphabet. Among those `online` may be some whose own threads have not noted it yet.
    pub(crate) fn list(&self, online: &[Arc<Session>]) -> Vec<Attendee> {
        for session in online {
            if !self.attendees.lock().contains_key(session.key()) {
                self.come(session);
            }
        }
        let attendees = self.attendees.lock();
        let mut listed: Vec<Attendee> = attendees.values().map(|one| one.now(online)).collect();
        drop(attendees);
        listed.sort_by_key(|attendee| attendee.name.to_ascii_lowercase());
        listed
    }
}

impl Record {
    /// Which of the sessions this one is.
    fn place_of(&self, session: &Arc<Session>) -> Option<usize> {
        let is_same = |other: &Weak<Session>| std::ptr::eq(other.as_ptr(), Arc::as_ptr(session));
        self.sessions.iter().position(is_same)
    }

    /// What is known, with the sessions that have not ended. One that is not `online` any more has left, though its connection
    /// lives on for what is owed to it.
    fn now(&self, online: &[Arc<Session>]) -> Attendee {
        let mut attendee = self.before.clone();
        let mut is_online = false;
        for session in self.sessions.iter().filter_map(Weak::upgrade) {
            add(&mut attendee, &session);
            is_online |= online.iter().any(|one| Arc::ptr_eq(one, &session));
            attendee.last_out = Some(SystemTime::now());
        }
        if is_online {
            attendee.last_out = None;
        }
        attendee
    }
}

/// Adds a session to what is known of its user.
fn add(attendee: &mut Attendee, session: &Session) {
    attendee.online += session.since().elapsed().unwrap_or_default();
    attendee.messages += session.connection().messages();
}

/// The list as a table for a spreadsheet (RFC 4180), with a heading, in the teacher's time. Nothing in it needs quotes.
pub fn to_csv(attendees: &[Attendee]) -> String {
    let zone = TimeZone::system();
    let clock = |time: SystemTime| {
        let time = Timestamp::try_from(time).unwrap_or_default();
        let time = time.to_zoned(zone.clone());
        time.strftime("%Y-%m-%d %H:%M:%S").to_string()
    };
    let mut text = "name,kind,address,first in,last out,minutes online,messages\r\n".to_owned();
    for attendee in attendees {
        let kind = if attendee.is_guest {
            "guest"
        } else {
            "registered"
        };
        let _ = write!(
            text,
            "{},{kind},{},{},{},{},{}\r\n",
            attendee.name,
            attendee.address,
            clock(attendee.first_in),
            attendee.last_out.map(clock).unwrap_or_default(),
            attendee.online.as_secs() / 60,
            attendee.messages
        );
    }
    text
}
