//! The life of one connection, on its own thread: read a frame, act on it, read the next.

mod commands;

use std::convert::Infallible;
use std::io;
use std::thread;
use std::time::Duration;

use super::budget::Budget;
use super::permits::Permit;
use super::rejection::Rejection;
use super::repeated_lines::RepeatableLine;
use super::shared::Shared;
use super::web::{self, Answer};
use crate::chat::{Event, Session};
use crate::sync::channel::bounded;
use crate::sync::{Arc, Instant, Mutex};
use crate::texts::reasons;
use crate::transport::connection_reader::{ConnectionReader, LARGEST_RECORD};
use crate::transport::{CloseCause, CloseReason, Connection, Origin, PortKind};
use crate::wire::framing::{Control, websocket};
use crate::wire::{FrameError, FrameReader, Lines};

/// How long a client that is rejected may take to show how it frames, before it is told why.
const REJECTION_PATIENCE: Duration = Duration::from_secs(1);

/// The stack of a thread that serves a connection, in bytes. Memory is only used as far as it is touched.
const STACK_SIZE: usize = 256 << 10;

/// The stack of a thread for a TLS handshake, in bytes, of which OpenSSL uses up to a quarter. The C library keeps the
/// stacks of threads that have ended, with what they touched, for new ones that need no larger stack. This one is too
/// small for a thread that serves, or each idle client might keep the depth of another one's handshake.
const HANDSHAKE_STACK_SIZE: usize = 192 << 10;

/// Starts the first thread of a connection, which [`run`]s it.
pub(crate) fn start(
    shared: &Arc<Shared>,
    connection: &Arc<Connection>,
    rejection: Option<Rejection>,
    permit: Option<Permit>,
) -> io::Result<()> {
    let stack_size = match connection.is_tls() {
        true => HANDSHAKE_STACK_SIZE,
        false => STACK_SIZE,
    };
    let (own_shared, own_connection) = (Arc::clone(shared), Arc::clone(connection));
    start_thread(connection, stack_size, move || {
        run(&own_shared, own_connection, rejection, permit);
    })
}

fn start_thread(
    connection: &Connection,
    stack_size: usize,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    thread::Builder::new()
        .name(format!("conn-{}", connection.number()))
        .stack_size(stack_size)
        .spawn(work)
        .map(drop)
}

/// Serves one connection to its end, or rejects it. The permit is returned at the end.
fn run(
    shared: &Arc<Shared>,
    connection: Arc<Connection>,
    rejection: Option<Rejection>,
    permit: Option<Permit>,
) {
    if let Some(client) = begin(shared, connection, rejection, permit) {
        client.serve();
    }
}

/// Brings a connection to where the protocol starts. `None` if it has come to its end already, or another thread serves it.
// Not inlined, for the stacks of idle connections.
#[inline(never)]
fn begin(
    shared: &Arc<Shared>,
    connection: Arc<Connection>,
    rejection: Option<Rejection>,
    permit: Option<Permit>,
) -> Option<Box<Client>> {
    let framing = connection.kind().framing();
    let frames = framing.map_or_else(FrameReader::detecting, FrameReader::new);
    let mut client = Box::new(Client {
        handler: Handler::new(Arc::clone(shared), connection),
        frames,
        _permit: permit,
    });
    let begun = match rejection {
        None => client.handler.begin(&mut client.frames),
        Some(rejection) => Err(client.handler.reject(&mut client.frames, rejection)),
    };
    match begun {
        Ok(()) if client.handler.connection.is_tls() => client.move_to_a_new_thread(),
        Ok(()) => Some(client),
        Err(cause) => {
            client.handler.leave(cause);
            None
        }
    }
}

/// A connection that is served. The parts are dropped in this order.
struct Client {
    handler: Handler,
    frames: FrameReader,
    _permit: Option<Permit>,
}

impl Client {
    /// Serves to the end.
    fn serve(mut self: Box<Self>) {
        let Err(cause) = self.handler.serve(&mut self.frames);
        self.handler.leave(cause);
    }

    /// Has the client served on a thread that takes the place of this one, and returns it if there is none to be had. A
    /// handshake leaves much behind that belongs to its thread: a deep stack, OpenSSL's random generators, and what the
    /// allocator keeps at hand. That is a third of what an idle client would cost, and ends with the thread.
    fn move_to_a_new_thread(self: Box<Self>) -> Option<Box<Self>> {
        let connection = Arc::clone(&self.handler.connection);
        let slot = Arc::new(Mutex::new(Some(self)));
        let other_slot = Arc::clone(&slot);
        let started = start_thread(&connection, STACK_SIZE, move || {
            let client = other_slot.lock().take();
            drop(other_slot);
            if let Some(client) = client {
                client.serve();
            }
        });
        match started {
            Ok(()) => None,
            Err(_) => slot.lock().take(),
        }
    }
}

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

    /// Brings the connection to where the protocol starts.
    fn begin(&mut self, frames: &mut FrameReader) -> Result<(), CloseCause> {
        let config = &self.shared.config;
        let (login_timeout, handshake_timeout) = (config.login_timeout, config.handshake_timeout);
        self.login_deadline = Instant::now() + login_timeout;
        if let Origin::Address(_) = self.connection.origin() {
            // To connect counts as a command, or an address could have as many handshakes as it likes.
            self.pause(self.budget.take_connection())?;
        }
        let deadline = Instant::now() + handshake_timeout;
        self.handshake(deadline)?;
        self.open_web_socket(frames, deadline, None)?;
        self.login_deadline = Instant::now() + login_timeout;
        Ok(())
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

    /// Brings a TLS connection to where the protocol starts.
    fn handshake(&mut self, deadline: Instant) -> Result<(), CloseCause> {
        let done = self.reader.set_deadline(Some(deadline));
        done.and_then(|()| self.reader.handshake())
            .map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData => CloseCause::new(
                    CloseReason::OtherProtocol,
                    "this does not look like TLS, but came to the TLS port",
                ),
                _ => CloseCause::new(CloseReason::HandshakeFailed, error.to_string()),
            })
    }

    /// Brings a browser's connection to where the protocol starts: WebSocket. Who only wants the page gets that, and the
    /// connection ends. A `refusal` stands in for the page.
    // Not inlined, for the stacks of idle connections.
    #[inline(never)]
    fn open_web_socket(
        &mut self,
        frames: &mut FrameReader,
        deadline: Instant,
        refusal: Option<&str>,
    ) -> Result<(), CloseCause> {
        if self.connection.kind() != PortKind::Web {
            return Ok(());
        }
        self.reader
            .set_deadline(Some(deadline))
            .map_err(|error| CloseCause::from(&error))?;
        let answer = loop {
            // A request line begins with its method (RFC 9112, section 3).
            if let [first, ..] = frames.untaken()
                && !first.is_ascii_uppercase()
            {
                return Err(CloseCause::new(
                    CloseReason::OtherProtocol,
                    "this is no HTTP, but came to the port for browsers",
                ));
            }
            if let Some(head) = frames.take_head(web::LARGEST_HEAD) {
                self.connection.show_received(&head);
                break web::answer(&head, &self.shared.web_rules, refusal);
            }
            if frames.untaken().len() > web::LARGEST_HEAD {
                break web::refuse(web::Status::HeadTooLarge, false, web::head_too_large());
            }
            match self.reader.receive(frames.space()) {
                Ok(Some(0)) => return Err(CloseReason::ClosedByClient.into()),
                Ok(count) => frames.filled(count.unwrap_or(0)),
                Err(_) if Instant::now() >= deadline => {
                    return Err(CloseCause::new(
                        CloseReason::OtherProtocol,
                        "no whole HTTP request came in time",
                    ));
                }
                Err(error) => return Err((&error).into()),
            }
        };
        match answer {
            Answer::WebSocket(response) => {
                self.connection.open_web_socket(response);
                self.has_framing = true;
                Ok(())
            }
            Answer::Final(response, words) => {
                self.connection.answer_http(response);
                Err(CloseCause::new(CloseReason::HttpAnswered, words))
            }
        }
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

    /// Tells a client why it is not served, in its own framing if it shows that soon. Returns why the connection ends.
    fn reject(&mut self, frames: &mut FrameReader, rejection: Rejection) -> CloseCause {
        let asked = self.ask_for_framing(frames, &rejection);
        asked.err().unwrap_or_else(|| rejection.cause())
    }

    /// Learns what a client that is rejected speaks, as far as it shows that soon.
    fn ask_for_framing(
        &mut self,
        frames: &mut FrameReader,
        rejection: &Rejection,
    ) -> Result<(), CloseCause> {
        let deadline = Instant::now() + REJECTION_PATIENCE;
        self.handshake(deadline)?;
        self.open_web_socket(frames, deadline, Some(&rejection.to_string()))?;
        let received = self.reader.set_deadline(Some(deadline));
        if self.connection.kind() != PortKind::Web
            && let Ok(Some(count)) = received.and_then(|()| self.reader.receive(frames.space()))
        {
            frames.filled(count);
            self.adopt_framing(frames)?;
        }
        Ok(())
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
