//! Who is online, and the one order of all broadcasts.
//!
//! A [`Roster`] knows no thread and no socket, so the promises about presence and order can be tested on it alone.

use std::collections::HashMap;

use crate::sync::{Arc, RwLock};
use crate::transport::Batch;
use crate::wire::server_message::{login_accepted, roster_entry};
use crate::wire::{Lines, NameKey, ServerMessage};

/// Everybody who is online, and the broadcasts that have not gone out yet.
///
/// Changes are applied one at a time, and each appends its broadcast to a batch. A member's *share* of the batch is
/// what was appended since it joined, or since it was last flushed.
///
/// Invariant: a client that applies the roster in its 11, and then its share of every batch, knows exactly who is in
/// `entries`.
#[derive(Debug)]
pub struct Roster<M, Claim> {
    entries: HashMap<NameKey, Entry<M, Claim>>,
    /// The same members, for other threads to look up. Only the roster writes it.
    map: Arc<RwLock<HashMap<NameKey, Arc<M>>>>,
    /// Broadcasts in order.
    batch: Batch,
    /// The entries of `Friends`, encoded and joined by commas; `None` after a member has left.
    friends: Option<String>,
}

#[derive(Debug)]
struct Entry<M, Claim> {
    member: Arc<M>,
    /// Where in the batch this member's share begins.
    from: usize,
    /// What is given back, by dropping it, when the member leaves.
    claim: Claim,
}

/// What the roster needs to know of a session, and how it sends to it.
pub trait Member {
    /// The name as its owner wrote it.
    fn name(&self) -> &str;
    /// The name's key, the same in any letter case.
    fn key(&self) -> &NameKey;
    /// Whether the user logged in without a password.
    fn is_guest(&self) -> bool;
    /// Sends the reply to the login, before anything else. Must not block.
    fn push_roster(&self, line: Lines);
    /// Sends the messages of `batch` from offset `from` of its lines on, and returns how many bytes wait for the member
    /// then. Must not block.
    fn push(&self, batch: &Batch, from: usize) -> usize;
}

impl<M: Member, Claim> Roster<M, Claim> {
    /// An empty roster that keeps `map` up to date.
    pub fn new(map: Arc<RwLock<HashMap<NameKey, Arc<M>>>>) -> Roster<M, Claim> {
        Roster {
            entries: HashMap::new(),
            map,
            batch: Batch::default(),
            friends: None,
        }
    }

    /// Whether the name is online.
    pub fn contains(&self, key: &NameKey) -> bool {
        self.entries.contains_key(key)
    }

    /// Whether this very member is online, and not another one by the same name.
    pub fn has_member(&self, member: &Arc<M>) -> bool {
        let entry = self.entries.get(member.key());
        entry.is_some_and(|entry| Arc::ptr_eq(&entry.member, member))
    }

    /// Everybody online, in no order.
    pub fn members(&self) -> impl Iterator<Item = &Arc<M>> {
        self.entries.values().map(|entry| &entry.member)
    }

    /// The member of this name, and its claim.
    pub fn member(&mut self, key: &NameKey) -> Option<(&Arc<M>, &mut Claim)> {
        let entry = self.entries.get_mut(key)?;
        Some((&entry.member, &mut entry.claim))
    }

    /// How many bytes wait in the batch.
    pub fn pending(&self) -> usize {
        self.batch.len()
    }

    /// A member joins: 11 goes out first, then others can find the member, then 30 is broadcast. The caller has
    /// made sure that the name is not online.
    pub fn join(&mut self, member: Arc<M>, claim: Claim) {
        let friends = self.friends.get_or_insert_with(|| {
            let members = self.entries.values().map(|entry| &entry.member);
            let entries: Vec<_> = members
                .map(|member| roster_entry(member.name(), member.is_guest()))
                .collect();
            entries.join(",")
        });
        if !friends.is_empty() {
            friends.push(',');
        }
        friends.push_str(&roster_entry(member.name(), member.is_guest()));
        member.push_roster(login_accepted(friends));

        let key = member.key().clone();
        self.map.write().insert(key.clone(), Arc::clone(&member));
        let message = ServerMessage::LoggedOn {
            name: member.name().into(),
            is_user_guest: member.is_guest().into(),
        };
        self.broadcast(&message.to_line());
        let from = self.batch.len();
        let entry = Entry {
            member,
            from,
            claim,
        };
        self.entries.insert(key, entry);
    }

    /// A member leaves, after its share of what was said before. False, and nothing happens, if it is not online; its
    /// name may belong to another session by now.
    pub fn leave(&mut self, member: &Arc<M>) -> bool {
        if !self.has_member(member) {
            return false;
        }
        self.flush_member(member.key());
        self.entries.remove(member.key());
        self.map.write().remove(member.key());
        self.friends = None;
        let message = ServerMessage::LoggedOut {
            name: member.name().into(),
        };
        self.broadcast(&message.to_line());
        true
    }

    /// Broadcasts messages, given as lines, to all members.
    pub fn broadcast(&mut self, lines: &[u8]) {
        self.batch.append(lines);
    }

    /// Sends one member its share of the batch now, and returns the member.
    pub fn flush_member(&mut self, key: &NameKey) -> Option<&Arc<M>> {
        let entry = self.entries.get_mut(key)?;
        if entry.from < self.batch.len() {
            entry.member.push(&self.batch, entry.from);
            entry.from = self.batch.len();
        }
        Some(&entry.member)
    }

    /// Sends all members their share of the batch. Returns for how many of them more than `far` bytes wait then.
    pub fn flush(&mut self, far: usize) -> usize {
        if self.batch.is_empty() {
            return 0;
        }
        let mut far_behind = 0;
        for entry in self.entries.values_mut() {
            if entry.from < self.batch.len() {
                let waiting = entry.member.push(&self.batch, entry.from);
                far_behind += usize::from(waiting > far);
            }
            entry.from = 0;
        }
        self.batch.clear();
        far_behind
    }

    /// Sends all members their share, and forgets them without a 31.
    pub fn clear(&mut self) {
        self.flush(usize::MAX);
        self.map.write().clear();
        self.friends = None;
        self.entries.clear();
    }
}
