//! A semaphore for hashing passwords.

use std::time::Duration;

use crate::sync::{Condvar, Instant, Mutex};

/// How long a thread may wait for its turn. It reads nothing meanwhile, and would not notice the end of its connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// Lets few threads hash at a time, so that guessing passwords never takes all of the machine.
#[derive(Debug)]
pub struct HashingGate {
    state: Mutex<State>,
    /// Notified when a turn is given back, and when the gate closes.
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    turns_left: usize,
    is_closed: bool,
}

/// A turn to hash, until it is dropped.
#[derive(Debug)]
pub struct HashingTurn<'a>(&'a HashingGate);

/// Half the processors may hash at a time, at least one.
impl Default for HashingGate {
    fn default() -> HashingGate {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        HashingGate::new((processors / 2).max(1))
    }
}

impl HashingGate {
    fn new(turns: usize) -> HashingGate {
        HashingGate {
            state: Mutex::new(State {
                turns_left: turns,
                is_closed: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Waits for a turn. `None` says that too many others wait, or that the gate is closed.
    pub fn enter(&self) -> Option<HashingTurn<'_>> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state.lock();
        while state.turns_left == 0 && !state.is_closed {
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                return None;
            }
        }
        if state.is_closed {
            return None;
        }
        state.turns_left -= 1;
        Some(HashingTurn(self))
    }

    /// Lets nobody in any more, and sends away the threads that wait.
    pub fn close(&self) {
        self.state.lock().is_closed = true;
        self.changed.notify_all();
    }
}

impl Drop for HashingTurn<'_> {
    fn drop(&mut self) {
        self.0.state.lock().turns_left += 1;
        self.0.changed.notify_all();
    }
}

#[cfg(not(feature = "model"))]
#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_turn_that_is_given_back_is_the_next_ones() {
        let gate = HashingGate::new(1);
        let first = gate.enter().unwrap();
        thread::scope(|scope| {
            let second = scope.spawn(|| gate.enter().is_some());
            drop(first);
            assert!(second.join().unwrap());
        });
        assert!(gate.enter().is_some());
    }

    #[test]
    fn a_gate_that_closes_sends_away_the_threads_that_wait() {
        let gate = HashingGate::new(1);
        let _first = gate.enter().unwrap();
        let start = Instant::now();
        thread::scope(|scope| {
            let waiting: Vec<_> = (0..3)
                .map(|_| scope.spawn(|| gate.enter().is_none()))
                .collect();
            gate.close();
            for thread in waiting {
                assert!(thread.join().unwrap());
            }
        });
        assert!(start.elapsed() < PATIENCE && gate.enter().is_none());
    }
}
