//! The outbox and the pending receipts, beside a model of what must have been sent.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::{Arc, Weak};
use std::time::Instant;

use chatd::transport::close_state::Phase;
use chatd::transport::outbox::Outbox;
use chatd::transport::pending_receipts::PendingReceipts;
use chatd::transport::receipt::{DeliveryResult, ReceiptOwner};
use chatd::transport::socket::Sink;
use chatd::transport::{Batch, CloseCause, CloseReason, Receipt};
use chatd::wire::{Framing, Lines, NameKey, ServerMessage};

/// What a queued chunk is documented to cost beyond its bytes.
const CHUNK_OVERHEAD: usize = 128;

/// What it is documented to cost beside that if a receipt is owed for it.
const RECEIPT_OVERHEAD: usize = 336;

/// Friends that receipts are owed for, as they are written.
const FRIENDS: [&str; 3] = ["Anna", "anna", "Bob1"];

/// What can happen to an outbox.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// A batch of lines with these many bytes each, from the line `skip` on, perhaps with a receipt.
    Push {
        sizes: [u16; 3],
        skip: u8,
        has_receipt: bool,
    },
    /// A line that must leave in a write of its own.
    PushAlone { size: u16 },
    /// What waits is tried again.
    Flush,
    /// Receipts wait for what comes next.
    Cork,
    /// They wait no more.
    Uncork,
    /// The outbox is owed a receipt.
    Owe { friend: u8 },
    /// One of the receipts owed is decided, perhaps not for the first time.
    Resolve { ticket: u8, is_delivered: bool },
    /// All that are owed are decided.
    ResolveAll,
    /// The limit is looked at.
    Enforce,
    /// More may wait.
    RaiseLimit { bytes: u16 },
    /// The connection is drained: once no receipt is owed, a last line is queued, if there is one, and nothing more is taken.
    Drain { has_last_line: bool },
    /// The connection is closed.
    Close,
}

/// What the sink does with what it is offered.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    TakeAll,
    /// At most so many bytes.
    Take(u16),
    WouldBlock,
    /// The connection was reset, or timed out.
    Fail {
        is_dead: bool,
    },
}

/// A socket that does as it is told.
#[derive(Debug, Default)]
pub struct Script {
    /// What it does next; when there are no more, it takes all.
    pub steps: RefCell<VecDeque<Step>>,
    /// What it took.
    pub taken: RefCell<Vec<u8>>,
    /// Since the last look: how many bytes were offered in each write, from which place in the stream.
    pub writes: RefCell<Vec<Range<usize>>>,
    /// The first failure.
    failed: RefCell<Option<CloseReason>>,
}

impl Sink for Script {
    fn try_send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        assert_eq!(*self.failed.borrow(), None, "a write after one that failed");
        let offered = slices
            .iter()
            .map(|slice| &**slice)
            .collect::<Vec<_>>()
            .concat();
        assert!(!offered.is_empty(), "an empty write");
        let mut taken = self.taken.borrow_mut();
        self.writes
            .borrow_mut()
            .push(taken.len()..taken.len() + offered.len());
        let step = self.steps.borrow_mut().pop_front();
        let count = match step.unwrap_or(Step::TakeAll) {
            Step::TakeAll => offered.len(),
            Step::Take(most) => offered.len().min(most.into()),
            Step::WouldBlock => return Err(io::ErrorKind::WouldBlock.into()),
            Step::Fail { is_dead } => {
                let (kind, reason) = match is_dead {
                    true => (io::ErrorKind::TimedOut, CloseReason::Unresponsive),
                    false => (io::ErrorKind::ConnectionReset, CloseReason::ConnectionLost),
                };
                *self.failed.borrow_mut() = Some(reason);
                return Err(kind.into());
            }
        };
        taken.extend_from_slice(&offered[..count]);
        Ok(count)
    }
}

/// Receipts whose sender has gone: resolving them does nothing, and what becomes of them can be watched.
pub fn receipts(friends: impl IntoIterator<Item = usize>) -> VecDeque<Receipt> {
    let nobody: Weak<dyn ReceiptOwner> = Weak::<Nobody>::new();
    let mut tickets = 0..;
    friends
        .into_iter()
        .zip(&mut tickets)
        .map(|(friend, ticket)| Receipt::new(nobody.clone(), NameKey::new(FRIENDS[friend]), ticket))
        .collect()
}

/// A sender that is never there.
struct Nobody;

impl ReceiptOwner for Nobody {
    fn receive_result(
        self: Arc<Self>,
        _: &NameKey,
        _: u64,
        _: DeliveryResult,
    ) -> Vec<(Receipt, DeliveryResult)> {
        unreachable!("nobody is told");
    }
}

/// A receipt's ticket, the friend as written, and what was decided.
type Entry = (u64, &'static str, Option<DeliveryResult>);

/// What receipts should be pending.
#[derive(Debug, Default)]
struct Owed {
    /// For each friend, the receipts that were not sent yet, in order.
    friends: BTreeMap<NameKey, VecDeque<Entry>>,
    opened: u64,
}

impl Owed {
    fn count(&self) -> usize {
        self.friends.values().map(VecDeque::len).sum()
    }

    fn open(&mut self, friend: usize) -> u64 {
        let shown = FRIENDS[friend];
        let ticket = self.opened;
        self.opened += 1;
        let entries = self.friends.entry(NameKey::new(shown)).or_default();
        entries.push_back((ticket, shown, None));
        ticket
    }

    /// Decides one, and returns the lines that are due.
    fn resolve(&mut self, friend: &NameKey, ticket: u64, result: DeliveryResult) -> Vec<Lines> {
        let mut due = Vec::new();
        let Some(entries) = self.friends.get_mut(friend) else {
            return due;
        };
        for entry in entries.iter_mut().filter(|entry| entry.0 == ticket) {
            entry.2.get_or_insert(result);
        }
        while let Some((_, shown, Some(result))) = entries.front() {
            due.push(ServerMessage::receipt(shown, *result).to_line());
            entries.pop_front();
        }
        due
    }

    /// Decides all, and returns the lines for each friend.
    fn resolve_all(&mut self, result: DeliveryResult) -> Vec<Vec<Lines>> {
        let line = |(_, shown, decided): Entry| {
            ServerMessage::receipt(shown, decided.unwrap_or(result)).to_line()
        };
        std::mem::take(&mut self.friends)
            .into_values()
            .map(|entries| entries.into_iter().map(line).collect())
            .collect()
    }
}

/// What can happen to pending receipts.
#[derive(Clone, Copy, Debug)]
pub enum PendingEvent {
    Open {
        friend: u8,
    },
    /// Any ticket that there ever was or will be next, for its own friend or another.
    Resolve {
        friend: u8,
        ticket: u8,
        is_delivered: bool,
    },
    ResolveAll,
}

const NO: DeliveryResult = Err("no");

fn result(is_delivered: bool) -> DeliveryResult {
    if is_delivered { Ok(()) } else { NO }
}

/// Applies events to pending receipts, and checks what goes out.
pub fn check_pending(events: &[PendingEvent]) {
    let mut pending = PendingReceipts::default();
    let mut owed = Owed::default();
    for event in events {
        match *event {
            PendingEvent::Open { friend } => {
                let friend = usize::from(friend) % FRIENDS.len();
                let ticket = pending.open(&NameKey::new(FRIENDS[friend]), FRIENDS[friend]);
                assert_eq!(ticket, owed.open(friend));
            }
            PendingEvent::Resolve {
                friend,
                ticket,
                is_delivered,
            } => {
                let friend = NameKey::new(FRIENDS[usize::from(friend) % FRIENDS.len()]);
                let ticket = u64::from(ticket) % (owed.opened + 1);
                let result = result(is_delivered);
                let lines = pending.decide(&friend, ticket, result);
                assert_eq!(lines, owed.resolve(&friend, ticket, result));
            }
            PendingEvent::ResolveAll => {
                let lines = pending.decide_all(NO);
                check_interleaving(&lines, owed.resolve_all(NO));
            }
        }
        assert_eq!(pending.owed(), owed.count());
    }
}

/// Checks that `lines` are those of all friends, each friend's in order.
fn check_interleaving(lines: &[Lines], friends: Vec<Vec<Lines>>) {
    let mut friends: Vec<VecDeque<Lines>> = friends.into_iter().map(Into::into).collect();
    for line in lines {
        let next = friends
            .iter_mut()
            .find(|friend| friend.front() == Some(line));
        assert!(next.and_then(VecDeque::pop_front).is_some(), "{line:?}");
    }
    assert!(friends.iter().all(VecDeque::is_empty), "{friends:?}");
}

/// An outbox and all that should be true of it.
struct Model {
    outbox: Outbox,
    sink: Script,
    framing: Framing,
    /// All that was accepted, as it must go out.
    stream: Vec<u8>,
    /// Where the chunks of the stream end that had to wait, the first that still does in front.
    chunks: VecDeque<usize>,
    /// What must leave in a write of its own.
    alone: Vec<Range<usize>>,
    /// Receipts for others, not used yet.
    unused: VecDeque<Receipt>,
    /// The tickets of those that ride in the stream, and where each one's message ends.
    riding: VecDeque<(u64, usize)>,
    /// The outbox's own receipts: the friend and the ticket of each.
    twins: Vec<(NameKey, u64)>,
    owed: Owed,
    limit: usize,
    /// Whether receipts are corked. What waits is then nothing but them.
    is_corked: bool,
    /// The last line as it is framed, if the connection is draining. For a browser it has the end of WebSocket, too.
    last_line: Option<Vec<u8>>,
    phase: Phase,
    /// Why it ends, if it does.
    reason: Option<CloseReason>,
}

/// Applies events to an outbox over a sink that follows `steps`, and checks after each what was sent.
pub fn check(framing: Framing, limit: usize, events: &[Event], steps: &[Step]) {
    let pushes = events
        .iter()
        .filter(|event| matches!(event, Event::Push { .. }));
    let mut outbox = Outbox::new(None, true, limit);
    outbox.set_framing(framing);
    let mut model = Model {
        outbox,
        sink: Script::default(),
        framing,
        stream: Vec::new(),
        chunks: VecDeque::new(),
        alone: Vec::new(),
        unused: receipts(pushes.map(|_| 0)),
        riding: VecDeque::new(),
        twins: Vec::new(),
        owed: Owed::default(),
        limit,
        is_corked: false,
        last_line: None,
        phase: Phase::Open,
        reason: None,
    };
    model.sink.steps.borrow_mut().extend(steps);
    for event in events {
        model.apply(*event);
        model.check();
    }
    // Once the sink takes everything, everything goes out.
    model.sink.steps.borrow_mut().clear();
    for event in [
        Event::ResolveAll,
        Event::Drain {
            has_last_line: true,
        },
    ] {
        model.apply(event);
        model.check();
    }
    for _ in 0..1 + model.stream.len() / (256 << 10) {
        model.apply(Event::Flush);
        model.check();
    }
    if model.phase != Phase::Closed {
        assert_eq!(model.phase, Phase::HalfClosed);
        assert!(model.riding.is_empty());
        assert_eq!(*model.sink.taken.borrow(), model.stream);
    }
    model.apply(Event::Close);
    model.check();
    model.discard();
}

/// The frame that ends WebSocket after a logout (RFC 6455, section 5.5.1).
const NORMAL_CLOSURE: [u8; 4] = [0x88, 2, 0x03, 0xe8];

/// The words of a last line.
const LAST_WORDS: &str = "that is all";

impl Model {
    fn apply(&mut self, event: Event) {
        self.apply_alone(event);
        self.advance();
    }

    fn apply_alone(&mut self, event: Event) {
        match event {
            Event::Push {
                sizes,
                skip,
                has_receipt,
            } => {
                let mut batch = Batch::default();
                let mut from = 0;
                for (index, size) in sizes.into_iter().enumerate() {
                    if index == usize::from(skip) % sizes.len() {
                        from = batch.len();
                    }
                    batch.append(&line(self.stream.len() + index, size));
                }
                let receipt = self.unused.pop_front().filter(|_| has_receipt);
                let ticket = receipt.as_ref().map(Receipt::ticket);
                let lines = batch.lines()[from..].to_vec();
                self.push(lines, false, ticket, |outbox, sink| {
                    outbox.push(sink, &batch, from, receipt);
                });
            }
            Event::PushAlone { size } => {
                let line = line(self.stream.len(), size);
                self.push(line.clone(), true, None, |outbox, sink| {
                    outbox.push_alone(sink, line);
                });
            }
            Event::Flush => self.flush(Outbox::flush),
            Event::Cork => {
                self.outbox.cork();
                self.is_corked = !self.is_behind();
            }
            Event::Uncork => self.uncork(),
            Event::Drain { has_last_line } => {
                let words = if has_last_line { LAST_WORDS } else { "" };
                let cause = CloseCause::new(CloseReason::LoggedOut, words);
                self.outbox.drain(cause, Instant::now());
                if self.phase == Phase::Open {
                    self.phase = Phase::Draining;
                    self.reason = Some(CloseReason::LoggedOut);
                    let mut last = match has_last_line {
                        true => self.framed(ServerMessage::notice(words).to_line()),
                        false => Vec::new(),
                    };
                    if self.framing == Framing::WebSocket {
                        last.extend_from_slice(&NORMAL_CLOSURE);
                    }
                    self.last_line = Some(last).filter(|last| !last.is_empty());
                }
            }
            Event::Owe { friend } => {
                let friend = usize::from(friend) % FRIENDS.len();
                let ticket = self
                    .outbox
                    .open_receipt(&NameKey::new(FRIENDS[friend]), FRIENDS[friend]);
                assert_eq!(ticket, self.owed.open(friend));
                self.twins.push((NameKey::new(FRIENDS[friend]), ticket));
            }
            Event::Resolve {
                ticket,
                is_delivered,
            } => self.resolve(ticket.into(), result(is_delivered)),
            Event::ResolveAll => self.resolve_all(),
            Event::Enforce => {
                self.outbox.enforce_limit();
                if self.is_behind() && self.cost() > self.limit {
                    self.close(CloseReason::SlowConsumer);
                }
            }
            Event::RaiseLimit { bytes } => {
                self.outbox.raise_limit(bytes.into());
                self.limit += usize::from(bytes);
            }
            Event::Close => {
                self.outbox.close(CloseReason::ClosedByClient);
                self.close(CloseReason::ClosedByClient);
            }
        }
    }

    fn close(&mut self, reason: CloseReason) {
        self.phase = Phase::Closed;
        self.reason.get_or_insert(reason);
    }

    fn takes_output(&self) -> bool {
        self.phase <= Phase::Draining
    }

    /// Goes on with a drain, as a connection does after each event.
    fn advance(&mut self) {
        let now = Instant::now();
        if self.phase == Phase::Draining && self.owed.count() == 0 {
            match self.last_line.take() {
                Some(line) => {
                    self.push_framed(line, false, None, |outbox, sink| outbox.advance(sink, now))
                }
                None => self.uncork_by(|outbox, sink| outbox.advance(sink, now)),
            }
            if self.phase == Phase::Draining {
                self.phase = Phase::Flushing;
            }
        } else {
            self.outbox.advance(&self.sink, now);
            assert_eq!(self.take_writes(), []);
        }
        if self.phase == Phase::Flushing && self.chunks.is_empty() {
            self.phase = Phase::HalfClosed;
        }
    }

    /// Throws away what was not sent, which decides every receipt.
    fn discard(&mut self) {
        self.outbox.discard();
        let decided = self.outbox.take_decided();
        let refused: Vec<u64> = decided
            .iter()
            .map(|(receipt, result)| {
                assert!(result.is_err(), "{receipt:?} was not sent");
                receipt.ticket()
            })
            .collect();
        let riding: Vec<u64> = self.riding.drain(..).map(|(ticket, _)| ticket).collect();
        assert_eq!(refused, riding);
    }

    /// What waits, and what it costs.
    fn cost(&self) -> usize {
        let waiting = self.stream.len() - self.sink.taken.borrow().len();
        waiting + CHUNK_OVERHEAD * self.chunks.len() + RECEIPT_OVERHEAD * self.riding.len()
    }

    fn is_behind(&self) -> bool {
        !self.chunks.is_empty() && !self.is_corked && self.phase != Phase::Closed
    }

    fn has_corked(&self) -> bool {
        self.is_corked && !self.chunks.is_empty()
    }

    /// Sends what was corked, in writes as for a flush, or does nothing.
    fn uncork(&mut self) {
        assert_eq!(self.outbox.has_corked(), self.has_corked());
        self.uncork_by(|outbox, sink| outbox.uncork(sink));
    }

    fn uncork_by(&mut self, uncork: impl FnOnce(&mut Outbox, &Script)) {
        if self.has_corked() {
            self.flush(|outbox, sink| {
                let before = sink.taken.borrow().len();
                uncork(outbox, sink);
                sink.taken.borrow().len() > before
            });
        } else {
            uncork(&mut self.outbox, &self.sink);
            assert_eq!(self.take_writes(), []);
        }
        self.is_corked = false;
    }

    fn take_writes(&self) -> Vec<Range<usize>> {
        std::mem::take(&mut *self.sink.writes.borrow_mut())
    }

    /// Pushes lines: in one write if nothing waits, with what was corked, or in none if the sink is behind.
    fn push(
        &mut self,
        lines: Lines,
        is_alone: bool,
        ticket: Option<u64>,
        push: impl FnOnce(&mut Outbox, &Script),
    ) {
        self.push_framed(self.framed(lines), is_alone, ticket, push);
    }

    fn push_framed(
        &mut self,
        framed: Vec<u8>,
        is_alone: bool,
        ticket: Option<u64>,
        push: impl FnOnce(&mut Outbox, &Script),
    ) {
        let (was_behind, had_corked) = (self.is_behind(), self.has_corked());
        let is_taken = self.takes_output();
        let before = self.sink.taken.borrow().len();
        push(&mut self.outbox, &self.sink);
        let writes = self.take_writes();
        if !is_taken {
            assert_eq!(writes, []);
            if let Some(ticket) = ticket {
                let refused = self.outbox.take_decided();
                let (receipt, result) = refused.last().expect("the receipt");
                assert_eq!((receipt.ticket(), result.is_err()), (ticket, true));
            }
            return;
        }
        let start = self.stream.len();
        self.stream.extend(framed);
        let end = self.stream.len();
        if is_alone {
            self.alone.push(start..end);
        }
        self.riding.extend(ticket.map(|ticket| (ticket, end)));
        if was_behind {
            assert_eq!(writes, [], "a push to who is behind costs no write");
        } else if had_corked {
            assert_eq!(
                writes.first().map(|write| write.start),
                Some(before),
                "what was corked goes first"
            );
            self.check_alone(&writes);
        } else {
            assert_eq!(writes, vec![start..end; 1], "a write of its own");
        }
        self.note_failure();
        self.chunks.push_back(end);
        self.drop_sent();
        self.is_corked &= self.chunks.is_empty() && !had_corked;
    }

    fn framed(&self, lines: Lines) -> Vec<u8> {
        self.framing.encode(&lines).into_owned()
    }

    fn note_failure(&mut self) {
        let failed = *self.sink.failed.borrow();
        if let Some(reason) = failed {
            self.close(reason);
        }
    }

    fn flush(&mut self, flush: impl FnOnce(&mut Outbox, &Script) -> bool) {
        let before = self.sink.taken.borrow().len();
        let was_behind = !self.chunks.is_empty() && self.phase != Phase::Closed;
        let took = flush(&mut self.outbox, &self.sink);
        self.is_corked = false;
        let taken = self.sink.taken.borrow().len();
        assert_eq!(took, taken > before);
        let writes = self.take_writes();
        assert_eq!(!writes.is_empty(), was_behind, "{writes:?}");
        self.check_alone(&writes);
        self.drop_sent();
        self.note_failure();
    }

    fn check_alone(&self, writes: &[Range<usize>]) {
        for write in writes {
            for alone in &self.alone {
                let overlaps = write.start < alone.end && alone.start < write.end;
                let is_inside = alone.start <= write.start && write.end <= alone.end;
                assert!(!overlaps || is_inside, "{write:?} is not only {alone:?}");
            }
        }
    }

    /// Forgets the chunks of which all was taken.
    fn drop_sent(&mut self) {
        let taken = self.sink.taken.borrow().len();
        while self.chunks.front().is_some_and(|end| *end <= taken) {
            self.chunks.pop_front();
        }
    }

    fn resolve(&mut self, ticket: usize, result: DeliveryResult) {
        let Some(place) = ticket.checked_rem(self.twins.len()) else {
            return;
        };
        let twin = &self.twins[place];
        let (friend, ticket) = twin.clone();
        let due = self.owed.resolve(&friend, ticket, result);
        self.push_each(due, |outbox, sink| {
            outbox.decide(sink, &friend, ticket, result);
        });
    }

    fn resolve_all(&mut self) {
        self.uncork();
        // In which order friends come is not promised, so the lines are looked for in what was sent.
        let friends = self.owed.resolve_all(NO);
        let is_taken = self.takes_output();
        if friends.iter().filter(|lines| !lines.is_empty()).count() > 1 && is_taken {
            // A sink that takes everything shows them.
            self.apply_until_caught_up();
            let start = self.sink.taken.borrow().len();
            self.outbox.decide_all(&self.sink, NO);
            if self.phase == Phase::Closed {
                return;
            }
            self.take_writes();
            let sent = self.sink.taken.borrow()[start..].to_vec();
            self.stream.extend_from_slice(&sent);
            check_interleaving(&self.cut(&sent), friends);
        } else {
            self.push_each(friends.concat(), |outbox, sink| {
                outbox.decide_all(sink, NO);
            });
        }
    }

    /// Lets the sink take all there is.
    fn apply_until_caught_up(&mut self) {
        self.sink.steps.borrow_mut().clear();
        while self.is_behind() {
            self.flush(Outbox::flush);
        }
    }

    fn cut(&self, sent: &[u8]) -> Vec<Lines> {
        match self.framing {
            Framing::Stream => sent
                .split_inclusive(|byte| *byte == b'\n')
                .map(<[u8]>::to_vec)
                .collect(),
            Framing::Prefixed => {
                let mut lines = Vec::new();
                let mut rest = sent;
                while let Some((length, frames)) = rest.split_first_chunk::<4>() {
                    let (line, frames) = frames.split_at(u32::from_be_bytes(*length) as usize);
                    lines.push([line, b"\n"].concat());
                    rest = frames;
                }
                lines
            }
            // None here is longer than a length of two bytes tells.
            Framing::WebSocket => {
                let mut lines = Vec::new();
                let mut rest = sent;
                while let [0x81, length, frames @ ..] = rest {
                    let (length, frames) = match (*length, frames) {
                        (126, [high, low, frames @ ..]) => {
                            (usize::from(u16::from_be_bytes([*high, *low])), frames)
                        }
                        (length, frames) => (usize::from(length), frames),
                    };
                    let (line, frames) = frames.split_at(length);
                    lines.push([line, b"\n"].concat());
                    rest = frames;
                }
                lines
            }
        }
    }

    /// Expects each line to be pushed by itself, or to be corked.
    fn push_each(&mut self, lines: Vec<Lines>, push: impl FnOnce(&mut Outbox, &Script)) {
        let takes_output = self.takes_output();
        push(&mut self.outbox, &self.sink);
        let mut writes: VecDeque<_> = self.take_writes().into();
        let failure = *self.sink.failed.borrow();
        let taken = self.sink.taken.borrow().len();
        for line in lines {
            if !takes_output || self.phase == Phase::Closed {
                break;
            }
            let start = self.stream.len();
            self.stream.extend(self.framed(line));
            let end = self.stream.len();
            if self.is_corked {
                self.chunks.push_back(end);
                continue;
            }
            if self.chunks.is_empty() {
                assert_eq!(writes.pop_front(), Some(start..end), "a write of its own");
                if let Some(reason) = failure.filter(|_| writes.is_empty()) {
                    self.close(reason);
                }
            }
            if taken < end {
                self.chunks.push_back(end);
            }
        }
        assert!(writes.is_empty(), "{writes:?}");
    }

    fn check(&mut self) {
        let state = self.outbox.close_state();
        assert_eq!(state.phase(), self.phase);
        assert_eq!(state.cause().map(|cause| cause.reason), self.reason);
        let taken = self.sink.taken.borrow().len();
        assert!(
            self.stream.starts_with(&self.sink.taken.borrow()),
            "what was taken is not what was pushed"
        );
        assert_eq!(self.outbox.is_behind(), self.is_behind());
        assert_eq!(taken == self.stream.len(), self.chunks.is_empty());
        self.check_decided();
    }

    /// A receipt says 1 exactly when the last byte of its message was taken.
    fn check_decided(&mut self) {
        let taken = self.sink.taken.borrow().len();
        for (receipt, result) in self.outbox.take_decided() {
            let (ticket, end) = self.riding.pop_front().expect("a receipt that was given");
            assert_eq!((receipt.ticket(), result), (ticket, Ok(())));
            assert!(end <= taken, "its message was not all sent");
        }
        if let Some((ticket, end)) = self.riding.front() {
            assert!(*end > taken, "receipt {ticket} was forgotten");
        }
    }
}

/// A line that differs from others, of about `size` bytes.
pub fn line(number: usize, size: u16) -> Lines {
    format!("{{\"{number}\":\"{}\"}}\n", "x".repeat(size.into())).into_bytes()
}
