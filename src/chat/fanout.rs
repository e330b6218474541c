//! The thread that keeps the one order: it alone takes events, changes the session map and broadcasts.

use std::borrow::Cow;
use std::time::Duration;

use super::accounts::{Accounts, GuestClaim};
use super::roster::Roster;
use super::session::{Session, SessionMap};
use crate::sync::channel::{Receiver, Sender};
use crate::sync::{Arc, Instant};
use crate::transport::connection::Receipt;
use crate::wire::message::Line;
use crate::wire::name::NameKey;

/// Events that may wait. When it is full, those who post wait: the room's own pace holds back its speakers.
pub const CHANNEL_CAPACITY: usize = 256;

/// A batch ends when it has this many bytes, or a quarter of the largest backlog.
const MAX_BATCH: usize = 256 << 10;

/// A batch ends after this time, unless sending the last one took longer: gathering never takes more of the
/// thread's time than sending.
const MIN_GATHERING: Duration = Duration::from_millis(5);

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
    /// The server stops: everybody is sent what was said before, and is off the roster without a 31.
    Stop {
        /// Told who was online.
        reply: Sender<Vec<Arc<Session>>>,
    },
}

/// Why a name can't be used now.
pub const NAME_IN_USE: &str = "this name is in use; if that was you, try again in half a minute";

/// Why a private message is refused.
pub const NOT_ONLINE: &str = "no user of this name is online";

/// What the fan-out thread works with.
pub struct FanOut {
    events: Receiver<Event>,
    roster: Roster<Session, Option<GuestClaim>>,
    accounts: Arc<Accounts>,
    /// A batch ends when it has this many bytes.
    max_batch: usize,
    /// Whose events are in the batch.
    posted: Vec<Arc<Session>>,
    /// How long it took to send the last batch.
    last_flush: Duration,
    is_stopping: bool,
}

impl std::fmt::Debug for FanOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FanOut")
            .field("online", &self.roster.len())
            .finish_non_exhaustive()
    }
}

impl FanOut {
    /// A fan-out that takes `events` and keeps `sessions`.
    pub fn new(
        events: Receiver<Event>,
        sessions: SessionMap,
        accounts: Arc<Accounts>,
        max_backlog: usize,
    ) -> FanOut {
        FanOut {
            events,
            roster: Roster::new(sessions),
            accounts,
            max_batch: MAX_BATCH.min(max_backlog / 4),
            posted: Vec::new(),
            last_flush: Duration::ZERO,
            is_stopping: false,
        }
    }

    /// Works until nobody is left who could post an event.
    pub fn run(mut self) {
        while let Ok(event) = self.events.recv() {
            self.apply(event);
            self.gather();
            self.flush();
        }
    }

    /// Applies what else already waits.
    fn gather(&mut self) {
        let mut until = None;
        while self.roster.pending() < self.max_batch {
            let Ok(event) = self.events.try_recv() else {
                return;
            };
            self.apply(event);
            let now = Instant::now();
            if now >= *until.get_or_insert(now + self.last_flush.max(MIN_GATHERING)) {
                return;
            }
        }
    }

    fn flush(&mut self) {
        let start = Instant::now();
        self.roster.flush();
        self.last_flush = start.elapsed();
        for session in self.posted.drain(..) {
            session.note_delivered();
        }
    }

    /// Applies one event. Must not block: everybody waits for this thread.
    fn apply(&mut self, event: Event) {
        match event {
            Event::Join { session, reply } => {
                self.posted.push(Arc::clone(&session));
                let outcome = self.join(session);
                // Whoever does not wait for its reply any more has posted a Leave.
                let _ = reply.send(outcome);
            }
            Event::Say { session, lines } => {
                self.posted.push(session);
                if !self.is_stopping {
                    self.roster.broadcast(&lines);
                }
            }
            Event::Private {
                session,
                friend,
                line,
                receipt,
            } => {
                self.posted.push(session);
                match self.roster.bring_up_to_date(&friend) {
                    Some(member) => member.connection().push(&line.into(), 0, Some(receipt)),
                    None => receipt.settle(Err(NOT_ONLINE)),
                }
            }
            Event::Leave { session, reply } => {
                self.roster.leave(&session);
                let _ = reply.send(());
            }
            Event::Stop { reply } => {
                self.is_stopping = true;
                self.roster.flush();
                // Whoever finds the map empty must be able to count on the reply.
                let _ = reply.send(self.roster.members());
                self.roster.dissolve();
            }
        }
    }

    fn join(&mut self, session: Arc<Session>) -> Result<(), Cow<'static, str>> {
        if self.is_stopping {
            return Err("the server stops".into());
        }
        if self.roster.contains(session.key()) {
            return Err(NAME_IN_USE.into());
        }
        // From here on a registration of this name finds it in use; before, this finds it registered.
        let claim = match session.is_guest() {
            true => Some(
                self.accounts
                    .claim_for_guest(session.key(), session.connection().number())?,
            ),
            false => None,
        };
        self.roster.join(session, claim);
        Ok(())
    }
}
