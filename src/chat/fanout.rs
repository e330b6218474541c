//! The keeper of the one order: it alone carries out events, changes the session map and broadcasts.
//!
//! A [`FanOut`] stands behind a mutex, so one thread at a time has it: a thread of its own, which carries out what was
//! [`Posted`], or, while the room is calm, whoever speaks, so that no other thread needs to wake up; see
//! [`Events`](super::Events). If one panics while it has the fan-out, the process ends: what it leaves behind is
//! half changed.

use std::borrow::Cow;
use std::time::Duration;

use super::accounts::{Accounts, GuestClaim, WRONG_PASSWORD};
use super::bans::{BANNED, Bans};
use super::events::Event;
use super::moderation::{LOCKED, Muted, Order, Rules, Target};
use super::roster::Roster;
use super::session::{Session, SessionMap};
use crate::sync::channel::{Receiver, Select, TryRecvError};
use crate::sync::{Arc, Instant, Mutex, Sentinel, yield_now};
use crate::wire::name::NameKey;

/// A batch ends when it has this many bytes, or a quarter of the largest backlog.
const MAX_BATCH: usize = 256 << 10;

/// A batch ends after this time, unless sending the last one took longer: gathering never takes more of the
/// thread's time than sending.
const MIN_GATHERING: Duration = Duration::from_millis(5);

/// Why a name can't be used now.
pub const NAME_IN_USE: &str = "this name is in use; if that was you, try again in half a minute";

/// Why a private message is refused.
pub const NOT_ONLINE: &str = "no user of this name is online";

/// Who is online, and all it takes to carry out an event.
pub struct FanOut {
    roster: Roster<Session, Option<GuestClaim>>,
    accounts: Arc<Accounts>,
    bans: Arc<Bans>,
    /// Who may speak and whether anybody may come. Nobody else has them, so they need no lock.
    rules: Rules,
    /// A batch ends when it has this many bytes.
    max_batch: usize,
    /// Whose events are in the batch.
    posted: Vec<Arc<Session>>,
    /// When the last batch was sent, and how long that took.
    last_flush: (Instant, Duration),
    /// Whether several users came, spoke or wrote in the last batch.
    was_busy: bool,
    is_stopping: bool,
}

impl std::fmt::Debug for FanOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FanOut")
            .field("online", &self.roster.len())
            .finish_non_exhaustive()
    }
}

/// Events that were posted, and what carries them out: the work of the fan-out's thread.
#[derive(Debug)]
pub struct Posted {
    fan_out: Arc<Mutex<FanOut>>,
    events: Receiver<Event>,
}

impl Posted {
    /// `events`, for `fan_out` to carry out.
    pub(super) fn new(fan_out: Arc<Mutex<FanOut>>, events: Receiver<Event>) -> Posted {
        Posted { fan_out, events }
    }

    /// Carries out events until nobody is left who could post one.
    pub fn run(&self) {
        let mut any = Select::new();
        any.recv(&self.events);
        loop {
            // Waits without taking an event out: whoever speaks meanwhile sees that one waits, and doesn't go
            // before it.
            any.ready();
            let mut fan_out = self.fan_out.lock();
            match self.events.try_recv() {
                Ok(event) => fan_out.carry_out_all(event, &self.events),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return,
            }
        }
    }
}

impl FanOut {
    /// A fan-out that keeps `sessions`.
    pub fn new(
        sessions: SessionMap,
        accounts: Arc<Accounts>,
        bans: Arc<Bans>,
        max_backlog: usize,
    ) -> FanOut {
        FanOut {
            roster: Roster::new(sessions),
            accounts,
            bans,
            rules: Rules::default(),
            max_batch: MAX_BATCH.min(max_backlog / 4),
            posted: Vec::new(),
            last_flush: (Instant::now(), Duration::ZERO),
            was_busy: false,
            is_stopping: false,
        }
    }

    /// Carries out `first` and what else already waits, as one batch.
    fn carry_out_all(&mut self, first: Event, events: &Receiver<Event>) {
        let _sentinel = Sentinel::new();
        self.apply(first);
        if self.was_busy {
            // Those who are about to post do so first: a fuller batch costs each message less.
            yield_now();
        }
        self.gather(events);
        self.was_busy = self.posted.len() > 1;
        self.flush();
    }

    /// Carries out one event.
    pub(super) fn carry_out(&mut self, event: Event) {
        let _sentinel = Sentinel::new();
        self.apply(event);
        self.flush();
    }

    /// Whether events come one at a time, with more time between them than it takes to send one to everybody.
    pub(super) fn is_calm(&self) -> bool {
        let (sent_at, took) = self.last_flush;
        !self.was_busy && sent_at.elapsed() >= took
    }

    /// Applies what else already waits.
    fn gather(&mut self, events: &Receiver<Event>) {
        let (_, longest) = self.last_flush;
        let mut until = None;
        while self.roster.pending() < self.max_batch {
            let Ok(event) = events.try_recv() else {
                return;
            };
            self.apply(event);
            let now = Instant::now();
            if now >= *until.get_or_insert(now + longest.max(MIN_GATHERING)) {
                return;
            }
        }
    }

    fn flush(&mut self) {
        if self.roster.pending() > 0 {
            let start = Instant::now();
            self.roster.flush();
            let end = Instant::now();
            self.last_flush = (end, end - start);
        }
        for session in self.posted.drain(..) {
            session.note_delivered();
        }
    }

    /// Applies one event. Must not block: everybody waits for the fan-out.
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
            Event::Order(order) => self.obey(order),
            Event::Stop { reply } => {
                self.is_stopping = true;
                self.roster.flush();
                // Whoever finds the map empty must be able to count on the reply.
                let _ = reply.send(self.roster.members().cloned().collect());
                self.roster.dissolve();
            }
        }
    }

    /// Carries out what whoever runs the server wants. Whoever does not wait for the reply any more has no use for it.
    fn obey(&mut self, order: Order) {
        match order {
            Order::Say(_) if self.is_stopping => {}
            Order::Say(line) => self.roster.broadcast(&line),
            Order::Look { reply } => {
                let online = self.roster.members().cloned().collect();
                let _ = reply.send((online, self.rules.clone()));
            }
            Order::Mute {
                name,
                is_muted,
                reply,
            } => {
                let key = NameKey::new(&name);
                let member = self.roster.member(&key).map(|(member, _)| member);
                let name = member.map_or(name, |member| member.name().to_owned());
                let outcome = Muted {
                    has_changed: self.rules.mute(&key, &name, is_muted),
                    is_online: member.is_some(),
                    is_everybody: self.rules.is_everybody_muted(),
                    name,
                };
                if let Some(member) = member {
                    member.set_muted(self.rules.are_muting(&key));
                }
                let _ = reply.send(outcome);
            }
            Order::MuteEverybody { is_muted, reply } => {
                let has_changed = self.rules.mute_everybody(is_muted);
                for member in self.roster.members() {
                    member.set_muted(self.rules.are_muting(member.key()));
                }
                let _ = reply.send(has_changed);
            }
            Order::Lock { is_locked, reply } => {
                let _ = reply.send(self.rules.lock(is_locked));
            }
            Order::Dismiss {
                whom,
                reason,
                words,
                reply,
            } => {
                let is_meant = |member: &Session| match &whom {
                    Target::Name(name) => member.key() == name,
                    Target::Address(address) => member.connection().peer().ip() == *address,
                };
                let members = self.roster.members();
                let meant: Vec<Arc<Session>> =
                    members.filter(|member| is_meant(member)).cloned().collect();
                for member in &meant {
                    member.connection().dismiss(reason, Arc::clone(&words));
                }
                let _ = reply.send(meant);
            }
            Order::Forget { name, reply } => {
                match self.roster.member(&name) {
                    // Whoever has no claim to the name had it by the account.
                    Some((member, claim @ None)) => {
                        let number = member.connection().number();
                        *claim = self.accounts.release(&name, Some(number));
                    }
                    _ => drop(self.accounts.release(&name, None)),
                }
                let _ = reply.send(self.roster.contains(&name));
            }
        }
    }

    fn join(&mut self, session: Arc<Session>) -> Result<(), Cow<'static, str>> {
        if self.is_stopping {
            return Err("the server stops".into());
        }
        // Asked here and nowhere else: whoever is banned joins before the order that throws it out, or not at all.
        let address = session.connection().peer().ip();
        if self.bans.has_name(session.name()) || self.bans.has_address(address) {
            return Err(BANNED.into());
        }
        if self.rules.is_locked() {
            return Err(LOCKED.into());
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
            false if self.accounts.contains(session.key()) => None,
            // Its account was removed after the password was found right.
            false => return Err(WRONG_PASSWORD.into()),
        };
        session.set_muted(self.rules.are_muting(session.key()));
        self.roster.join(session, claim);
        Ok(())
    }
}
