//! The room: who is online, and what each event does to it.

use std::borrow::Cow;

use super::event::Event;
use super::flow_control::SpeakingTurn;
use super::moderation::Rules;
use super::roster::Roster;
use super::session::{Session, SessionMap};
use super::transcript::Transcript;
use crate::storage::accounts::{Account, Accounts, GuestClaim};
use crate::storage::bans::Bans;
use crate::sync::Arc;
use crate::texts::{moderation, reasons};
use crate::wire::{Lines, ServerMessage};

/// Who is online, and all that is needed to apply an event. One thread at a time has the room; see
/// [`fan_out`](super::fan_out).
#[derive(Debug)]
pub struct Room {
    pub(super) roster: Roster<Session, Option<GuestClaim>>,
    pub(super) accounts: Arc<Accounts>,
    bans: Arc<Bans>,
    pub(super) rules: Rules,
    /// The sessions whose events are in the batch, each with its turn to speak.
    in_batch: Vec<(Arc<Session>, Option<SpeakingTurn>)>,
    pub(super) is_stopping: bool,
    /// Where what is said is written, if anywhere.
    pub(super) transcript: Option<Transcript>,
}

impl Room {
    /// An empty room that keeps `sessions` up to date.
    pub fn new(sessions: SessionMap, accounts: Arc<Accounts>, bans: Arc<Bans>) -> Room {
        Room {
            roster: Roster::new(sessions),
            accounts,
            bans,
            rules: Rules::default(),
            in_batch: Vec::new(),
            is_stopping: false,
            transcript: None,
        }
    }

    /// How many bytes of broadcasts wait in the batch.
    pub(super) fn pending(&self) -> usize {
        self.roster.pending()
    }

    /// How many events of sessions are in the batch.
    pub(super) fn events_in_batch(&self) -> usize {
        self.in_batch.len()
    }

    /// Sends all members their share of the batch, which is empty after that. Returns how many members are behind by more
    /// than `far` bytes.
    pub(super) fn flush(&mut self, far: usize) -> usize {
        self.roster.flush(far)
    }

    /// Notes that the events in the batch are done: all members were sent what came of them.
    pub(super) fn end_events(&mut self) {
        for (session, turn) in self.in_batch.drain(..) {
            session.end_event();
            drop(turn);
        }
    }

    /// Applies one event. Must not block: everybody waits for the room.
    pub(super) fn apply(&mut self, event: Event) {
        match event {
            Event::Join {
                session,
                account,
                reply,
            } => {
                self.in_batch.push((Arc::clone(&session), None));
                let outcome = self.join(session, account);
                // A handler that does not wait for its reply any more has posted a Leave.
                let _ = reply.send(outcome);
            }
            Event::Say {
                session,
                lines,
                turn,
            } => {
                match self.may_speak(&session) {
                    Ok(()) => self.say(&lines),
                    Err(Some(why)) => {
                        for _ in lines.split_inclusive(|byte| *byte == b'\n') {
                            session.connection().send(&ServerMessage::notice(why));
                        }
                    }
                    Err(None) => {}
                }
                self.in_batch.push((session, Some(turn)));
            }
            Event::Private {
                session,
                friend,
                line,
                receipt,
            } => {
                match self.may_speak(&session) {
                    Ok(()) => match self.roster.flush_member(&friend) {
                        Some(member) => {
                            member.connection().push(&line.into(), 0, Some(receipt));
                        }
                        None => receipt.resolve(Err(reasons::not_online())),
                    },
                    Err(Some(why)) => receipt.resolve(Err(why)),
                    // A receipt that is dropped says that the message was not delivered.
                    Err(None) => drop(receipt),
                }
                self.in_batch.push((session, None));
            }
            Event::Leave { session, reply } => {
                self.roster.leave(&session);
                let _ = reply.send(());
            }
            Event::Moderate(action) => self.moderate(action),
            Event::Stop { reply } => {
                self.is_stopping = true;
                self.roster.flush(usize::MAX);
                // The stopping server counts on the reply when it finds the session map empty.
                let _ = reply.send(self.roster.members().cloned().collect());
                self.roster.clear();
                // Which ends its file.
                self.transcript = None;
            }
        }
    }

    /// Broadcasts one or more 32s.
    pub(super) fn say(&mut self, lines: &Lines) {
        if let Some(transcript) = &mut self.transcript {
            transcript.note(lines);
        }
        self.roster.broadcast(lines);
    }

    /// Whether what a session says is passed on. If not, the error is what its user is told: nothing, if the user
    /// was expelled or the server stops. The handler has checked the mute before, but a mute may have come meanwhile.
    fn may_speak(&self, session: &Arc<Session>) -> Result<(), Option<&'static str>> {
        if self.is_stopping || !self.roster.has_member(session) {
            Err(None)
        } else if session.is_muted() {
            Err(Some(reasons::muted()))
        } else {
            Ok(())
        }
    }

    fn join(
        &mut self,
        session: Arc<Session>,
        account: Option<Account>,
    ) -> Result<(), Cow<'static, str>> {
        if self.is_stopping {
            return Err(reasons::server_stops().into());
        }
        // A login asks for bans only here, in the room: a ban that is made meanwhile stops this join, or finds the user online and expels it.
        let address = session.connection().peer().ip();
        if self.bans.has_name(session.name()) || self.bans.has_address(address) {
            return Err(reasons::banned().into());
        }
        if self.rules.is_locked() {
            return Err(reasons::locked().into());
        }
        if self.roster.contains(session.key()) {
            return Err(reasons::name_in_use().into());
        }
        // From here on a registration of this name finds it in use; before, this finds it registered.
        let number = session.connection().number();
        let claim = match account {
            None => Some(self.accounts.claim_for_guest(session.key(), number)?),
            Some(account) if self.accounts.is_current(session.key(), &account) => None,
            // The account was removed after its password was found right.
            Some(_) => return Err(reasons::wrong_password().into()),
        };
        // This comes last: who is in makes room for no newcomer any more, and who had to make room can't come in.
        if !session.connection().log_in() {
            return Err(reasons::connection_ends().into());
        }
        session.obey(&self.rules);
        let connection = Arc::clone(session.connection());
        self.roster.join(session, claim);
        if self.transcript.is_some() {
            connection.send(&ServerMessage::notice(moderation::recorded()));
        }
        Ok(())
    }
}
