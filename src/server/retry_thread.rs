//! The thread that goes on with connections whose sockets did not take everything at once.

use std::time::Duration;

use crate::sync::channel::{Receiver, RecvTimeoutError};
use crate::sync::{Instant, Weak};
use crate::transport::CloseReason;
use crate::transport::connection::{Connection, Retry};
use crate::transport::socket::KERNEL_FINDS_DEAD_PEERS;

/// How soon a connection is tried again after it fell behind, or after its socket took something.
const FIRST_PAUSE: Duration = Duration::from_millis(1);

/// How long a connection is left alone at most.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Retries the connections in the queue: those that are behind, and those that another thread than their own drains.
/// Returns when all senders of the queue are gone. While the queue is empty and all have caught up, the thread sleeps.
pub(super) fn run(retry_queue: &Receiver<Weak<Connection>>, dead_after: Duration) {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let next_try = entries.iter().map(|entry| entry.next_try).min();
        let arrival = match next_try {
            None => retry_queue
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected),
            Some(next_try) => retry_queue.recv_deadline(next_try),
        };
        match arrival {
            Ok(connection) => entries.push(Entry::new(connection)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        entries.extend(retry_queue.try_iter().map(Entry::new));
        entries.retain_mut(|entry| entry.try_again(dead_after));
    }
}

/// One connection that is retried.
struct Entry {
    /// Weak, so that a connection that its own thread has closed gives up its descriptor at once.
    connection: Weak<Connection>,
    next_try: Instant,
    pause: Duration,
    /// When the socket last took something.
    last_progress: Instant,
}

impl Entry {
    fn new(connection: Weak<Connection>) -> Entry {
        let now = Instant::now();
        Entry {
            connection,
            next_try: now + FIRST_PAUSE,
            pause: FIRST_PAUSE,
            last_progress: now,
        }
    }

    /// Retries the connection, if it is time to. False if nothing is left to do for it.
    fn try_again(&mut self, dead_after: Duration) -> bool {
        let now = Instant::now();
        if now < self.next_try {
            return true;
        }
        let Some(connection) = self.connection.upgrade() else {
            return false;
        };
        let outcome = connection.retry();
        match outcome {
            Retry::Done => return false,
            Retry::Advanced => self.pause = FIRST_PAUSE,
            Retry::Stuck | Retry::Ending => self.pause = (self.pause * 2).min(LONGEST_PAUSE),
        }
        if outcome != Retry::Stuck {
            self.last_progress = now;
        } else if !KERNEL_FINDS_DEAD_PEERS && now - self.last_progress >= dead_after {
            connection.close(CloseReason::Unresponsive);
            return false;
        }
        self.next_try = now + self.pause;
        true
    }
}
