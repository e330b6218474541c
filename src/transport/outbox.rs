//! A connection's outgoing side: what waits to be sent, the TLS state, and how far the connection has come to its end.
//!
//! An [`Outbox`] is plain data without a lock or a thread: [`Connection`](super::Connection) puts one behind a
//! mutex. Nothing here blocks.

use std::io::{self, IoSlice};
use std::time::Duration;

use super::batch::Batch;
use super::close_reason::CloseReason;
use super::close_state::{CloseCause, CloseState, Phase};
use super::pending_receipts::PendingReceipts;
use super::receipt::{DeliveryResult, Receipt};
use super::send_queue::{CHUNK_COST_WITH_RECEIPT, Chunk, SendQueue};
use super::socket::Sink;
use super::tls::Tls;
use super::watch::{Direction, Watcher};
use crate::sync::Instant;
use crate::texts::reasons;
use crate::wire::framing::websocket;
use crate::wire::{Framing, Lines, NameKey, ServerMessage};

/// Slices that one vectored send takes at most.
const MAX_SLICES: usize = 32;

/// The most that one TLS record holds, in bytes (RFC 8446, section 5.1).
const RECORD: usize = 16 << 10;

/// Plaintext that is encrypted before the ciphertext is sent, at most, in bytes: four TLS records.
const ENCRYPTED_AT_ONCE: usize = 64 << 10;

/// What [`Outbox::flush`] sends at most before it lets others have the lock, in bytes.
const FLUSHED_AT_ONCE: usize = 256 << 10;

/// Receipts are corked until they cost this much, in bytes and overhead.
const MAX_CORKED: usize = 16 << 10;

/// Room for so many encrypted receipts is kept for the next ones; more is given back.
const KEPT_RECEIPTS: usize = 32;

/// A client whose socket has taken nothing for this long, although something waits, doesn't read.
const STANDSTILL: Duration = Duration::from_secs(2);

/// What waits to be sent through one connection.
#[derive(Debug)]
pub struct Outbox {
    /// What the socket has not taken yet. In front of it is the ciphertext in `tls`.
    queue: SendQueue,
    tls: Option<Box<Tls>>,
    /// Receipts of messages that are encrypted, but whose ciphertext is not all sent. Each costs as much as its chunk did.
    encrypted: Vec<Receipt>,
    /// Receipts that are decided. The thread that holds the lock resolves them after it has released it, because
    /// that takes the lock of another outbox.
    decided: Vec<(Receipt, DeliveryResult)>,
    /// The receipts that this connection is itself owed.
    pending: PendingReceipts,
    framing: Framing,
    /// Whether the client understands a last line.
    can_speak: bool,
    /// The largest backlog, in bytes.
    limit: usize,
    close_state: CloseState,
    /// Bytes that the socket has taken since the start.
    sent: u64,
    /// When the socket last took something of what had to wait, or when something last began to wait.
    last_progress: Instant,
    /// Whether the connection is in the retry queue.
    is_in_retry_queue: bool,
    /// Whether receipts are corked: see [`cork`](Self::cork). The queue then holds nothing but receipts.
    is_corked: bool,
    /// Shows what is sent, if the connection is watched.
    pub(super) watcher: Option<Box<Watcher>>,
}

/// How a message leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SendMode {
    /// At once and with what is corked, unless older output waits.
    Normal,
    /// In a write of its own.
    Alone,
    /// With what comes next.
    Corked,
}

impl Outbox {
    /// An empty outbox whose backlog may be `limit` bytes. Whether its client `can_speak` the protocol from the beginning is told
    /// too: a browser must open WebSocket first.
    pub fn new(tls: Option<Tls>, can_speak: bool, limit: usize) -> Outbox {
        Outbox {
            queue: SendQueue::default(),
            tls: tls.map(Box::new),
            encrypted: Vec::new(),
            decided: Vec::new(),
            pending: PendingReceipts::default(),
            framing: Framing::Stream,
            can_speak,
            limit,
            close_state: CloseState::new(),
            sent: 0,
            last_progress: Instant::now(),
            is_in_retry_queue: false,
            is_corked: false,
            watcher: None,
        }
    }

    /// Frames all further output in the client's own way.
    pub fn set_framing(&mut self, framing: Framing) {
        self.framing = framing;
    }

    /// The TLS state, for the reading side.
    pub(super) fn tls(&mut self) -> Option<&mut Tls> {
        self.tls.as_deref_mut()
    }

    /// How far the connection has come to its end.
    pub fn close_state(&self) -> &CloseState {
        &self.close_state
    }

    fn phase(&self) -> Phase {
        self.close_state.phase()
    }

    /// How many bytes the socket has taken since the start.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// What waits, in bytes and overhead.
    pub fn backlog(&self) -> usize {
        let ciphertext = self.tls.as_ref().map_or(0, |tls| tls.outgoing().len());
        self.queue.cost() + ciphertext + self.encrypted.len() * CHUNK_COST_WITH_RECEIPT
    }

    /// Whether something waits that the socket did not take.
    pub fn is_behind(&self) -> bool {
        self.backlog() > 0 && !self.is_corked && self.phase() != Phase::Closed
    }

    /// Whether the socket has lately taken some of what waits, or nothing waits.
    pub fn is_moving(&self, now: Instant) -> bool {
        !self.is_behind() || now.saturating_duration_since(self.last_progress) < STANDSTILL
    }

    /// Lets this many bytes more wait: the roster of a large class is no sign of a slow consumer.
    pub fn raise_limit(&mut self, bytes: usize) {
        self.limit += bytes;
    }

    /// Closes the connection if more waits than the backlog allows.
    pub fn enforce_limit(&mut self) {
        if self.is_behind() && self.backlog() > self.limit {
            self.close(CloseReason::SlowConsumer);
        }
    }

    /// Notes that the connection is on its way to the retry queue. False if it is there already.
    pub(super) fn enter_retry_queue(&mut self) -> bool {
        let is_new = !std::mem::replace(&mut self.is_in_retry_queue, true);
        if is_new {
            self.last_progress = Instant::now();
        }
        is_new
    }

    /// Notes that the connection has left the retry queue.
    pub(super) fn leave_retry_queue(&mut self) {
        self.is_in_retry_queue = false;
    }

    /// Sends the messages of `batch` from offset `from` of its lines on, as far as `sink` takes them now, and queues
    /// the rest. The `receipt` is decided when the last byte was taken.
    ///
    /// While older output waits, the new messages only join the queue: sending is left to [`flush`](Self::flush), so that
    /// a slow client costs its senders no system call.
    pub fn push(&mut self, sink: &impl Sink, batch: &Batch, from: usize, receipt: Option<Receipt>) {
        self.push_as(SendMode::Normal, sink, batch, from, receipt);
    }

    /// Sends the answer that opens WebSocket, and frames all that follows so.
    pub(super) fn open_web_socket(&mut self, sink: &impl Sink, answer: Vec<u8>) {
        self.push_encoded(sink, self.framing, answer);
        self.framing = Framing::WebSocket;
        self.can_speak = true;
    }

    /// Sends bytes that are framed already, in the framing that is used now.
    pub(super) fn push_encoded(&mut self, sink: &impl Sink, framing: Framing, bytes: Vec<u8>) {
        let batch = Batch::of_encoded(framing, bytes);
        self.push_as(SendMode::Normal, sink, &batch, 0, None);
    }

    /// Like [`push`](Self::push), for a message that must leave in a write of its own.
    pub fn push_alone(&mut self, sink: &impl Sink, line: Lines) {
        self.push_as(SendMode::Alone, sink, &line.into(), 0, None);
    }

    fn push_as(
        &mut self,
        mode: SendMode,
        sink: &impl Sink,
        batch: &Batch,
        from: usize,
        receipt: Option<Receipt>,
    ) {
        if !self.close_state.takes_output() {
            self.decided
                .extend(receipt.map(|receipt| (receipt, Err(reasons::friend_gone()))));
            return;
        }
        let share = batch.share(self.framing, from);
        let bytes = share.bytes();
        if let Some(watcher) = &mut self.watcher {
            // Of a browser's message only the text is of use, not what frames it.
            let shown = match self.framing {
                Framing::WebSocket if !batch.is_empty() => &batch.lines()[from..],
                _ => bytes,
            };
            watcher.show(Direction::ToClient, shown);
        }
        let (was_behind, had_corked) = (self.is_behind(), self.has_corked());
        let is_first = !was_behind && !had_corked && mode != SendMode::Corked;
        if is_first
            && bytes.len() <= ENCRYPTED_AT_ONCE
            && let Some(tls) = &mut self.tls
        {
            // Needs no place in the queue, nor a copy to own.
            self.encrypted.extend(receipt);
            match tls.encrypt(bytes) {
                Ok(()) => drop(self.flush(sink)),
                Err(error) => self.close(&error),
            }
            return;
        }
        let mut sent = 0;
        if is_first && self.tls.is_none() {
            match try_send(sink, &[IoSlice::new(bytes)]) {
                Ok(count) => sent = count,
                // What is queued then is discarded by the connection's own thread.
                Err(error) => self.close(&error),
            }
            self.sent += sent as u64;
            if sent == bytes.len() {
                self.decided
                    .extend(receipt.map(|receipt| (receipt, Ok(()))));
                return;
            }
        }
        let chunk = Chunk {
            data: share.to_shared(),
            is_alone: mode == SendMode::Alone,
            receipt,
        };
        self.queue.push(chunk, sent);
        if mode == SendMode::Corked {
            return;
        }
        // The queue holds more than receipts now.
        self.is_corked = false;
        if !was_behind && (had_corked || self.tls.is_some()) {
            self.flush(sink);
        }
    }

    /// Corks receipts: they wait for the next message to the same client and leave with it. So a receipt and the
    /// answer to its message cost one write if they come together. The caller must [`uncork`](Self::uncork) soon, and
    /// without waiting for anything in between.
    pub fn cork(&mut self) {
        self.is_corked = !self.is_behind();
    }

    /// Whether receipts wait because they are corked.
    pub fn has_corked(&self) -> bool {
        self.is_corked && self.backlog() > 0
    }

    /// Sends the receipts that were corked, and corks no more.
    pub fn uncork(&mut self, sink: &impl Sink) {
        if self.has_corked() {
            self.flush(sink);
        }
        self.is_corked = false;
    }

    /// Tries to send what waits. True if the sink took anything.
    pub fn flush(&mut self, sink: &impl Sink) -> bool {
        self.is_corked = false;
        let mut total = 0;
        while total < FLUSHED_AT_ONCE && self.phase() != Phase::Closed {
            let sent = match self.tls.take() {
                None => self.send_queued(sink),
                Some(mut tls) => {
                    let sent = self.encrypt_and_send(sink, &mut tls);
                    self.tls = Some(tls);
                    sent
                }
            };
            match sent {
                Ok(0) => break,
                Ok(count) => total += count,
                Err(error) => self.close(&error),
            }
        }
        if total > 0 && self.is_in_retry_queue {
            self.last_progress = Instant::now();
        }
        total > 0
    }

    /// Sends from the queue as it is.
    fn send_queued(&mut self, sink: &impl Sink) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let count = self.queue.fill(&mut slices);
        if count == 0 {
            return Ok(0);
        }
        let sent = try_send(sink, &slices[..count])?;
        self.sent += sent as u64;
        let mut rest = sent;
        while rest > 0 {
            let (taken, receipt) = self.queue.take(rest, |_| Ok(()))?;
            rest -= taken;
            self.decided
                .extend(receipt.map(|receipt| (receipt, Ok(()))));
        }
        Ok(sent)
    }

    /// Encrypts from the queue, unless ciphertext waits, and sends ciphertext.
    fn encrypt_and_send(&mut self, sink: &impl Sink, tls: &mut Tls) -> io::Result<usize> {
        if tls.outgoing().is_empty() {
            self.encrypt_queued(tls)?;
        }
        if tls.outgoing().is_empty() {
            return Ok(0);
        }
        let sent = try_send(sink, &[IoSlice::new(tls.outgoing())])?;
        tls.mark_sent(sent);
        self.sent += sent as u64;
        if tls.outgoing().is_empty() {
            self.decided
                .extend(self.encrypted.drain(..).map(|receipt| (receipt, Ok(()))));
            self.encrypted.shrink_to(KEPT_RECEIPTS);
        }
        Ok(sent)
    }

    /// Encrypts what leaves next. Short messages go into one record with what follows: a record costs both sides more
    /// than its bytes.
    fn encrypt_queued(&mut self, tls: &mut Tls) -> io::Result<()> {
        let is_alone = self.queue.is_first_alone();
        let mut encrypted = 0;
        let mut record = Vec::new();
        while encrypted < ENCRYPTED_AT_ONCE {
            if self.queue.len() == 0 || encrypted > 0 && (is_alone || self.queue.is_first_alone()) {
                break;
            }
            let is_last = self.queue.len() == 1;
            let (taken, receipt) = self.queue.take(ENCRYPTED_AT_ONCE - encrypted, |bytes| {
                let fits = record.len() + bytes.len() <= RECORD;
                if !record.is_empty() && !fits {
                    tls.encrypt(&record)?;
                    record.clear();
                }
                if bytes.len() > RECORD || record.is_empty() && is_last {
                    return tls.encrypt(bytes);
                }
                record.extend_from_slice(bytes);
                Ok(())
            })?;
            encrypted += taken;
            self.encrypted.extend(receipt);
        }
        tls.encrypt(&record)
    }

    /// Notes that this connection is owed a receipt; see [`PendingReceipts::open`].
    pub fn open_receipt(&mut self, friend: &NameKey, shown: &str) -> u64 {
        self.pending.open(friend, shown)
    }

    /// Decides a receipt that this connection is owed, and sends those that are due by that.
    pub fn decide(
        &mut self,
        sink: &impl Sink,
        friend: &NameKey,
        ticket: u64,
        result: DeliveryResult,
    ) {
        for line in self.pending.decide(friend, ticket, result) {
            let mode = match self.is_corked && self.backlog() < MAX_CORKED {
                true => SendMode::Corked,
                false => SendMode::Normal,
            };
            self.push_as(mode, sink, &line.into(), 0, None);
        }
    }

    /// Decides all receipts that this connection is owed, and sends them.
    pub fn decide_all(&mut self, sink: &impl Sink, result: DeliveryResult) {
        for line in self.pending.decide_all(result) {
            self.push(sink, &line.into(), 0, None);
        }
    }

    /// Takes the receipts that were decided since the last call. They must be resolved without this outbox's lock.
    pub fn take_decided(&mut self) -> Vec<(Receipt, DeliveryResult)> {
        std::mem::take(&mut self.decided)
    }

    /// Starts to drain the connection. [`advance`](Self::advance) goes on with it.
    pub fn drain(&mut self, cause: CloseCause, now: Instant) {
        self.close_state.drain(cause, now);
    }

    /// Notes that the client of a connection that is drained still sends.
    pub(super) fn note_input(&mut self, now: Instant) {
        self.close_state.note_input(now);
    }

    /// Starts to drain the connection if its client has not logged in; see [`CloseState::make_room`].
    pub(super) fn make_room(&mut self, cause: CloseCause, now: Instant) -> bool {
        self.close_state.make_room(cause, now)
    }

    /// Notes that the client logs in, unless the connection ends; see [`CloseState::log_in`].
    pub(super) fn log_in(&mut self) -> bool {
        self.close_state.log_in()
    }

    /// Closes the connection: nothing more is sent.
    pub fn close(&mut self, cause: impl Into<CloseCause>) {
        self.close_state.close(cause);
    }

    /// Goes on with a drain as far as it can without waiting.
    pub fn advance(&mut self, sink: &impl Sink, now: Instant) {
        if self.close_state.is_past_drain(now) {
            self.close(CloseReason::ConnectionLost);
        }
        let may_finish = self.pending.owed() == 0 || self.close_state.is_past_receipts(now);
        if self.phase() == Phase::Draining && may_finish {
            self.finish(sink);
        }
        if self.phase() == Phase::Flushing && self.backlog() == 0 {
            if let Some(tls) = &mut self.tls {
                tls.close_notify();
            }
            self.flush(sink);
        }
        if self.phase() == Phase::Flushing && self.backlog() == 0 {
            self.close_state.half_close(now);
        }
    }

    /// Decides the receipts owed, queues the last line, and takes nothing more.
    fn finish(&mut self, sink: &impl Sink) {
        self.decide_all(sink, Err(reasons::not_delivered_in_time()));
        // Before the end of the handshake nothing can be said through TLS.
        let is_ready = self.tls.as_ref().is_none_or(|tls| tls.is_established());
        let cause = self.close_state.cause().cloned();
        if let Some(cause) = cause.filter(|_| is_ready && self.can_speak) {
            let mut last = Vec::new();
            if !cause.words.is_empty() {
                let line = ServerMessage::notice(cause.words.clone()).to_line();
                last.extend_from_slice(&self.framing.encode(&line));
            }
            if self.framing == Framing::WebSocket {
                last.extend_from_slice(&websocket::close_frame(cause.close_code()));
            }
            if !last.is_empty() {
                self.push_encoded(sink, self.framing, last);
            }
        }
        self.close_state.finish();
        self.uncork(sink);
    }

    /// Throws away all that waits, when the connection's own thread is done with it. Messages in the queue were not
    /// delivered, and the receipts owed to this client have nobody to go to.
    pub fn discard(&mut self) {
        let unsent = std::mem::take(&mut self.queue).into_receipts();
        self.decided.extend(
            self.encrypted
                .drain(..)
                .chain(unsent)
                .map(|receipt| (receipt, Err(reasons::friend_gone()))),
        );
        self.pending = PendingReceipts::default();
        self.tls = None;
    }
}

/// `try_send` of the sink, with 0 bytes taken in place of `WouldBlock`.
fn try_send(sink: &impl Sink, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    match sink.try_send(slices) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}
