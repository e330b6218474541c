//! The receipts that one connection is owed.

use std::collections::BTreeMap;

use super::receipt::DeliveryResult;
use crate::wire::{Lines, NameKey, ServerMessage};

/// What one receipt that is owed costs at most, in bytes: its entry here with the friend's name as it was written, and the
/// [`NameKey`] that it shares with the [`Receipt`](super::Receipt).
pub(super) const OWED_COST: usize = 336;

/// The receipts that one connection is owed, in order.
///
/// Receipts for one friend go out in the order in which the messages were sent, even if a later message is decided
/// first (the friend has gone meanwhile, say). Friends don't wait for one another.
#[derive(Debug, Default)]
pub struct PendingReceipts {
    /// The only receipt that is owed, and for which friend. Most messages are delivered before the next one is sent,
    /// so they need no table.
    only: Option<((NameKey, Ticket), Entry)>,
    /// If more are owed: those that are undecided, or wait for an undecided one. The friends' entries stand together, each
    /// friend's in the order of the messages. A tree, since it has no more than half of its places to spare even if there is
    /// one entry for each of many friends.
    table: BTreeMap<(NameKey, Ticket), Entry>,
    next_ticket: Ticket,
    owed: usize,
}

/// A later message has a higher one.
type Ticket = u64;

#[derive(Debug)]
struct Entry {
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
            shown: shown.into(),
            result: None,
        };
        let keyed = ((friend.clone(), ticket), entry);
        if self.owed == 1 {
            self.only = Some(keyed);
        } else {
            self.table
                .extend(self.only.take().into_iter().chain([keyed]));
        }
        ticket
    }

    /// Decides one receipt, and returns those that can go out now. A ticket that is not owed is ignored.
    pub fn decide(&mut self, friend: &NameKey, ticket: u64, result: DeliveryResult) -> Vec<Lines> {
        if let Some((_, entry)) = self
            .only
            .take_if(|((of, only), _)| of == friend && *only == ticket)
        {
            self.owed = 0;
            return vec![ServerMessage::receipt(&entry.shown, result).to_line()];
        }
        let mut due = Vec::new();
        if let Some(entry) = self.table.get_mut(&(friend.clone(), ticket)) {
            entry.result.get_or_insert(result);
        }
        let mut first = (friend.clone(), 0);
        while let Some(((of, ticket), entry)) = self.table.range(&first..).next()
            && of == friend
            && let Some(result) = entry.result
        {
            due.push(ServerMessage::receipt(&entry.shown, result).to_line());
            first.1 = *ticket;
            self.table.remove(&first);
            self.owed -= 1;
        }
        due
    }

    /// Decides all that is undecided, and returns every receipt that is owed.
    pub fn decide_all(&mut self, result: DeliveryResult) -> Vec<Lines> {
        self.owed = 0;
        let only = self.only.take().into_iter();
        let entries = only.chain(std::mem::take(&mut self.table));
        entries
            .map(|(_, entry)| {
                let result = entry.result.unwrap_or(result);
                ServerMessage::receipt(&entry.shown, result).to_line()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::check_name;

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
        assert!(pending.table.is_empty());
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

    #[test]
    fn the_cost_of_an_owed_receipt_covers_the_longest_name_and_the_emptiest_tree() {
        // As the GNU C library does on a 64-bit machine: with a header, in steps of 16 bytes.
        let allocated = |size: usize| (size + 8).next_multiple_of(16);
        let is_longest = |length: &usize| check_name(&"x".repeat(length + 1)).is_err();
        let longest = (4..).find(is_longest).unwrap();
        let names = allocated(2 * size_of::<usize>() + longest) + allocated(longest);
        // A node of the tree has places for 11 entries, and at least 5 are taken; an inner one has 12 edges more.
        let places = 11 * (size_of::<(NameKey, Ticket)>() + size_of::<Entry>());
        let leaf = allocated(places + 16);
        let inner = allocated(places + 16 + 12 * size_of::<usize>());
        // Each leaf shares its inner node with 5 others at least, and has an entry in it.
        let tree = (leaf + inner.div_ceil(6)).div_ceil(6) + inner.div_ceil(6 * 6 * 6);
        assert!(names + tree <= OWED_COST, "{names} + {tree}");
    }
}
