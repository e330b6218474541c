//! A gate through which few go at a time, and those first who have had least of it.
//!
//! This is fair queueing, as routers have it for packets (Demers, Keshav, Shenker: "Analysis and Simulation of a Fair Queueing
//! Algorithm", 1989). Each turn has a cost, and a place in a virtual time that counts cost: it begins where its party's last
//! turn ends, or now, if that has passed. The turn that ends first is next.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::ops::Range;

use super::{Arc, Condvar, Instant, Mutex};

/// When more parties than this are remembered, those are forgotten whose last turn has passed.
const REMEMBERED: usize = 1024;

/// A counting semaphore that is fair to parties: one with many threads, or with turns that cost much, gets no more of it than
/// any other, and one that asks for little hardly waits.
#[derive(Debug)]
pub(crate) struct FairGate<P> {
    state: Mutex<State<P>>,
}

#[derive(Debug)]
struct State<P> {
    /// How many more may go through now.
    free: usize,
    is_closed: bool,
    waiting: Vec<Waiter>,
    /// The tickets of those whose turn has come, and who have not noticed yet.
    called: Vec<u64>,
    /// Where the last turn of each party ends, in virtual time.
    ends: HashMap<P, u64>,
    /// The latest beginning of a turn that was called, in virtual time.
    now: u64,
    /// Counts those who came.
    last_ticket: u64,
}

#[derive(Debug)]
struct Waiter {
    /// Where its turn begins and ends, in virtual time.
    place: Range<u64>,
    ticket: u64,
    /// Notified when this waiter is called, and when the gate closes. Each waiter has one of its own, so that no other
    /// thread wakes up for nothing.
    has_changed: Arc<Condvar>,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<P: Party>(Arc<FairGate<P>>);

/// Whom a thread waits for, or what.
pub(crate) trait Party: Clone + Debug + Eq + Hash {}

impl<P: Clone + Debug + Eq + Hash> Party for P {}

impl<P: Party> FairGate<P> {
    /// A gate through which `count` go at a time.
    pub(crate) fn new(count: usize) -> FairGate<P> {
        FairGate {
            state: Mutex::new(State {
                free: count,
                is_closed: false,
                waiting: Vec::new(),
                called: Vec::new(),
                ends: HashMap::new(),
                now: 0,
                last_ticket: 0,
            }),
        }
    }

    /// Waits for a turn of `party`, which costs so much, until `deadline`. `None` says that it did not come, or that the gate
    /// is closed.
    pub(crate) fn wait_for_turn(
        self: &Arc<Self>,
        party: &P,
        cost: u64,
        deadline: Instant,
    ) -> Option<Turn<P>> {
        let mut state = self.state.lock();
        if state.is_closed {
            return None;
        }
        state.last_ticket += 1;
        let ticket = state.last_ticket;
        let has_changed = Arc::new(Condvar::new());
        let place = state.reserve(party, cost);
        state.waiting.push(Waiter {
            place,
            ticket,
            has_changed: Arc::clone(&has_changed),
        });
        state.call_next();
        loop {
            if let Some(index) = state.called.iter().position(|called| *called == ticket) {
                state.called.swap_remove(index);
                return Some(Turn(Arc::clone(self)));
            }
            if state.is_closed || Instant::now() >= deadline {
                state.waiting.retain(|waiter| waiter.ticket != ticket);
                if let Some(end) = state.ends.get_mut(party) {
                    *end = end.saturating_sub(cost);
                }
                return None;
            }
            has_changed.wait_until(&mut state, deadline);
        }
    }

    /// Whether anybody waits.
    pub(crate) fn has_waiters(&self) -> bool {
        !self.state.lock().waiting.is_empty()
    }

    /// Whether the gate is closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().is_closed
    }

    /// Gives no more turns: the threads that wait for one get `None` at once, and so do those that come later.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        for waiter in &state.waiting {
            waiter.has_changed.notify_all();
        }
    }
}

impl<P: Party> State<P> {
    /// Reserves virtual time for a turn of `party`.
    fn reserve(&mut self, party: &P, cost: u64) -> Range<u64> {
        if self.ends.len() >= REMEMBERED {
            self.ends.retain(|_, end| *end > self.now);
        }
        let end = self.ends.entry(party.clone()).or_default();
        let start = self.now.max(*end);
        *end = start + cost;
        start..*end
    }

    /// Calls those whose turn it is now.
    fn call_next(&mut self) {
        while self.free > 0 && !self.is_closed {
            let first = self
                .waiting
                .iter()
                .enumerate()
                .min_by_key(|(_, waiter)| (waiter.place.end, waiter.ticket));
            let Some((index, _)) = first else {
                return;
            };
            let waiter = self.waiting.swap_remove(index);
            self.free -= 1;
            self.now = self.now.max(waiter.place.start);
            self.called.push(waiter.ticket);
            waiter.has_changed.notify_all();
        }
    }
}

impl<P: Party> Drop for Turn<P> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.free += 1;
        state.call_next();
    }
}

#[cfg(not(feature = "model"))]
#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Long enough for whatever must come.
    const PATIENCE: Duration = Duration::from_secs(20);

    fn gate(count: usize) -> Arc<FairGate<&'static str>> {
        Arc::new(FairGate::new(count))
    }

    fn by(patience: Duration) -> Instant {
        Instant::now() + patience
    }

    /// Returns when so many threads wait.
    fn until_waiting(gate: &FairGate<&'static str>, count: usize) {
        let deadline = by(PATIENCE);
        while gate.state.lock().waiting.len() < count {
            assert!(Instant::now() < deadline);
            thread::yield_now();
        }
    }

    #[test]
    fn no_more_go_through_at_once_than_it_has_room_for() {
        let gate = gate(2);
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let turn = gate.wait_for_turn(&"anna", 1, by(PATIENCE));
                    let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    thread::yield_now();
                    inside.fetch_sub(1, Ordering::SeqCst);
                    assert!(turn.is_some());
                });
            }
        });
        assert!(most.into_inner() <= 2);
    }

    #[test]
    fn a_party_with_many_threads_gets_no_more_turns_than_one_with_a_single_thread() {
        let gate = gate(1);
        let order = Mutex::new(Vec::new());
        thread::scope(|scope| {
            let first = gate.wait_for_turn(&"crowd", 1, by(PATIENCE)).unwrap();
            for (count, party) in ["crowd", "crowd", "crowd", "anna", "bobby"]
                .into_iter()
                .enumerate()
            {
                let (gate, order) = (&gate, &order);
                scope.spawn(move || {
                    let turn = gate.wait_for_turn(&party, 1, by(PATIENCE));
                    order.lock().push(party);
                    assert!(turn.is_some());
                });
                until_waiting(gate, count + 1);
            }
            drop(first);
        });
        assert_eq!(
            order.into_inner(),
            ["anna", "bobby", "crowd", "crowd", "crowd"]
        );
    }

    #[test]
    fn nobody_waits_beyond_the_deadline_and_who_gave_up_takes_no_turn() {
        let gate = gate(1);
        let turn = gate.wait_for_turn(&"anna", 1, by(PATIENCE)).unwrap();
        let patience = Duration::from_millis(50);
        let start = Instant::now();
        assert!(gate.wait_for_turn(&"bobby", 1, by(patience)).is_none());
        assert!(start.elapsed() >= patience);
        drop(turn);
        assert!(gate.wait_for_turn(&"carol", 1, by(PATIENCE)).is_some());
        assert!(gate.wait_for_turn(&"bobby", 1, by(PATIENCE)).is_some());
    }

    #[test]
    fn a_closed_gate_lets_nobody_wait() {
        let gate = gate(1);
        let turn = gate.wait_for_turn(&"anna", 1, by(PATIENCE)).unwrap();
        let start = Instant::now();
        thread::scope(|scope| {
            let waiting: Vec<_> = (0..3)
                .map(|_| scope.spawn(|| gate.wait_for_turn(&"bobby", 1, by(PATIENCE)).is_some()))
                .collect();
            until_waiting(&gate, 3);
            gate.close();
            for waiter in waiting {
                assert!(!waiter.join().unwrap());
            }
        });
        drop(turn);
        assert!(gate.wait_for_turn(&"anna", 1, by(PATIENCE)).is_none());
        assert!(start.elapsed() < PATIENCE);
    }

    #[test]
    fn who_asks_for_little_goes_before_those_who_ask_for_much() {
        let gate = gate(1);
        let order = Mutex::new(Vec::new());
        thread::scope(|scope| {
            let first = gate.wait_for_turn(&"anna", 10, by(PATIENCE)).unwrap();
            let ask = |count, party, cost| {
                let (gate, order) = (&gate, &order);
                scope.spawn(move || {
                    let turn = gate.wait_for_turn(&party, cost, by(PATIENCE));
                    order.lock().push((party, cost));
                    assert!(turn.is_some());
                });
                until_waiting(gate, count);
            };
            ask(1, "loud", 1000);
            ask(2, "loud", 1000);
            ask(3, "anna", 10);
            ask(4, "anna", 10);
            ask(5, "loud", 1000);
            drop(first);
        });
        let [anna, loud] = [("anna", 10), ("loud", 1000)];
        assert_eq!(order.into_inner(), [anna, anna, loud, loud, loud]);
    }

    #[test]
    fn parties_whose_turn_has_passed_are_forgotten() {
        let gate: Arc<FairGate<usize>> = Arc::new(FairGate::new(1));
        for party in 0..3 * REMEMBERED {
            drop(gate.wait_for_turn(&0, 1, by(PATIENCE)).unwrap());
            drop(gate.wait_for_turn(&party, 1, by(PATIENCE)).unwrap());
        }
        assert!(gate.state.lock().ends.len() <= REMEMBERED);
    }
}
