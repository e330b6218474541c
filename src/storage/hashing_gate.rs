//! How many passwords may be hashed at once, and who is next.

use std::time::Duration;

use crate::sync::fair_gate::{FairGate, Turn};
use crate::sync::{Arc, Instant};
use crate::transport::Origin;

/// How long a thread waits for its turn to hash. While it waits, it doesn't read from its client. A class of a few hundred
/// that logs in at once fits on one processor.
const PATIENCE: Duration = Duration::from_secs(50);

/// A gate for hashing: guessing passwords must never take all of the machine, nor keep others from logging in.
#[derive(Debug)]
pub(super) struct HashingGate(Arc<FairGate<Origin>>);

/// A turn to hash, until it is dropped.
pub(super) type HashingTurn = Turn<Origin>;

impl Default for HashingGate {
    /// Lets half the processors hash at a time, and at least one.
    fn default() -> HashingGate {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        HashingGate(Arc::new(FairGate::new((processors / 2).max(1))))
    }
}

impl HashingGate {
    /// Waits for a turn, fifty seconds at most. The addresses take turns. `None` says
    /// that there was none in that time, or that the gate is closed.
    pub(super) fn wait_for_turn(&self, origin: Origin) -> Option<HashingTurn> {
        self.0.wait_for_turn(&origin, 1, Instant::now() + PATIENCE)
    }

    /// Gives no more turns, neither to those that wait.
    pub(super) fn close(&self) {
        self.0.close();
    }
}
