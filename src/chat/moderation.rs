//! What the teacher can want of the room, and the rules that come of it.
//!
//! A [`ModeratorAction`] is an event like any other: its place in the one order decides between it and what users do at
//! the same time. The [`Rules`] belong to the room, so they need no lock.

use std::collections::HashMap;
use std::net::IpAddr;

use super::session::Session;
use crate::sync::Arc;
use crate::sync::channel::Sender;
use crate::transport::CloseCause;
use crate::wire::{Lines, NameKey};

/// The name by which the teacher speaks. Nobody can log in by it.
pub const SPEAKER: &str = "admin";

/// Why a user who is muted can't speak.
pub const MUTED: &str = "you are muted: for now you can read, but not write";

/// Why nobody can log in.
pub const LOCKED: &str = "the server is locked: nobody new can log in now; ask your teacher";

/// Something that the teacher wants of the room.
#[derive(Debug)]
pub enum ModeratorAction {
    /// Say something to everybody: a 32.
    Say(Lines),
    /// Tell who is online, and the rules.
    Look {
        /// Told.
        reply: Sender<(Vec<Arc<Session>>, Rules)>,
    },
    /// Put a rule in force, or lift it. What was said before is still delivered.
    SetRule {
        /// Which.
        rule: Rule,
        /// Whether it is to be in force.
        is_on: bool,
        /// Told what came of it.
        reply: Sender<RuleChange>,
    },
    /// Take users off the roster and drain their connections.
    Expel {
        /// Which.
        whom: Target,
        /// The reason, and their last line.
        cause: CloseCause,
        /// Told who they were.
        reply: Sender<Vec<Arc<Session>>>,
    },
    /// Release a name whose account was removed.
    Forget {
        /// Which.
        name: NameKey,
        /// Told whether it is online.
        reply: Sender<bool>,
    },
}

/// Something that the teacher can switch on and off.
#[derive(Clone, Debug)]
pub enum Rule {
    /// What the user of this name says is refused, also when the user comes back. The name need not be online.
    Muted(String),
    /// What anybody says is refused, later comers included. Who is muted by name stays so when this is lifted.
    AllMuted,
    /// All logins are refused.
    Locked,
}

/// The users that an action is about.
#[derive(Clone, Debug)]
pub enum Target {
    /// The user of this name.
    Name(NameKey),
    /// All users from this address.
    Address(IpAddr),
}

impl Target {
    /// Whether this user is one of them.
    pub(super) fn includes(&self, session: &Session) -> bool {
        match self {
            Target::Name(name) => session.key() == name,
            Target::Address(address) => session.connection().peer().ip() == *address,
        }
    }
}

/// What came of setting a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleChange {
    /// Whether it was not so before.
    pub has_changed: bool,
    /// The name that the rule is about, as its owner writes it if it is online; else empty.
    pub name: String,
    /// Whether that name is online.
    pub is_online: bool,
    /// Whether everybody is muted now.
    pub is_everybody_muted: bool,
}

/// Who may speak, and whether anybody may log in.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Who is muted by name, with the name as it was last seen.
    muted: HashMap<NameKey, String>,
    is_everybody_muted: bool,
    is_locked: bool,
}

impl Rules {
    /// Whether what the user of this name says is refused.
    pub fn mute(&self, key: &NameKey) -> bool {
        self.is_everybody_muted || self.muted.contains_key(key)
    }

    /// Whether what anybody says is refused.
    pub fn is_everybody_muted(&self) -> bool {
        self.is_everybody_muted
    }

    /// Whether all logins are refused.
    pub fn is_locked(&self) -> bool {
        self.is_locked
    }

    /// Who is muted by name, online or not, in alphabetical order.
    pub fn muted_names(&self) -> Vec<String> {
        let mut muted: Vec<(&NameKey, &String)> = self.muted.iter().collect();
        muted.sort();
        muted.into_iter().map(|(_, name)| name.clone()).collect()
    }

    /// Puts a rule in force, or lifts it. False if it was so before.
    pub(super) fn set(&mut self, rule: &Rule, is_on: bool) -> bool {
        let flag = match rule {
            Rule::Muted(name) if is_on => {
                let before = self.muted.insert(NameKey::new(name), name.clone());
                return before.is_none();
            }
            Rule::Muted(name) => return self.muted.remove(&NameKey::new(name)).is_some(),
            Rule::AllMuted => &mut self.is_everybody_muted,
            Rule::Locked => &mut self.is_locked,
        };
        std::mem::replace(flag, is_on) != is_on
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_muted_by_name_stays_so_when_all_others_may_speak_again() {
        let [anna, bobby] = ["Anna", "Bobby"].map(NameKey::new);
        let muted = |name: &str| Rule::Muted(name.to_owned());
        let mut rules = Rules::default();
        assert!(rules.set(&muted("Anna"), true));
        assert!(!rules.set(&muted("ANNA"), true));
        assert!(rules.mute(&anna) && !rules.mute(&bobby));
        assert!(rules.set(&Rule::AllMuted, true) && !rules.set(&Rule::AllMuted, true));
        assert!(rules.mute(&anna) && rules.mute(&bobby));
        assert!(rules.set(&Rule::AllMuted, false));
        assert!(rules.mute(&anna) && !rules.mute(&bobby));
        assert_eq!(rules.muted_names(), ["ANNA"]);
        assert!(rules.set(&muted("Anna"), false) && !rules.set(&muted("Anna"), false));
        assert!(!rules.mute(&anna));
    }
}
