//! What the sender of a private message is owed.

use std::collections::VecDeque;

use crate::sync::{Arc, Weak};
use crate::texts::reasons;
use crate::wire::NameKey;

/// What became of a private message: it was written to the friend's socket, or why that is not so. The reason may also be
/// that it was not known in time: the message may then still arrive.
pub type DeliveryResult = Result<(), &'static str>;

/// A receipt that is owed to the sender of a private message.
///
/// It travels with the message, and is [resolved](Self::resolve) when the last byte of the message was written to the
/// friend's socket. A receipt that is dropped before says that the message was not delivered.
#[derive(Debug)]
pub struct Receipt {
    /// Weak, because the message may wait in a slow friend's queue long after its sender has gone. `None` once the owner
    /// was told.
    owner: Option<Weak<dyn ReceiptOwner>>,
    friend: NameKey,
    ticket: u64,
}

/// The side that receipts are owed to: the sender's connection.
pub trait ReceiptOwner: Send + Sync {
    /// Notes what became of the message behind `ticket`, and sends the receipts that are due by that.
    ///
    /// Sending can complete messages that were queued for the owner itself. Their receipts are returned, because the
    /// caller must resolve them one after another: recursion could go as deep as there are connections.
    fn receive_result(
        self: Arc<Self>,
        friend: &NameKey,
        ticket: u64,
        result: DeliveryResult,
    ) -> Vec<(Receipt, DeliveryResult)>;
}

impl Receipt {
    /// A receipt that `owner` is owed for a message to `friend`. The owner knows it by its `ticket`; see
    /// [`PendingReceipts::open`](super::pending_receipts::PendingReceipts::open).
    pub fn new(owner: Weak<dyn ReceiptOwner>, friend: NameKey, ticket: u64) -> Receipt {
        Receipt {
            owner: Some(owner),
            friend,
            ticket,
        }
    }

    /// Which message of its sender this is about.
    pub fn ticket(&self) -> u64 {
        self.ticket
    }

    /// Tells the sender what became of the message. The caller must not hold the lock of an outbox.
    pub fn resolve(mut self, result: DeliveryResult) {
        resolve_all(self.tell_owner(result));
    }

    /// Tells the owner, once, and returns the receipts that were decided by that.
    fn tell_owner(&mut self, result: DeliveryResult) -> Vec<(Receipt, DeliveryResult)> {
        match self.owner.take().and_then(|owner| owner.upgrade()) {
            Some(owner) => owner.receive_result(&self.friend, self.ticket, result),
            None => Vec::new(),
        }
    }
}

impl Drop for Receipt {
    /// Takes the lock of the owner's outbox. While a thread unwinds from a panic it may still hold the lock of another
    /// outbox, so nobody is told then.
    fn drop(&mut self) {
        if self.owner.is_some() && !std::thread::panicking() {
            resolve_all(self.tell_owner(Err(reasons::not_delivered())));
        }
    }
}

/// Resolves receipts, and all that are decided by that, one after another. The caller must not hold the lock of an
/// outbox.
pub(super) fn resolve_all(decided: Vec<(Receipt, DeliveryResult)>) {
    let mut decided = VecDeque::from(decided);
    while let Some((mut receipt, result)) = decided.pop_front() {
        decided.extend(receipt.tell_owner(result));
    }
}
