//! One user who is logged in.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use super::moderation::{Mute, Rules};
use super::roster::Member;
use crate::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Arc, RwLock};
use crate::transport::{Batch, Connection};
use crate::wire::{Lines, NameKey};

/// The sessions that are logged in, by name. Only the [roster](super::roster::Roster) writes it.
pub type SessionMap = Arc<RwLock<HashMap<NameKey, Arc<Session>>>>;

/// One user who is logged in, through one connection.
#[derive(Debug)]
pub struct Session {
    /// The name, as its owner wrote it at login.
    name: String,
    key: NameKey,
    is_guest: bool,
    connection: Arc<Connection>,
    /// When the user logged in.
    since: SystemTime,
    /// Until when what the user says is refused, in milliseconds of Unix time; 0 if it is not. Only the room writes it.
    muted_until: AtomicI64,
    /// In which time the user may say one thing to the room, in milliseconds; 0 is any time. Only the room writes it.
    slow: AtomicU64,
    /// Whether the user's private messages are refused. Only the room writes it.
    is_private_off: AtomicBool,
    /// Whether what the user last sent had to wait, for its limits or the room. Only the connection's own thread writes it.
    is_held_back: AtomicBool,
    /// In-flight counter: events of this session that were posted, and whose broadcast has not gone out to all members.
    /// The connection's own thread raises it, the thread that has the room lowers it.
    in_flight: AtomicUsize,
}

impl Session {
    /// A session that is about to log in.
    pub fn new(name: &str, is_guest: bool, connection: Arc<Connection>) -> Session {
        Session {
            name: name.to_owned(),
            key: NameKey::new(name),
            is_guest,
            connection,
            since: SystemTime::now(),
            muted_until: AtomicI64::new(0),
            slow: AtomicU64::new(0),
            is_private_off: AtomicBool::new(false),
            is_held_back: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
        }
    }

    /// The name, as its owner wrote it at login.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name's key, the same in any letter case.
    pub fn key(&self) -> &NameKey {
        &self.key
    }

    /// Whether the user logged in without a password.
    pub fn is_guest(&self) -> bool {
        self.is_guest
    }

    /// The user's connection.
    pub fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// When the user logged in.
    pub fn since(&self) -> SystemTime {
        self.since
    }

    /// Whether what the user says is refused.
    pub fn is_muted(&self) -> bool {
        // The clock is only asked where there is an end.
        match self.muted_until.load(Ordering::Relaxed) {
            0 => false,
            i64::MAX => true,
            until => Timestamp::now().as_millisecond() < until,
        }
    }

    /// In which time the user may say one thing to the room, if that is limited.
    pub fn slow(&self) -> Option<Duration> {
        match self.slow.load(Ordering::Relaxed) {
            0 => None,
            millis => Some(Duration::from_millis(millis)),
        }
    }

    /// Whether the user's private messages are refused, but for those to the teacher.
    pub fn is_private_off(&self) -> bool {
        self.is_private_off.load(Ordering::Relaxed)
    }

    /// Makes the rules hold for this user from now on. Only the room calls this.
    pub(super) fn obey(&self, rules: &Rules) {
        let slow = rules.slow().map_or(0, |time| time.as_millis() as u64);
        self.slow.store(slow, Ordering::Relaxed);
        self.is_private_off
            .store(rules.is_private_off(), Ordering::Relaxed);
        let until = match rules.mute(&self.key) {
            Mute::Off => 0,
            Mute::Until(until) => until.as_millisecond(),
            Mute::On => i64::MAX,
        };
        self.muted_until.store(until, Ordering::Relaxed);
    }

    /// Whether the user sends more than its limits allow, or more than the room can take.
    pub fn is_held_back(&self) -> bool {
        self.is_held_back.load(Ordering::Relaxed)
    }

    /// Notes whether what the user sends has to wait. Only the connection's own thread calls this.
    pub fn set_held_back(&self, is_held_back: bool) {
        self.is_held_back.store(is_held_back, Ordering::Relaxed);
    }

    /// Counts an event of this session that is about to be posted. Only the connection's own thread calls this.
    pub fn begin_event(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an event as done: all members were sent what came of it. `Release`, so that these sends come before
    /// anything that the connection's own thread does after [`has_events_in_flight`](Self::has_events_in_flight) has
    /// returned false.
    pub(super) fn end_event(&self) {
        self.in_flight.fetch_sub(1, Ordering::Release);
    }

    /// Whether the login, or something that this session said, has not gone out to all members yet. Only the connection's own thread
    /// can rely on the answer.
    pub fn has_events_in_flight(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) > 0
    }
}

impl Member for Session {
    fn name(&self) -> &str {
        &self.name
    }

    fn key(&self) -> &NameKey {
        &self.key
    }

    fn is_guest(&self) -> bool {
        self.is_guest
    }

    fn push_roster(&self, line: Lines) {
        self.connection.push_roster(line);
    }

    fn push(&self, batch: &Batch, from: usize) -> usize {
        self.connection.push(batch, from, None)
    }
}
