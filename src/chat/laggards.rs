//! The thread that sends on to those who did not take everything at once.

use std::time::Duration;

use crate::sync::channel::{Receiver, RecvTimeoutError};
use crate::sync::{Arc, Instant};
use crate::transport::connection::{Connection, Retry};
use crate::transport::end_reason::EndReason;
use crate::transport::socket::KERNEL_FINDS_DEAD_PEERS;

/// How soon one that fell behind is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(1);

/// How long one that takes nothing is left alone at most.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// One connection that is behind.
struct Laggard {
    connection: Arc<Connection>,
    next_try: Instant,
    pause: Duration,
    /// When the socket last took something.
    last_progress: Instant,
}

/// Sends on to whoever announces itself, until all senders of the channel are gone. While nobody is behind, the
/// thread sleeps.
pub fn run(fallen_behind: &Receiver<Arc<Connection>>, dead_after: Duration) {
    let mut laggards: Vec<Laggard> = Vec::new();
    loop {
        let next_try = laggards.iter().map(|laggard| laggard.next_try).min();
        let arrival = match next_try {
            None => fallen_behind
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected),
            Some(next_try) => fallen_behind.recv_deadline(next_try),
        };
        match arrival {
            Ok(connection) => laggards.push(Laggard::new(connection)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        laggards.extend(fallen_behind.try_iter().map(Laggard::new));
        laggards.retain_mut(|laggard| laggard.try_again(dead_after));
    }
}

impl Laggard {
    fn new(connection: Arc<Connection>) -> Laggard {
        let now = Instant::now();
        Laggard {
            connection,
            next_try: now + FIRST_PAUSE,
            pause: FIRST_PAUSE,
            last_progress: now,
        }
    }

    /// Sends what the socket takes, if it is time to. False when nothing is left to do.
    fn try_again(&mut self, dead_after: Duration) -> bool {
        let now = Instant::now();
        if now < self.next_try {
            return true;
        }
        match self.connection.retry() {
            Retry::CaughtUp => return false,
            Retry::Advanced => {
                self.pause = FIRST_PAUSE;
                self.last_progress = now;
            }
            Retry::Stuck => {
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                if !KERNEL_FINDS_DEAD_PEERS && now - self.last_progress >= dead_after {
                    self.connection.end(EndReason::Dead);
                    return false;
                }
            }
        }
        self.next_try = now + self.pause;
        true
    }
}
