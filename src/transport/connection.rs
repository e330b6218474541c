//! One connection: a socket, its outbox, and why it ended.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use super::batch::Batch;
use super::end_reason::EndReason;
use super::ledger::Verdict;
use super::outbox::{Dismissal, Outbox};
use super::receipt::Receipt;
use super::socket;
use super::tls::Tls;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::channel::Sender;
use crate::sync::{Arc, Condvar, Instant, Mutex, MutexGuard, yield_now};
use crate::wire::frame::Framing;
use crate::wire::message::{Line, ServerMessage};
use crate::wire::name::NameKey;

/// How long a connection that was shut waits for its peer to close, so that unread input doesn't turn the
/// goodbye into a reset.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long one whose incoming side was shut has to read its last line before it is told the end. From then on
/// whatever it still sends is answered by a reset, which may cost it what it has not read.
const LAST_LINE: Duration = Duration::from_millis(200);

/// A thread that waits for the connection looks at its socket at least this often.
const GLANCE: Duration = Duration::from_secs(1);

/// One TCP connection. Its own thread reads from it; anybody may send to it, and nobody waits in doing so.
pub struct Connection {
    /// Counts connections since the start; names its thread and tells it apart in the log.
    number: u64,
    peer: SocketAddr,
    is_tls: bool,
    pub(super) socket: TcpStream,
    /// Everything outgoing. A leaf lock: nobody takes another, or blocks, while holding it.
    outbox: Mutex<Outbox>,
    /// Notified when the connection has ended, and when nothing is left to send.
    wake: Condvar,
    /// Bytes that came through the socket. Written by the connection's own thread, as is the next.
    received: AtomicU64,
    /// Messages, to the room and private ones, that came and were passed on.
    messages: AtomicU64,
    /// Where a connection that has fallen behind announces itself.
    laggards: Sender<Arc<Connection>>,
    /// The place that it takes up among the connections allowed; given back when the descriptor is closed.
    _place: Box<dyn Any + Send + Sync>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("number", &self.number)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

/// What a new [`Connection`] is made of.
#[derive(Debug)]
pub struct Parts {
    /// Its number; see [`Connection::number`].
    pub number: u64,
    /// The accepted socket, prepared by [`socket::prepare`].
    pub socket: TcpStream,
    /// The client's address.
    pub peer: SocketAddr,
    /// TLS state, if this connection is to be encrypted.
    pub tls: Option<Tls>,
    /// The largest backlog, in bytes.
    pub max_backlog: usize,
    /// Where it announces that it has fallen behind.
    pub laggards: Sender<Arc<Connection>>,
    /// Dropped when the descriptor is closed.
    pub place: Box<dyn Any + Send + Sync>,
}

impl Connection {
    /// A connection from its parts.
    pub fn new(parts: Parts) -> Connection {
        Connection {
            number: parts.number,
            peer: parts.peer,
            is_tls: parts.tls.is_some(),
            socket: parts.socket,
            outbox: Mutex::new(Outbox::new(parts.tls, parts.max_backlog)),
            wake: Condvar::new(),
            received: AtomicU64::new(0),
            messages: AtomicU64::new(0),
            laggards: parts.laggards,
            _place: parts.place,
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

    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Why the connection has ended, if it has.
    pub fn ended(&self) -> Option<EndReason> {
        self.outbox.lock().ended()
    }

    /// Why the connection's own thread is asked to leave, if it is.
    pub fn dismissal(&self) -> Option<Dismissal> {
        self.outbox.lock().dismissal().cloned()
    }

    /// Whether the connection's own thread has a reason to leave: the connection has ended, or is to.
    pub fn must_leave(&self) -> bool {
        self.outbox.lock().must_leave()
    }

    /// What has gone through the connection so far.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            messages: self.messages(),
            received: self.received.load(Ordering::Relaxed),
            sent: self.outbox.lock().sent(),
        }
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

    /// Whether nothing waits to be sent and no receipt is owed.
    pub fn is_settled(&self) -> bool {
        self.outbox.lock().is_settled()
    }

    /// Sends a line of this connection's own.
    pub fn send(self: &Arc<Self>, message: &ServerMessage<'_>) {
        self.push(&message.to_line().into(), 0, None);
    }

    /// Sends the lines of `batch` from offset `from` on. If the last byte is written, `receipt` says so.
    /// Never blocks: what the socket doesn't take waits in the outbox.
    pub fn push(self: &Arc<Self>, batch: &Batch, from: usize, receipt: Option<Receipt>) {
        self.act(|outbox, socket| outbox.push(socket, batch, from, receipt));
    }

    /// Sends the reply to a successful login, in a write of its own. A roster can be long: it doesn't count
    /// against the backlog.
    pub fn push_roster(self: &Arc<Self>, line: Line) {
        self.act(|outbox, socket| {
            outbox.allow_more(line.len());
            outbox.push_alone(socket, line);
        });
    }

    /// Tries again to send what waits. A connection that is still behind after this has not announced itself
    /// again; one that is not will, when it falls behind anew.
    pub fn retry(self: &Arc<Self>) -> Retry {
        self.act(
            |outbox, socket| match (outbox.flush(socket), outbox.is_behind()) {
                (_, false) => {
                    outbox.withdraw();
                    Retry::CaughtUp
                }
                (true, true) => Retry::Advanced,
                (false, true) => Retry::Stuck,
            },
        )
    }

    /// Frames all further output in the client's own way.
    pub fn set_framing(&self, framing: Framing) {
        self.outbox.lock().set_framing(framing);
    }

    /// Opens a receipt that this connection is owed for a message to `friend`. Only the connection's own thread calls
    /// this, and [`release`](Self::release) before it waits for anything: until then receipts are held back.
    pub fn open_receipt(self: &Arc<Self>, friend: &NameKey, shown: &str) -> Receipt {
        let mut outbox = self.outbox.lock();
        outbox.hold();
        let ticket = outbox.ledger().open(friend, shown);
        drop(outbox);
        Receipt::new(self, friend.clone(), ticket)
    }

    /// Sends the receipts that were held back, unless somebody has sent something else meanwhile and taken them
    /// along. Other threads that wait for the processor run first: one of them may have the friend's answer, and a write
    /// and the client's waking are what a message costs most. If none does, this takes no time.
    pub fn release(self: &Arc<Self>) {
        if self.outbox.lock().has_held() {
            yield_now();
        }
        self.act(|outbox, socket| outbox.release(socket));
    }

    /// Tells a client that has no thread why it is not served, as far as that goes without waiting, and gives the
    /// connection up. With TLS nothing can be told before the handshake.
    pub fn refuse(self: &Arc<Self>, message: &ServerMessage<'_>) {
        if !self.is_tls {
            if socket::discard_input(&self.socket) == Some(0) {
                self.set_framing(Framing::Prefixed);
            }
            self.send(message);
        }
        self.close(EndReason::Refused);
    }

    /// Ends the connection at once; its own thread wakes up and leaves. The first reason given stays.
    pub fn end(self: &Arc<Self>, reason: EndReason) {
        self.act(|outbox, _| outbox.end(reason));
    }

    /// Asks the connection's own thread to leave by the usual way, with a last line for the client. Wakes it from its
    /// socket and from [`pause`](Self::pause); what else it waits for is over soon. The first who asks is heard.
    pub fn dismiss(self: &Arc<Self>, reason: EndReason, words: Arc<str>) {
        if self.act(|outbox, _| outbox.dismiss(Dismissal { reason, words })) {
            // The outgoing side stays open for the last line. A socket that is already down needs no waking.
            let _ = self.socket.shutdown(Shutdown::Read);
            self.wake.notify_all();
        }
    }

    /// Decides all receipts that are owed to this connection, sends a last line, and takes nothing more.
    pub fn send_last(self: &Arc<Self>, message: &ServerMessage<'_>, verdict: Verdict) {
        self.act(|outbox, socket| outbox.push_last(socket, message.to_line(), verdict));
    }

    /// Sends a last line and takes nothing more. The socket is shut for writing once all is sent.
    pub fn say_goodbye(self: &Arc<Self>, message: &ServerMessage<'_>) {
        self.act(|outbox, socket| {
            outbox.push_last(socket, message.to_line(), Err("the server stops"));
            outbox.finish(socket);
        });
    }

    /// The one way to the outbox: runs `action` under the lock, then does what must not be done under it.
    pub(super) fn act<R>(self: &Arc<Self>, action: impl FnOnce(&mut Outbox, &TcpStream) -> R) -> R {
        let (result, decided) = self.act_once(action);
        // Settling a receipt sends to its sender, which may decide receipts in turn. They are worked off one
        // after another: recursion could go as deep as there are connections.
        let mut decided = VecDeque::from(decided);
        while let Some((receipt, verdict)) = decided.pop_front() {
            if let Some((connection, receipt)) = receipt.into_sender() {
                let ((), more) =
                    connection.act_once(|outbox, socket| outbox.settle(socket, &receipt, verdict));
                decided.extend(more);
            }
        }
        result
    }

    fn act_once<R>(
        self: &Arc<Self>,
        action: impl FnOnce(&mut Outbox, &TcpStream) -> R,
    ) -> (R, Vec<(Receipt, Verdict)>) {
        let mut outbox = PanicGuard::new(self);
        let (had_ended, was_shut) = (outbox.ended().is_some(), outbox.is_shut());
        let result = action(&mut outbox, &self.socket);
        outbox.enforce_limit();
        let falls_behind = outbox.is_behind() && outbox.announce();
        let ends = !had_ended && outbox.ended().is_some();
        let shuts = !was_shut && outbox.is_shut();
        let may_wake = ends || outbox.is_settled();
        let decided = outbox.take_decided();
        drop(outbox);

        if ends {
            // Wakes the thread that reads. A socket that is already down needs no waking.
            let _ = self.socket.shutdown(Shutdown::Both);
        } else if shuts {
            let _ = self.socket.shutdown(Shutdown::Write);
        }
        if may_wake {
            self.wake.notify_all();
        }
        if falls_behind {
            // The laggards' thread lives as long as the server; after that nobody is waited for.
            let _ = self.laggards.send(Arc::clone(self));
        }
        (result, decided)
    }

    /// Waits for `duration`, or until the connection has ended or its thread is asked to leave. True if so.
    pub fn pause(self: &Arc<Self>, duration: Duration) -> bool {
        let deadline = Instant::now() + duration;
        loop {
            let mut outbox = self.outbox.lock();
            let glance = deadline.min(Instant::now() + GLANCE);
            while !outbox.must_leave() && !self.wake.wait_until(&mut outbox, glance).timed_out() {}
            if outbox.must_leave() {
                return true;
            }
            drop(outbox);
            // Nobody reads meanwhile, so a failed connection would go unnoticed.
            if !matches!(self.socket.take_error(), Ok(None)) {
                self.end(EndReason::Lost);
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
        }
    }

    /// Ends the outgoing side politely: waits until all is sent and every receipt owed has come, for `patience`
    /// at most, decides what is left, and waits a moment for the client to close.
    pub fn linger(self: &Arc<Self>, patience: Duration) {
        let deadline = Instant::now() + patience;
        self.wait_until(deadline, Outbox::is_settled);
        if self.outbox.lock().dismissal().is_some() {
            self.wait_until(deadline.min(Instant::now() + LAST_LINE), |_| false);
        }
        self.act(|outbox, socket| {
            outbox.settle_all(
                socket,
                Err("you logged out before the message could be delivered"),
            );
            outbox.finish(socket);
        });
        self.wait_until(deadline, Outbox::is_shut);
        if self.outbox.lock().is_shut() {
            self.drain(Instant::now() + FAREWELL);
        }
    }

    fn wait_until(&self, deadline: Instant, condition: impl Fn(&Outbox) -> bool) {
        let mut outbox = self.outbox.lock();
        while outbox.ended().is_none() && !condition(&outbox) {
            if self.wake.wait_until(&mut outbox, deadline).timed_out() {
                break;
            }
        }
    }

    /// Reads and throws away what still comes, until the client closes.
    fn drain(&self, deadline: Instant) {
        let mut scrap = [0; 2048];
        while matches!(
            socket::receive(&self.socket, &mut scrap, Some(deadline)),
            Ok(1..)
        ) {}
    }

    /// Gives up what can't be sent any more. The connection's own thread calls it last.
    pub fn close(self: &Arc<Self>, reason: EndReason) {
        self.end(reason);
        self.act(|outbox, _| outbox.clear());
    }
}

/// Adds to a counter that one thread alone writes, so that this need not be one step.
fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Ordering::Relaxed) + more, Ordering::Relaxed);
}

/// What has gone through a connection, or through many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages from clients, to the room and private ones, that were passed on.
    pub messages: u64,
    /// Bytes that came, as they went over the network.
    pub received: u64,
    /// Bytes that went out.
    pub sent: u64,
}

impl std::ops::AddAssign for Traffic {
    fn add_assign(&mut self, more: Traffic) {
        self.messages += more.messages;
        self.received += more.received;
        self.sent += more.sent;
    }
}

impl std::ops::Sub for Traffic {
    type Output = Traffic;

    /// What has gone since `earlier`.
    fn sub(self, earlier: Traffic) -> Traffic {
        Traffic {
            messages: self.messages.saturating_sub(earlier.messages),
            received: self.received.saturating_sub(earlier.received),
            sent: self.sent.saturating_sub(earlier.sent),
        }
    }
}

/// What came of [`Connection::retry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Nothing waits any more, or the connection has ended.
    CaughtUp,
    /// The socket took something, not all.
    Advanced,
    /// The socket took nothing.
    Stuck,
}

/// The outbox, locked. A panic may leave it half changed: then better no connection than a corrupt one.
struct PanicGuard<'a> {
    outbox: MutexGuard<'a, Outbox>,
    socket: &'a TcpStream,
    /// A thread that ends after a panic goes on to say so to others.
    was_panicking: bool,
}

impl<'a> PanicGuard<'a> {
    fn new(connection: &'a Connection) -> PanicGuard<'a> {
        PanicGuard {
            outbox: connection.outbox.lock(),
            socket: &connection.socket,
            was_panicking: std::thread::panicking(),
        }
    }
}

impl Deref for PanicGuard<'_> {
    type Target = Outbox;

    fn deref(&self) -> &Outbox {
        &self.outbox
    }
}

impl DerefMut for PanicGuard<'_> {
    fn deref_mut(&mut self) -> &mut Outbox {
        &mut self.outbox
    }
}

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if !self.was_panicking && std::thread::panicking() {
            self.outbox.end(EndReason::Failed);
            let _ = self.socket.shutdown(Shutdown::Both);
        }
    }
}
