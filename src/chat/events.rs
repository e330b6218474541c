//! What has its place in the one order, and how it gets there.

use std::borrow::Cow;

use super::fanout::{FanOut, Posted};
use super::moderation::Order;
use super::session::Session;
use crate::sync::channel::{SendError, SendTimeoutError, Sender, bounded};
use crate::sync::{Arc, Instant, Mutex};
use crate::transport::receipt::Receipt;
use crate::wire::message::Line;
use crate::wire::name::NameKey;

/// Events that may wait. When there are more, those who post wait: the room's own pace holds back its speakers.
pub const CHANNEL_CAPACITY: usize = 256;

/// Something that has its place in the one order.
#[derive(Debug)]
pub enum Event {
    /// A user wants in.
    Join {
        /// The session, with its name checked and its password verified.
        session: Arc<Session>,
        /// Told whether it is in. The 11 of a success was sent by then; that of a refusal is for the receiver.
        reply: Sender<Result<(), Cow<'static, str>>>,
    },
    /// A user says something to the room.
    Say {
        /// Who.
        session: Arc<Session>,
        /// One or more 32s.
        lines: Line,
    },
    /// A private message that must not overtake what its sender said before.
    Private {
        /// Who says it.
        session: Arc<Session>,
        /// To whom.
        friend: NameKey,
        /// The 13.
        line: Line,
        /// The receipt for it.
        receipt: Receipt,
    },
    /// A user leaves, or is gone.
    Leave {
        /// Who.
        session: Arc<Session>,
        /// Told when the user is off the roster and was sent everything said before.
        reply: Sender<()>,
    },
    /// Whoever runs the server wants something of the room.
    Order(Order),
    /// The server stops: everybody is sent what was said before, and is off the roster without a 31.
    Stop {
        /// Told who was online.
        reply: Sender<Vec<Arc<Session>>>,
    },
}

/// Where events are posted.
#[derive(Debug)]
pub struct Events {
    waiting: Sender<Event>,
    /// Whoever has the lock carries out events. It is the first that a thread takes: none asks for it while it holds
    /// another.
    fan_out: Arc<Mutex<FanOut>>,
}

impl Events {
    /// Where events for `fan_out` are posted, and what its thread makes of them.
    pub fn new(fan_out: FanOut) -> (Events, Posted) {
        let (waiting, receiver) = bounded(CHANNEL_CAPACITY);
        let fan_out = Arc::new(Mutex::new(fan_out));
        let posted = Posted::new(Arc::clone(&fan_out), receiver);
        (Events { waiting, fan_out }, posted)
    }

    /// Leaves an event to the fan-out thread. Waits while too many wait already. An error means that there is no such
    /// thread any more.
    pub fn post(&self, event: Event) -> Result<(), SendError<Event>> {
        self.waiting.send(event)
    }

    /// The same, but waits no longer than until `deadline`.
    pub fn post_by(&self, event: Event, deadline: Instant) -> Result<(), SendTimeoutError<Event>> {
        self.waiting.send_deadline(event, deadline)
    }

    /// Passes on what a session says to the room; only the session's own thread calls this.
    ///
    /// In a calm room this very thread sends it to everybody: waking another one would cost more time than a send, and
    /// moves the work between processors. Otherwise the fan-out thread does, together with what others say.
    pub fn say(&self, session: &Arc<Session>, lines: Line) {
        session.note_posted();
        let event = Event::Say {
            session: Arc::clone(session),
            lines,
        };
        // Whatever was posted earlier, by this session or another, goes first.
        if let Some(mut fan_out) = self.fan_out.try_lock()
            && self.waiting.is_empty()
            && fan_out.is_calm()
        {
            return fan_out.carry_out(event);
        }
        // Without a fan-out thread there is nobody to hear it.
        let _ = self.post(event);
    }
}
