//! Who is watched by the teacher: what that user's client sends and receives.

use std::fmt;
use std::net::IpAddr;

use crossbeam_channel::Sender;

use crate::chat::Session;
use crate::sync::Mutex;
use crate::texts::moderation as texts;
use crate::transport::Connection;
use crate::transport::watch::Watched;
use crate::wire::{NameKey, ServerMessage};

/// Whom to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchTarget {
    /// The user of this name, now and when it comes back.
    Name(String),
    /// All clients from this address, from the first byte of a new one on.
    Address(IpAddr),
}

impl fmt::Display for WatchTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WatchTarget::Name(name) => f.write_str(name),
            WatchTarget::Address(address) => address.fmt(f),
        }
    }
}

/// Who is watched, if anybody is.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// A leaf lock. Taken when a connection comes, and at a login.
    current: Mutex<Option<(WatchTarget, Sender<Watched>)>>,
}

impl Watch {
    /// Watches this target from now on, and no other.
    /// Returns whether another was watched before.
    pub(crate) fn set(&self, watch: Option<(WatchTarget, Sender<Watched>)>) -> bool {
        std::mem::replace(&mut *self.current.lock(), watch).is_some()
    }

    /// Whether what is watched goes through this channel.
    pub(crate) fn goes_through(&self, channel: &Sender<Watched>) -> bool {
        let current = self.current.lock();
        let watched = current.as_ref().map(|(_, watched)| watched);
        watched.is_some_and(|watched| watched.same_channel(channel))
    }

    /// Watches a connection that has just come, if its address is watched.
    pub(crate) fn note_connection(&self, connection: &Connection) -> bool {
        let current = self.current.lock().clone();
        match current {
            Some((WatchTarget::Address(address), watched)) if connection.peer().ip() == address => {
                connection.watch(None, watched);
                true
            }
            _ => false,
        }
    }

    /// Watches a user who has just logged in, or is online, if it is the one to be watched. The user is told.
    pub(crate) fn note_session(&self, session: &Session) -> bool {
        let current = self.current.lock().clone();
        let Some((target, watched)) = current else {
            return false;
        };
        let connection = session.connection();
        let is_meant = match target {
            WatchTarget::Name(name) => NameKey::new(&name) == *session.key(),
            WatchTarget::Address(address) => connection.peer().ip() == address,
        };
        if is_meant {
            // A login at this moment finds it, too.
            if connection.watch(Some(session.name()), watched) {
                connection.send(&ServerMessage::notice(texts::watched()));
            }
        }
        is_meant
    }
}
