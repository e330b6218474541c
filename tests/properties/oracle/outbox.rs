//! The outbox and the ledger, beside a model of what must have been sent.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSlice};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::sync::Arc;

use chatd::transport::batch::Batch;
use chatd::transport::connection::Parts;
use chatd::transport::ledger::{Ledger, Verdict};
use chatd::transport::outbox::Outbox;
use chatd::transport::socket::Sink;
use chatd::transport::{Connection, EndReason, Receipt};
use chatd::wire::frame::Framing;
use chatd::wire::message::{Line, ServerMessage, prefix_lines};
use chatd::wire::name::NameKey;

/// What a queued chunk is documented to cost beyond its bytes.
const CHUNK_OVERHEAD: usize = 128;

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
    Hold,
    /// They wait no more.
    Release,
    /// The outbox is owed a receipt.
    Owe { friend: u8 },
    /// One of the receipts owed is decided, perhaps not for the first time.
    Settle { ticket: u8, is_delivered: bool },
    /// All that are owed are decided.
    SettleAll,
    /// The limit is looked at.
    Enforce,
    /// More may wait.
    AllowMore { bytes: u16 },
    /// Nothing more is taken.
    Finish,
    /// The connection ends.
    End,
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
    failed: RefCell<Option<EndReason>>,
}

impl Sink for Script {
    fn send_now(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
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
                    true => (io::ErrorKind::TimedOut, EndReason::Dead),
                    false => (io::ErrorKind::ConnectionReset, EndReason::Lost),
                };
                *self.failed.borrow_mut() = Some(reason);
                return Err(kind.into());
            }
        };
        taken.extend_from_slice(&offered[..count]);
        Ok(count)
    }
}

/// Receipts whose sender has gone: settling them does nothing, and what becomes of them can be watched.
pub fn receipts(friends: impl IntoIterator<Item = usize>) -> VecDeque<Receipt> {
    let mut friends = friends.into_iter().peekable();
    if friends.peek().is_none() {
        return VecDeque::new();
    }
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let peer = listener.local_addr().unwrap();
    let (laggards, _) = crossbeam_channel::bounded(1);
    let sender = Arc::new(Connection::new(Parts {
        number: 0,
        socket: TcpStream::connect(peer).unwrap(),
        peer,
        tls: None,
        max_backlog: 0,
        laggards,
        place: Box::new(()),
    }));
    friends
        .map(|friend| sender.open_receipt(&NameKey::new(FRIENDS[friend]), FRIENDS[friend]))
        .collect()
}

/// A receipt's ticket, the friend as written, and what was decided.
type Entry = (u64, &'static str, Option<Verdict>);

/// What a ledger should hold.
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
    fn settle(&mut self, friend: &NameKey, ticket: u64, verdict: Verdict) -> Vec<Line> {
        let mut due = Vec::new();
        let Some(entries) = self.friends.get_mut(friend) else {
            return due;
        };
        for entry in entries.iter_mut().filter(|entry| entry.0 == ticket) {
            entry.2.get_or_insert(verdict);
        }
        while let Some((_, shown, Some(verdict))) = entries.front() {
            due.push(ServerMessage::receipt(shown, *verdict).to_line());
            entries.pop_front();
        }
        due
    }

    /// Decides all, and returns the lines for each friend.
    fn settle_all(&mut self, verdict: Verdict) -> Vec<Vec<Line>> {
        let line = |(_, shown, decided): Entry| {
            ServerMessage::receipt(shown, decided.unwrap_or(verdict)).to_line()
        };
        std::mem::take(&mut self.friends)
            .into_values()
            .map(|entries| entries.into_iter().map(line).collect())
            .collect()
    }
}

/// What can happen to a ledger.
#[derive(Clone, Copy, Debug)]
pub enum LedgerEvent {
    Open {
        friend: u8,
    },
    /// Any ticket that there ever was or will be next, for its own friend or another.
    Settle {
        friend: u8,
        ticket: u8,
        is_delivered: bool,
    },
    SettleAll,
}

const NO: Verdict = Err("no");

fn verdict(is_delivered: bool) -> Verdict {
    if is_delivered { Ok(()) } else { NO }
}

/// Applies events to a ledger, and checks what it says.
pub fn check_ledger(events: &[LedgerEvent]) {
    let mut ledger = Ledger::default();
    let mut owed = Owed::default();
    for event in events {
        let mut lines = Vec::new();
        match *event {
            LedgerEvent::Open { friend } => {
                let friend = usize::from(friend) % FRIENDS.len();
                let ticket = ledger.open(&NameKey::new(FRIENDS[friend]), FRIENDS[friend]);
                assert_eq!(ticket, owed.open(friend));
            }
            LedgerEvent::Settle {
                friend,
                ticket,
                is_delivered,
            } => {
                let friend = NameKey::new(FRIENDS[usize::from(friend) % FRIENDS.len()]);
                let ticket = u64::from(ticket) % (owed.opened + 1);
                let verdict = verdict(is_delivered);
                ledger.settle(&friend, ticket, verdict, |line| lines.push(line));
                assert_eq!(lines, owed.settle(&friend, ticket, verdict));
            }
            LedgerEvent::SettleAll => {
                ledger.settle_all(NO, |line| lines.push(line));
                check_interleaving(&lines, owed.settle_all(NO));
            }
        }
        assert_eq!(ledger.owed(), owed.count());
    }
}

/// Checks that `lines` are those of all friends, each friend's in order.
fn check_interleaving(lines: &[Line], friends: Vec<Vec<Line>>) {
    let mut friends: Vec<VecDeque<Line>> = friends.into_iter().map(Into::into).collect();
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
    /// The outbox's own receipts, as its senders would hold them, with each one's place in `owed`.
    twins: Vec<Receipt>,
    unopened: VecDeque<Receipt>,
    owed: Owed,
    limit: usize,
    /// Whether receipts are held back. What waits is then nothing but them.
    is_holding: bool,
    is_finishing: bool,
    is_shut: bool,
    ended: Option<EndReason>,
}

/// Applies events to an outbox over a sink that follows `steps`, and checks after each what was sent.
pub fn check(framing: Framing, limit: usize, events: &[Event], steps: &[Step]) {
    let friends = events.iter().filter_map(|event| match event {
        Event::Owe { friend } => Some(usize::from(*friend) % FRIENDS.len()),
        _ => None,
    });
    let pushes = events
        .iter()
        .filter(|event| matches!(event, Event::Push { .. }));
    let mut outbox = Outbox::new(None, limit);
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
        unopened: receipts(friends),
        owed: Owed::default(),
        limit,
        is_holding: false,
        is_finishing: false,
        is_shut: false,
        ended: None,
    };
    model.sink.steps.borrow_mut().extend(steps);
    for event in events {
        model.apply(*event);
        model.check();
    }
    // Once the sink takes everything, everything goes out.
    model.sink.steps.borrow_mut().clear();
    model.apply(Event::Finish);
    model.check();
    for _ in 0..1 + model.stream.len() / (256 << 10) {
        model.apply(Event::Flush);
        model.check();
    }
    if model.ended.is_none() {
        assert!(model.outbox.is_shut() && model.riding.is_empty());
        assert_eq!(*model.sink.taken.borrow(), model.stream);
    }
    model.apply(Event::End);
    model.check();
    model.clear();
}

impl Model {
    fn apply(&mut self, event: Event) {
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
                let lines = batch.bytes()[from..].to_vec();
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
            Event::Hold => {
                self.outbox.hold();
                self.is_holding = !self.is_behind();
            }
            Event::Release => self.release(),
            Event::Finish => {
                let was_open = !self.is_finishing;
                self.is_finishing = true;
                if was_open {
                    self.flush(|outbox, sink| {
                        let before = sink.taken.borrow().len();
                        outbox.finish(sink);
                        sink.taken.borrow().len() > before
                    });
                } else {
                    self.outbox.finish(&self.sink);
                    assert_eq!(self.take_writes(), []);
                }
            }
            Event::Owe { friend } => {
                let friend = usize::from(friend) % FRIENDS.len();
                let ticket = self
                    .outbox
                    .ledger()
                    .open(&NameKey::new(FRIENDS[friend]), FRIENDS[friend]);
                assert_eq!(ticket, self.owed.open(friend));
                self.twins.extend(self.unopened.pop_front());
            }
            Event::Settle {
                ticket,
                is_delivered,
            } => self.settle(ticket.into(), verdict(is_delivered)),
            Event::SettleAll => self.settle_all(),
            Event::Enforce => {
                self.outbox.enforce_limit();
                if self.is_behind() && self.cost() > self.limit {
                    self.ended.get_or_insert(EndReason::Slow);
                }
            }
            Event::AllowMore { bytes } => {
                self.outbox.allow_more(bytes.into());
                self.limit += usize::from(bytes);
            }
            Event::End => {
                self.outbox.end(EndReason::Closed);
                self.ended.get_or_insert(EndReason::Closed);
            }
        }
    }

    /// Throws away what was not sent, which settles every receipt.
    fn clear(&mut self) {
        self.outbox.clear();
        let decided = self.outbox.take_decided();
        let refused: Vec<u64> = decided
            .iter()
            .map(|(receipt, verdict)| {
                assert!(verdict.is_err(), "{receipt:?} was not sent");
                receipt.ticket()
            })
            .collect();
        let riding: Vec<u64> = self.riding.drain(..).map(|(ticket, _)| ticket).collect();
        assert_eq!(refused, riding);
        assert!(self.outbox.is_settled());
    }

    /// What waits, and what it costs.
    fn cost(&self) -> usize {
        let waiting = self.stream.len() - self.sink.taken.borrow().len();
        waiting + CHUNK_OVERHEAD * self.chunks.len()
    }

    fn is_behind(&self) -> bool {
        !self.chunks.is_empty() && !self.is_holding && self.ended.is_none()
    }

    fn has_held(&self) -> bool {
        self.is_holding && !self.chunks.is_empty()
    }

    /// Sends what was held back, in writes as for a flush, or does nothing.
    fn release(&mut self) {
        assert_eq!(self.outbox.has_held(), self.has_held());
        if self.has_held() {
            self.flush(|outbox, sink| {
                let before = sink.taken.borrow().len();
                outbox.release(sink);
                sink.taken.borrow().len() > before
            });
        } else {
            self.outbox.release(&self.sink);
            assert_eq!(self.take_writes(), []);
        }
        self.is_holding = false;
    }

    fn take_writes(&self) -> Vec<Range<usize>> {
        std::mem::take(&mut *self.sink.writes.borrow_mut())
    }

    /// Pushes lines: in one write if nothing waits, with what was held back, or in none if the sink is behind.
    fn push(
        &mut self,
        lines: Line,
        is_alone: bool,
        ticket: Option<u64>,
        push: impl FnOnce(&mut Outbox, &Script),
    ) {
        let (was_behind, had_held) = (self.is_behind(), self.has_held());
        let is_taken = !self.is_finishing && self.ended.is_none();
        let before = self.sink.taken.borrow().len();
        push(&mut self.outbox, &self.sink);
        let writes = self.take_writes();
        if !is_taken {
            assert_eq!(writes, []);
            if let Some(ticket) = ticket {
                let refused = self.outbox.take_decided();
                let (receipt, verdict) = refused.last().expect("the receipt");
                assert_eq!((receipt.ticket(), verdict.is_err()), (ticket, true));
            }
            return;
        }
        let start = self.stream.len();
        self.stream.extend(self.framed(lines));
        let end = self.stream.len();
        if is_alone {
            self.alone.push(start..end);
        }
        self.riding.extend(ticket.map(|ticket| (ticket, end)));
        if was_behind {
            assert_eq!(writes, [], "a push to who is behind costs no write");
        } else if had_held {
            assert_eq!(
                writes.first().map(|write| write.start),
                Some(before),
                "what was held back goes first"
            );
            self.check_alone(&writes);
        } else {
            assert_eq!(writes, vec![start..end; 1], "a write of its own");
        }
        self.note_failure();
        self.chunks.push_back(end);
        self.drop_sent();
        self.is_holding &= self.chunks.is_empty() && !had_held;
    }

    fn framed(&self, lines: Line) -> Vec<u8> {
        match self.framing {
            Framing::Stream => lines,
            Framing::Prefixed => prefix_lines(&lines),
        }
    }

    fn note_failure(&mut self) {
        if let Some(reason) = *self.sink.failed.borrow() {
            self.ended.get_or_insert(reason);
        }
    }

    fn flush(&mut self, flush: impl FnOnce(&mut Outbox, &Script) -> bool) {
        let before = self.sink.taken.borrow().len();
        let was_behind = !self.chunks.is_empty() && self.ended.is_none();
        let took = flush(&mut self.outbox, &self.sink);
        self.is_holding = false;
        let taken = self.sink.taken.borrow().len();
        assert_eq!(took, taken > before);
        let writes = self.take_writes();
        assert_eq!(!writes.is_empty(), was_behind, "{writes:?}");
        self.check_alone(&writes);
        self.drop_sent();
        self.note_failure();
        self.is_shut |= self.is_finishing && self.chunks.is_empty() && self.ended.is_none();
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

    fn settle(&mut self, ticket: usize, verdict: Verdict) {
        let Some(place) = ticket.checked_rem(self.twins.len()) else {
            return;
        };
        let twin = &self.twins[place];
        let due = self.owed.settle(twin.friend(), twin.ticket(), verdict);
        let twins = std::mem::take(&mut self.twins);
        self.push_each(due, |outbox, sink| {
            outbox.settle(sink, &twins[place], verdict);
        });
        self.twins = twins;
    }

    fn settle_all(&mut self) {
        self.release();
        // In which order friends come is not promised, so the lines are looked for in what was sent.
        let friends = self.owed.settle_all(NO);
        let is_taken = !self.is_finishing && self.ended.is_none();
        if friends.iter().filter(|lines| !lines.is_empty()).count() > 1 && is_taken {
            // A sink that takes everything shows them.
            self.apply_until_caught_up();
            let start = self.sink.taken.borrow().len();
            if self.ended.is_some() {
                self.outbox.settle_all(&self.sink, NO);
                return;
            }
            self.outbox.settle_all(&self.sink, NO);
            self.take_writes();
            let sent = self.sink.taken.borrow()[start..].to_vec();
            self.stream.extend_from_slice(&sent);
            check_interleaving(&self.cut(&sent), friends);
        } else {
            self.push_each(friends.concat(), |outbox, sink| {
                outbox.settle_all(sink, NO);
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

    fn cut(&self, sent: &[u8]) -> Vec<Line> {
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
        }
    }

    /// Expects each line to be pushed by itself, or to be held back.
    fn push_each(&mut self, lines: Vec<Line>, push: impl FnOnce(&mut Outbox, &Script)) {
        let is_open = !self.is_finishing && self.ended.is_none();
        push(&mut self.outbox, &self.sink);
        let mut writes: VecDeque<_> = self.take_writes().into();
        let failure = *self.sink.failed.borrow();
        let taken = self.sink.taken.borrow().len();
        for line in lines {
            if !is_open || self.ended.is_some() {
                break;
            }
            let start = self.stream.len();
            self.stream.extend(self.framed(line));
            let end = self.stream.len();
            if self.is_holding {
                self.chunks.push_back(end);
                continue;
            }
            if self.chunks.is_empty() {
                assert_eq!(writes.pop_front(), Some(start..end), "a write of its own");
                if writes.is_empty() && failure.is_some() {
                    self.ended = failure;
                }
            }
            if taken < end {
                self.chunks.push_back(end);
            }
        }
        assert!(writes.is_empty(), "{writes:?}");
    }

    fn check(&mut self) {
        assert_eq!(self.outbox.ended(), self.ended);
        let taken = self.sink.taken.borrow().len();
        assert!(
            self.stream.starts_with(&self.sink.taken.borrow()),
            "what was taken is not what was pushed"
        );
        assert_eq!(self.outbox.is_behind(), self.is_behind());
        let is_settled = self.cost() == 0 && self.owed.count() == 0;
        assert_eq!(self.outbox.is_settled(), is_settled);
        assert_eq!(taken == self.stream.len(), self.chunks.is_empty());
        assert_eq!(self.outbox.is_shut(), self.is_shut);
        self.check_decided();
    }

    /// A receipt says 1 exactly when the last byte of its message was taken.
    fn check_decided(&mut self) {
        let taken = self.sink.taken.borrow().len();
        for (receipt, verdict) in self.outbox.take_decided() {
            let (ticket, end) = self.riding.pop_front().expect("a receipt that was given");
            assert_eq!((receipt.ticket(), verdict), (ticket, Ok(())));
            assert!(end <= taken, "its message was not all sent");
        }
        if let Some((ticket, end)) = self.riding.front() {
            assert!(*end > taken, "receipt {ticket} was forgotten");
        }
    }
}

/// A line that differs from others, of about `size` bytes.
pub fn line(number: usize, size: u16) -> Line {
    format!("{{\"{number}\":\"{}\"}}\n", "x".repeat(size.into())).into_bytes()
}
