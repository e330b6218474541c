//! What waits to be sent through one connection, as plaintext.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use super::pending_receipts::OWED_COST;
use super::receipt::Receipt;
use crate::sync::Arc;

/// What a chunk costs beyond its bytes: its place in the queue, and what `Arc` and the allocator add to the bytes. It
/// counts against the backlog, so that many tiny messages take no more memory than few large ones.
const CHUNK_COST: usize = 128;

/// What a chunk costs beyond its bytes if a receipt is owed for it: what its sender keeps until then belongs to the queue that
/// it waits for.
pub(super) const CHUNK_COST_WITH_RECEIPT: usize = CHUNK_COST + OWED_COST;

/// A queue has room for so many chunks, empty or not; more is given back.
const KEPT_PLACES: usize = 32;

/// Chunks in the order in which they are to be sent.
#[derive(Debug, Default)]
pub(super) struct SendQueue {
    chunks: VecDeque<Chunk>,
    /// How much of the first chunk was sent. Of the others, nothing was.
    sent_of_first: usize,
    /// Bytes and overhead of all chunks.
    cost: usize,
}

/// Bytes that leave in one piece, if the socket takes them.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) data: Arc<[u8]>,
    /// Whether the bytes must leave in a write of their own.
    pub(super) is_alone: bool,
    /// Resolved when the last byte was sent.
    pub(super) receipt: Option<Receipt>,
}

impl Chunk {
    /// What it counts against the backlog.
    fn cost(&self) -> usize {
        let beyond = match self.receipt {
            Some(_) => CHUNK_COST_WITH_RECEIPT,
            None => CHUNK_COST,
        };
        self.data.len() + beyond
    }
}

impl SendQueue {
    /// What the queue counts against the backlog, in bytes; 0 means that nothing waits.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    /// How many chunks wait.
    pub(super) fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Whether the first chunk must leave in a write of its own.
    pub(super) fn is_first_alone(&self) -> bool {
        self.chunks.front().is_some_and(|chunk| chunk.is_alone)
    }

    /// Adds a chunk, of which the first `sent` bytes were sent already; that can only be so if nothing else waits.
    pub(super) fn push(&mut self, chunk: Chunk, sent: usize) {
        debug_assert!(sent == 0 || self.chunks.is_empty());
        self.cost += chunk.cost() - sent;
        self.sent_of_first += sent;
        if self.chunks.len() == self.chunks.capacity() {
            // By itself the queue would double, and half of it might never be used.
            self.chunks.reserve_exact(self.chunks.len() / 4 + 4);
        }
        self.chunks.push_back(chunk);
    }

    /// Puts what may leave in one write into `slices`, as far as it fits, and returns how many slices that takes.
    pub(super) fn fill<'q>(&'q self, slices: &mut [IoSlice<'q>]) -> usize {
        let mut count = 0;
        let mut sent = self.sent_of_first;
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            if count > 0 && (chunk.is_alone || self.is_first_alone()) {
                break;
            }
            *slice = IoSlice::new(&chunk.data[sent..]);
            sent = 0;
            count += 1;
        }
        count
    }

    /// Shows up to `most` bytes of the first chunk to `consume` and takes them off the queue. Returns how many
    /// these were, and the receipt if they were the chunk's last.
    pub(super) fn take(
        &mut self,
        most: usize,
        consume: impl FnOnce(&[u8]) -> io::Result<()>,
    ) -> io::Result<(usize, Option<Receipt>)> {
        let Some(chunk) = self.chunks.front() else {
            return Ok((most, None));
        };
        let unsent = &chunk.data[self.sent_of_first..];
        let count = unsent.len().min(most);
        consume(&unsent[..count])?;
        if count < unsent.len() {
            self.sent_of_first += count;
            self.cost -= count;
            return Ok((count, None));
        }
        self.cost -= chunk.cost() - self.sent_of_first;
        self.sent_of_first = 0;
        let receipt = self.chunks.pop_front().and_then(|chunk| chunk.receipt);
        self.give_back();
        Ok((count, receipt))
    }

    /// Gives memory back once a quarter of the places is empty, and keeps a few so that this is not soon needed again.
    fn give_back(&mut self) {
        let (places, taken) = (self.chunks.capacity(), self.chunks.len());
        if places > KEPT_PLACES && taken < places / 4 * 3 {
            self.chunks.shrink_to((taken + taken / 8).max(KEPT_PLACES));
        }
    }

    /// The receipts of all messages that were not sent.
    pub(super) fn into_receipts(self) -> impl Iterator<Item = Receipt> {
        self.chunks.into_iter().filter_map(|chunk| chunk.receipt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes the allocator takes for `size` bytes: with a header of its own, in steps (that of the GNU C library
    /// on a 64-bit machine).
    fn allocated(size: usize) -> usize {
        (size + 8).next_multiple_of(16).max(32)
    }

    fn chunk(length: usize) -> Chunk {
        Chunk {
            data: vec![b'x'; length].into(),
            is_alone: false,
            receipt: None,
        }
    }

    #[test]
    fn the_cost_of_a_chunk_covers_its_place_and_its_allocation() {
        // Of four places three are taken, at least.
        let place = size_of::<Chunk>().div_ceil(3) * 4;
        // The two counters of `Arc`.
        let counters = 2 * size_of::<usize>();
        for length in 0..1024 {
            let taken = place + allocated(counters + length);
            assert!(taken <= chunk(length).cost(), "{length}: {taken}");
        }
    }

    #[test]
    fn a_queue_has_little_room_to_spare_however_it_grows_and_shrinks() {
        const MANY: usize = 10_000;
        let mut queue = SendQueue::default();
        let check = |queue: &SendQueue| {
            let (places, taken) = (queue.chunks.capacity(), queue.chunks.len());
            assert!(
                places * 3 <= taken * 4 + 4 * KEPT_PLACES,
                "{places} places for {taken}"
            );
        };
        for _ in 0..2 {
            for _ in 0..MANY {
                queue.push(chunk(3), 0);
                check(&queue);
            }
            assert_eq!(queue.cost(), MANY * (3 + CHUNK_COST));
            while queue.len() > 0 {
                queue.take(2, |_| Ok(())).unwrap();
                queue.take(2, |_| Ok(())).unwrap();
                check(&queue);
            }
            assert_eq!(queue.cost(), 0);
        }
    }
}
