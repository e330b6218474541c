//! The outbox with TLS in it: what the peer decrypts is what was pushed.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::OnceLock;
use std::time::Instant;

use chatd::storage::certificate::{Identity, load_or_make};
use chatd::transport::close_state::Phase;
use chatd::transport::outbox::Outbox;
use chatd::transport::tls::{Progress, Tls};
use chatd::transport::{Batch, CloseReason, Receipt};
use openssl::ssl::{ErrorCode, Ssl, SslConnector, SslMethod, SslStream, SslVerifyMode};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::cases;
use crate::oracle::outbox::{Script, Step, line, receipts};
use crate::pipe::Pipe;

/// The server's certificate, made once.
fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        load_or_make(&path("cert.pem"), &path("key.pem"), "chat", &[]).unwrap()
    })
}

/// A peer that decrypts.
struct Peer {
    stream: SslStream<Pipe>,
    /// Bytes of ciphertext that it was fed.
    fed: usize,
    /// What came out.
    received: Vec<u8>,
    /// Which bytes of ciphertext carry which of plaintext.
    records: Vec<(Range<usize>, Range<usize>)>,
    has_heard_goodbye: bool,
}

impl Peer {
    /// A peer and the server's side, after the handshake.
    fn shake_hands() -> (Peer, Tls) {
        let mut tls = Tls::new(&identity().context).unwrap();
        let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
        connector.set_verify(SslVerifyMode::NONE);
        let ssl = Ssl::new(connector.build().context()).unwrap();
        let mut stream = SslStream::new(ssl, Pipe::default()).unwrap();
        while let Err(error) = stream.connect() {
            assert_eq!(error.code(), ErrorCode::WANT_READ, "{error}");
            Peer::pass_on(&mut stream, &mut tls);
        }
        Peer::pass_on(&mut stream, &mut tls);
        assert_eq!(tls.handshake().unwrap(), Progress::Done(0));
        let peer = Peer {
            stream,
            fed: 0,
            received: Vec::new(),
            records: Vec::new(),
            has_heard_goodbye: false,
        };
        (peer, tls)
    }

    fn pass_on(stream: &mut SslStream<Pipe>, tls: &mut Tls) {
        tls.feed(&std::mem::take(&mut stream.get_mut().outgoing));
        tls.handshake().unwrap();
        stream.get_mut().incoming.extend(tls.outgoing());
        tls.mark_sent(tls.outgoing().len());
    }

    /// Decrypts the records that are complete in what the server has sent.
    fn decrypt(&mut self, taken: &[u8]) {
        while let Some(header) = taken[self.fed..].first_chunk::<5>() {
            let end = self.fed + 5 + usize::from(u16::from_be_bytes([header[3], header[4]]));
            if taken.len() < end {
                return;
            }
            let start = self.received.len();
            self.stream.get_mut().incoming.extend(&taken[self.fed..end]);
            let mut buffer = [0; 16 << 10];
            loop {
                match self.stream.ssl_read(&mut buffer) {
                    Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                    Err(error) if error.code() == ErrorCode::WANT_READ => break,
                    Err(error) => {
                        assert_eq!(error.code(), ErrorCode::ZERO_RETURN, "{error}");
                        self.has_heard_goodbye = true;
                        break;
                    }
                }
            }
            self.records
                .push((self.fed..end, start..self.received.len()));
            self.fed = end;
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Push { size: u16, has_receipt: bool },
    PushAlone { size: u16 },
    Flush,
}

/// Sends lines to a peer over a sink that follows `steps`, and checks after each event what has come out.
fn check(events: &[Event], steps: &[Step]) {
    let (mut peer, tls) = Peer::shake_hands();
    let mut outbox = Outbox::new(Some(tls), true, usize::MAX / 2);
    let sink = Script::default();
    sink.steps.borrow_mut().extend(steps);
    let mut unused = receipts(events.iter().map(|_| 0));
    let mut stream = Vec::new();
    let mut alone = Vec::new();
    let mut riding = VecDeque::new();
    for event in events {
        match *event {
            Event::Push { size, has_receipt } => {
                let line = line(stream.len(), size);
                stream.extend_from_slice(&line);
                let receipt = unused.pop_front().filter(|_| has_receipt);
                riding.extend(receipt.as_ref().map(|it| (it.ticket(), stream.len())));
                outbox.push(&sink, &Batch::from(line), 0, receipt);
            }
            Event::PushAlone { size } => {
                let line = line(stream.len(), size);
                alone.push(stream.len()..stream.len() + line.len());
                stream.extend_from_slice(&line);
                outbox.push_alone(&sink, line);
            }
            Event::Flush => {
                outbox.flush(&sink);
            }
        }
        peer.decrypt(&sink.taken.borrow());
        assert!(
            stream.starts_with(&peer.received),
            "what came is not what was pushed"
        );
        if !outbox.is_behind() {
            assert!(
                peer.received == stream,
                "nothing waits, but not all has come"
            );
        }
        check_decided(&mut outbox, &mut riding, peer.received.len());
    }
    sink.steps.borrow_mut().clear();
    assert!(!peer.has_heard_goodbye);
    outbox.drain(CloseReason::LoggedOut.into(), Instant::now());
    while outbox.is_behind() {
        assert!(outbox.flush(&sink), "a sink that takes all");
    }
    outbox.advance(&sink, Instant::now());
    peer.decrypt(&sink.taken.borrow());
    assert!(peer.received == stream, "not all has come");
    assert!(peer.has_heard_goodbye && !outbox.is_behind());
    assert_eq!(outbox.close_state().phase(), Phase::HalfClosed);
    assert_eq!(peer.fed, sink.taken.borrow().len(), "half a record");
    check_decided(&mut outbox, &mut riding, stream.len());
    assert_eq!(riding, []);
    check_alone(&peer.records, &alone, &sink.writes.borrow());
}

/// A receipt says 1 only if the peer has all of the message.
fn check_decided(outbox: &mut Outbox, riding: &mut VecDeque<(u64, usize)>, received: usize) {
    for (receipt, result) in outbox.take_decided() {
        let (ticket, end) = riding.pop_front().expect("a receipt that was given");
        assert_eq!((Receipt::ticket(&receipt), result), (ticket, Ok(())));
        assert!(end <= received, "its message has not come");
    }
}

/// No write has records of a line that must leave alone and others.
fn check_alone(
    records: &[(Range<usize>, Range<usize>)],
    alone: &[Range<usize>],
    writes: &[Range<usize>],
) {
    let overlaps = |a: &Range<usize>, b: &Range<usize>| a.start < b.end && b.start < a.end;
    for write in writes {
        let carried: Vec<&Range<usize>> = records
            .iter()
            .filter(|(ciphertext, plaintext)| overlaps(ciphertext, write) && !plaintext.is_empty())
            .map(|(_, plaintext)| plaintext)
            .collect();
        for alone in alone {
            let is_of_it = |plaintext: &&Range<usize>| overlaps(plaintext, alone);
            let is_only_it = |plaintext: &&Range<usize>| {
                alone.start <= plaintext.start && plaintext.end <= alone.end
            };
            assert!(
                !carried.iter().any(is_of_it) || carried.iter().all(is_only_it),
                "a write has {carried:?}, of which {alone:?} must be alone"
            );
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    let size = || prop_oneof![20 => 0..300_u16, 1 => any::<u16>()];
    prop_oneof![
        4 => (size(), any::<bool>()).prop_map(|(size, has_receipt)| Event::Push { size, has_receipt }),
        1 => size().prop_map(|size| Event::PushAlone { size }),
        3 => Just(Event::Flush),
    ]
}

/// Events with one line alone at most: a connection has one reply to its login.
fn events() -> impl Strategy<Value = Vec<Event>> {
    vec(event(), 0..40)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => Just(Step::TakeAll),
        2 => (0..400_u16).prop_map(Step::Take),
        1 => Just(Step::WouldBlock),
    ]
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn what_the_peer_decrypts_is_what_was_pushed(
        events in events(),
        steps in vec(step(), 0..40),
    ) {
        check(&events, &steps);
    }
}

#[test]
fn each_of_two_lines_alone_leaves_in_a_write_of_its_own() {
    let events = [
        Event::Push {
            size: 9,
            has_receipt: false,
        },
        Event::PushAlone { size: 9 },
        Event::PushAlone { size: 9 },
    ];
    check(&events, &[Step::WouldBlock]);
}
