//! Flow control between speakers and the room: a room that most of its members can't keep up with is slowed at its
//! speakers.
//!
//! Without it, many who speak at once would fill the backlogs of all that share a slow link, and each of these would be cut
//! off although it reads as fast as the link carries. So two things bound what is on its way:
//!
//! - *The window.* What was said and has not been sent to all members is at most a quarter of a backlog. A speaker who finds
//!   it full waits for a turn.
//! - *Congestion.* When more than half of the members are far behind, all speakers wait for turns, and one at a time has a
//!   turn: it begins when the members have caught up, and ends when all were sent what was said.
//!
//! Turns are fair to [origins](crate::transport::Origin), byte by byte, so a student who says something now and then hardly
//! waits for those who flood. While the room is congested, a member is waited for that takes at least half as much as most do. One
//! that takes less, or nothing at all, is not, and while most keep up nobody is: who can't keep up alone is cut off when its
//! backlog is full, and slows nobody.

use std::collections::HashMap;
use std::time::Duration;

use super::session::{Session, SessionMap};
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::fair_gate::{FairGate, Turn};
use crate::sync::{Arc, Condvar, Instant, Mutex};
use crate::transport::{CloseCause, Origin};

/// How often a speaker whose turn is next looks whether the members have caught up.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// How often a speaker who waits for a turn looks whether it was thrown out.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Most members are congested when they are far behind for this long: a large batch can put them behind for a moment.
const CONGESTION_DELAY: Duration = Duration::from_millis(20);

/// In one turn those who take less than others are waited for as long as this, at most: one that takes hardly anything must
/// not bring the room to a stand.
const STRAGGLER_PATIENCE: Duration = Duration::from_secs(10);

/// What the members take is compared over times of this length.
const RATE_INTERVAL: Duration = Duration::from_secs(2);

/// The congestion is over when the members have kept up for this long and no speaker waits.
const CALM_TIME: Duration = Duration::from_secs(1);

/// Decides when a speaker may pass on what it has said.
#[derive(Debug)]
pub struct FlowControl {
    sessions: SessionMap,
    /// What may be on its way to the members at once, in bytes.
    window: usize,
    /// A member is far behind if more than this waits for it, in bytes.
    far: usize,
    /// A member lags if more than this waits for it, in bytes.
    lag: usize,
    /// Most members are congested at once if more than this waits for each, in bytes.
    alarm: usize,
    /// What was said and has not been sent to all members, in bytes.
    in_flight: AtomicUsize,
    /// Whether all speakers wait for turns. Written under the lock of `times`.
    is_congested: AtomicBool,
    gate: Arc<FairGate<Origin>>,
    times: Mutex<Times>,
    rates: Mutex<Rates>,
    /// Notified when something is no longer in flight, if a speaker waits for that.
    has_room: Condvar,
    /// Whether one does.
    is_room_wanted: AtomicBool,
}

#[derive(Debug)]
struct Times {
    /// Since when most of them have been far behind, if the room is not congested yet.
    behind_since: Option<Instant>,
    /// When most of them were last found far behind.
    congested: Instant,
}

/// How much each member takes, by the number of its connection.
#[derive(Debug)]
struct Rates {
    since: Instant,
    /// What each had been sent then, in bytes.
    sent: HashMap<u64, u64>,
    /// What each was sent in the whole interval before, in bytes.
    rates: HashMap<u64, u64>,
}

/// The right of a session to have what it said sent to the members. It ends when this is dropped.
#[derive(Debug)]
pub struct SpeakingTurn {
    flow_control: Arc<FlowControl>,
    /// What was said, in bytes.
    size: usize,
    /// Held while the room is congested, so that others wait.
    _turn: Option<Turn<Origin>>,
}

impl FlowControl {
    /// Flow control for the members in `sessions`, whose backlogs may be `max_backlog` bytes.
    pub(super) fn new(sessions: SessionMap, max_backlog: usize) -> Arc<FlowControl> {
        let now = Instant::now();
        Arc::new(FlowControl {
            sessions,
            window: max_backlog / 4,
            far: max_backlog / 32,
            lag: max_backlog / 8,
            alarm: max_backlog / 2,
            in_flight: AtomicUsize::new(0),
            is_congested: AtomicBool::new(false),
            gate: Arc::new(FairGate::new(1)),
            times: Mutex::new(Times {
                behind_since: None,
                congested: now,
            }),
            rates: Mutex::new(Rates {
                since: now,
                sent: HashMap::new(),
                rates: HashMap::new(),
            }),
            has_room: Condvar::new(),
            is_room_wanted: AtomicBool::new(false),
        })
    }

    /// A member is far behind if more than this waits for it, in bytes.
    pub(super) fn far(&self) -> usize {
        self.far
    }

    /// Waits until the session may pass on `size` bytes. Does not wait in a room that keeps up. If the user is thrown out
    /// meanwhile, or the server stops, this returns at once: the room drops the message. A connection that ends otherwise
    /// waits on, or many that end at once would have all their messages sent at once.
    pub(super) fn wait_for_turn(self: &Arc<Self>, session: &Session, size: usize) -> SpeakingTurn {
        let is_free = !self.is_congested() && self.try_reserve(size);
        if session.is_held_back() == is_free {
            session.set_held_back(!is_free);
        }
        let turn = match is_free {
            true => None,
            false => self.wait(session, size),
        };
        SpeakingTurn {
            flow_control: Arc::clone(self),
            size,
            _turn: turn,
        }
    }

    /// Waits for a turn, and in it for the members, and reserves room in the window. Returns the turn if others are to wait
    /// for its end.
    #[inline(never)]
    fn wait(&self, session: &Session, size: usize) -> Option<Turn<Origin>> {
        let connection = session.connection();
        let is_expelled = |cause: CloseCause| cause.reason.is_expulsion();
        let is_over = || self.gate.is_closed() || connection.close_cause().is_some_and(is_expelled);
        let turn = loop {
            let deadline = Instant::now() + CHECK_INTERVAL;
            let origin = connection.origin();
            match self.gate.wait_for_turn(&origin, size as u64, deadline) {
                None if !is_over() => {}
                turn => break turn,
            }
        };
        let begun = Instant::now();
        while turn.is_some() && !is_over() {
            let now = Instant::now();
            let is_patient = now.saturating_duration_since(begun) < STRAGGLER_PATIENCE;
            let may_speak = !self.is_congested() || self.has_caught_up(is_patient);
            if may_speak && self.try_reserve(size) {
                return turn.filter(|_| self.is_still_congested(now));
            }
            self.wait_for_room(now + LOOK_INTERVAL);
        }
        self.in_flight.fetch_add(size, Ordering::Relaxed);
        None
    }

    /// Waits until something is no longer in flight, or until `deadline`.
    fn wait_for_room(&self, deadline: Instant) {
        let mut times = self.times.lock();
        self.is_room_wanted.store(true, Ordering::Relaxed);
        self.has_room.wait_until(&mut times, deadline);
        self.is_room_wanted.store(false, Ordering::Relaxed);
    }

    /// Counts `size` bytes as in flight, if the window has room for them. An empty window has room for anything.
    fn try_reserve(&self, size: usize) -> bool {
        let with_more = |in_flight: usize| {
            let more = in_flight + size;
            (in_flight == 0 || more <= self.window).then_some(more)
        };
        self.in_flight
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, with_more)
            .is_ok()
    }

    /// Looks whether the room is congested. Called after the members were sent something; `far_behind` of them are far
    /// behind.
    pub(super) fn note_sent(&self, far_behind: usize) {
        if self.is_congested() {
            return;
        }
        let now = Instant::now();
        let listeners = match far_behind {
            0 | 1 => Vec::new(),
            _ => self.listeners(),
        };
        let is_behind = are_most_behind(&listeners, self.far);
        let mut times = self.times.lock();
        if !is_behind {
            times.behind_since = None;
            return;
        }
        let since = *times.behind_since.get_or_insert(now);
        let lasts = now.saturating_duration_since(since) >= CONGESTION_DELAY;
        if lasts || are_most_behind(&listeners, self.alarm) {
            log::debug!("the room is congested: speakers take turns");
            times.behind_since = None;
            times.congested = now;
            self.is_congested.store(true, Ordering::Relaxed);
        }
    }

    fn is_congested(&self) -> bool {
        self.is_congested.load(Ordering::Relaxed)
    }

    /// Whether the congestion goes on. It ends when the members have kept up for a while and nobody waits for a turn.
    fn is_still_congested(&self, now: Instant) -> bool {
        if self.is_congested() && !self.gate.has_waiters() {
            let times = self.times.lock();
            if now.saturating_duration_since(times.congested) >= CALM_TIME {
                self.is_congested.store(false, Ordering::Relaxed);
            }
        }
        self.is_congested()
    }

    /// Whether the members have caught up, those not counted that will not. While `is_patient`, those count that are slow but
    /// not much slower than most.
    fn has_caught_up(&self, is_patient: bool) -> bool {
        let listeners = self.listeners();
        if are_most_behind(&listeners, self.far) {
            self.times.lock().congested = Instant::now();
            return false;
        }
        !(is_patient && self.has_stragglers(&listeners))
    }

    /// The members whose pace counts now. One that keeps up and speaks all the time, beyond its limits, is not asked; neither
    /// is one that doesn't read.
    fn listeners(&self) -> Vec<Listener> {
        let everybody: Vec<Arc<Session>> = self.sessions.read().values().cloned().collect();
        let listener = |session: Arc<Session>| {
            let connection = session.connection();
            let progress = connection.progress();
            let counts = match progress.backlog > self.far {
                true => progress.is_moving,
                false => !session.is_held_back(),
            };
            counts.then(|| Listener {
                connection: connection.number(),
                origin: connection.origin(),
                backlog: progress.backlog,
                sent: progress.sent,
            })
        };
        everybody.into_iter().filter_map(listener).collect()
    }

    /// Whether a listener lags that takes at least half as much as most do: the median.
    fn has_stragglers(&self, listeners: &[Listener]) -> bool {
        let mut rates = self.rates.lock();
        rates.update(listeners, Instant::now());
        let rate_of = |listener: &Listener| rates.rates.get(&listener.connection).copied();
        let mut known: Vec<u64> = listeners.iter().filter_map(rate_of).collect();
        let middle = known.len() / 2;
        let median = match known.is_empty() {
            true => 0,
            false => *known.select_nth_unstable(middle).1,
        };
        listeners.iter().any(|listener| {
            let takes_enough = rate_of(listener).is_none_or(|rate| 2 * rate >= median);
            listener.backlog > self.lag && takes_enough
        })
    }

    /// Lets nobody wait any more: the server stops.
    pub(super) fn close(&self) {
        self.gate.close();
    }
}

impl Drop for SpeakingTurn {
    fn drop(&mut self) {
        let flow_control = &self.flow_control;
        flow_control
            .in_flight
            .fetch_sub(self.size, Ordering::Relaxed);
        if flow_control.is_room_wanted.load(Ordering::Relaxed) {
            flow_control.has_room.notify_all();
        }
    }
}

impl Rates {
    /// Begins a new interval if the last one is over.
    fn update(&mut self, listeners: &[Listener], now: Instant) {
        if now.saturating_duration_since(self.since) < RATE_INTERVAL {
            return;
        }
        self.since = now;
        let before = std::mem::take(&mut self.sent);
        self.rates.clear();
        for listener in listeners {
            self.sent.insert(listener.connection, listener.sent);
            if let Some(sent) = before.get(&listener.connection) {
                self.rates.insert(listener.connection, listener.sent - sent);
            }
        }
    }
}

/// A member whose pace counts.
#[derive(Clone, Copy, Debug)]
struct Listener {
    /// The number of its connection.
    connection: u64,
    origin: Origin,
    /// What waits for it, in bytes.
    backlog: usize,
    /// What it has been sent since it came, in bytes.
    sent: u64,
}

/// Whether more than `far` bytes wait for most of the listeners, or for most of those of most addresses. One client that is
/// alone behind is no matter.
fn are_most_behind(listeners: &[Listener], far: usize) -> bool {
    let mut all = Count::default();
    let mut by_origin: HashMap<Origin, Count> = HashMap::new();
    for listener in listeners {
        let is_behind = listener.backlog > far;
        all.add(is_behind);
        by_origin.entry(listener.origin).or_default().add(is_behind);
    }
    let mut origins = Count::default();
    for count in by_origin.values() {
        origins.add(count.are_most_behind());
    }
    all.behind >= 2 && (all.are_most_behind() || origins.are_most_behind())
}

/// How many there are, and how many of them are far behind.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    all: usize,
    behind: usize,
}

impl Count {
    fn add(&mut self, is_behind: bool) {
        self.all += 1;
        self.behind += usize::from(is_behind);
    }

    fn are_most_behind(self) -> bool {
        2 * self.behind > self.all
    }
}
