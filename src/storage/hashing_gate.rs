//! How many passwords may be hashed at once.

use std::time::Duration;

use crate::sync::{Condvar, Instant, Mutex};

/// How long a thread waits for its turn to hash. While it waits, it doesn't read from its client.
const PATIENCE: Duration = Duration::from_secs(5);

/// A counting semaphore for hashing: guessing passwords must never take all of the machine.
#[derive(Debug)]
pub(super) struct HashingGate {
    state: Mutex<State>,
    /// How long a thread waits for its turn.
    patience: Duration,
    /// Notified when a permit is given back, and when the gate closes.
    has_changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// How many more threads may hash now.
    free: usize,
    is_closed: bool,
}

/// Permission to hash, until it is dropped.
#[derive(Debug)]
pub(super) struct HashingPermit<'a>(&'a HashingGate);

impl Default for HashingGate {
    /// Lets half the processors hash at a time, and at least one.
    fn default() -> HashingGate {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        HashingGate::new((processors / 2).max(1), PATIENCE)
    }
}

impl HashingGate {
    fn new(permits: usize, patience: Duration) -> HashingGate {
        HashingGate {
            patience,
            state: Mutex::new(State {
                free: permits,
                is_closed: false,
            }),
            has_changed: Condvar::new(),
        }
    }

    /// Waits for a permit, five seconds at most. `None` says that none was given back in that time, or that the gate
    /// is closed.
    pub(super) fn acquire(&self) -> Option<HashingPermit<'_>> {
        let deadline = Instant::now() + self.patience;
        let mut state = self.state.lock();
        while state.free == 0 && !state.is_closed {
            let wait = self.has_changed.wait_until(&mut state, deadline);
            if wait.timed_out() {
                break;
            }
        }
        if state.free == 0 || state.is_closed {
            return None;
        }
        state.free -= 1;
        Some(HashingPermit(self))
    }

    /// Gives no more permits: the threads that wait for one get `None` at once, and so do those that come later.
    pub(super) fn close(&self) {
        self.state.lock().is_closed = true;
        self.has_changed.notify_all();
    }
}

impl Drop for HashingPermit<'_> {
    fn drop(&mut self) {
        self.0.state.lock().free += 1;
        self.0.has_changed.notify_all();
    }
}

#[cfg(all(test, not(feature = "model")))]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    /// Starts threads that ask for a permit.
    fn start_waiting<'scope, 'env>(
        scope: &'scope thread::Scope<'scope, 'env>,
        gate: &'env HashingGate,
        count: usize,
    ) -> Vec<thread::ScopedJoinHandle<'scope, bool>> {
        (0..count)
            .map(|_| scope.spawn(|| gate.acquire().is_some()))
            .collect()
    }

    #[test]
    fn no_more_threads_hash_at_once_than_there_are_permits() {
        let gate = HashingGate::new(2, PATIENCE);
        let (hashing, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let permit = gate.acquire();
                    let now = hashing.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(10));
                    hashing.fetch_sub(1, Ordering::SeqCst);
                    assert!(permit.is_some());
                });
            }
        });
        assert!(most.into_inner() <= 2);
    }

    #[test]
    fn threads_that_wait_get_their_turn_when_a_permit_is_given_back() {
        let gate = HashingGate::new(1, PATIENCE);
        let permit = gate.acquire().unwrap();
        thread::scope(|scope| {
            let waiting = start_waiting(scope, &gate, 3);
            drop(permit);
            for waiter in waiting {
                assert!(waiter.join().unwrap());
            }
        });
    }

    #[test]
    fn a_thread_waits_no_longer_than_its_patience() {
        let patience = Duration::from_millis(50);
        let gate = HashingGate::new(1, patience);
        let permit = gate.acquire().unwrap();
        let start = Instant::now();
        assert!(gate.acquire().is_none());
        assert!(start.elapsed() >= patience);
        drop(permit);
        assert!(gate.acquire().is_some());
    }

    #[test]
    fn a_closed_gate_lets_nobody_wait() {
        let gate = HashingGate::new(1, PATIENCE);
        let permit = gate.acquire().unwrap();
        let start = Instant::now();
        thread::scope(|scope| {
            let waiting = start_waiting(scope, &gate, 3);
            gate.close();
            for waiter in waiting {
                assert!(!waiter.join().unwrap());
            }
        });
        drop(permit);
        assert!(gate.acquire().is_none());
        assert!(start.elapsed() < PATIENCE);
    }
}
