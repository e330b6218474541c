//! One connection: a socket and its outbox, shared by all threads that send to it.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::batch::Batch;
use super::close_reason::CloseReason;
use super::close_state::{CloseCause, Phase};
use super::origin::Origin;
use super::outbox::Outbox;
use super::port_kind::PortKind;
use super::receipt::{DeliveryResult, Receipt, ReceiptOwner, resolve_all};
use super::socket::Socket;
use super::tls::Tls;
use super::watch::{Direction, Watched, Watcher};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::channel::Sender;
use crate::sync::{Arc, Condvar, Instant, Mutex, Weak, yield_now};
use crate::wire::{Framing, Lines, NameKey, ServerMessage, framing};

/// How often the thread of a connection looks at its socket, and at the state of its end, while it waits for something
/// else.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How often the thread of a connection yields the processor before it sends the receipts of what it has read.
const YIELDS_FOR_RECEIPTS: usize = 2;

/// One TCP connection. Its own thread reads from it. Any thread may send to it, and no thread waits in doing so.
#[derive(Debug)]
pub struct Connection {
    /// Counts connections since the start; names the thread and tells connections apart in the log.
    number: u64,
    peer: SocketAddr,
    kind: PortKind,
    pub(super) socket: Socket,
    /// Everything outgoing. A leaf lock: a thread that holds it takes no other lock and does not block.
    outbox: Mutex<Outbox>,
    /// Notified when the connection leaves a phase; see [`CloseState`](super::close_state::CloseState).
    phase_changed: Condvar,
    /// Bytes that came through the socket. Only the connection's own thread writes this counter and the next.
    received: AtomicU64,
    /// Messages, to the room and private ones, that came and were passed on.
    messages: AtomicU64,
    /// Whether what goes through is shown to the teacher. The [outbox](Self::outbox) has to whom.
    is_watched: AtomicBool,
    /// To the retry thread.
    retry_queue: Sender<Weak<Connection>>,
    /// The connection itself while it [lingers](Self::linger). A leaf lock.
    lingering: Mutex<Option<Arc<Connection>>>,
}

impl Connection {
    /// A connection over an accepted socket that was [prepared](Socket::prepare), of a port of this kind. `tls` encrypts it, if
    /// there is any. On the port for browsers nothing is said before the client [speaks WebSocket](Self::open_web_socket).
    /// `max_backlog` is in bytes. `retry_queue` leads to the retry thread.
    pub fn new(
        number: u64,
        socket: Socket,
        peer: SocketAddr,
        kind: PortKind,
        tls: Option<Tls>,
        max_backlog: usize,
        retry_queue: Sender<Weak<Connection>>,
    ) -> Connection {
        Connection {
            number,
            peer,
            kind,
            socket,
            outbox: Mutex::new(Outbox::new(tls, kind != PortKind::Web, max_backlog)),
            phase_changed: Condvar::new(),
            received: AtomicU64::new(0),
            messages: AtomicU64::new(0),
            is_watched: AtomicBool::new(false),
            retry_queue,
            lingering: Mutex::new(None),
        }
    }

    /// Counts connections since the start.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The client's address.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// What the log calls it.
    pub fn label(&self) -> ConnectionLabel {
        ConnectionLabel {
            number: self.number,
            peer: self.peer,
            kind: self.kind,
        }
    }

    /// Whom the connection is counted for.
    pub fn origin(&self) -> Origin {
        Origin::new(self.peer.ip(), self.number)
    }

    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        self.kind == PortKind::Tls
    }

    /// What is spoken on its port.
    pub fn kind(&self) -> PortKind {
        self.kind
    }

    /// Why the connection ends, if it does. Its client's commands are not carried out any more then.
    pub fn close_cause(&self) -> Option<CloseCause> {
        self.outbox.lock().close_state().cause().cloned()
    }

    /// The cause that counts, if the connection's own thread has found `cause`.
    pub fn decisive_cause(&self, cause: CloseCause) -> CloseCause {
        self.outbox.lock().close_state().decisive_cause(cause)
    }

    fn phase(&self) -> Phase {
        self.outbox.lock().close_state().phase()
    }

    /// How many bytes came, as they went over the network.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// How many bytes went out.
    pub fn sent(&self) -> u64 {
        self.outbox.lock().sent()
    }

    /// How many messages came and were passed on.
    pub fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// Counts a message that came. Only the connection's own thread calls this.
    pub fn count_message(&self) {
        add(&self.messages, 1);
    }

    /// Counts bytes that came. Only the connection's own thread calls this.
    pub(super) fn count_received(&self, bytes: usize) {
        add(&self.received, bytes as u64);
    }

    /// Shows what comes and goes from now on, of the user of this name if one has logged in. True if it was not shown before as
    /// that user's.
    pub fn watch(&self, name: Option<&str>, watched: crossbeam_channel::Sender<Watched>) -> bool {
        let mut outbox = self.outbox.lock();
        let watcher = Watcher::new(self.label(), name.map(str::to_owned), watched);
        let before = outbox.watcher.replace(Box::new(watcher));
        self.is_watched.store(true, Ordering::Relaxed);
        before.is_none_or(|before| before.name.as_deref() != name)
    }

    /// Shows nothing more. `None` if nothing was shown, else whether that was of a user who has logged in.
    pub fn unwatch(&self) -> Option<bool> {
        self.is_watched.store(false, Ordering::Relaxed);
        let watcher = self.outbox.lock().watcher.take()?;
        Some(watcher.name.is_some())
    }

    /// Shows what came, if the connection is watched. Only the connection's own thread calls this.
    pub fn show_received(&self, bytes: &[u8]) {
        if self.is_watched.load(Ordering::Relaxed)
            && let Some(watcher) = &mut self.outbox.lock().watcher
        {
            watcher.show(Direction::FromClient, bytes);
        }
    }

    /// Frames all further output in the client's own way.
    pub fn set_framing(&self, framing: Framing) {
        self.outbox.lock().set_framing(framing);
    }

    /// Sends the answer that opens WebSocket (RFC 6455, section 4.2.2). What follows is framed so.
    pub fn open_web_socket(self: &Arc<Self>, answer: Vec<u8>) {
        self.with_outbox(|outbox, socket| outbox.open_web_socket(socket, answer));
    }

    /// Sends the only answer to an HTTP request. It may be long, and doesn't count against the backlog.
    pub fn answer_http(self: &Arc<Self>, answer: Vec<u8>) {
        self.with_outbox(|outbox, socket| {
            outbox.raise_limit(answer.len());
            outbox.push_encoded(socket, Framing::Stream, answer);
        });
    }

    /// Sends a whole frame of WebSocket.
    pub fn send_web_frame(self: &Arc<Self>, frame: Vec<u8>) {
        self.with_outbox(|outbox, socket| {
            outbox.push_encoded(socket, Framing::WebSocket, frame);
        });
    }

    /// Sends one message.
    pub fn send(self: &Arc<Self>, message: &ServerMessage<'_>) {
        self.push(&message.to_line().into(), 0, None);
    }

    /// Sends the messages of `batch` from offset `from` of its lines on. If the last byte is written, `receipt` says
    /// so. Never blocks: what the socket doesn't take waits in the outbox. Returns how much waits there then, in bytes.
    pub fn push(self: &Arc<Self>, batch: &Batch, from: usize, receipt: Option<Receipt>) -> usize {
        self.with_outbox(|outbox, socket| {
            outbox.push(socket, batch, from, receipt);
            outbox.backlog()
        })
    }

    /// How far its output has come.
    pub fn progress(&self) -> Progress {
        let outbox = self.outbox.lock();
        Progress {
            backlog: outbox.backlog(),
            sent: outbox.sent(),
            is_moving: outbox.is_moving(Instant::now()),
        }
    }

    /// Sends the reply to a successful login, in a write of its own. A roster can be long: it doesn't count
    /// against the backlog.
    pub fn push_roster(self: &Arc<Self>, line: Lines) {
        self.with_outbox(|outbox, socket| {
            outbox.raise_limit(line.len());
            outbox.push_alone(socket, line);
        });
    }

    /// Opens a receipt that this connection is owed for a message to `friend`. Receipts are corked from here on. Only the
    /// connection's own thread calls this, and [`uncork`](Self::uncork) before it waits for anything.
    pub fn open_receipt(self: &Arc<Self>, friend: &NameKey, shown: &str) -> Receipt {
        let mut outbox = self.outbox.lock();
        outbox.cork();
        let ticket = outbox.open_receipt(friend, shown);
        drop(outbox);
        let owner: Arc<dyn ReceiptOwner> = Arc::clone(self) as Arc<dyn ReceiptOwner>;
        Receipt::new(Arc::downgrade(&owner), friend.clone(), ticket)
    }

    /// Sends the receipts that were corked, unless another message has taken them along meanwhile. Threads that wait for
    /// the processor run first: one of them may have the friend's answer, and a write and the client's waking are what
    /// a message costs most. If none waits, the yield takes no time.
    pub fn uncork(self: &Arc<Self>) {
        for _ in 0..YIELDS_FOR_RECEIPTS {
            if self.outbox.lock().has_corked() {
                yield_now();
            }
        }
        self.with_outbox(|outbox, socket| outbox.uncork(socket));
    }

    /// Closes the connection at once; its own thread wakes up from its socket. The first cause stays; see
    /// [`CloseState`](super::close_state).
    pub fn close(self: &Arc<Self>, cause: impl Into<CloseCause>) {
        self.with_outbox(|outbox, _| outbox.close(cause));
    }

    /// Drains the connection, or closes it, as the reason demands, unless another thread has begun to end it. The
    /// connection's own thread calls this, and then [`see_off`](Self::see_off).
    pub fn end(self: &Arc<Self>, cause: CloseCause) {
        self.with_outbox(|outbox, _| match outbox.close_state().phase() {
            Phase::Open if cause.reason.drains() => outbox.drain(cause, Instant::now()),
            Phase::Open | Phase::Closed => outbox.close(cause),
            _ => {}
        });
    }

    /// Drains the connection on another thread's behalf: the room's or the stopping server's. The connection's own
    /// thread finds out when its client answers or closes. The retry thread closes the connection if the client does
    /// neither in time.
    pub fn drain_from_outside(self: &Arc<Self>, cause: CloseCause) {
        self.with_outbox(|outbox, _| outbox.drain(cause, Instant::now()));
        let is_new = self.outbox.lock().enter_retry_queue();
        self.retry_if(is_new);
    }

    /// Drains the connection on a listener's behalf, as [`drain_from_outside`](Self::drain_from_outside) does, if its client
    /// has not [logged in](Self::log_in) and nothing else ends it. False, and nothing happens, otherwise.
    pub fn make_room(self: &Arc<Self>, cause: CloseCause) -> bool {
        let makes_room = self.with_outbox(|outbox, _| outbox.make_room(cause, Instant::now()));
        if makes_room {
            let is_new = self.outbox.lock().enter_retry_queue();
            self.retry_if(is_new);
        }
        makes_room
    }

    /// Notes, on the room's behalf, that the client logs in. From here on it makes room for nobody. False if the connection
    /// ends: then nobody can log in through it any more.
    pub fn log_in(&self) -> bool {
        self.outbox.lock().log_in()
    }

    /// Rejects a client that has no thread, as far as that goes without waiting. Its words are framed as its own first
    /// byte demands, if that has come. With TLS nothing can be said before the handshake.
    pub fn reject(self: &Arc<Self>, cause: CloseCause) {
        if self.kind == PortKind::Plain {
            let mut first = [0; 1024];
            let count = self.socket.read_available(&mut first);
            if let Ok(Some((framing, _))) = framing::detect(&first[..count]) {
                self.set_framing(framing);
            }
        }
        self.end(cause);
    }

    /// Keeps a connection that is drained, and that no thread has, until the retry thread closes it, a second after its FIN or a
    /// few seconds from now at the latest. To drop it before would answer what its client sends meanwhile by a reset, which may
    /// cost the client the last line.
    pub fn linger(self: &Arc<Self>) {
        *self.lingering.lock() = Some(Arc::clone(self));
        let is_new = self.outbox.lock().enter_retry_queue();
        self.retry_if(is_new);
        if self.phase() == Phase::Closed {
            self.end_lingering();
        }
    }

    fn end_lingering(&self) {
        let lingering = self.lingering.lock().take();
        drop(lingering);
    }

    /// Sees a drain to its end: reads and throws away what the client still sends, until the client and the server
    /// have both sent their FIN. Closing with unread input would turn the last line into a reset. After each read `pace` says
    /// how long to wait before the next one. Only the connection's own thread calls this; the deadlines of the drain end it.
    pub fn see_off(self: &Arc<Self>, mut pace: impl FnMut() -> Duration) {
        let mut scrap = [0; 2048];
        let mut has_client_closed = false;
        loop {
            let (phase, deadline) = {
                let outbox = self.outbox.lock();
                let state = outbox.close_state();
                (state.phase(), state.deadline())
            };
            if phase == Phase::Closed || phase == Phase::HalfClosed && has_client_closed {
                return;
            }
            let check = Instant::now() + CHECK_INTERVAL;
            let check = deadline.map_or(check, |deadline| deadline.min(check));
            if has_client_closed {
                self.wait_until(check, |phase| phase >= Phase::HalfClosed);
            } else {
                match self.socket.receive(&mut scrap, Some(check)) {
                    Ok(0) => has_client_closed = true,
                    Ok(count) => {
                        self.count_received(count);
                        self.with_outbox(|outbox, _| outbox.note_input(Instant::now()));
                        let wait = Instant::now() + pace();
                        self.wait_until(check.min(wait), |phase| phase == Phase::Closed);
                    }
                    Err(_) if Instant::now() >= check => {}
                    Err(_) => return,
                }
            }
            // The drain may be past a deadline.
            self.with_outbox(|_, _| ());
        }
    }

    /// Gives up what can't be sent any more. The connection's own thread calls this last.
    pub fn discard(self: &Arc<Self>) {
        self.with_outbox(|outbox, _| {
            if outbox.close_state().phase() != Phase::Closed {
                outbox.close(CloseReason::ConnectionLost);
            }
            outbox.discard();
        });
    }

    /// Waits for `duration`, or until the connection ends. True if it does.
    pub fn pause(self: &Arc<Self>, duration: Duration) -> bool {
        let deadline = Instant::now() + duration;
        loop {
            let check = deadline.min(Instant::now() + CHECK_INTERVAL);
            if self.wait_until(check, |phase| phase != Phase::Open) {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
        }
    }

    /// Waits until the connection is in a phase of which `condition` is true. False if it is not at the deadline. No
    /// thread reads meanwhile, so a failure of the socket is looked for, and closes the connection.
    fn wait_until(self: &Arc<Self>, deadline: Instant, condition: impl Fn(Phase) -> bool) -> bool {
        let mut outbox = self.outbox.lock();
        while !condition(outbox.close_state().phase()) {
            if self
                .phase_changed
                .wait_until(&mut outbox, deadline)
                .timed_out()
            {
                break;
            }
        }
        drop(outbox);
        if let Ok(Some(error)) | Err(error) = self.socket.take_error() {
            self.close(&error);
        }
        condition(self.phase())
    }

    /// Tries again to send what waits, and goes on with a drain. Only the retry thread calls this. A connection that
    /// is [`Done`](Retry::Done) has left the retry queue, and enters it again when it falls behind anew.
    pub fn retry(self: &Arc<Self>) -> Retry {
        let has_advanced = self.with_outbox(|outbox, socket| outbox.flush(socket));
        let mut outbox = self.outbox.lock();
        match outbox.close_state().phase() {
            Phase::Open if !outbox.is_behind() => {}
            Phase::Closed => {}
            _ if has_advanced => return Retry::Advanced,
            _ if outbox.is_behind() => return Retry::Stuck,
            _ => return Retry::Ending,
        }
        outbox.leave_retry_queue();
        Retry::Done
    }

    /// Puts the connection into the retry queue, if the outbox has just been marked as being in it.
    fn retry_if(self: &Arc<Self>, is_new: bool) {
        if is_new {
            // The retry thread lives as long as the server; after that no connection is waited for.
            let _ = self.retry_queue.send(Arc::downgrade(self));
        }
    }

    /// The way to the outbox for all that can send, or end the connection: runs `action` under the lock, then does what
    /// must not be done under it.
    pub(super) fn with_outbox<R>(
        self: &Arc<Self>,
        action: impl FnOnce(&mut Outbox, &Socket) -> R,
    ) -> R {
        let (result, decided) = self.with_outbox_unresolved(action);
        resolve_all(decided);
        result
    }

    /// The same, but leaves the receipts that were decided to the caller.
    fn with_outbox_unresolved<R>(
        self: &Arc<Self>,
        action: impl FnOnce(&mut Outbox, &Socket) -> R,
    ) -> (R, Vec<(Receipt, DeliveryResult)>) {
        let mut locked = self.outbox.lock();
        let guard = CloseOnPanic {
            outbox: &mut locked,
            socket: &self.socket,
            was_panicking: std::thread::panicking(),
        };
        let outbox = &mut *guard.outbox;
        let before = outbox.close_state().phase();
        let result = action(outbox, &self.socket);
        outbox.enforce_limit();
        if outbox.close_state().phase() != Phase::Open {
            outbox.advance(&self.socket, Instant::now());
        }
        let after = outbox.close_state().phase();
        let falls_behind = outbox.is_behind() && outbox.enter_retry_queue();
        let decided = outbox.take_decided();
        drop(guard);
        drop(locked);

        if before != after {
            match after {
                Phase::Closed => self.socket.close(),
                Phase::HalfClosed => self.socket.finish(),
                _ => {}
            }
            self.phase_changed.notify_all();
            if after == Phase::Closed {
                self.end_lingering();
            }
        }
        self.retry_if(falls_behind);
        (result, decided)
    }
}

/// Address, transport and number, for the log.
impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.label().fmt(f)
    }
}

/// What the log calls a connection. It does not keep the connection alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLabel {
    /// Counts connections since the start.
    pub number: u64,
    /// The client's address.
    pub peer: SocketAddr,
    /// What is spoken on its port.
    pub kind: PortKind,
}

impl fmt::Display for ConnectionLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConnectionLabel { number, peer, kind } = self;
        write!(f, "{peer}, {kind}, connection {number}")
    }
}

impl ReceiptOwner for Connection {
    fn receive_result(
        self: Arc<Self>,
        friend: &NameKey,
        ticket: u64,
        result: DeliveryResult,
    ) -> Vec<(Receipt, DeliveryResult)> {
        let ((), decided) = self.with_outbox_unresolved(|outbox, socket| {
            outbox.decide(socket, friend, ticket, result);
        });
        decided
    }
}

/// Adds to a counter that one thread alone writes, so that no atomic read-modify-write is needed.
fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Ordering::Relaxed) + more, Ordering::Relaxed);
}

/// How far the output of a connection has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// What waits, in bytes and overhead.
    pub backlog: usize,
    /// How many bytes went out since the start.
    pub sent: u64,
    /// Whether the socket has lately taken some of what waits, or nothing waits.
    pub is_moving: bool,
}

/// What came of [`Connection::retry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Nothing waits any more, or the connection is closed.
    Done,
    /// The socket took something; more may wait, or the connection ends.
    Advanced,
    /// The socket took nothing.
    Stuck,
    /// Nothing waits, but the connection ends and is not closed yet.
    Ending,
}

/// An outbox that is being changed. A panic may leave it half changed: then better no connection than a corrupt one.
struct CloseOnPanic<'a> {
    outbox: &'a mut Outbox,
    socket: &'a Socket,
    /// A thread that unwinds from a panic elsewhere still sends to others, which does them no harm.
    was_panicking: bool,
}

impl Drop for CloseOnPanic<'_> {
    fn drop(&mut self) {
        if !self.was_panicking && std::thread::panicking() {
            self.outbox.close(CloseReason::InternalError);
            self.socket.close();
        }
    }
}
