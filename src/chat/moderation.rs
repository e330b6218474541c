//! What the teacher can want of the room, and the rules that come of it.
//!
//! A [`ModeratorAction`] is an event like any other: its place in the one order decides between it and what users do at
//! the same time. The [`Rules`] belong to the room, so they need no lock.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;

use super::session::Session;
use super::transcript::Transcript;
use crate::sync::Arc;
use crate::sync::channel::Sender;
use crate::transport::CloseCause;
use crate::wire::{Lines, NameKey};

/// The name by which the teacher speaks. Nobody can log in by it.
pub const SPEAKER: &str = "admin";

/// Something that the teacher wants of the room.
#[derive(Debug)]
pub enum ModeratorAction {
    /// Say something to everybody: a 32.
    Say(Lines),
    /// Say something to one user: a 13.
    Tell {
        /// To whom.
        name: NameKey,
        /// The 13.
        line: Lines,
        /// Told the user's name, if the user is online.
        reply: Sender<Option<String>>,
    },
    /// Write what is said from now on to a transcript, or to none. Everybody is told.
    Record {
        /// The transcript.
        transcript: Option<Transcript>,
        /// Told when it is in force, and whether it was on before.
        reply: Sender<bool>,
    },
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
    /// What the user of this name says is refused, also when the user comes back, until the time given, if any is. The name
    /// need not be online.
    Muted(String, Option<Timestamp>),
    /// What anybody says is refused, later comers included. Who is muted by name stays so when this is lifted.
    AllMuted,
    /// All logins are refused.
    Locked,
    /// Each user may say one thing to the room in this time.
    Slow(Duration),
    /// Private messages are refused, but for those to the teacher.
    PrivateOff,
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

/// A name that is muted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MutedName {
    /// The name, as it was last seen.
    pub name: String,
    /// Until when; `None` is until it is lifted.
    pub until: Option<Timestamp>,
}

/// Whether, and how long, what a user says is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mute {
    /// It is not.
    Off,
    /// It is until then.
    Until(Timestamp),
    /// It is until the teacher lifts it.
    On,
}

impl Mute {
    /// Whether what the user says now is refused.
    pub fn holds(self) -> bool {
        match self {
            Mute::Off => false,
            Mute::Until(until) => Timestamp::now() < until,
            Mute::On => true,
        }
    }
}

/// Who may speak, and whether anybody may log in.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    muted: HashMap<NameKey, MutedName>,
    is_everybody_muted: bool,
    is_locked: bool,
    is_private_off: bool,
    slow: Option<Duration>,
}

impl Rules {
    /// Whether what the user of this name says is refused.
    pub fn mute(&self, key: &NameKey) -> Mute {
        match self.muted.get(key).map(|muted| muted.until) {
            _ if self.is_everybody_muted => Mute::On,
            None => Mute::Off,
            Some(None) => Mute::On,
            Some(Some(until)) => Mute::Until(until),
        }
    }

    /// Whether what anybody says is refused.
    pub fn is_everybody_muted(&self) -> bool {
        self.is_everybody_muted
    }

    /// In which time each user may say one thing to the room, if that is limited.
    pub fn slow(&self) -> Option<Duration> {
        self.slow
    }

    /// Whether private messages are refused.
    pub fn is_private_off(&self) -> bool {
        self.is_private_off
    }

    /// Whether all logins are refused.
    pub fn is_locked(&self) -> bool {
        self.is_locked
    }

    /// Who is muted by name, online or not, in alphabetical order.
    pub fn muted_names(&self) -> Vec<MutedName> {
        let holds = |muted: &MutedName| muted.until.is_none_or(|until| Timestamp::now() < until);
        let mut muted: Vec<(&NameKey, &MutedName)> = self
            .muted
            .iter()
            .filter(|(_, muted)| holds(muted))
            .collect();
        muted.sort();
        muted.into_iter().map(|(_, muted)| muted.clone()).collect()
    }

    /// The mute of this name, those that are over not counted.
    fn mute_by_name(&self, key: &NameKey) -> Option<Option<Timestamp>> {
        let until = self.muted.get(key)?.until;
        until
            .is_none_or(|until| Timestamp::now() < until)
            .then_some(until)
    }

    /// Puts a rule in force, or lifts it. False if it was so before.
    pub(super) fn set(&mut self, rule: &Rule, is_on: bool) -> bool {
        let flag = match rule {
            Rule::Muted(name, until) => {
                let (key, until) = (NameKey::new(name), *until);
                let before = self.mute_by_name(&key);
                let muted = MutedName {
                    name: name.clone(),
                    until,
                };
                match is_on {
                    true => self.muted.insert(key.clone(), muted),
                    false => self.muted.remove(&key),
                };
                return self.mute_by_name(&key) != before;
            }
            Rule::AllMuted => &mut self.is_everybody_muted,
            Rule::Locked => &mut self.is_locked,
            Rule::PrivateOff => &mut self.is_private_off,
            Rule::Slow(time) => {
                let time = is_on.then_some(*time);
                return std::mem::replace(&mut self.slow, time) != time;
            }
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
        let muted = |name: &str| Rule::Muted(name.to_owned(), None);
        let mut rules = Rules::default();
        assert!(rules.set(&muted("Anna"), true));
        assert!(!rules.set(&muted("ANNA"), true));
        assert!(rules.mute(&anna).holds() && !rules.mute(&bobby).holds());
        assert!(rules.set(&Rule::AllMuted, true) && !rules.set(&Rule::AllMuted, true));
        assert!(rules.mute(&anna).holds() && rules.mute(&bobby).holds());
        assert!(rules.set(&Rule::AllMuted, false));
        assert!(rules.mute(&anna).holds() && !rules.mute(&bobby).holds());
        let names: Vec<String> = rules.muted_names().into_iter().map(|of| of.name).collect();
        assert_eq!(names, ["ANNA"]);
        assert!(rules.set(&muted("Anna"), false) && !rules.set(&muted("Anna"), false));
        assert!(!rules.mute(&anna).holds());
    }

    #[test]
    fn a_mute_with_an_end_holds_until_then() {
        let anna = NameKey::new("Anna");
        let in_hours = |hours: i64| Timestamp::now() + jiff::SignedDuration::from_hours(hours);
        let muted = |until| Rule::Muted("Anna".to_owned(), until);
        let (later, past) = (in_hours(1), in_hours(-1));
        let mut rules = Rules::default();
        assert!(rules.set(&muted(Some(later)), true) && rules.mute(&anna).holds());
        assert!(!rules.set(&muted(Some(later)), true));
        // A later word counts.
        assert!(rules.set(&muted(None), true) && rules.mute(&anna) == Mute::On);
        assert!(rules.set(&muted(Some(past)), true) && !rules.mute(&anna).holds());
        assert!(rules.muted_names().is_empty());
        assert!(!rules.set(&muted(None), false));
    }
}
