//! The event queue and the thread at its other end, which sends broadcasts to everybody: the fan-out.
//!
//! The [room](Room) stands behind a mutex, in a `Batcher` that gathers events to batches. A thread *has the room* while it
//! holds this lock, so one thread at a time applies events. That is the [`FanOutThread`], or, while the room is calm, the
//! thread of a connection whose user speaks, so that no other thread needs to wake up; such a thread applies only that
//! message. The order in which events are applied is the one order of all broadcasts.

use std::time::Duration;

use super::event::Event;
use super::flow_control::FlowControl;
use super::room::Room;
use super::session::{Session, SessionMap};
use crate::sync::channel::{
    Receiver, Select, SendError, SendTimeoutError, Sender, TryRecvError, bounded,
};
use crate::sync::{AbortOnPanic, Arc, Instant, Mutex, yield_now};
use crate::wire::Lines;

/// Events that may wait. When there are more, the threads that post wait: the room's own pace holds back its speakers.
pub const CHANNEL_CAPACITY: usize = 256;

/// A batch ends when it has this many bytes, or a quarter of the largest backlog.
const MAX_BATCH: usize = 256 << 10;

/// Gathering ends when nothing waits, or at the latest after the time that the last send took; after this time if that was
/// less.
const MIN_GATHERING: Duration = Duration::from_millis(5);

/// Where events are posted. All connections share it.
#[derive(Debug)]
pub struct EventQueue {
    sender: Sender<Event>,
    /// The thread that holds this lock applies events. It is the first lock that a thread takes: no thread asks for it
    /// while it holds another.
    batcher: Arc<Mutex<Batcher>>,
    flow_control: Arc<FlowControl>,
}

/// The other end of the queue: the work of the thread `fan-out`.
#[derive(Debug)]
pub struct FanOutThread {
    receiver: Receiver<Event>,
    batcher: Arc<Mutex<Batcher>>,
}

/// Both ends of a queue of events for `room`, which keeps `sessions` up to date. `max_backlog` is the largest backlog of a
/// connection, in bytes.
pub fn event_queue(
    room: Room,
    sessions: SessionMap,
    max_backlog: usize,
) -> (EventQueue, FanOutThread) {
    let (sender, receiver) = bounded(CHANNEL_CAPACITY);
    let flow_control = FlowControl::new(sessions, max_backlog);
    let batcher = Arc::new(Mutex::new(Batcher {
        room,
        max_batch: MAX_BATCH.min(max_backlog / 4),
        last_flush: (Instant::now(), Duration::ZERO),
        was_busy: false,
        flow_control: Arc::clone(&flow_control),
    }));
    let queue = EventQueue {
        sender,
        batcher: Arc::clone(&batcher),
        flow_control,
    };
    (queue, FanOutThread { receiver, batcher })
}

impl EventQueue {
    /// Leaves an event to the fan-out thread. Waits while the queue is full. An error says that there is no such thread
    /// any more.
    pub fn post(&self, event: Event) -> Result<(), SendError<Event>> {
        self.sender.send(event)
    }

    /// The same, but waits no longer than until `deadline`.
    pub fn post_by(&self, event: Event, deadline: Instant) -> Result<(), SendTimeoutError<Event>> {
        self.sender.send_deadline(event, deadline)
    }

    /// Passes on what a session says to the room. Only the session's own thread calls this. It waits while the room can't
    /// keep up with its speakers; see [`flow_control`](super::flow_control).
    ///
    /// In a calm room this very thread sends it to everybody: to wake another thread would cost more time than a send,
    /// and moves the work between processors. Otherwise the fan-out thread does, together with what others say.
    pub fn say(&self, session: &Arc<Session>, lines: Lines) {
        session.begin_event();
        let event = Event::Say {
            session: Arc::clone(session),
            turn: self.flow_control.wait_for_turn(session, lines.len()),
            lines,
        };
        // Events that were posted earlier, by this session or another, go first.
        if let Some(mut batcher) = self.batcher.try_lock()
            && self.sender.is_empty()
            && batcher.is_calm()
        {
            return batcher.apply_one(event);
        }
        // Without a fan-out thread there is nobody to hear it.
        let _ = self.post(event);
    }

    /// Lets no speaker wait for the room any more. For a server that stops.
    pub fn close(&self) {
        self.flow_control.close();
    }
}

impl FanOutThread {
    /// Applies events until no thread is left that could post one.
    pub fn run(&self) {
        let mut any = Select::new();
        any.recv(&self.receiver);
        loop {
            // Waits without taking an event out: a thread that speaks meanwhile sees that one waits, and doesn't go
            // before it.
            any.ready();
            let mut batcher = self.batcher.lock();
            match self.receiver.try_recv() {
                Ok(event) => batcher.apply_batch(event, &self.receiver),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return,
            }
        }
    }
}

/// The room, and when its events are gathered to a batch. If the thread that has it panics, the process ends: the room
/// may be half changed.
#[derive(Debug)]
struct Batcher {
    room: Room,
    /// A batch ends when it has this many bytes.
    max_batch: usize,
    /// When the last batch was sent, and how long that took.
    last_flush: (Instant, Duration),
    /// Whether the last batch held more than one login, message to the room, or private message.
    was_busy: bool,
    flow_control: Arc<FlowControl>,
}

impl Batcher {
    /// Applies `first` and what else already waits, as one batch.
    fn apply_batch(&mut self, first: Event, events: &Receiver<Event>) {
        let _guard = AbortOnPanic::new();
        self.room.apply(first);
        if self.was_busy {
            // Threads that are about to post do so first: a fuller batch costs each message less.
            yield_now();
        }
        self.gather(events);
        self.was_busy = self.room.events_in_batch() > 1;
        self.flush();
    }

    /// Applies one event as a batch of its own.
    fn apply_one(&mut self, event: Event) {
        let _guard = AbortOnPanic::new();
        self.room.apply(event);
        self.flush();
    }

    /// Whether events come one at a time, with more time between them than it takes to send one to everybody.
    fn is_calm(&self) -> bool {
        let (sent_at, took) = self.last_flush;
        !self.was_busy && sent_at.elapsed() >= took
    }

    /// Applies what else already waits, up to the bounds of a batch.
    fn gather(&mut self, events: &Receiver<Event>) {
        let (_, longest) = self.last_flush;
        let mut until = None;
        while self.room.pending() < self.max_batch {
            let Ok(event) = events.try_recv() else {
                return;
            };
            self.room.apply(event);
            let now = Instant::now();
            if now >= *until.get_or_insert(now + longest.max(MIN_GATHERING)) {
                return;
            }
        }
    }

    fn flush(&mut self) {
        let has_output = self.room.pending() > 0;
        let start = Instant::now();
        let far_behind = self.room.flush(self.flow_control.far());
        if has_output {
            let end = Instant::now();
            self.last_flush = (end, end - start);
            self.flow_control.note_sent(far_behind);
        }
        // Whose turn it was next looks at the members after these were looked at here.
        self.room.end_events();
    }
}
