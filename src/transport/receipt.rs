//! What the sender of a private message is owed.

use super::connection::Connection;
use super::ledger::Verdict;
use crate::sync::{Arc, Weak};
use crate::wire::name::NameKey;

/// A receipt that is owed to the sender of a private message. Whoever drops it undecided has not delivered.
#[derive(Debug)]
pub struct Receipt {
    /// Weak, because a receipt may wait in a slow friend's queue long after its sender has gone.
    sender: Weak<Connection>,
    friend: NameKey,
    ticket: u64,
    is_settled: bool,
}

impl Receipt {
    /// A receipt that `sender` is owed, and knows by `ticket`; see [`Ledger::open`](super::ledger::Ledger::open).
    pub(super) fn new(sender: &Arc<Connection>, friend: NameKey, ticket: u64) -> Receipt {
        Receipt {
            sender: Arc::downgrade(sender),
            friend,
            ticket,
            is_settled: false,
        }
    }

    /// Who the message was for.
    pub fn friend(&self) -> &NameKey {
        &self.friend
    }

    /// Which message it was.
    pub fn ticket(&self) -> u64 {
        self.ticket
    }

    /// Decides the receipt. Must not be called while an outbox is locked.
    pub fn settle(self, verdict: Verdict) {
        if let Some((sender, receipt)) = self.into_sender() {
            sender.act(|outbox, socket| outbox.settle(socket, &receipt, verdict));
        }
    }

    pub(super) fn into_sender(mut self) -> Option<(Arc<Connection>, Receipt)> {
        self.is_settled = true;
        self.sender.upgrade().map(|sender| (sender, self))
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if !self.is_settled
            && let Some(sender) = self.sender.upgrade()
        {
            sender.act(|outbox, socket| {
                outbox.settle(socket, self, Err("the message was not delivered"))
            });
        }
    }
}
