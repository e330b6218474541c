//! A connection's outgoing side: what waits to be sent, the TLS state, and how it ends.
//!
//! An [`Outbox`] is plain data without a lock or a thread: [`Connection`](super::Connection) puts one behind a
//! mutex. Nothing here blocks.

use std::io::{self, IoSlice};

use super::batch::Batch;
use super::end_reason::EndReason;
use super::ledger::{Ledger, Verdict};
use super::queue::{Chunk, Queue};
use super::receipt::Receipt;
use super::socket::Sink;
use super::tls::Tls;
use crate::sync::Arc;
use crate::wire::frame::Framing;
use crate::wire::message::Line;

/// Slices that one vectored send takes at most.
const MAX_SLICES: usize = 32;

/// The most that one TLS record holds, in bytes (RFC 8446, section 5.1).
const RECORD: usize = 16 << 10;

/// Plaintext that is encrypted before the ciphertext is sent, at most, in bytes: four TLS records.
const SEALED_AT_ONCE: usize = 64 << 10;

/// What [`Outbox::flush`] sends at most before it lets others have the lock, in bytes.
const FLUSHED_AT_ONCE: usize = 256 << 10;

/// Receipts are held back until they cost this much, in bytes and overhead.
const HELD_AT_MOST: usize = 16 << 10;

/// What waits to be sent through one connection.
#[derive(Debug)]
pub struct Outbox {
    /// What the socket has not taken yet. In front of it is the ciphertext in `tls`.
    queue: Queue,
    tls: Option<Box<Tls>>,
    /// Receipts of messages that are encrypted, but whose ciphertext is not all sent.
    sealed: Vec<Receipt>,
    /// Receipts that are decided, for whoever holds the lock to settle once it is released: settling takes the
    /// lock of another outbox.
    decided: Vec<(Receipt, Verdict)>,
    /// The receipts that this connection is itself owed.
    ledger: Ledger,
    framing: Framing,
    /// The largest backlog, in bytes.
    limit: usize,
    stage: Stage,
    ended: Option<EndReason>,
    /// Why the connection's own thread is asked to leave, if it is.
    dismissal: Option<Dismissal>,
    /// Bytes that the socket has taken since the start.
    sent: u64,
    /// Whether somebody has been told to send on what waits.
    is_announced: bool,
    /// Whether receipts are held back: see [`hold`](Self::hold). What waits is then nothing but them.
    is_holding: bool,
}

/// Why a connection's own thread is to end it, and the last line for the client.
#[derive(Clone, Debug)]
pub struct Dismissal {
    /// The reason, for the log.
    pub reason: EndReason,
    /// What the client is told.
    pub words: Arc<str>,
}

/// How lines go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// At once and with what is held back, unless the sink is behind.
    Usual,
    /// In a write of their own.
    Alone,
    /// With what comes next.
    Held,
}

/// How far the outgoing side has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Takes what it is given.
    Open,
    /// Takes nothing more: the last line is sent, or queued.
    Last,
    /// Takes nothing more; once all that is queued has gone out, the socket is to be shut.
    Finishing,
    /// The same, and TLS has said goodbye.
    Notified,
    /// Everything was sent; the socket is to be shut for writing.
    Shut,
}

impl Outbox {
    /// An outbox with nothing in it, that may hold `limit` bytes.
    pub fn new(tls: Option<Tls>, limit: usize) -> Outbox {
        Outbox {
            queue: Queue::default(),
            tls: tls.map(Box::new),
            sealed: Vec::new(),
            decided: Vec::new(),
            ledger: Ledger::default(),
            framing: Framing::Stream,
            limit,
            stage: Stage::Open,
            ended: None,
            dismissal: None,
            sent: 0,
            is_announced: false,
            is_holding: false,
        }
    }

    /// Frames all further output in the client's own way.
    pub fn set_framing(&mut self, framing: Framing) {
        self.framing = framing;
    }

    /// The TLS state, for the reading side.
    pub fn tls(&mut self) -> Option<&mut Tls> {
        self.tls.as_deref_mut()
    }

    /// Why the connection has ended, if it has.
    pub fn ended(&self) -> Option<EndReason> {
        self.ended
    }

    /// Why the connection's own thread is asked to leave, if it is.
    pub fn dismissal(&self) -> Option<&Dismissal> {
        self.dismissal.as_ref()
    }

    /// Asks the connection's own thread to leave; the first who asks is heard. False if it is leaving already.
    pub fn dismiss(&mut self, dismissal: Dismissal) -> bool {
        let is_first = self.ended.is_none() && self.dismissal.is_none();
        if is_first {
            self.dismissal = Some(dismissal);
        }
        is_first
    }

    /// Whether the connection's own thread has a reason to leave.
    pub fn must_leave(&self) -> bool {
        self.ended.is_some() || self.dismissal.is_some()
    }

    /// How many bytes the socket has taken since the start.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether something waits to be sent that the socket did not take.
    pub fn is_behind(&self) -> bool {
        self.unsent() > 0 && !self.is_holding && self.ended.is_none()
    }

    /// Whether nothing waits to be sent and no receipt is owed.
    pub fn is_settled(&self) -> bool {
        self.unsent() == 0 && self.ledger.owed() == 0
    }

    /// Whether everything was sent that ever will be.
    pub fn is_shut(&self) -> bool {
        self.stage == Stage::Shut
    }

    fn unsent(&self) -> usize {
        self.queue.cost() + self.tls.as_ref().map_or(0, |tls| tls.outgoing().len())
    }

    /// Lets this many bytes more wait: the roster of a large class is no sign of a slow reader.
    pub fn allow_more(&mut self, bytes: usize) {
        self.limit += bytes;
    }

    /// Sends the lines of `batch` from offset `from` on, as far as `sink` takes them now, and queues the rest.
    ///
    /// While the sink is behind, the new lines only join the queue: sending older bytes is left to
    /// [`flush`](Self::flush), so that a slow client costs whoever sends to it no system call.
    pub fn push(&mut self, sink: &impl Sink, batch: &Batch, from: usize, receipt: Option<Receipt>) {
        self.push_chunk(sink, batch, from, Manner::Usual, receipt);
    }

    /// Like [`push`](Self::push) for a whole line that must leave in a write of its own.
    pub fn push_alone(&mut self, sink: &impl Sink, line: Line) {
        self.push_chunk(sink, &line.into(), 0, Manner::Alone, None);
    }

    fn push_chunk(
        &mut self,
        sink: &impl Sink,
        batch: &Batch,
        from: usize,
        manner: Manner,
        receipt: Option<Receipt>,
    ) {
        if self.stage != Stage::Open || self.ended.is_some() {
            self.decided.extend(receipt.map(|receipt| (receipt, GONE)));
            return;
        }
        let prefixed;
        let (batch, from) = match self.framing {
            Framing::Stream => (batch, from),
            Framing::Prefixed => {
                prefixed = batch.prefixed(from);
                (prefixed.as_ref(), 0)
            }
        };
        let bytes = &batch.bytes()[from..];
        let (was_behind, had_held) = (self.is_behind(), self.has_held());
        let mut sent = 0;
        if !was_behind && !had_held && self.tls.is_none() && manner != Manner::Held {
            match take_now(sink, &[IoSlice::new(bytes)]) {
                Ok(count) => sent = count,
                Err(error) => self.end(EndReason::of(&error)),
            }
            self.sent += sent as u64;
            if sent == bytes.len() {
                self.decided
                    .extend(receipt.map(|receipt| (receipt, Ok(()))));
                return;
            }
        }
        let chunk = Chunk {
            data: batch.share(from),
            next: sent,
            alone: manner == Manner::Alone,
            receipt,
        };
        self.queue.push(chunk);
        if manner == Manner::Held {
            return;
        }
        // What waits is not only receipts any more.
        self.is_holding = false;
        if !was_behind && (had_held || self.tls.is_some()) {
            self.flush(sink);
        }
    }

    /// Ends the connection if more waits than the backlog allows.
    pub fn enforce_limit(&mut self) {
        if self.is_behind() && self.unsent() > self.limit {
            self.end(EndReason::Slow);
        }
    }

    /// Notes that the connection is on its way to whoever sends on for those behind. False if it was noted before.
    pub fn announce(&mut self) -> bool {
        !std::mem::replace(&mut self.is_announced, true)
    }

    /// Notes that nobody sends on for this connection any more.
    pub fn withdraw(&mut self) {
        self.is_announced = false;
    }

    /// Holds receipts back from now on, for the next lines to take them along: a receipt and an answer to the message
    /// cost one write if they come together. Whoever calls this calls [`release`](Self::release) soon, and without
    /// waiting for anything.
    pub fn hold(&mut self) {
        self.is_holding = !self.is_behind();
    }

    /// Whether receipts wait for something to go with.
    pub fn has_held(&self) -> bool {
        self.is_holding && self.unsent() > 0
    }

    /// Holds nothing back any more.
    pub fn release(&mut self, sink: &impl Sink) {
        if self.has_held() {
            self.flush(sink);
        }
        self.is_holding = false;
    }

    /// Tries to send what waits. True if the sink took anything.
    pub fn flush(&mut self, sink: &impl Sink) -> bool {
        self.is_holding = false;
        let mut total = 0;
        while total < FLUSHED_AT_ONCE && self.ended.is_none() {
            let sent = if self.tls.is_some() {
                self.send_sealed(sink)
            } else {
                self.send_queued(sink)
            };
            match sent {
                Ok(0) => break,
                Ok(count) => total += count,
                Err(error) => self.end(EndReason::of(&error)),
            }
        }
        if self.unsent() == 0 && self.ended.is_none() {
            self.advance_stage(sink);
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
        let sent = take_now(sink, &slices[..count])?;
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
    fn send_sealed(&mut self, sink: &impl Sink) -> io::Result<usize> {
        let Some(mut tls) = self.tls.take() else {
            return Ok(0);
        };
        let result = self.seal_and_send(sink, &mut tls);
        self.tls = Some(tls);
        result
    }

    fn seal_and_send(&mut self, sink: &impl Sink, tls: &mut Tls) -> io::Result<usize> {
        if tls.outgoing().is_empty() {
            let alone = self.queue.is_first_alone();
            let mut sealed = 0;
            // What is short goes into one record with what follows: a record costs both sides more than its bytes.
            let mut record = Vec::new();
            while sealed < SEALED_AT_ONCE {
                if self.queue.len() == 0 || sealed > 0 && (alone || self.queue.is_first_alone()) {
                    break;
                }
                let is_last = self.queue.len() == 1;
                let (taken, receipt) = self.queue.take(SEALED_AT_ONCE - sealed, |bytes| {
                    let fits = record.len() + bytes.len() <= RECORD;
                    if !record.is_empty() && !fits {
                        tls.seal(&record)?;
                        record.clear();
                    }
                    if bytes.len() > RECORD || record.is_empty() && is_last {
                        return tls.seal(bytes);
                    }
                    record.extend_from_slice(bytes);
                    Ok(())
                })?;
                sealed += taken;
                self.sealed.extend(receipt);
            }
            tls.seal(&record)?;
        }
        if tls.outgoing().is_empty() {
            return Ok(0);
        }
        let sent = take_now(sink, &[IoSlice::new(tls.outgoing())])?;
        tls.sent(sent);
        self.sent += sent as u64;
        if tls.outgoing().is_empty() {
            self.decided
                .extend(self.sealed.drain(..).map(|receipt| (receipt, Ok(()))));
        }
        Ok(sent)
    }

    /// Notes that a receipt is owed to this connection; see [`Ledger::open`].
    pub fn ledger(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// Sends the receipts that become due by this decision; see [`Ledger::settle`].
    pub fn settle(&mut self, sink: &impl Sink, receipt: &Receipt, verdict: Verdict) {
        let mut due = Vec::new();
        self.ledger
            .settle(receipt.friend(), receipt.ticket(), verdict, |line| {
                due.push(line)
            });
        for line in due {
            let manner = match self.is_holding && self.unsent() < HELD_AT_MOST {
                true => Manner::Held,
                false => Manner::Usual,
            };
            self.push_chunk(sink, &line.into(), 0, manner, None);
        }
    }

    /// Decides all receipts that are owed to this connection, and sends them.
    pub fn settle_all(&mut self, sink: &impl Sink, verdict: Verdict) {
        let mut due = Vec::new();
        self.ledger.settle_all(verdict, |line| due.push(line));
        for line in due {
            self.push(sink, &line.into(), 0, None);
        }
    }

    /// Decides all receipts that are owed to this connection, sends them and a last line, and takes nothing more.
    pub fn push_last(&mut self, sink: &impl Sink, line: Line, verdict: Verdict) {
        self.settle_all(sink, verdict);
        self.push(sink, &line.into(), 0, None);
        self.stage = self.stage.max(Stage::Last);
    }

    /// Takes nothing more from now on. When all that is queued was sent, TLS says goodbye, and the socket is to
    /// be shut for writing.
    pub fn finish(&mut self, sink: &impl Sink) {
        if self.stage <= Stage::Last {
            self.stage = Stage::Finishing;
            self.flush(sink);
        }
    }

    fn advance_stage(&mut self, sink: &impl Sink) {
        match self.stage {
            Stage::Finishing => {
                self.stage = Stage::Notified;
                if let Some(tls) = &mut self.tls {
                    tls.close_notify();
                }
                self.flush(sink);
            }
            Stage::Notified => self.stage = Stage::Shut,
            Stage::Open | Stage::Last | Stage::Shut => {}
        }
    }

    /// Ends the connection: nothing more is sent. The first reason given stays.
    pub fn end(&mut self, reason: EndReason) {
        self.ended.get_or_insert(reason);
    }

    /// Takes the receipts that were decided since the last call. They must be settled without this outbox's lock.
    pub fn take_decided(&mut self) -> Vec<(Receipt, Verdict)> {
        std::mem::take(&mut self.decided)
    }

    /// Throws away all that waits, when the connection's own thread is done with it. Messages in the queue were
    /// not delivered, and whoever is still owed a receipt here has gone.
    pub fn clear(&mut self) {
        let queue = std::mem::take(&mut self.queue);
        self.decided.extend(
            self.sealed
                .drain(..)
                .chain(queue.into_receipts())
                .map(|receipt| (receipt, GONE)),
        );
        self.ledger = Ledger::default();
        self.tls = None;
    }
}

/// What a receipt says when the receiver's connection ended before the message was written to it.
const GONE: Verdict = Err("the connection of this user ended before the message could be sent");

/// `send_now`, with nothing taken in place of `WouldBlock`.
fn take_now(sink: &impl Sink, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    match sink.send_now(slices) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}
