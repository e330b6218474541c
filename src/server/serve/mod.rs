//! The life of one connection, on its own thread: read a frame, act on it, read the next.

mod requests;

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use super::Shared;
use super::limits::LimitMet;
use crate::chat::pace::Pace;
use crate::chat::{Event, Session};
use crate::sync::channel::bounded;
use crate::sync::{Arc, Instant};
use crate::transport::connection::Connection;
use crate::transport::end_reason::EndReason;
use crate::transport::outbox::Dismissal;
use crate::transport::receiver::Receiver;
use crate::wire::message::{Line, ServerMessage};
use crate::wire::{FrameError, FrameReader};

/// How long a connection lives on after its user left, for what is still to be sent to it.
const LINGER: Duration = Duration::from_secs(5);

/// How long a refused client may take to show how it frames, before it is told why.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(1);

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
    /// What the client has said to the room and has not been passed on yet.
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

    /// Address and transport, for the log.
    // Not inlined, for the stacks of idle connections.
    #[inline(never)]
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
    // Not inlined, for the stacks of idle connections.
    #[inline(never)]
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
