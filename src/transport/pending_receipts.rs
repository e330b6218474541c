//! The receipts that one connection is owed.

use std::collections::{HashMap, VecDeque};

use super::receipt::DeliveryResult;
use crate::wire::{Lines, NameKey, ServerMessage};

/// The receipts that one connection is owed, in order.
///
/// Receipts for one friend go out in the order in which the messages were sent, even if a later message is decided
/// first (the friend has gone meanwhile, say). Friends don't wait for one another.
#[derive(Debug, Default)]
pub struct PendingReceipts {
    /// The only receipt that is owed, and for which friend. Most messages are delivered before the next one is sent,
    /// so they need no table.
    only: Option<(NameKey, Entry)>,
    /// If more are owed: those that are undecided, or wait for an undecided one, by friend. No queue is empty.
    friends: HashMap<NameKey, VecDeque<Entry>>,
    next_ticket: u64,
    owed: usize,
}

#[derive(Debug)]
struct Entry {
    ticket: u64,
    /// The friend's name as the sender wrote it.
    shown: Box<str>,
    result: Option<DeliveryResult>,
}

impl PendingReceipts {
    /// How many receipts are owed.
    pub fn owed(&self) -> usize {
        self.owed
    }

    /// Notes that a receipt is owed for a message to `friend`. Returns the ticket that
    /// [`decide`](Self::decide) knows it by.
    pub fn open(&mut self, friend: &NameKey, shown: &str) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.owed += 1;
        let entry = Entry {
            ticket,
            shown: shown.into(),
            result: None,
        };
        if self.owed == 1 {
            self.only = Some((friend.clone(), entry));
            return ticket;
        }
        let earlier = self.only.take().into_iter();
        for (friend, entry) in earlier.chain([(friend.clone(), entry)]) {
            self.friends.entry(friend).or_default().push_back(entry);
        }
        ticket
    }

    /// Decides one receipt, and returns those that can go out now. A ticket that is not owed is ignored.
    pub fn decide(&mut self, friend: &NameKey, ticket: u64, result: DeliveryResult) -> Vec<Lines> {
        if let Some((_, entry)) = self
            .only
            .take_if(|(of, entry)| of == friend && entry.ticket == ticket)
        {
            self.owed = 0;
            return vec![ServerMessage::receipt(&entry.shown, result).to_line()];
        }
        let mut due = Vec::new();
        let Some(entries) = self.friends.get_mut(friend) else {
            return due;
        };
        if let Ok(index) = entries.binary_search_by_key(&ticket, |entry| entry.ticket) {
            entries[index].result.get_or_insert(result);
        }
        while let Some(Entry {
            result: Some(result),
            shown,
            ..
        }) = entries.front()
        {
            due.push(ServerMessage::receipt(shown, *result).to_line());
            entries.pop_front();
            self.owed -= 1;
        }
        if entries.is_empty() {
            self.friends.remove(friend);
        }
        due
    }

    /// Decides all that is undecided, and returns every receipt that is owed.
    pub fn decide_all(&mut self, result: DeliveryResult) -> Vec<Lines> {
        self.owed = 0;
        let only = self.only.take().map(|(_, entry)| entry);
        let others = self.friends.drain().flat_map(|(_, entries)| entries);
        let line = |entry: Entry| {
            let result = entry.result.unwrap_or(result);
            ServerMessage::receipt(&entry.shown, result).to_line()
        };
        only.into_iter().chain(others).map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_of_one_friend_keep_the_order_of_the_messages() {
        let (anna, bob) = (NameKey::new("Anna"), NameKey::new("Bob1"));
        let mut pending = PendingReceipts::default();
        let first = pending.open(&anna, "anna");
        let second = pending.open(&anna, "ANNA");
        let other = pending.open(&bob, "Bob1");
        let mut lines = pending.decide(&anna, second, Err("gone"));
        assert!(lines.is_empty());
        lines.extend(pending.decide(&bob, other, Ok(())));
        lines.extend(pending.decide(&anna, first, Ok(())));
        lines.extend(pending.decide(&anna, first, Err("twice")));
        let expected = [("Bob1", Ok(())), ("anna", Ok(())), ("ANNA", Err("gone"))];
        assert_eq!(
            lines,
            expected.map(|(name, result)| ServerMessage::receipt(name, result).to_line())
        );
        assert_eq!(pending.owed(), 0);
        assert!(pending.friends.is_empty());
    }

    #[test]
    fn deciding_everything_keeps_what_was_decided() {
        let anna = NameKey::new("Anna");
        let mut pending = PendingReceipts::default();
        pending.open(&anna, "Anna");
        let second = pending.open(&anna, "Anna");
        let mut lines = pending.decide(&anna, second, Ok(()));
        lines.extend(pending.decide_all(Err("stop")));
        let expected = [Err("stop"), Ok(())];
        assert_eq!(
            lines,
            expected.map(|result| ServerMessage::receipt("Anna", result).to_line())
        );
        assert_eq!(pending.owed(), 0);
    }
}
