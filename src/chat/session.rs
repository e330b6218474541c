//! One user who is logged in.

use std::collections::HashMap;
use std::time::SystemTime;

use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Arc, RwLock};
use crate::transport::batch::Batch;
use crate::transport::connection::Connection;
use crate::wire::name::NameKey;

/// The sessions that are logged in, by name. Only the fan-out thread writes it.
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
    /// Whether what the user says is refused. Written by the fan-out thread only.
    is_muted: AtomicBool,
    /// Events of this session that are on their way to the fan-out, or whose broadcast has not gone out to
    /// everybody. Raised by the connection's own thread, lowered by whoever has the fan-out.
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
            in_flight: AtomicUsize::new(0),
        }
    }

    /// The name, as its owner wrote it at login.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the name is known by, whatever its letter case.
    pub fn key(&self) -> &NameKey {
        &self.key
    }

    /// Whether the user logged in without a password.
    pub fn is_guest(&self) -> bool {
        self.is_guest
    }

    /// The connection that the user came by.
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

    /// Refuses what the user says from now on, or no more. Only the fan-out thread calls this.
    pub fn set_muted(&self, is_muted: bool) {
        self.is_muted.store(is_muted, Ordering::Relaxed);
    }

    /// Notes that an event of this session is on its way. Only its own thread calls this.
    pub fn note_posted(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that everybody was sent what came of one event. `Release`, so that whoever then finds the session
    /// quiet, with `Acquire`, comes after those sends.
    pub fn note_delivered(&self) {
        self.in_flight.fetch_sub(1, Ordering::Release);
    }

    /// Whether everybody was sent all that this session has said so far. Only its own thread may rely on it.
    pub fn is_quiet(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) == 0
    }
}

impl super::roster::Member for Session {
    fn name(&self) -> &str {
        &self.name
    }

    fn key(&self) -> &NameKey {
        &self.key
    }

    fn is_guest(&self) -> bool {
        self.is_guest
    }

    fn push_roster(&self, line: Vec<u8>) {
        self.connection.push_roster(line);
    }

    fn push(&self, batch: &Batch, from: usize) {
        self.connection.push(batch, from, None);
    }
}
