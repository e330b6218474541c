//! What `src/sync` takes in place of real locks, channels and clocks: those of a model checker. Each use of one is a point at which another thread may go on.

#![allow(
    clippy::expect_used,
    missing_docs,
    unreachable_pub,
    reason = "nothing but tests is ever built with this"
)]

use std::collections::VecDeque;
use std::ops::{Add, Deref, DerefMut, Sub};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, TryLockError};
use std::time::Duration;

pub(crate) use shuttle::sync::atomic;
pub(crate) use shuttle::thread::yield_now;

/// Waits of this length or longer never time out: a thread that is not woken from one shows as a deadlock.
const FOREVER: Duration = Duration::from_secs(1);

/// How often others may run while a thread waits for a shorter time.
const PATIENCE: usize = 3;

/// The time since the start in microseconds. It passes only while somebody waits for it.
static CLOCK: AtomicU64 = AtomicU64::new(0);

/// A moment, by a clock that nothing but waiting moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(Duration);

impl Instant {
    pub fn now() -> Instant {
        Instant(Duration::from_micros(CLOCK.load(Ordering::SeqCst)))
    }

    pub fn elapsed(&self) -> Duration {
        Instant::now() - *self
    }

    pub fn saturating_duration_since(&self, earlier: Instant) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Moves the clock on to this moment.
    fn come(self) {
        CLOCK.fetch_max(self.0.as_micros() as u64, Ordering::SeqCst);
    }

    fn is_far(self) -> bool {
        self - Instant::now() >= FOREVER
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, duration: Duration) -> Instant {
        Instant(self.0 + duration)
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;

    fn sub(self, earlier: Instant) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

/// A pause after which a thread looks again.
pub(crate) fn sleep(_: Duration) {
    yield_now();
}

fn unpoisoned<G>(result: Result<G, PoisonError<G>>) -> G {
    result.unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Default)]
pub struct Mutex<T>(shuttle::sync::Mutex<T>);

/// Empty only while a [`Condvar`] waits with it.
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    guard: Option<shuttle::sync::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    pub fn new(value: T) -> Mutex<T> {
        Mutex(shuttle::sync::Mutex::new(value))
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard {
            mutex: self,
            guard: Some(unpoisoned(self.0.lock())),
        }
    }

    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let guard = match self.0.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(MutexGuard {
            mutex: self,
            guard: Some(guard),
        })
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.guard.as_ref().expect("a guard that is not waiting")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.guard.as_mut().expect("a guard that is not waiting")
    }
}

#[derive(Debug, Default)]
pub struct RwLock<T>(shuttle::sync::RwLock<T>);

impl<T> RwLock<T> {
    pub fn read(&self) -> shuttle::sync::RwLockReadGuard<'_, T> {
        unpoisoned(self.0.read())
    }

    pub fn write(&self) -> shuttle::sync::RwLockWriteGuard<'_, T> {
        unpoisoned(self.0.write())
    }
}

#[derive(Debug, Default)]
pub struct Condvar {
    condvar: shuttle::sync::Condvar,
    /// Counts notifications, for those who wait by the clock.
    notified: AtomicU64,
}

/// Whether a wait has timed out.
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    pub fn new() -> Condvar {
        Condvar::default()
    }

    pub fn notify_all(&self) {
        self.notified.fetch_add(1, Ordering::SeqCst);
        self.condvar.notify_all();
    }

    pub fn wait_until<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        deadline: Instant,
    ) -> WaitTimeoutResult {
        if deadline.is_far() {
            let inner = guard.guard.take().expect("a guard that is not waiting");
            guard.guard = Some(unpoisoned(self.condvar.wait(inner)));
            return WaitTimeoutResult(false);
        }
        let before = self.notified.load(Ordering::SeqCst);
        guard.guard = None;
        for _ in 0..PATIENCE {
            yield_now();
        }
        let timed_out = self.notified.load(Ordering::SeqCst) == before;
        if timed_out {
            deadline.come();
        }
        guard.guard = Some(unpoisoned(guard.mutex.0.lock()));
        WaitTimeoutResult(timed_out)
    }
}

/// As much of crossbeam's channels as is used here.
pub(crate) mod channel {
    use super::*;
    use crate::sync::Arc;

    pub use crossbeam_channel::{
        RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
    };

    #[derive(Debug)]
    struct Channel<T> {
        state: shuttle::sync::Mutex<State<T>>,
        changed: shuttle::sync::Condvar,
    }

    #[derive(Debug)]
    struct State<T> {
        queue: VecDeque<T>,
        capacity: usize,
        senders: usize,
        receivers: usize,
    }

    #[derive(Debug)]
    pub struct Sender<T>(Arc<Channel<T>>);

    #[derive(Debug)]
    pub struct Receiver<T>(Arc<Channel<T>>);

    pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
        let channel = Arc::new(Channel {
            state: shuttle::sync::Mutex::new(State {
                queue: VecDeque::new(),
                capacity: capacity.max(1),
                senders: 1,
                receivers: 1,
            }),
            changed: shuttle::sync::Condvar::new(),
        });
        (Sender(Arc::clone(&channel)), Receiver(channel))
    }

    pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
        bounded(usize::MAX)
    }

    impl<T> Sender<T> {
        pub fn len(&self) -> usize {
            unpoisoned(self.0.state.lock()).queue.len()
        }

        pub fn is_empty(&self) -> bool {
            self.len() == 0
        }

        pub fn send(&self, message: T) -> Result<(), SendError<T>> {
            let mut state = unpoisoned(self.0.state.lock());
            while state.queue.len() >= state.capacity && state.receivers > 0 {
                state = unpoisoned(self.0.changed.wait(state));
            }
            if state.receivers == 0 {
                return Err(SendError(message));
            }
            state.queue.push_back(message);
            drop(state);
            self.0.changed.notify_all();
            Ok(())
        }

        pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
            let mut state = unpoisoned(self.0.state.lock());
            if state.receivers == 0 {
                return Err(TrySendError::Disconnected(message));
            }
            if state.queue.len() >= state.capacity {
                return Err(TrySendError::Full(message));
            }
            state.queue.push_back(message);
            drop(state);
            self.0.changed.notify_all();
            Ok(())
        }

        pub fn send_deadline(
            &self,
            message: T,
            deadline: Instant,
        ) -> Result<(), SendTimeoutError<T>> {
            debug_assert!(deadline.is_far());
            self.send(message)
                .map_err(|SendError(message)| SendTimeoutError::Disconnected(message))
        }
    }

    impl<T> Receiver<T> {
        pub fn try_recv(&self) -> Result<T, TryRecvError> {
            let mut state = unpoisoned(self.0.state.lock());
            let message = state.queue.pop_front();
            let is_over = state.senders == 0;
            drop(state);
            self.0.changed.notify_all();
            message.ok_or(match is_over {
                true => TryRecvError::Disconnected,
                false => TryRecvError::Empty,
            })
        }

        pub fn recv(&self) -> Result<T, RecvError> {
            let mut state = unpoisoned(self.0.state.lock());
            while state.queue.is_empty() && state.senders > 0 {
                state = unpoisoned(self.0.changed.wait(state));
            }
            let message = state.queue.pop_front();
            drop(state);
            self.0.changed.notify_all();
            message.ok_or(RecvError)
        }

        pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
            if deadline.is_far() {
                return self
                    .recv()
                    .map_err(|RecvError| RecvTimeoutError::Disconnected);
            }
            for _ in 0..PATIENCE {
                match self.try_recv() {
                    Ok(message) => return Ok(message),
                    Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
                    Err(TryRecvError::Empty) => shuttle::thread::yield_now(),
                }
            }
            deadline.come();
            Err(RecvTimeoutError::Timeout)
        }

        pub fn try_iter(&self) -> impl Iterator<Item = T> + '_ {
            std::iter::from_fn(|| self.try_recv().ok())
        }
    }

    /// Something that can be received from.
    trait Source {
        /// Waits until there is a message, or never will be again.
        fn wait(&self);
    }

    impl<T> Source for Receiver<T> {
        fn wait(&self) {
            let mut state = unpoisoned(self.0.state.lock());
            while state.queue.is_empty() && state.senders > 0 {
                state = unpoisoned(self.0.changed.wait(state));
            }
        }
    }

    /// Waits for one receiver, which is all that is needed.
    pub struct Select<'a>(Option<&'a dyn Source>);

    impl<'a> Select<'a> {
        pub fn new() -> Select<'a> {
            Select(None)
        }

        pub fn recv<T>(&mut self, receiver: &'a Receiver<T>) {
            self.0 = Some(receiver);
        }

        pub fn ready(&mut self) {
            self.0.expect("a receiver").wait();
        }
    }

    impl<T> Clone for Sender<T> {
        fn clone(&self) -> Sender<T> {
            unpoisoned(self.0.state.lock()).senders += 1;
            Sender(Arc::clone(&self.0))
        }
    }

    impl<T> Clone for Receiver<T> {
        fn clone(&self) -> Receiver<T> {
            unpoisoned(self.0.state.lock()).receivers += 1;
            Receiver(Arc::clone(&self.0))
        }
    }

    impl<T> Drop for Sender<T> {
        fn drop(&mut self) {
            unpoisoned(self.0.state.lock()).senders -= 1;
            self.0.changed.notify_all();
        }
    }

    impl<T> Drop for Receiver<T> {
        fn drop(&mut self) {
            let mut state = unpoisoned(self.0.state.lock());
            state.receivers -= 1;
            // Nobody will take what is left.
            let rest = std::mem::take(&mut state.queue);
            drop(state);
            self.0.changed.notify_all();
            drop(rest);
        }
    }
}
