//! The life of one connection, on its own thread: read a frame, act on it, read the next.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use super::Shared;
use super::limits::LimitMet;
use crate::chat::accounts::WRONG_PASSWORD;
use crate::chat::fanout::NOT_ONLINE;
use crate::chat::moderation::MUTED;
use crate::chat::pace::Pace;
use crate::chat::{Event, Session};
use crate::sync::channel::bounded;
use crate::sync::{Arc, Instant};
use crate::transport::connection::{Connection, EndReason};
use crate::transport::outbox::Dismissal;
use crate::transport::receiver::Receiver;
use crate::wire::message::{Line, ServerMessage};
use crate::wire::{Field, FrameError, FrameReader, NameKey, Request, check_name, check_password};

/// How long a connection lives on after its user left, for what is still to be sent to it.
const LINGER: Duration = Duration::from_secs(5);

/// How long a refused client may take to show how it frames, before it is told why.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(1);

/// The wait for the answer to a first wrong password. It doubles with each further one.
const FIRST_FAILURE_PAUSE: Duration = Duration::from_millis(250);

/// The longest such wait.
const LONGEST_FAILURE_PAUSE: Duration = Duration::from_secs(4);

/// What a client says to the room is passed on once this much has been gathered, at the latest, in bytes.
const MAX_SAID: usize = 16 << 10;

/// The first byte of every TLS connection: a handshake record (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 22;

/// Whether a connection is served.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Admission {
    /// It is.
    Welcome,
    /// It is only told which limit it met.
    Refused(LimitMet),
}

/// Serves one connection to its end.
pub(crate) fn run(shared: &Arc<Shared>, connection: Arc<Connection>, admission: Admission) {
    let mut client = Client::new(shared, connection);
    let end = match admission {
        Admission::Welcome => client.serve(),
        Admission::Refused(limit) => client.refuse(limit),
    };
    let end = client.unless_dismissed(end);
    client.leave(end);
}

/// How a connection comes to its end.
#[derive(Debug)]
struct End {
    reason: EndReason,
    /// More for the log.
    detail: Cow<'static, str>,
    /// A 10 for the client, its last line.
    last_words: Option<Cow<'static, str>>,
}

/// Why a login fails.
enum NoLogin {
    /// The client is told why, and may try again.
    Refused(Cow<'static, str>),
    /// The connection ends.
    Ended(End),
}

impl End {
    fn of(reason: EndReason) -> End {
        End {
            reason,
            detail: "".into(),
            last_words: None,
        }
    }

    fn failed(reason: EndReason, error: &io::Error) -> End {
        End {
            detail: error.to_string().into(),
            ..End::of(reason)
        }
    }

    /// What a client's bytes lead to that can't be cut into frames.
    fn of_frame(error: FrameError) -> End {
        if error.is_other_protocol() {
            End {
                detail: error.to_string().into(),
                ..End::of(EndReason::OtherProtocol)
            }
        } else {
            End::with_words(EndReason::BadInput, error.to_string())
        }
    }

    fn with_words(reason: EndReason, words: impl Into<Cow<'static, str>>) -> End {
        let words = words.into();
        End {
            reason,
            detail: words.clone(),
            last_words: Some(words),
        }
    }
}

/// What the thread of a connection knows about its client.
struct Client<'a> {
    shared: &'a Arc<Shared>,
    connection: Arc<Connection>,
    receiver: Receiver,
    /// Who is logged in. Set before the fan-out thread is asked, so that whatever happens, it is told of the end.
    session: Option<Arc<Session>>,
    /// What the client has said to the room and the fan-out thread has not been told yet.
    said: Line,
    command_pace: Pace,
    byte_pace: Pace,
    /// Until when the client must have logged in.
    login_deadline: Instant,
    login_failures: usize,
    registrations: usize,
    has_left: bool,
}

impl<'a> Client<'a> {
    fn new(shared: &'a Arc<Shared>, connection: Arc<Connection>) -> Client<'a> {
        let (config, now) = (&shared.config, Instant::now());
        Client {
            shared,
            receiver: Receiver::new(Arc::clone(&connection)),
            connection,
            session: None,
            said: Line::new(),
            command_pace: Pace::new(config.rate, config.burst, now),
            byte_pace: Pace::new(config.byte_rate as u64, config.byte_burst as u64, now),
            login_deadline: now,
            login_failures: 0,
            registrations: 0,
            has_left: false,
        }
    }

    /// Reads and acts until there is a reason to end.
    fn serve(&mut self) -> End {
        if let Err(end) = self.handshake(Instant::now() + self.shared.config.handshake_timeout) {
            return end;
        }
        self.login_deadline = Instant::now() + self.shared.config.login_timeout;
        let mut frames = FrameReader::new();
        loop {
            let deadline = self.session.is_none().then_some(self.login_deadline);
            let received = self.receiver.set_deadline(deadline);
            let received = received.and_then(|()| self.receiver.receive(frames.space()));
            match received {
                Ok(Some(0)) if frames.is_inside_frame() => {
                    return self.end_or(End::with_words(
                        EndReason::Closed,
                        "the connection was closed in the middle of a message; is a closing brace missing?",
                    ));
                }
                Ok(Some(0)) => return self.end_or(End::of(EndReason::Closed)),
                Ok(Some(count)) => frames.filled(count),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut && deadline.is_some() => {
                    return self.no_login();
                }
                Err(error) => return self.end_or(End::failed(EndReason::of(&error), &error)),
            }
            if let Err(end) = self.act_on_all(&mut frames) {
                return end;
            }
            self.let_go();
            let wait = self
                .byte_pace
                .take(self.receiver.take_received(), Instant::now());
            if let Err(end) = self.pause(wait) {
                return end;
            }
            // What has no frame in it, such as white space, has not led to this question yet.
            if self.connection.must_leave() {
                return self.end_or(End::of(EndReason::Closed));
            }
        }
    }

    /// Acts on every frame that is complete.
    fn act_on_all(&mut self, frames: &mut FrameReader) -> Result<(), End> {
        self.note_framing(frames)?;
        while let Some(frame) = frames
            .next_frame(self.frame_limit())
            .map_err(End::of_frame)?
        {
            let wait = self.command_pace.take(1, Instant::now());
            if !wait.is_zero() {
                self.let_go();
            }
            self.pause(wait)?;
            if self.connection.must_leave() {
                return Err(self.end_or(End::of(EndReason::Lost)));
            }
            if !self.shared.is_stopping() {
                self.act_on(frame)?;
            }
        }
        Ok(())
    }

    /// Answers the client in its own framing, once that is known.
    fn note_framing(&self, frames: &mut FrameReader) -> Result<(), End> {
        let framing = frames.framing();
        if let Ok(Some(framing)) = framing {
            self.connection.set_framing(framing);
        }
        framing.map(drop).map_err(End::of_frame)
    }

    fn frame_limit(&self) -> usize {
        match self.session {
            Some(_) => self.shared.config.max_frame,
            None => self.shared.config.max_frame_before_login(),
        }
    }

    /// Waits, unless the connection ends meanwhile.
    fn pause(&self, duration: Duration) -> Result<(), End> {
        if duration.is_zero() {
            return Ok(());
        }
        let waits_for_login = self.session.is_none();
        let left = self
            .login_deadline
            .saturating_duration_since(Instant::now());
        let ends_first = waits_for_login && left < duration;
        if self
            .connection
            .pause(if ends_first { left } else { duration })
        {
            Err(self.end_or(End::of(EndReason::Lost)))
        } else if ends_first {
            Err(self.no_login())
        } else {
            Ok(())
        }
    }

    fn no_login(&self) -> End {
        let timeout = humantime::format_duration(self.shared.config.login_timeout);
        let words = format!("no login came within {timeout}");
        self.end_or(End::with_words(EndReason::NoLogin, words))
    }

    /// `end`, unless somebody else ended the connection for a reason of their own, which then explains this.
    fn end_or(&self, end: End) -> End {
        if let Some(reason) = self.connection.ended() {
            return End::of(reason);
        }
        self.unless_dismissed(match self.shared.is_stopping() {
            true => End::of(EndReason::Stopping),
            false => end,
        })
    }

    /// `end`, unless the user is sent away: that is then what explains it.
    fn unless_dismissed(&self, end: End) -> End {
        match self.connection.dismissal() {
            Some(Dismissal { reason, words }) if self.connection.ended().is_none() => {
                End::with_words(reason, words.to_string())
            }
            _ => end,
        }
    }

    /// Brings a TLS connection to where the protocol starts.
    fn handshake(&mut self, deadline: Instant) -> Result<(), End> {
        let is_hello = |bytes: &[u8]| bytes.first() == Some(&TLS_HANDSHAKE);
        let done = self.receiver.set_deadline(Some(deadline));
        match done.and_then(|()| self.receiver.handshake(is_hello)) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(End {
                detail: "this does not look like TLS, but came to the TLS port".into(),
                ..End::of(EndReason::OtherProtocol)
            }),
            Err(error) => Err(self.end_or(End::failed(EndReason::NoHandshake, &error))),
        }
    }

    /// Tells a client that there is no place for it, in its own framing if it shows that soon.
    fn refuse(&mut self, limit: LimitMet) -> End {
        let deadline = Instant::now() + REFUSAL_PATIENCE;
        if let Err(end) = self.handshake(deadline) {
            return end;
        }
        let mut frames = FrameReader::new();
        let received = self.receiver.set_deadline(Some(deadline));
        if let Ok(Some(count)) = received.and_then(|()| self.receiver.receive(frames.space())) {
            frames.filled(count);
            if let Err(end) = self.note_framing(&mut frames) {
                return end;
            }
        }
        End::with_words(limit.reason(), limit.to_string())
    }

    fn act_on(&mut self, frame: &str) -> Result<(), End> {
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

    fn notice(&self, why: &str) {
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
    fn let_go(&mut self) {
        self.connection.release();
        if let Some(session) = self.session.as_ref().filter(|_| !self.said.is_empty()) {
            let lines = std::mem::take(&mut self.said);
            self.shared.events.say(session, lines);
        }
    }

    /// Address and transport, for the log.
    fn describe(&self) -> String {
        let transport = if self.connection.is_tls() {
            "TLS"
        } else {
            "plain"
        };
        format!(
            "{}, {transport}, connection {}",
            self.connection.peer(),
            self.connection.number()
        )
    }

    /// The one way out: others hear of it first, then the client gets its last words, then the socket closes.
    fn leave(&mut self, end: End) {
        self.has_left = true;
        let traffic = self.connection.traffic();
        let mut connections = self.shared.connections.lock();
        connections.remove(&self.connection.number());
        self.shared.totals.add(traffic);
        drop(connections);
        self.shared.totals.count_end(end.reason);
        self.let_go();
        let session = self.session.take();
        if let Some(session) = &session {
            let (reply, done) = bounded(1);
            let _ = self.shared.events.post(Event::Leave {
                session: Arc::clone(session),
                reply,
            });
            let _ = done.recv();
        }
        let who = session
            .as_ref()
            .map_or("a client that was not logged in", |session| session.name());
        let detail = if end.detail.is_empty() {
            String::new()
        } else {
            format!(": {}", end.detail)
        };
        log::info!("{who} left ({}{detail}; {})", end.reason, self.describe());
        match (&end.last_words, end.reason) {
            (Some(words), EndReason::Kicked | EndReason::Banned) => self.connection.send_last(
                &ServerMessage::notice(words.as_ref()),
                Err("your connection was ended before the message could be delivered"),
            ),
            (Some(words), _) => self.notice(words),
            (None, _) => {}
        }
        if self.connection.ended().is_none() && end.reason != EndReason::OtherProtocol {
            self.connection.linger(LINGER);
        }
        self.connection.close(end.reason);
        let since = self.connection.traffic() - traffic;
        self.shared.totals.add(since);
    }
}

impl Drop for Client<'_> {
    /// After a panic, the others are told all the same.
    fn drop(&mut self) {
        if !self.has_left {
            self.connection.end(EndReason::Failed);
            self.leave(End::of(EndReason::Failed));
        }
    }
}
