//! The life of one connection, on its own thread: read a frame, act on it, read the next.

mod commands;
mod opening;
pub(super) mod threads;

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use super::budget::Budget;
use super::repeated_lines::RepeatableLine;
use super::shared::Shared;
use crate::chat::{Event, Session};
use crate::sync::channel::bounded;
use crate::sync::{Arc, Instant};
use crate::texts::reasons;
use crate::transport::connection_reader::{ConnectionReader, LARGEST_RECORD};
use crate::transport::{CloseCause, CloseReason, Connection, PortKind};
use crate::wire::framing::{Control, websocket};
use crate::wire::{FrameError, FrameReader, Lines};

/// What the thread of a connection knows about its client.
///
/// A method returns a [`CloseCause`] as its error when the connection is to end.
struct Handler {
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    reader: ConnectionReader,
    /// Whether the client is answered in its own framing by now.
    has_framing: bool,
    /// Who is logged in. Set before the room is asked, so that whatever happens, the room is told of the end.
    session: Option<Arc<Session>>,
    /// What the user has said to the room, as 32s that have not been passed on yet.
    said: Lines,
    /// What the client's address may still do.
    budget: Arc<Budget>,
    /// How many of the bytes that came were taken from the budget.
    charged: u64,
    unfinished: Unfinished,
    /// Until when the client must have logged in.
    login_deadline: Instant,
    login_failures: usize,
    registrations: usize,
    /// When the user last said something to the room while that was limited.
    last_said: Option<Instant>,
    has_left: bool,
}

/// What is known of a frame of which only a part has come.
#[derive(Clone, Copy, Debug)]
enum Unfinished {
    /// There is none, or it has only just begun.
    Nothing,
    /// At this time the client is told that the frame does not end.
    Until(Instant),
    /// The client was told.
    Told,
}

impl Handler {
    fn new(shared: Arc<Shared>, connection: Arc<Connection>) -> Handler {
        Handler {
            budget: shared.budgets.of(connection.origin(), &shared.config),
            shared,
            charged: 0,
            reader: ConnectionReader::new(Arc::clone(&connection)),
            connection,
            has_framing: false,
            session: None,
            said: Lines::new(),
            unfinished: Unfinished::Nothing,
            login_deadline: Instant::now(),
            login_failures: 0,
            registrations: 0,
            last_said: None,
            has_left: false,
        }
    }

    /// Reads and acts until there is a cause to end.
    fn serve(&mut self, frames: &mut FrameReader) -> Result<Infallible, CloseCause> {
        loop {
            // A browser's first frames may have come with its request.
            self.pay_for_bytes()?;
            self.act_on_frames(frames)?;
            self.flush();
            self.receive(frames)?;
        }
    }

    /// Takes the bytes that came from the budget, and waits until that has room for them.
    fn pay_for_bytes(&mut self) -> Result<(), CloseCause> {
        let count = self.count_uncharged();
        while let Err(wait) = self.budget.take_bytes(count) {
            self.hold_back(wait)?;
        }
        self.check_open()
    }

    /// How many bytes have come that were not taken from the budget. They count as taken from here on.
    fn count_uncharged(&mut self) -> u64 {
        let received = self.connection.received();
        received - std::mem::replace(&mut self.charged, received)
    }

    /// Waits as long as the client's limits demand.
    fn hold_back(&mut self, wait: Duration) -> Result<(), CloseCause> {
        if !wait.is_zero() {
            // What is passed on in a free room says that nobody is held back.
            self.flush();
            if let Some(session) = &self.session {
                session.set_held_back(true);
            }
            self.pause(wait)?;
            if let Unfinished::Until(deadline) = self.unfinished {
                // The rest may have come while the server did not read.
                self.unfinished = Unfinished::Until(deadline + wait);
            }
        }
        self.check_open()
    }

    /// Waits for input, and reads it.
    fn receive(&mut self, frames: &mut FrameReader) -> Result<(), CloseCause> {
        let login_deadline = self.session.is_none().then_some(self.login_deadline);
        let frame_deadline = self.frame_deadline(frames);
        let deadline = login_deadline.into_iter().chain(frame_deadline).min();
        let received = self.reader.set_deadline(deadline);
        match received.and_then(|()| self.reader.receive(frames.space())) {
            Ok(Some(0)) if frames.is_inside_frame() => Err(CloseCause::new(
                CloseReason::ClosedByClient,
                reasons::closed_inside_message(&frames.guess_at_missing()),
            )),
            Ok(Some(0)) => Err(CloseReason::ClosedByClient.into()),
            Ok(Some(count)) => {
                frames.filled(count);
                Ok(())
            }
            Ok(None) => {
                frames.expect(LARGEST_RECORD);
                Ok(())
            }
            // A timeout before these deadlines comes from the kernel: the client acknowledges nothing.
            Err(_) if login_deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
                Err(self.login_timeout())
            }
            Err(error)
                if error.kind() == io::ErrorKind::TimedOut
                    && frame_deadline.is_some_and(|deadline| Instant::now() >= deadline) =>
            {
                self.tell_of_unfinished(frames);
                Ok(())
            }
            Err(error) => Err((&error).into()),
        }
    }

    /// When the client is to be told that a frame has begun and not ended: a heartbeat after it began. `None` between
    /// frames, and once it was told.
    fn frame_deadline(&mut self, frames: &FrameReader) -> Option<Instant> {
        if !frames.is_inside_frame() {
            self.unfinished = Unfinished::Nothing;
            return None;
        }
        match self.unfinished {
            Unfinished::Nothing => {
                let deadline = Instant::now() + self.shared.config.heartbeat;
                self.unfinished = Unfinished::Until(deadline);
                Some(deadline)
            }
            Unfinished::Until(deadline) => Some(deadline),
            Unfinished::Told => None,
        }
    }

    /// Tells the client that a frame does not end, and why that may be. Otherwise one quote too many would swallow all that
    /// follows without a word.
    #[inline(never)]
    fn tell_of_unfinished(&mut self, frames: &mut FrameReader) {
        self.unfinished = Unfinished::Told;
        let heartbeat = humantime::format_duration(self.shared.config.heartbeat).to_string();
        let guess = frames.guess_at_missing();
        self.notice(&reasons::unfinished(&heartbeat, &guess));
    }

    /// Acts on every frame that is complete.
    fn act_on_frames(&mut self, frames: &mut FrameReader) -> Result<(), CloseCause> {
        self.adopt_framing(frames)?;
        loop {
            while let Some(frame) = frames.next_frame(self.frame_limit()).map_err(bad_frame)? {
                self.unfinished = Unfinished::Nothing;
                self.show_unmasked(frame);
                self.hold_back(self.budget.take_command())?;
                if !self.shared.is_stopping() {
                    self.act_on(frame)?;
                }
            }
            match frames.take_control() {
                Some(control) => self.act_on_control(&control)?,
                None => return Ok(()),
            }
        }
    }

    /// Shows the teacher who watches a browser's message without its mask.
    fn show_unmasked(&self, frame: &str) {
        if self.connection.kind() == PortKind::Web {
            self.connection.show_received(frame.as_bytes());
        }
    }

    /// Acts on a frame of WebSocket that is no message.
    fn act_on_control(&mut self, control: &Control) -> Result<(), CloseCause> {
        self.hold_back(self.budget.take_command())?;
        if let Some(answer) = control.answer() {
            self.connection.send_web_frame(answer);
        }
        match control {
            // As after a 03: what is owed to the client still goes out, then the same code.
            Control::Close(code) => {
                Err(CloseCause::from(CloseReason::LoggedOut).with_close_code(*code))
            }
            Control::Ping(_) | Control::Pong => Ok(()),
        }
    }

    /// Answers the client in its own framing, once that is known.
    fn adopt_framing(&mut self, frames: &mut FrameReader) -> Result<(), CloseCause> {
        if !self.has_framing
            && let Some(framing) = frames.framing().map_err(bad_frame)?
        {
            self.connection.set_framing(framing);
            self.has_framing = true;
        }
        Ok(())
    }

    /// The largest frame, in bytes.
    fn frame_limit(&self) -> usize {
        match self.session {
            Some(_) => self.shared.config.max_frame,
            None => self.shared.config.max_frame_before_login(),
        }
    }

    /// Fails if another thread has begun to end the connection.
    fn check_open(&self) -> Result<(), CloseCause> {
        self.connection.close_cause().map_or(Ok(()), Err)
    }

    /// Waits, unless the connection ends meanwhile or the time to log in is up.
    fn pause(&self, duration: Duration) -> Result<(), CloseCause> {
        if duration.is_zero() {
            return Ok(());
        }
        let left = self
            .login_deadline
            .saturating_duration_since(Instant::now());
        let ends_first = self.session.is_none() && left < duration;
        if self
            .connection
            .pause(if ends_first { left } else { duration })
        {
            self.check_open()
        } else if ends_first {
            Err(self.login_timeout())
        } else {
            Ok(())
        }
    }

    fn login_timeout(&self) -> CloseCause {
        let timeout = humantime::format_duration(self.shared.config.login_timeout).to_string();
        let words = reasons::no_login_in_time(&timeout);
        CloseCause::new(CloseReason::LoginTimeout, words)
    }

    /// The one way out: the room lets the user leave first, then the connection is drained or closed.
    // Not inlined, for the stacks of idle connections.
    #[inline(never)]
    fn leave(&mut self, cause: CloseCause) {
        self.has_left = true;
        self.flush();
        let session = self.session.take();
        if let Some(session) = &session {
            let (reply, done) = bounded(1);
            let _ = self.shared.events.post(Event::Leave {
                session: Arc::clone(session),
                reply,
            });
            let _ = done.recv();
            self.shared.attendance.leave(session);
        }
        let cause = self.connection.decisive_cause(cause);
        // The log has its line before the client can see the end.
        match &session {
            Some(session) => log::info!("{} left ({cause}; {})", session.name(), self.connection),
            None => self.shared.repeated_lines.log(RepeatableLine::Left {
                connection: self.connection.label(),
                cause: cause.clone(),
            }),
        }
        self.connection.end(cause);
        let connection = Arc::clone(&self.connection);
        connection.see_off(|| {
            let count = self.count_uncharged();
            self.budget.take_scrap(count)
        });
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        if !self.has_left {
            // The thread has panicked. The others are told of the end all the same.
            self.connection.close(CloseReason::InternalError);
            self.leave(CloseReason::InternalError.into());
        }
        self.connection.discard();
        self.shared.connections.remove(&self.connection);
    }
}

/// Turns a framing error into the cause of the end. A client that speaks another protocol is told nothing, so that a
/// web page, for one, learns nothing.
fn bad_frame(error: FrameError) -> CloseCause {
    let reason = match error.is_other_protocol() {
        true => CloseReason::OtherProtocol,
        false => CloseReason::BadInput,
    };
    CloseCause::new(reason, error.to_string()).with_close_code(Some(websocket::close_code(error)))
}
