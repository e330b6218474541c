//! What waits to be sent through one connection, as plaintext.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use super::receipt::Receipt;
use crate::sync::Arc;

/// What a chunk costs beyond its bytes. It counts against the backlog, so that many tiny messages can't take much more
/// memory than few large ones.
const CHUNK_OVERHEAD: usize = 128;

/// Chunks in the order in which they are to be sent.
#[derive(Debug, Default)]
pub(super) struct SendQueue {
    chunks: VecDeque<Chunk>,
    /// Bytes and overhead of all chunks.
    cost: usize,
}

/// Bytes that wait: those of `data` from `next` on.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) data: Arc<[u8]>,
    pub(super) next: usize,
    /// Whether the bytes must leave in a write of their own.
    pub(super) is_alone: bool,
    /// Resolved when the last byte was sent.
    pub(super) receipt: Option<Receipt>,
}

impl Chunk {
    fn unsent(&self) -> &[u8] {
        &self.data[self.next..]
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

    pub(super) fn push(&mut self, chunk: Chunk) {
        self.cost += chunk.unsent().len() + CHUNK_OVERHEAD;
        self.chunks.push_back(chunk);
    }

    /// Puts what may leave in one write into `slices`, as far as it fits, and returns how many slices that takes.
    pub(super) fn fill<'q>(&'q self, slices: &mut [IoSlice<'q>]) -> usize {
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            if count > 0 && (chunk.is_alone || self.is_first_alone()) {
                break;
            }
            *slice = IoSlice::new(chunk.unsent());
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
        let Some(chunk) = self.chunks.front_mut() else {
            return Ok((most, None));
        };
        let count = chunk.unsent().len().min(most);
        consume(&chunk.unsent()[..count])?;
        chunk.next += count;
        self.cost -= count;
        if !chunk.unsent().is_empty() {
            return Ok((count, None));
        }
        self.cost -= CHUNK_OVERHEAD;
        let receipt = self.chunks.pop_front().and_then(|chunk| chunk.receipt);
        Ok((count, receipt))
    }

    /// The receipts of all messages that were not sent.
    pub(super) fn into_receipts(self) -> impl Iterator<Item = Receipt> {
        self.chunks.into_iter().filter_map(|chunk| chunk.receipt)
    }
}
