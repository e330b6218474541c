//! The one order of all broadcasts, and the roster that a newcomer is given.
//!
//! A [`Roster`] applies events one at a time and collects their broadcasts in a batch. It knows no thread and no
//! socket, so the promises about presence and order can be tested on it alone.

use std::collections::HashMap;

use crate::sync::{Arc, RwLock};
use crate::transport::batch::Batch;
use crate::wire::message::{Line, ServerMessage, login_accepted, roster_entry};
use crate::wire::name::NameKey;

/// What the roster needs to know of a session, and how it reaches it.
pub trait Member {
    /// The name as its owner wrote it.
    fn name(&self) -> &str;
    /// What the name is known by.
    fn key(&self) -> &NameKey;
    /// Whether the user logged in without a password.
    fn is_guest(&self) -> bool;
    /// Sends the reply to the login, before anything else. Must not block.
    fn push_roster(&self, line: Line);
    /// Sends the lines of `batch` from offset `from` on. Must not block.
    fn push(&self, batch: &Batch, from: usize);
}

/// Everybody who is online, and the broadcasts that have not gone out yet.
///
/// Invariant: whoever has applied the roster given at its login and its share of every batch since knows exactly
/// who is in `places`.
#[derive(Debug)]
pub struct Roster<M, Claim> {
    /// Who is online, with each one's place in the batch.
    places: HashMap<NameKey, Place<M, Claim>>,
    /// The same sessions for other threads to look up. Nobody else writes it.
    map: Arc<RwLock<HashMap<NameKey, Arc<M>>>>,
    /// Broadcasts in order, encoded.
    batch: Batch,
    /// The entries of `Friends`, encoded and joined by commas; `None` after somebody has left.
    friends: Option<String>,
}

#[derive(Debug)]
struct Place<M, Claim> {
    member: Arc<M>,
    /// Where in the batch this member's share begins.
    from: usize,
    /// Whatever is to be given back when the member leaves.
    claim: Claim,
}

impl<M: Member, Claim> Roster<M, Claim> {
    /// A roster with nobody on it, that keeps `map` up to date.
    pub fn new(map: Arc<RwLock<HashMap<NameKey, Arc<M>>>>) -> Roster<M, Claim> {
        Roster {
            places: HashMap::new(),
            map,
            batch: Batch::default(),
            friends: None,
        }
    }

    /// How many are online.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nobody is online.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether the name is online.
    pub fn contains(&self, key: &NameKey) -> bool {
        self.places.contains_key(key)
    }

    /// Everybody online, in no order.
    pub fn members(&self) -> impl Iterator<Item = &Arc<M>> {
        self.places.values().map(|place| &place.member)
    }

    /// Who is online by this name, if anybody, and what is given back when that member leaves.
    pub fn member(&mut self, key: &NameKey) -> Option<(&Arc<M>, &mut Claim)> {
        let place = self.places.get_mut(key)?;
        Some((&place.member, &mut place.claim))
    }

    /// How many bytes wait in the batch.
    pub fn pending(&self) -> usize {
        self.batch.len()
    }

    /// Somebody comes: 11 goes out first, then others can find the session, then 30 is broadcast. The caller has
    /// made sure that the name is not online.
    pub fn join(&mut self, member: Arc<M>, claim: Claim) {
        let friends = self.friends.get_or_insert_with(|| {
            let entries = self.places.values().map(|place| &place.member);
            let entries: Vec<_> = entries
                .map(|member| roster_entry(member.name(), member.is_guest()))
                .collect();
            entries.join(",")
        });
        if !friends.is_empty() {
            friends.push(',');
        }
        friends.push_str(&roster_entry(member.name(), member.is_guest()));
        member.push_roster(login_accepted(friends));

        self.map
            .write()
            .insert(member.key().clone(), Arc::clone(&member));
        let notice = ServerMessage::LoggedOn {
            name: member.name().into(),
            is_user_guest: member.is_guest().into(),
        };
        self.batch.append(&notice.to_line());
        let place = Place {
            from: self.batch.len(),
            claim,
            member,
        };
        self.places.insert(place.member.key().clone(), place);
    }

    /// Somebody leaves, after its share of what was said before. False, and nothing happens, if the name is not
    /// online or belongs to another session by now.
    pub fn leave(&mut self, member: &Arc<M>) -> bool {
        if !self
            .places
            .get(member.key())
            .is_some_and(|place| Arc::ptr_eq(&place.member, member))
        {
            return false;
        }
        self.bring_up_to_date(member.key());
        self.places.remove(member.key());
        self.map.write().remove(member.key());
        self.friends = None;
        self.batch.append(
            &ServerMessage::LoggedOut {
                name: member.name().into(),
            }
            .to_line(),
        );
        true
    }

    /// Broadcasts whole lines to everybody.
    pub fn broadcast(&mut self, lines: &[u8]) {
        self.batch.append(lines);
    }

    /// Sends one member its share of the batch now, and returns the member.
    pub fn bring_up_to_date(&mut self, key: &NameKey) -> Option<&Arc<M>> {
        let place = self.places.get_mut(key)?;
        if place.from < self.batch.len() {
            place.member.push(&self.batch, place.from);
            place.from = self.batch.len();
        }
        Some(&place.member)
    }

    /// Sends everybody their share of the batch.
    pub fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        for place in self.places.values_mut() {
            if place.from < self.batch.len() {
                place.member.push(&self.batch, place.from);
            }
            place.from = 0;
        }
        self.batch.clear();
    }

    /// Sends everybody their share, and forgets them without a 31.
    pub fn dissolve(&mut self) {
        self.flush();
        self.map.write().clear();
        self.friends = None;
        self.places.clear();
    }
}
