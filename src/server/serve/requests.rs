//! What a client asks for, done on its connection's own thread.

use std::borrow::Cow;
use std::time::Duration;

use super::{Client, End};
use crate::chat::accounts::WRONG_PASSWORD;
use crate::chat::fanout::NOT_ONLINE;
use crate::chat::moderation::MUTED;
use crate::chat::{Event, Session};
use crate::sync::Arc;
use crate::sync::channel::bounded;
use crate::transport::end_reason::EndReason;
use crate::wire::message::ServerMessage;
use crate::wire::{Field, NameKey, Request, check_name, check_password};

/// The wait for the answer to a first wrong password. It doubles with each further one.
const FIRST_FAILURE_PAUSE: Duration = Duration::from_millis(250);

/// The longest such wait.
const LONGEST_FAILURE_PAUSE: Duration = Duration::from_secs(4);

/// What a client says to the room is passed on once this much has been gathered, at the latest, in bytes.
const MAX_SAID: usize = 16 << 10;

/// Why a login fails.
enum NoLogin {
    /// The client is told why, and may try again.
    Refused(Cow<'static, str>),
    /// The connection ends.
    Ended(End),
}

// What takes much of the stack is not inlined into the loop that reads: the frames would add up, and the thread of an idle
// connection keeps every page of its stack that it has ever touched.
impl Client<'_> {
    /// Acts on one frame.
    pub(super) fn act_on(&mut self, frame: &str) -> Result<(), End> {
        let request = Request::parse(frame).map_err(|error| {
            End::with_words(
                EndReason::BadInput,
                format!("this is not a JSON object: {error}"),
            )
        })?;
        // What the client has said so far goes first, so that nothing overtakes it. A private message decides
        // for itself whether it must wait for that.
        if !matches!(request, Request::Room { .. } | Request::Private { .. }) {
            self.let_go();
        }
        match request {
            Request::Login { name, password } => self.login(&name, &password)?,
            Request::Register { name, password } => self.register(&name, &password),
            Request::Logout => return Err(End::of(EndReason::LoggedOut)),
            Request::Private { friend, message } => self.say_to(&friend, &message),
            Request::Room { message } => self.say(&message),
            Request::HeartbeatAnswer => {}
            Request::Unknown => self.notice("unknown Command; clients send 01 to 05"),
            Request::Missing => self.notice("the message has no Command"),
        }
        Ok(())
    }

    pub(super) fn notice(&self, why: &str) {
        self.connection.send(&ServerMessage::notice(why));
    }

    fn login(&mut self, name: &Field<'_>, password: &Field<'_>) -> Result<(), End> {
        let checked = self.check_login(name, password).map_err(NoLogin::Refused);
        match checked.and_then(|(name, password)| self.try_login(name, password)) {
            Ok(()) => return Ok(()),
            Err(NoLogin::Ended(end)) => return Err(end),
            Err(NoLogin::Refused(why)) => {
                self.connection.send(&ServerMessage::login_refused(why));
            }
        }
        if self.login_failures >= self.shared.config.max_login_failures {
            return Err(End::with_words(
                EndReason::WrongPasswords,
                "too many wrong passwords",
            ));
        }
        Ok(())
    }

    /// Checks all of a login that needs no waiting: the name, and the password unless it is a guest's.
    fn check_login<'f>(
        &self,
        name: &'f Field<'_>,
        password: &'f Field<'_>,
    ) -> Result<(&'f str, Option<&'f str>), Cow<'static, str>> {
        if let Some(session) = &self.session {
            return Err(format!("you are logged in already, as {}", session.name()).into());
        }
        let name = name.text().ok_or("Name is missing or not a string")?;
        check_name(name)?;
        let password = match password {
            Field::Absent => None,
            Field::Text(text) if text.is_empty() => None,
            Field::Text(text) => Some(text.as_ref()),
            Field::Other => return Err("Password is not a string".into()),
        };
        password.map_or(Ok(()), check_password)?;
        Ok((name, password))
    }

    /// Logs in with a name that is allowed, and a password if there is one.
    #[inline(never)]
    fn try_login(&mut self, name: &str, password: Option<&str>) -> Result<(), NoLogin> {
        if let Some(password) = password {
            let is_right = self.shared.accounts.verify(&NameKey::new(name), password);
            if !is_right.map_err(|why| NoLogin::Refused(why.into()))? {
                self.login_failures += 1;
                let doublings = (self.login_failures - 1).min(8) as u32;
                let pause = (FIRST_FAILURE_PAUSE * (1 << doublings)).min(LONGEST_FAILURE_PAUSE);
                self.pause(pause).map_err(NoLogin::Ended)?;
                return Err(NoLogin::Refused(WRONG_PASSWORD.into()));
            }
        }
        let connection = Arc::clone(&self.connection);
        let session = Arc::new(Session::new(name, password.is_none(), connection));
        self.session = Some(Arc::clone(&session));
        session.note_posted();
        let (reply, outcome) = bounded(1);
        let join = Event::Join {
            session: Arc::clone(&session),
            reply,
        };
        let _ = self.shared.events.post(join);
        match outcome.recv() {
            Ok(Ok(())) => {
                self.shared.totals.count_login();
                let kind = if session.is_guest() {
                    "guest"
                } else {
                    "registered"
                };
                log::info!("{name} came ({kind}, {})", self.describe());
                Ok(())
            }
            Ok(Err(why)) => {
                self.session = None;
                Err(NoLogin::Refused(why))
            }
            Err(_) => Err(NoLogin::Ended(End::of(EndReason::Stopping))),
        }
    }

    #[inline(never)]
    fn register(&mut self, name: &Field<'_>, password: &Field<'_>) {
        let outcome = self.try_register(name, password);
        if outcome.is_ok() {
            self.registrations += 1;
            log::info!(
                "{} registered ({})",
                name.text().unwrap_or_default(),
                self.describe()
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
        let name = name.text().ok_or("Name is missing or not a string")?;
        check_name(name)?;
        let password = password
            .text()
            .ok_or("Password is missing or not a string")?;
        check_password(password)?;
        let limit = self.shared.config.max_registrations;
        if limit > 0 && self.registrations >= limit {
            log::warn!("refused another registration ({})", self.describe());
            return Err(format!("one connection can register {limit} names").into());
        }
        self.shared
            .accounts
            .register(name, password, self.connection.number())
    }

    /// A private message. Its receipt is opened before anything else is decided, so that the receipts for one
    /// friend come in the order of the messages.
    #[inline(never)]
    fn say_to(&mut self, friend: &Field<'_>, message: &Field<'_>) {
        let Some(shown) = friend.text() else {
            let refusal = ServerMessage::receipt("", Err("FriendName is missing or not a string"));
            return self.connection.send(&refusal);
        };
        let refuse = |why| {
            self.connection
                .send(&ServerMessage::receipt(shown, Err(why)))
        };
        let Some(session) = &self.session else {
            return refuse("log in before you write to somebody");
        };
        if check_name(shown).is_err() {
            return refuse(NOT_ONLINE);
        }
        let friend = NameKey::new(shown);
        let receipt = self.connection.open_receipt(&friend, shown);
        if session.is_muted() {
            return receipt.settle(Err(MUTED));
        }
        let Some(text) = message.text() else {
            return receipt.settle(Err("Message is missing or not a string"));
        };
        self.connection.count_message();
        let private = ServerMessage::Private {
            friend_name: session.name().into(),
            message: text.into(),
        };
        let line = private.to_line();
        // The map is released before anything is sent.
        let found = if self.said.is_empty() && session.is_quiet() {
            self.shared.sessions.read().get(&friend).cloned()
        } else {
            None
        };
        if let Some(friend) = found {
            return friend.connection().push(&line.into(), 0, Some(receipt));
        }
        // Whoever is not in the map may have read its 11 all the same: that goes out before the map is changed.
        // Only the fan-out thread knows that nobody of this name is online.
        let session = Arc::clone(session);
        self.let_go();
        session.note_posted();
        let _ = self.shared.events.post(Event::Private {
            session,
            friend,
            line,
            receipt,
        });
    }

    /// A message to the room. It is gathered with others that came with it, and passed on by
    /// [`let_go`](Self::let_go).
    #[inline(never)]
    fn say(&mut self, message: &Field<'_>) {
        let Some(session) = &self.session else {
            return self.notice("log in before you speak");
        };
        if session.is_muted() {
            return self.notice(MUTED);
        }
        let Some(text) = message.text() else {
            return self.notice("Message is missing or not a string");
        };
        self.connection.count_message();
        let room = ServerMessage::Room {
            speaker: session.name().into(),
            message: text.into(),
        };
        room.append_to(&mut self.said);
        if self.said.len() >= MAX_SAID {
            self.let_go();
        }
    }

    /// Lets go of what was gathered from this client's messages: its receipts, and what it has said to the room. Waits
    /// while the fan-out has too much to do.
    #[inline(never)]
    pub(super) fn let_go(&mut self) {
        self.connection.release();
        if let Some(session) = self.session.as_ref().filter(|_| !self.said.is_empty()) {
            let lines = std::mem::take(&mut self.said);
            self.shared.events.say(session, lines);
        }
    }
}
