//! The receipts that one connection is owed.

use std::collections::{HashMap, VecDeque};

use crate::wire::message::{Line, ServerMessage};
use crate::wire::name::NameKey;

/// What a receipt will say: delivered, or not and why.
pub type Verdict = Result<(), &'static str>;

/// Keeps receipts in order: those for one friend come in the order in which the messages were sent, even if a
/// later message is decided first (the friend has gone meanwhile, say). Friends don't wait for one another.
#[derive(Debug, Default)]
pub struct Ledger {
    /// The only receipt that is owed, and for whom. Most messages are delivered before the next one is sent, and
    /// so need no table.
    only: Option<(NameKey, Entry)>,
    /// If there are more, what is undecided, or waits for something undecided, by friend. No entry is empty.
    friends: HashMap<NameKey, VecDeque<Entry>>,
    next_ticket: u64,
    owed: usize,
}

#[derive(Debug)]
struct Entry {
    ticket: u64,
    /// The friend's name as the sender wrote it.
    shown: Box<str>,
    verdict: Option<Verdict>,
}

impl Ledger {
    /// How many receipts are owed.
    pub fn owed(&self) -> usize {
        self.owed
    }

    /// Notes that a receipt is owed for a message to `friend`; the ticket is what
    /// [`settle`](Self::settle) knows it by.
    pub fn open(&mut self, friend: &NameKey, shown: &str) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.owed += 1;
        let entry = Entry {
            ticket,
            shown: shown.into(),
            verdict: None,
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

    /// Decides one receipt, and calls `emit` with each that can go out now. A ticket that is no longer open is
    /// ignored.
    pub fn settle(
        &mut self,
        friend: &NameKey,
        ticket: u64,
        verdict: Verdict,
        mut emit: impl FnMut(Line),
    ) {
        if let Some((_, entry)) = self
            .only
            .take_if(|(of, entry)| of == friend && entry.ticket == ticket)
        {
            emit(ServerMessage::receipt(&entry.shown, verdict).to_line());
            self.owed = 0;
            return;
        }
        let Some(entries) = self.friends.get_mut(friend) else {
            return;
        };
        if let Ok(place) = entries.binary_search_by_key(&ticket, |entry| entry.ticket) {
            entries[place].verdict.get_or_insert(verdict);
        }
        while let Some(Entry {
            verdict: Some(verdict),
            shown,
            ..
        }) = entries.front()
        {
            emit(ServerMessage::receipt(shown, *verdict).to_line());
            entries.pop_front();
            self.owed -= 1;
        }
        if entries.is_empty() {
            self.friends.remove(friend);
        }
    }

    /// Decides all that is undecided, and calls `emit` with every receipt that is owed.
    pub fn settle_all(&mut self, verdict: Verdict, mut emit: impl FnMut(Line)) {
        self.owed = 0;
        let only = self.only.take();
        if let Some((_, entry)) = only {
            emit(ServerMessage::receipt(&entry.shown, verdict).to_line());
        }
        for (_, entries) in self.friends.drain() {
            for entry in entries {
                emit(
                    ServerMessage::receipt(&entry.shown, entry.verdict.unwrap_or(verdict))
                        .to_line(),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_of_one_friend_keep_the_order_of_the_messages() {
        let (anna, bob) = (NameKey::new("Anna"), NameKey::new("Bob1"));
        let mut ledger = Ledger::default();
        let first = ledger.open(&anna, "anna");
        let second = ledger.open(&anna, "ANNA");
        let other = ledger.open(&bob, "Bob1");
        let mut lines = Vec::new();
        ledger.settle(&anna, second, Err("gone"), |line| lines.push(line));
        assert!(lines.is_empty());
        ledger.settle(&bob, other, Ok(()), |line| lines.push(line));
        ledger.settle(&anna, first, Ok(()), |line| lines.push(line));
        ledger.settle(&anna, first, Err("twice"), |line| lines.push(line));
        let expected = [("Bob1", Ok(())), ("anna", Ok(())), ("ANNA", Err("gone"))];
        assert_eq!(
            lines,
            expected.map(|(name, verdict)| ServerMessage::receipt(name, verdict).to_line())
        );
        assert_eq!(ledger.owed(), 0);
        assert!(ledger.friends.is_empty());
    }

    #[test]
    fn settling_everything_keeps_what_was_decided() {
        let anna = NameKey::new("Anna");
        let mut ledger = Ledger::default();
        ledger.open(&anna, "Anna");
        let second = ledger.open(&anna, "Anna");
        let mut lines = Vec::new();
        ledger.settle(&anna, second, Ok(()), |line| lines.push(line));
        ledger.settle_all(Err("stop"), |line| lines.push(line));
        let expected = [Err("stop"), Ok(())];
        assert_eq!(
            lines,
            expected.map(|verdict| ServerMessage::receipt("Anna", verdict).to_line())
        );
        assert_eq!(ledger.owed(), 0);
    }
}
