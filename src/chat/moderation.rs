//! What whoever runs the server can want of the room, and the rules that come of it.
//!
//! An [`Order`] is an event like any other: its place in the one order decides between it and what users do at the
//! same time. The [`Rules`] belong to the fan-out alone.

use std::collections::HashMap;
use std::net::IpAddr;

use super::session::Session;
use crate::sync::Arc;
use crate::sync::channel::Sender;
use crate::transport::end_reason::EndReason;
use crate::wire::message::Line;
use crate::wire::name::NameKey;

/// Who speaks for the server in the room: a name that nobody can log in by.
pub const SPEAKER: &str = "admin";

/// Why somebody who is muted can't speak.
pub const MUTED: &str = "you are muted: for now you can read, but not write";

/// Why nobody can log in.
pub const LOCKED: &str = "the server is locked: nobody new can log in now; ask your teacher";

/// Something that whoever runs the server wants of the room.
#[derive(Debug)]
pub enum Order {
    /// Says something to everybody: a 32.
    Say(Line),
    /// Asks who is online, and for the rules.
    Look {
        /// Told.
        reply: Sender<(Vec<Arc<Session>>, Rules)>,
    },
    /// Refuses from now on what a user says, or no more. What was said before is still delivered.
    Mute {
        /// Who; need not be online.
        name: String,
        /// Whether to refuse it.
        is_muted: bool,
        /// Told what came of it.
        reply: Sender<Muted>,
    },
    /// The same for everybody, whoever comes later included. Who is muted by name stays so.
    MuteEverybody {
        /// Whether to refuse what they say.
        is_muted: bool,
        /// Told whether it was not so before.
        reply: Sender<bool>,
    },
    /// Lets nobody log in from now on, or everybody again.
    Lock {
        /// Whether to refuse logins.
        is_locked: bool,
        /// Told whether it was not so before.
        reply: Sender<bool>,
    },
    /// Sends users away.
    Dismiss {
        /// Which.
        whom: Target,
        /// Why, for the log.
        reason: EndReason,
        /// Their last line.
        words: Arc<str>,
        /// Told who that were; they are on their way out.
        reply: Sender<Vec<Arc<Session>>>,
    },
    /// Takes back a name whose account was removed.
    Forget {
        /// Which.
        name: NameKey,
        /// Told whether it is online.
        reply: Sender<bool>,
    },
}

/// Whom to send away.
#[derive(Clone, Debug)]
pub enum Target {
    /// The user with this name.
    Name(NameKey),
    /// All users from this address.
    Address(IpAddr),
}

/// What came of muting or unmuting one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Muted {
    /// The name, as its owner writes it if it is online.
    pub name: String,
    /// Whether it was not so before.
    pub has_changed: bool,
    /// Whether the name is online.
    pub is_online: bool,
    /// Whether everybody is muted, whatever their names.
    pub is_everybody: bool,
}

/// Who may speak, and whether anybody may come.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Who is muted by name, with the name as it was last seen.
    muted: HashMap<NameKey, String>,
    is_everybody_muted: bool,
    is_locked: bool,
}

impl Rules {
    /// Whether a user with this name can't speak.
    pub fn are_muting(&self, key: &NameKey) -> bool {
        self.is_everybody_muted || self.muted.contains_key(key)
    }

    /// Whether nobody can speak.
    pub fn is_everybody_muted(&self) -> bool {
        self.is_everybody_muted
    }

    /// Whether nobody can log in.
    pub fn is_locked(&self) -> bool {
        self.is_locked
    }

    /// Who is muted by name, online or not, in the order of the alphabet.
    pub fn muted(&self) -> Vec<String> {
        let mut muted: Vec<(&NameKey, &String)> = self.muted.iter().collect();
        muted.sort();
        muted.into_iter().map(|(_, name)| name.clone()).collect()
    }

    /// Mutes a name or unmutes it. False if it was so before.
    pub(super) fn mute(&mut self, key: &NameKey, shown: &str, is_muted: bool) -> bool {
        if is_muted {
            self.muted.insert(key.clone(), shown.to_owned()).is_none()
        } else {
            self.muted.remove(key).is_some()
        }
    }

    /// Mutes everybody, or lets those speak who are not muted by name. False if it was so before.
    pub(super) fn mute_everybody(&mut self, is_muted: bool) -> bool {
        std::mem::replace(&mut self.is_everybody_muted, is_muted) != is_muted
    }

    /// Lets nobody log in, or everybody. False if it was so before.
    pub(super) fn lock(&mut self, is_locked: bool) -> bool {
        std::mem::replace(&mut self.is_locked, is_locked) != is_locked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_muted_by_name_stays_so_when_all_others_may_speak_again() {
        let [anna, bobby] = ["Anna", "Bobby"].map(NameKey::new);
        let mut rules = Rules::default();
        assert!(rules.mute(&anna, "Anna", true));
        assert!(!rules.mute(&anna, "ANNA", true));
        assert!(rules.are_muting(&anna) && !rules.are_muting(&bobby));
        assert!(rules.mute_everybody(true) && !rules.mute_everybody(true));
        assert!(rules.are_muting(&anna) && rules.are_muting(&bobby));
        assert!(rules.mute_everybody(false));
        assert!(rules.are_muting(&anna) && !rules.are_muting(&bobby));
        assert_eq!(rules.muted(), ["ANNA"]);
        assert!(rules.mute(&anna, "Anna", false) && !rules.mute(&anna, "Anna", false));
        assert!(!rules.are_muting(&anna));
    }
}
