//! Carries out the commands of a client, on its connection's own thread.

use std::borrow::Cow;
use std::time::Duration;

use super::super::inbox::{StudentMessage, Undelivered};
use super::super::repeated_lines::RepeatableLine;
use super::Handler;
use crate::chat::moderation::SPEAKER;
use crate::chat::{Event, Session};
use crate::storage::accounts::Account;
use crate::sync::channel::bounded;
use crate::sync::{Arc, Instant};
use crate::texts::{moderation as texts, reasons, syntax_errors, times};
use crate::transport::{CloseCause, CloseReason};
use crate::wire::syntax_error;
use crate::wire::{Command, Field, NameError, NameKey, ServerMessage, check_name, check_password};

/// The wait for the answer to a first wrong password. It doubles with each further one.
const FIRST_FAILURE_PAUSE: Duration = Duration::from_millis(250);

/// The longest such wait.
const LONGEST_FAILURE_PAUSE: Duration = Duration::from_secs(4);

/// Characters of a refused name that the log shows.
const LONGEST_SHOWN_NAME: usize = 64;

/// What a client says to the room is passed on once this much has been gathered, at the latest, in bytes.
const MAX_SAID: usize = 16 << 10;

// What takes much of the stack is not inlined into the loop that reads: the frames would add up, and the thread of an idle
// connection keeps every page of its stack that it has ever touched.
impl Handler {
    /// Acts on one frame.
    pub(super) fn act_on(&mut self, frame: &str) -> Result<(), CloseCause> {
        let command = Command::parse(frame).map_err(|error| {
            let words = syntax_errors::not_json(&syntax_error::explain(frame, &error));
            CloseCause::new(CloseReason::BadInput, words)
        })?;
        // What the user has said so far goes first, so that nothing overtakes it. A private message decides
        // for itself whether it must wait for that.
        if !matches!(command, Command::Room { .. } | Command::Private { .. }) {
            self.flush();
        }
        match command {
            Command::Login { name, password } => self.login(&name, &password)?,
            Command::Register { name, password } => self.register(&name, &password),
            Command::Logout => return Err(CloseReason::LoggedOut.into()),
            Command::Private { friend, message } => self.say_to(&friend, &message),
            Command::Room { message } => self.say(&message),
            Command::HeartbeatAnswer => {}
            Command::Unknown => self.notice(reasons::command_unknown()),
            Command::Missing => self.notice(reasons::command_missing()),
        }
        Ok(())
    }

    pub(super) fn notice(&self, why: &str) {
        self.connection.send(&ServerMessage::notice(why));
    }

    fn login(&mut self, name: &Field<'_>, password: &Field<'_>) -> Result<(), CloseCause> {
        let refusal = match self.check_login(name, password) {
            Ok((name, password)) => self.try_login(name, password)?,
            Err(why) => Some(why),
        };
        let Some(why) = refusal else {
            return Ok(());
        };
        self.note_refusal(name.text().unwrap_or_default(), &why);
        self.connection.send(&ServerMessage::login_refused(why));
        if self.login_failures >= self.shared.config.max_login_failures {
            return Err(CloseCause::new(
                CloseReason::WrongPasswords,
                reasons::too_many_wrong_passwords(),
            ));
        }
        Ok(())
    }

    /// Remembers a login that is refused, for the teacher.
    #[inline(never)]
    fn note_refusal(&self, name: &str, why: &str) {
        let peer = self.connection.peer();
        self.shared.refusals.add(name, peer, why);
        self.shared
            .repeated_lines
            .log(RepeatableLine::LoginRefused {
                connection: self.connection.label(),
                name: name.chars().take(LONGEST_SHOWN_NAME).collect(),
                why: why.to_owned(),
            });
    }

    /// Checks all of a login that needs no waiting: the name, and the password unless it is a guest's.
    fn check_login<'f>(
        &self,
        name: &'f Field<'_>,
        password: &'f Field<'_>,
    ) -> Result<(&'f str, Option<&'f str>), Cow<'static, str>> {
        if let Some(session) = &self.session {
            return Err(reasons::logged_in_already(session.name()).into());
        }
        let name = name.text().ok_or_else(reasons::name_missing)?;
        check_name(name).map_err(|why| why.to_string())?;
        let password = match password {
            Field::Absent => None,
            Field::Text(text) if text.is_empty() => None,
            Field::Text(text) => Some(text.as_ref()),
            Field::Other => return Err(reasons::password_no_string().into()),
        };
        password.map_or(Ok(()), check_password)?;
        Ok((name, password))
    }

    /// Logs in with a name that is allowed, and a password if there is one. Returns why not, if the login is refused.
    #[inline(never)]
    fn try_login(
        &mut self,
        name: &str,
        password: Option<&str>,
    ) -> Result<Option<Cow<'static, str>>, CloseCause> {
        match self.budget.take_login() {
            Ok(wait) => self.pause(wait)?,
            Err(wait) => return Ok(Some(try_again(reasons::many_logins, wait))),
        }
        let account = match password {
            None => None,
            Some(password) => match self.verify(&NameKey::new(name), password)? {
                Ok(account) => Some(account),
                Err(why) => return Ok(Some(why)),
            },
        };
        let connection = Arc::clone(&self.connection);
        let session = Arc::new(Session::new(name, password.is_none(), connection));
        self.session = Some(Arc::clone(&session));
        session.begin_event();
        let (reply, outcome) = bounded(1);
        let _ = self.shared.events.post(Event::Join {
            session,
            account,
            reply,
        });
        // Without a room the server is at its end.
        let outcome = outcome.recv().map_err(|_| CloseReason::ServerStopping)?;
        if let Err(why) = outcome {
            self.session = None;
            return Ok(Some(why));
        }
        self.shared.connections.count_login(&self.connection);
        if let Some(session) = &self.session {
            self.shared.attendance.come(session);
            self.shared.watch.note_session(session);
        }
        let kind = match password {
            None => "guest",
            Some(_) => "registered",
        };
        log::info!("{name} came ({kind}, {})", self.connection);
        Ok(None)
    }

    /// The account of a name, if the password is right. The inner error says why the login is refused.
    #[inline(never)]
    fn verify(
        &mut self,
        key: &NameKey,
        password: &str,
    ) -> Result<Result<Account, Cow<'static, str>>, CloseCause> {
        if self.shared.sessions.read().contains_key(key) {
            // The room would refuse it, after a hash for nothing.
            return Ok(Err(reasons::name_in_use().into()));
        }
        if let Err(wait) = self.budget.take_password() {
            return Ok(Err(try_again(reasons::many_wrong_passwords, wait)));
        }
        let origin = self.connection.origin();
        let verified = self.shared.accounts.verify(key, password, origin);
        if let Ok(None) = verified {
            self.login_failures += 1;
            let doublings = (self.login_failures - 1).min(8) as u32;
            let pause = (FIRST_FAILURE_PAUSE * (1 << doublings)).min(LONGEST_FAILURE_PAUSE);
            self.pause(pause)?;
        } else {
            self.budget.give_back_password();
        }
        Ok(match verified {
            Ok(account) => account.ok_or_else(|| reasons::wrong_password().into()),
            Err(why) => Err(why.into()),
        })
    }

    #[inline(never)]
    fn register(&mut self, name: &Field<'_>, password: &Field<'_>) {
        let outcome = self.try_register(name, password);
        if outcome.is_ok() {
            self.registrations += 1;
            log::info!(
                "{} registered ({})",
                name.text().unwrap_or_default(),
                self.connection
            );
        }
        self.connection
            .send(&ServerMessage::register_reply(outcome));
    }

    fn try_register(
        &self,
        name: &Field<'_>,
        password: &Field<'_>,
    ) -> Result<(), Cow<'static, str>> {
        let name = name.text().ok_or_else(reasons::name_missing)?;
        check_name(name).map_err(|why| why.to_string())?;
        let password = password.text().ok_or_else(reasons::password_missing)?;
        check_password(password)?;
        let limit = self.shared.config.max_registrations;
        if limit > 0 && self.registrations >= limit {
            let connection = self.connection.label();
            self.shared
                .repeated_lines
                .log(RepeatableLine::RegistrationRefused { connection });
            return Err(reasons::registrations_used_up(limit).into());
        }
        if let Err(wait) = self.budget.take_registration() {
            return Err(try_again(reasons::many_registrations, wait));
        }
        let (number, origin) = (self.connection.number(), self.connection.origin());
        let registered = self
            .shared
            .accounts
            .register(name, password, number, origin);
        registered.inspect_err(|_| self.budget.give_back_registration())
    }

    /// A private message. Once the friend's name is valid, the receipt is opened before any other check: a refusal, too, then
    /// waits behind the receipts still owed for earlier messages to this friend.
    #[inline(never)]
    fn say_to(&mut self, friend: &Field<'_>, message: &Field<'_>) {
        let Some(shown) = friend.text() else {
            return self.refuse_private("", reasons::friend_name_missing());
        };
        let Some(session) = &self.session else {
            return self.refuse_private(shown, reasons::log_in_to_write());
        };
        match check_name(shown) {
            Ok(()) => {}
            Err(why @ NameError::Character { .. }) => {
                let why = reasons::no_name(reasons::not_online(), &why.to_string());
                return self.refuse_private(shown, &why);
            }
            Err(NameError::Reserved) if shown.eq_ignore_ascii_case(SPEAKER) => {
                return self.say_to_teacher(session, shown, message);
            }
            Err(_) => return self.refuse_private(shown, reasons::not_online()),
        }
        let friend = NameKey::new(shown);
        let receipt = self.connection.open_receipt(&friend, shown);
        if session.is_muted() {
            return receipt.resolve(Err(reasons::muted()));
        }
        if session.is_private_off() {
            return receipt.resolve(Err(texts::private_off()));
        }
        let Some(text) = message.text() else {
            return receipt.resolve(Err(reasons::message_missing()));
        };
        let private = ServerMessage::Private {
            friend_name: session.name().into(),
            message: text.into(),
        };
        let line = private.to_line();
        if line.len() > self.shared.config.max_frame {
            return receipt.resolve(Err(reasons::message_too_long()));
        }
        self.connection.count_message();
        // The lock of the map is released before anything is sent.
        let found = if self.said.is_empty() && !session.has_events_in_flight() {
            self.shared.sessions.read().get(&friend).cloned()
        } else {
            None
        };
        if let Some(friend) = found {
            friend.connection().push(&line.into(), 0, Some(receipt));
            return;
        }
        // The room sends a user its 11 before it puts the user into the map, so a friend missing from the map may be online
        // already. The room decides.
        let session = Arc::clone(session);
        self.flush();
        session.begin_event();
        let _ = self.shared.events.post(Event::Private {
            session,
            friend,
            line,
            receipt,
        });
    }

    /// A private message to the teacher, who is on no list.
    fn say_to_teacher(&self, session: &Session, shown: &str, message: &Field<'_>) {
        let receipt = self.connection.open_receipt(&NameKey::new(shown), shown);
        if session.is_muted() {
            return receipt.resolve(Err(reasons::muted()));
        }
        let Some(text) = message.text() else {
            return receipt.resolve(Err(reasons::message_missing()));
        };
        let delivered = self.shared.inbox.deliver(StudentMessage {
            from: session.name().to_owned(),
            text: text.to_owned(),
        });
        receipt.resolve(match delivered {
            Ok(()) => {
                self.connection.count_message();
                Ok(())
            }
            Err(Undelivered::NobodyReads) => Err(reasons::not_online()),
            Err(Undelivered::Full) => Err(texts::teacher_is_busy()),
        });
    }

    /// Sends a receipt with Flag 0 for a message to a friend whose name need not be valid. A name that is too long for the
    /// receipt's line is not repeated.
    fn refuse_private(&self, shown: &str, why: &str) {
        let mut line = ServerMessage::receipt(shown, Err(why)).to_line();
        if line.len() > self.shared.config.max_frame {
            let why = reasons::friend_name_not_repeated(why);
            line = ServerMessage::receipt("", Err(&why)).to_line();
        }
        self.connection.push(&line.into(), 0, None);
    }

    /// A message to the room. It is gathered with others that came with it, and passed on by
    /// [`flush`](Self::flush).
    #[inline(never)]
    fn say(&mut self, message: &Field<'_>) {
        let Some(session) = &self.session else {
            return self.notice(reasons::log_in_to_speak());
        };
        if session.is_muted() {
            return self.notice(reasons::muted());
        }
        let Some(text) = message.text() else {
            return self.notice(reasons::message_missing());
        };
        if let Some(pause) = session.slow() {
            let free = self.last_said.map_or(Duration::ZERO, |last| {
                (last + pause).saturating_duration_since(Instant::now())
            });
            if !free.is_zero() {
                return self.notice(&texts::slow(&in_words(pause), &in_words(free)));
            }
            self.last_said = Some(Instant::now());
        }
        let room = ServerMessage::Room {
            speaker: session.name().into(),
            message: text.into(),
        };
        let start = self.said.len();
        room.append_to(&mut self.said);
        if self.said.len() - start > self.shared.config.max_frame {
            self.said.truncate(start);
            self.said.shrink_to_fit();
            return self.notice(reasons::message_too_long());
        }
        self.connection.count_message();
        if self.said.len() >= MAX_SAID {
            self.flush();
        }
    }

    /// Passes on what was gathered from this client's messages: its receipts, and what it has said to the room. Waits
    /// while the event queue is full.
    #[inline(never)]
    pub(super) fn flush(&mut self) {
        self.connection.uncork();
        if let Some(session) = self.session.as_ref().filter(|_| !self.said.is_empty()) {
            let lines = std::mem::take(&mut self.said);
            self.shared.events.say(session, lines);
        }
    }
}

/// A time as people write it, in whole seconds, at least one.
fn in_words(time: Duration) -> String {
    let seconds = time.as_millis().div_ceil(1000).max(1) as u64;
    times::in_words(Duration::from_secs(seconds))
}

/// The reason for something that was done too often, with the time to wait.
fn try_again(reason: fn(&str) -> String, wait: Duration) -> Cow<'static, str> {
    let time = match wait.as_secs() + 1 {
        seconds @ ..120 => reasons::seconds(seconds),
        seconds => reasons::minutes(seconds.div_ceil(60)),
    };
    reason(&time).into()
}
