//! One user who is logged in.

use std::collections::HashMap;
use std::time::SystemTime;

use super::roster::Member;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
    /// Whether what the user says is refused. Only the room writes it.
    is_muted: AtomicBool,
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
            is_muted: AtomicBool::new(false),
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
        self.is_muted.load(Ordering::Relaxed)
    }

    /// Refuses what the user says from now on, or no more. Only the room calls this.
    pub(super) fn set_muted(&self, is_muted: bool) {
        self.is_muted.store(is_muted, Ordering::Relaxed);
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
