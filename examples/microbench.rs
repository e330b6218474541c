//! What each step on a message's way costs, alone and in memory: `cargo run --release --example microbench`.
//!
//! A row gives the median of several rounds, then the fastest and the slowest. When these lie far apart, the
//! machine was busy: run it again.

#![allow(clippy::print_stdout, reason = "a program that reports to its user")]

use std::error::Error;
use std::hint::black_box;
use std::io::{self, IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chatd::chat::roster::{Member, Roster};
use chatd::storage::certificate;
use chatd::transport::{Batch, outbox::Outbox, socket::Sink, tls::Progress, tls::Tls};
use chatd::wire::{ClientMessage, Command, FrameReader, Framing, Lines, NameKey, ServerMessage};
use openssl::ssl::{Ssl, SslContext, SslMethod};

const ROUNDS: usize = 9;
/// What comes in at once from a client that sends much, and the largest frame, in bytes.
const READ: usize = 64 << 10;
/// What goes out at once where many speak, in bytes.
const BATCH: usize = 12 << 10;
/// 64 bytes to say.
const TEXT: &str = "Does anybody know why it says that the socket was closed? Thanks";

fn main() -> Result<(), Box<dyn Error>> {
    println!("{:42}{:>11}{:>28}{:>9}", "", "ns", "min .. max", "MB/s");
    framing();
    parsing();
    encoding();
    [100, 1_000, 10_000].into_iter().for_each(roster);
    pushing();
    encrypting()
}

fn framing() {
    let (short, long) = (say(TEXT, READ), say(&TEXT.repeat(16), READ));
    let prefixed = Framing::Prefixed.encode(&short).into_owned();
    for (name, input, at_once) in [
        ("frame 64 B", &short, READ),
        ("frame 64 B, prefixed", &prefixed, READ),
        ("frame 64 B, a byte at a time", &short, 1),
        ("frame 1 KiB", &long, READ),
    ] {
        let mut reader = FrameReader::detecting();
        let mut read = || count_frames(&mut reader, black_box(input), at_once);
        row(name, read(), input.len(), read);
    }
}

/// Has `input` read, at most `at_once` bytes each time.
fn count_frames(reader: &mut FrameReader, mut input: &[u8], at_once: usize) -> usize {
    let mut frames = 0;
    while !input.is_empty() {
        let space = reader.space();
        let most = space.len().min(at_once);
        let count = input.read(&mut space[..most]).unwrap_or(0);
        reader.filled(count);
        while let Ok(Some(frame)) = reader.next_frame(READ) {
            black_box(frame);
            frames += 1;
        }
    }
    frames
}

fn parsing() {
    let room = String::from_utf8_lossy(&say(TEXT, 0)).into_owned();
    let escapes = r#"{"Command":"05","Message":"\"h\u00e9\"\n\tC:\\temp \ud83d\ude00"}"#;
    let private = r#"{"Command":"04","FriendName":"Alice","Message":"Is the answer 42?"}"#;
    let login = r#"{"Command":"01","Name":"Alice","Password":"secret"}"#;
    for (name, frame) in [
        ("parse 05", room.as_str()),
        ("parse 05 with escapes", escapes),
        ("parse 04", private),
        ("parse 01", login),
    ] {
        let parse = || Command::parse(black_box(frame));
        row(name, 1, frame.len(), parse);
        let parse = || serde_json::from_str::<serde_json::Value>(black_box(frame));
        row("  as a serde_json::Value", 1, frame.len(), parse);
    }
}

fn encoding() {
    let (speaker, message) = ("Alice".into(), TEXT.into());
    let message = ServerMessage::Room { speaker, message };
    let mut line = message.to_line();
    let (length, count) = (line.len(), BATCH / line.len());
    let lines = line.repeat(count);
    let encode = || black_box(&message).to_line();
    row("encode 32 as a line of its own", 1, length, encode);
    row("encode 32 behind other lines", 1, length, || {
        line.clear();
        black_box(&message).append_to(&mut line);
    });
    let prefix = || Framing::Prefixed.encode(black_box(&lines));
    row("prefix a line, of 12 KiB", count, lines.len(), prefix);
}

fn roster(online: usize) {
    let names = (0..online).map(|number| format!("Student{number}"));
    let members = names.map(|name| Arc::new(Dummy(NameKey::new(&name), name)));
    let members: Vec<_> = members.collect();
    let (mut roster, line) = (Roster::new(Arc::default()), say(TEXT, 0));
    // On average, half of them are there already.
    row(&format!("join, one of {online}"), online, 0, || {
        roster = Roster::new(Arc::default());
        for member in &members {
            roster.join(Arc::clone(member), ());
        }
    });
    // The reply to a login that comes right after somebody has left is encoded anew.
    row(&format!("leave and join, {online} online"), 1, 0, || {
        roster.leave(&members[0]);
        roster.join(Arc::clone(&members[0]), ());
        roster.flush(usize::MAX);
    });
    row(&format!("flush to one of {online}"), online, 0, || {
        roster.broadcast(&line);
        roster.flush(usize::MAX);
    });
}

/// A member that takes what it is sent, and does nothing with it.
struct Dummy(NameKey, String);

impl Member for Dummy {
    fn name(&self) -> &str {
        &self.1
    }
    fn key(&self) -> &NameKey {
        &self.0
    }
    fn is_guest(&self) -> bool {
        true
    }
    fn push_roster(&self, line: Lines) {
        black_box(line);
    }
    fn push(&self, batch: &Batch, from: usize) -> usize {
        black_box(&batch.lines()[from..]).len()
    }
}

fn pushing() {
    let batch = Batch::from(say(TEXT, BATCH));
    for (how_much, taken) in [("all", batch.len()), ("nothing", 0)] {
        row(&format!("push 12 KiB, {how_much} is taken"), 100, 0, || {
            let mut outbox = Outbox::new(None, true, usize::MAX);
            (0..100).for_each(|_| outbox.push(&Takes(taken), &batch, 0, None));
            outbox
        });
    }
}

/// In place of a socket: takes so many bytes at once.
struct Takes(usize);

impl Sink for Takes {
    fn try_send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(self.0.min(slices.iter().map(|slice| slice.len()).sum()))
    }
}

fn encrypting() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let [certificate, key] = ["certificate", "key"].map(|name| folder.path().join(name));
    let identity = certificate::load_or_make(&certificate, &key, "localhost", &[])?;
    let mut tls = Tls::new(&identity.context)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let socket = TcpStream::connect(listener.local_addr()?)?;
    let client = Ssl::new(&SslContext::builder(SslMethod::tls_client())?.build())?;
    std::thread::spawn(|| client.connect(socket));
    let (mut socket, mut buffer) = (listener.accept()?.0, [0; 4096]);
    while tls.handshake()? == Progress::NeedsInput {
        socket.write_all(tls.outgoing())?;
        tls.mark_sent(tls.outgoing().len());
        let count = socket.read(&mut buffer)?;
        assert!(count > 0, "the client has gone");
        tls.feed(&buffer[..count]);
    }
    let batch = say(TEXT, BATCH);
    row("encrypt 12 KiB", 1, batch.len(), || {
        assert!(tls.encrypt(black_box(&batch)).is_ok());
        tls.mark_sent(tls.outgoing().len());
    });
    Ok(())
}

/// A message to the room as a client sends it, as often as it goes into `size` bytes, but at least once.
fn say(text: &str, size: usize) -> Lines {
    let message = text.into();
    let line = ClientMessage::Room { message }.to_line();
    line.repeat((size / line.len()).max(1))
}

/// Times `step` and prints a row, for one of the `units` that a call consists of. `bytes` are those of a call, or 0
/// where they don't matter. What a call returns is dropped within the time.
fn row<T>(name: &str, units: usize, bytes: usize, mut step: impl FnMut() -> T) {
    let mut time = |times| {
        let start = Instant::now();
        (0..times).for_each(|_| drop(black_box(step())));
        start.elapsed()
    };
    let mut times = 1;
    while time(times) < Duration::from_millis(5) {
        times *= 2;
    }
    let mut rounds = [(); ROUNDS].map(|()| time(times).as_nanos() as f64 / f64::from(times));
    rounds.sort_by(f64::total_cmp);
    let [min, median, max] = [0, ROUNDS / 2, ROUNDS - 1].map(|place| rounds[place] / units as f64);
    let rate = format!("{:.0}", bytes as f64 / units as f64 / median * 1e3);
    let rate = if bytes > 0 { &rate } else { "" };
    println!("{name:42}{median:11.1}{min:12.1} .. {max:12.1}{rate:>9}");
}
