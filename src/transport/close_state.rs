//! How a connection comes to its end, as a state machine.
//!
//! There are two kinds of end. To *close* a connection is to shut its socket now. To *drain* it is to let out what is
//! queued, the receipts owed to its client, and a last line, and only then to shut the socket for writing.
//!
//! | phase | what the outgoing side does | event | next phase |
//! | --- | --- | --- | --- |
//! | `Open` | takes all output | `drain` | `Draining` |
//! | `Draining` | takes output and receipts; the client's commands are not carried out any more | no receipt is owed, or their time is up: `finish` | `Flushing` |
//! | `Flushing` | takes nothing; the last line is queued | all is sent: `half_close` | `HalfClosed` |
//! | `HalfClosed` | has sent its FIN; the client's input is thrown away until its FIN comes | the client's FIN, or the time is up: `close` | `Closed` |
//! | any | | the socket fails, the client is too slow, the time is up: `close` | `Closed` |
//!
//! Phases only advance. The first cause stays, unless the connection was closed for an error, and another thread meets one that
//! tells more: the kernel reports a timeout or a reset once, and then only that the socket is broken. The state is plain data:
//! the [outbox](super::outbox) acts on it, under the connection's lock.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::time::Duration;

use super::close_reason::CloseReason;
use crate::sync::Instant;

/// How long a drain may take until the connection is closed. The longest patience for receipts is a second shorter, so that
/// they can still go out.
const DRAIN_TIME: Duration = Duration::from_secs(6);

/// How long the client may take to answer the server's FIN by its own, or by anything else.
const FIN_TIME: Duration = Duration::from_secs(1);

/// Why a connection ends, with the words that go with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseCause {
    /// The reason. It decides whether the connection is drained or closed.
    pub reason: CloseReason,
    /// More about it, for the log; may be empty. A client that is drained is told these words in a 10, its last line.
    pub words: Cow<'static, str>,
    /// The status code that a browser is told, if it is not that of the reason; within, `None` is that there is none.
    code: Option<Option<u16>>,
}

impl CloseCause {
    /// A cause with words.
    pub fn new(reason: CloseReason, words: impl Into<Cow<'static, str>>) -> CloseCause {
        CloseCause {
            reason,
            words: words.into(),
            code: None,
        }
    }

    /// The same, with another status code for browsers, or without one.
    pub fn with_close_code(self, code: Option<u16>) -> CloseCause {
        CloseCause {
            code: Some(code),
            ..self
        }
    }

    /// The status code that a browser is told (RFC 6455, section 7.4.1), if any.
    pub fn close_code(&self) -> Option<u16> {
        self.code.unwrap_or(Some(self.reason.close_code()))
    }
}

/// The cause that an error of the socket is, unless a deadline caused it.
impl From<&io::Error> for CloseCause {
    fn from(error: &io::Error) -> CloseCause {
        CloseCause::new(CloseReason::of_error(error), error.to_string())
    }
}

/// A reason that needs no words.
impl From<CloseReason> for CloseCause {
    fn from(reason: CloseReason) -> CloseCause {
        CloseCause::new(reason, "")
    }
}

impl fmt::Display for CloseCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = self.reason.to_string();
        match self.words.is_empty() || self.words == reason {
            true => f.write_str(&reason),
            false => write!(f, "{reason}: {}", self.words),
        }
    }
}

/// How far the outgoing side has come; see the [table](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Nothing has ended.
    Open,
    /// Output and receipts are still taken.
    Draining,
    /// Nothing more is taken; what is queued goes out.
    Flushing,
    /// All was sent, and the FIN.
    HalfClosed,
    /// Nothing is sent any more.
    Closed,
}

/// How far a connection has come to its end, and why.
#[derive(Debug)]
pub struct CloseState {
    phase: Phase,
    cause: Option<CloseCause>,
    /// When a draining connection gives up the receipts it is owed.
    receipts_by: Option<Instant>,
    /// When the whole drain must be over.
    drain_by: Option<Instant>,
    /// When the connection is closed, whatever has not been sent; not after `drain_by`.
    close_by: Option<Instant>,
    /// Whether the client has logged in.
    is_logged_in: bool,
}

impl CloseState {
    /// The state of a new connection.
    pub(super) fn new() -> CloseState {
        CloseState {
            phase: Phase::Open,
            cause: None,
            receipts_by: None,
            drain_by: None,
            close_by: None,
            is_logged_in: false,
        }
    }

    /// How far the connection has come.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Why it ends, if it does.
    pub fn cause(&self) -> Option<&CloseCause> {
        self.cause.as_ref()
    }

    /// Whether more output is taken.
    pub(super) fn takes_output(&self) -> bool {
        self.phase <= Phase::Draining
    }

    /// `Open` → `Draining`. In a later phase only the deadlines can change: they come earlier if this cause asks for it.
    pub(super) fn drain(&mut self, cause: CloseCause, now: Instant) {
        let receipts_by = now + cause.reason.receipt_patience();
        let close_by = now + DRAIN_TIME;
        if self.phase == Phase::Open {
            self.phase = Phase::Draining;
            self.cause = Some(cause);
        }
        self.receipts_by = earlier(self.receipts_by, receipts_by);
        self.drain_by = earlier(self.drain_by, close_by);
        self.close_by = earlier(self.close_by, close_by);
    }

    /// `Open` → `Draining`, if the client has not logged in. False, and nothing happens, otherwise.
    pub(super) fn make_room(&mut self, cause: CloseCause, now: Instant) -> bool {
        let makes_room = self.phase == Phase::Open && !self.is_logged_in;
        if makes_room {
            self.drain(cause, now);
        }
        makes_room
    }

    /// Notes that the client logs in, and makes room for nobody from here on. False if the connection ends.
    pub(super) fn log_in(&mut self) -> bool {
        self.is_logged_in |= self.phase == Phase::Open;
        self.phase == Phase::Open
    }

    /// `Draining` → `Flushing`.
    pub(super) fn finish(&mut self) {
        if self.phase == Phase::Draining {
            self.phase = Phase::Flushing;
        }
    }

    /// `Flushing` → `HalfClosed`.
    pub(super) fn half_close(&mut self, now: Instant) {
        if self.phase == Phase::Flushing {
            self.phase = Phase::HalfClosed;
            self.close_by = earlier(self.close_by, now + FIN_TIME);
        }
    }

    /// Gives the client more time for its FIN, within that of the drain. It is still sending, so it may still have to read
    /// what the kernel holds for it, which a close with unread input would throw away.
    pub(super) fn note_input(&mut self, now: Instant) {
        if let (Phase::HalfClosed, Some(drain_by)) = (self.phase, self.drain_by) {
            self.close_by = Some(drain_by.min(now + FIN_TIME));
        }
    }

    /// Any phase → `Closed`.
    pub(super) fn close(&mut self, cause: impl Into<CloseCause>) {
        self.cause = Some(self.decisive_cause(cause.into()));
        self.phase = Phase::Closed;
    }

    /// The cause that counts when there is one more: the first, unless the other one tells more about an error.
    pub(super) fn decisive_cause(&self, cause: CloseCause) -> CloseCause {
        use CloseReason::{ClosedByClient, ConnectionLost, Unresponsive};
        let tells_more = |first: &CloseCause| match (first.reason, cause.reason) {
            (ConnectionLost, Unresponsive) => true,
            // It was a broken pipe; in another phase it was the client's FIN.
            (ClosedByClient, ConnectionLost | Unresponsive) => self.phase == Phase::Closed,
            _ => false,
        };
        match &self.cause {
            Some(first) if !tells_more(first) => first.clone(),
            _ => cause,
        }
    }

    /// The next deadline that changes the phase, if there is one.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Draining => self.receipts_by.min(self.close_by),
            _ => self.close_by,
        }
    }

    /// Whether a draining connection has waited long enough for receipts.
    pub(super) fn is_past_receipts(&self, now: Instant) -> bool {
        self.phase == Phase::Draining && self.receipts_by.is_some_and(|by| now >= by)
    }

    /// Whether the time of the whole drain is up.
    pub(super) fn is_past_drain(&self, now: Instant) -> bool {
        self.phase != Phase::Closed && self.close_by.is_some_and(|by| now >= by)
    }
}

fn earlier(one: Option<Instant>, other: Instant) -> Option<Instant> {
    Some(one.map_or(other, |one| one.min(other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(state: &CloseState) -> Option<CloseReason> {
        state.cause().map(|cause| cause.reason)
    }

    #[test]
    fn the_first_reason_stays_unless_it_is_a_loss_that_is_explained() {
        let mut state = CloseState::new();
        state.drain(CloseReason::Kicked.into(), Instant::now());
        state.close(CloseReason::Unresponsive);
        assert_eq!(reason(&state), Some(CloseReason::Kicked));

        let mut state = CloseState::new();
        state.close(CloseReason::ConnectionLost);
        state.close(CloseReason::SlowConsumer);
        assert_eq!(reason(&state), Some(CloseReason::ConnectionLost));
        state.close(CloseReason::Unresponsive);
        assert_eq!(reason(&state), Some(CloseReason::Unresponsive));

        for error in [CloseReason::ConnectionLost, CloseReason::Unresponsive] {
            let mut state = CloseState::new();
            state.close(CloseReason::ClosedByClient);
            state.close(error);
            assert_eq!(reason(&state), Some(error));

            let mut state = CloseState::new();
            state.drain(CloseReason::ClosedByClient.into(), Instant::now());
            state.close(error);
            assert_eq!(reason(&state), Some(CloseReason::ClosedByClient));
        }
    }

    #[test]
    fn a_client_either_logs_in_or_makes_room() {
        let make_room =
            |state: &mut CloseState| state.make_room(CloseReason::MadeRoom.into(), Instant::now());
        let mut state = CloseState::new();
        assert!(state.log_in() && !make_room(&mut state));
        assert_eq!((state.phase(), reason(&state)), (Phase::Open, None));

        let mut state = CloseState::new();
        assert!(make_room(&mut state) && !state.log_in() && !make_room(&mut state));
        assert_eq!(state.phase(), Phase::Draining);
        assert_eq!(reason(&state), Some(CloseReason::MadeRoom));
    }

    #[test]
    fn a_second_drain_can_only_bring_the_deadlines_forward() {
        let start = Instant::now();
        let mut state = CloseState::new();
        state.drain(CloseReason::LoggedOut.into(), start);
        let second = Duration::from_secs(1);
        assert!(!state.is_past_receipts(start + 2 * second));
        state.drain(CloseReason::ServerStopping.into(), start);
        assert!(state.is_past_receipts(start + second));
        state.drain(CloseReason::LoggedOut.into(), start + second);
        assert!(state.is_past_receipts(start + second));
        assert_eq!(reason(&state), Some(CloseReason::LoggedOut));

        state.finish();
        state.half_close(start);
        assert_eq!(state.deadline(), Some(start + FIN_TIME));
        assert!(state.is_past_drain(start + FIN_TIME));
    }

    #[test]
    fn a_client_that_still_sends_is_waited_for_within_the_time_of_the_drain() {
        let start = Instant::now();
        let mut state = CloseState::new();
        state.drain(CloseReason::LoggedOut.into(), start);
        state.finish();
        state.note_input(start);
        assert_eq!(state.deadline(), Some(start + DRAIN_TIME));
        state.half_close(start);
        let later = start + FIN_TIME / 2;
        state.note_input(later);
        assert_eq!(state.deadline(), Some(later + FIN_TIME));
        state.note_input(start + (DRAIN_TIME - FIN_TIME / 2));
        assert_eq!(state.deadline(), Some(start + DRAIN_TIME));
    }
}
