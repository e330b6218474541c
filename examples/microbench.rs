//! What each step on a message's way costs, alone and in memory: `cargo run --release --example microbench`.
//!
//! A row gives the median of several rounds, then the fastest and the slowest. When these lie far apart, the
//! machine was busy: run it again.
//!
//! `--only STEP --times COUNT` runs one of the steps that `--list` names and times nothing, for a tool that counts what the
//! program does. It prints how many operations that was. `.ci/instructions` counts instructions in this way.

#![allow(clippy::print_stdout, reason = "a program that reports to its user")]

#[path = "../tests/properties/pipe.rs"]
mod pipe;

use std::convert::Infallible;
use std::error::Error;
use std::hint::black_box;
use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chatd::chat::roster::{Member, Roster};
use chatd::storage::certificate;
use chatd::transport::receipt::{DeliveryResult, ReceiptOwner};
use chatd::transport::{Batch, Receipt, outbox::Outbox, socket::Sink, tls::Progress, tls::Tls};
use chatd::wire::{ClientMessage, Command, FrameReader, Framing, Lines, NameKey, ServerMessage};
use clap::Parser;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslStream};
use parking_lot::Mutex;
use pipe::Pipe;

const ROUNDS: usize = 9;
/// What comes in at once from a client that sends much, and the largest frame, in bytes.
const READ: usize = 64 << 10;
/// What goes out at once where many speak, in bytes.
const BATCH: usize = 12 << 10;
/// 64 bytes to say.
const TEXT: &str = "Does anybody know why it says that the socket was closed? Thanks";
/// A private message as its sender sends it.
const PRIVATE: &str = r#"{"Command":"04","FriendName":"Alice","Message":"Is the answer 42?"}"#;
/// The mask of a browser's message. A browser takes another one for each.
const MASK: [u8; 4] = [0x11, 0x7b, 0xff, 0x00];
/// How often a step can be run alone, at most. Input is prepared for so many runs even if there are fewer, so that the
/// preparation is no part of the difference between two counts.
const MOST_TIMES: u32 = 1_000;

/// Time each step on a message's way, alone and in memory
#[derive(Parser)]
#[command(name = "microbench", version = openssl::version::version())]
struct Options {
    /// Name the steps, and run none
    #[arg(long, exclusive = true)]
    list: bool,
    /// Run this step alone, time nothing, and print how many operations that was
    #[arg(long, value_name = "STEP")]
    only: Option<String>,
    /// How often
    #[arg(long, value_name = "COUNT", default_value_t = 1, requires = "only",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_TIMES)))]
    times: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut bench = Bench {
        options: Options::parse(),
        above: String::new(),
        has_found: false,
    };
    if bench.is_table() {
        println!("{:42}{:>11}{:>28}{:>9}", "", "ns", "min .. max", "MB/s");
    }
    framing(&mut bench);
    parsing(&mut bench);
    encoding(&mut bench);
    for online in [100, 1_000, 10_000] {
        roster(&mut bench, online);
    }
    flushing(&mut bench);
    pushing(&mut bench);
    private(&mut bench);
    encrypting(&mut bench)?;
    match bench.options.only {
        Some(name) if !bench.has_found => {
            Err(format!("there is no step \"{name}\"; --list names them all").into())
        }
        _ => Ok(()),
    }
}

fn framing(bench: &mut Bench) {
    let (line, short, long) = (say(TEXT, 0), say(TEXT, READ), say(&TEXT.repeat(16), READ));
    let prefixed = Framing::Prefixed.encode(&short).into_owned();
    let web = mask(&line).repeat(READ / line.len());
    for (name, framing, input, at_once) in [
        ("frame 64 B", Framing::Stream, &short, READ),
        ("frame 64 B, prefixed", Framing::Prefixed, &prefixed, READ),
        ("frame 64 B, WebSocket", Framing::WebSocket, &web, READ),
        (
            "frame 64 B, each by itself",
            Framing::Stream,
            &short,
            line.len(),
        ),
        ("frame 64 B, a byte at a time", Framing::Stream, &short, 1),
        ("frame 1 KiB", Framing::Stream, &long, READ),
    ] {
        bench.row(name, || {
            let mut reader = match framing {
                Framing::WebSocket => FrameReader::new(framing),
                _ => FrameReader::detecting(),
            };
            let mut read = move || count_frames(&mut reader, black_box(input), at_once);
            step(read(), input.len(), read)
        });
    }
}

/// A line as a browser sends it.
fn mask(line: &[u8]) -> Vec<u8> {
    let mut frame = Framing::WebSocket.encode(line).into_owned();
    // The payload is short, so the header has two bytes.
    let masked = frame.split_off(2).into_iter().zip(MASK.into_iter().cycle());
    frame[1] |= 0x80;
    frame.extend(MASK);
    frame.extend(masked.map(|(byte, mask)| byte ^ mask));
    frame
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

fn parsing(bench: &mut Bench) {
    let room = String::from_utf8_lossy(&say(TEXT, 0)).into_owned();
    let escapes = r#"{"Command":"05","Message":"\"h\u00e9\"\n\tC:\\temp \ud83d\ude00"}"#;
    let login = r#"{"Command":"01","Name":"Alice","Password":"secret"}"#;
    for (name, frame) in [
        ("parse 05", room.as_str()),
        ("parse 05 with escapes", escapes),
        ("parse 04", PRIVATE),
        ("parse 01", login),
    ] {
        let parse = || Command::parse(black_box(frame));
        bench.row(name, || step(1, frame.len(), parse));
        let parse = || serde_json::from_str::<serde_json::Value>(black_box(frame));
        bench.row("  as a serde_json::Value", || step(1, frame.len(), parse));
    }
}

fn encoding(bench: &mut Bench) {
    let (speaker, message) = ("Alice".into(), TEXT.into());
    let message = ServerMessage::Room { speaker, message };
    let mut line = message.to_line();
    let (length, count) = (line.len(), BATCH / line.len());
    let lines = line.repeat(count);
    let encode = || black_box(&message).to_line();
    bench.row("encode 32 as a line of its own", || step(1, length, encode));
    bench.row("encode 32 behind other lines", || {
        step(1, length, || {
            line.clear();
            black_box(&message).append_to(&mut line);
        })
    });
    let (friend_name, message) = ("Alice".into(), TEXT.into());
    let private = ServerMessage::Private {
        friend_name,
        message,
    };
    for (name, message) in [
        ("encode 13", private),
        (
            "encode 14, a receipt",
            ServerMessage::receipt("Alice", Ok(())),
        ),
    ] {
        let length = message.to_line().len();
        bench.row(name, || step(1, length, || black_box(&message).to_line()));
    }
    let prefix = || Framing::Prefixed.encode(black_box(&lines));
    bench.row("prefix a line, of 12 KiB", || {
        step(count, lines.len(), prefix)
    });
}

fn roster(bench: &mut Bench, online: usize) {
    // On average, half of them are there already.
    bench.row(&format!("join, one of {online}"), || {
        let members = members(online);
        step(online, 0, move || all_join(&members))
    });
    // The reply to a login that comes right after somebody has left is encoded anew.
    bench.row(&format!("leave and join, {online} online"), || {
        let members = members(online);
        let mut roster = all_join(&members);
        step(1, 0, move || {
            roster.leave(&members[0]);
            roster.join(Arc::clone(&members[0]), ());
            roster.flush(usize::MAX)
        })
    });
    bench.row(&format!("flush to one of {online}"), || {
        let (mut roster, line) = (all_join(&members(online)), say(TEXT, 0));
        step(online, 0, move || {
            roster.broadcast(&line);
            roster.flush(usize::MAX)
        })
    });
}

fn members(online: usize) -> Vec<Arc<Dummy>> {
    let names = (0..online).map(|number| format!("Student{number}"));
    let members = names.map(|name| Arc::new(Dummy(NameKey::new(&name), name)));
    members.collect()
}

fn all_join<M: Member>(members: &[Arc<M>]) -> Roster<M, ()> {
    let mut roster = Roster::new(Arc::default());
    for member in members {
        roster.join(Arc::clone(member), ());
    }
    roster
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

fn flushing(bench: &mut Bench) {
    bench.row("flush 12 KiB to an outbox of 100", || {
        let members = members(100).into_iter();
        let members = members.map(|member| Arc::new(Reader(member, Mutex::new(plain_outbox()))));
        let (mut roster, batch) = (all_join(&members.collect::<Vec<_>>()), say(TEXT, BATCH));
        roster.flush(usize::MAX);
        step(100, 0, move || {
            roster.broadcast(&batch);
            roster.flush(usize::MAX)
        })
    });
}

/// A member whose socket takes everything.
struct Reader(Arc<Dummy>, Mutex<Outbox>);

impl Member for Reader {
    fn name(&self) -> &str {
        self.0.name()
    }
    fn key(&self) -> &NameKey {
        self.0.key()
    }
    fn is_guest(&self) -> bool {
        self.0.is_guest()
    }
    fn push_roster(&self, line: Lines) {
        self.1.lock().push_alone(&TAKES_ALL, line);
    }
    fn push(&self, batch: &Batch, from: usize) -> usize {
        let mut outbox = self.1.lock();
        outbox.push(&TAKES_ALL, batch, from, None);
        outbox.backlog()
    }
}

fn plain_outbox() -> Outbox {
    Outbox::new(None, true, usize::MAX)
}

fn pushing(bench: &mut Bench) {
    bench.row("push 64 B, all is taken", || {
        let (mut outbox, batch) = (plain_outbox(), Batch::from(say(TEXT, 0)));
        step(1, 0, move || outbox.push(&TAKES_ALL, &batch, 0, None))
    });
    let batch = Batch::from(say(TEXT, BATCH));
    for (how_much, taken) in [("all", batch.len()), ("nothing", 0)] {
        bench.row(&format!("push 12 KiB, {how_much} is taken"), || {
            step(100, 0, || {
                let mut outbox = plain_outbox();
                (0..100).for_each(|_| outbox.push(&Takes(taken), &batch, 0, None));
                outbox
            })
        });
    }
}

/// In place of a socket: takes so many bytes at once.
struct Takes(usize);

const TAKES_ALL: Takes = Takes(usize::MAX);

impl Sink for Takes {
    fn try_send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(self.0.min(slices.iter().map(|slice| slice.len()).sum()))
    }
}

/// From the frame to the receipt, as [`Connection`](chatd::transport::Connection) has it done, but for the look at who is online.
fn private(bench: &mut Bench) {
    bench.row("private message with its receipt", || {
        let sender = Arc::new(Sender(Mutex::new(plain_outbox())));
        let friend = Mutex::new(plain_outbox());
        step(1, 0, move || {
            let Ok(Command::Private {
                friend: to,
                message,
            }) = Command::parse(black_box(PRIVATE))
            else {
                return;
            };
            let (Some(to), Some(text)) = (to.text(), message.text()) else {
                return;
            };
            let key = NameKey::new(to);
            let receipt = sender.open_receipt(&key, to);
            let (friend_name, message) = ("Bob".into(), text.into());
            let line = ServerMessage::Private {
                friend_name,
                message,
            }
            .to_line();
            let mut outbox = friend.lock();
            outbox.push(&TAKES_ALL, &line.into(), 0, Some(receipt));
            let decided = outbox.take_decided();
            drop(outbox);
            for (receipt, result) in decided {
                receipt.resolve(result);
            }
            sender.0.lock().uncork(&TAKES_ALL);
        })
    });
}

/// The side of a connection that receipts are owed to.
struct Sender(Mutex<Outbox>);

impl Sender {
    fn open_receipt(self: &Arc<Self>, friend: &NameKey, shown: &str) -> Receipt {
        let mut outbox = self.0.lock();
        outbox.cork();
        let ticket = outbox.open_receipt(friend, shown);
        drop(outbox);
        let owner: Arc<dyn ReceiptOwner> = Arc::clone(self) as Arc<dyn ReceiptOwner>;
        Receipt::new(Arc::downgrade(&owner), friend.clone(), ticket)
    }
}

impl ReceiptOwner for Sender {
    fn receive_result(
        self: Arc<Self>,
        friend: &NameKey,
        ticket: u64,
        result: DeliveryResult,
    ) -> Vec<(Receipt, DeliveryResult)> {
        let mut outbox = self.0.lock();
        outbox.decide(&TAKES_ALL, friend, ticket, result);
        outbox.take_decided()
    }
}

fn encrypting(bench: &mut Bench) -> Result<(), Box<dyn Error>> {
    let (line, batch) = (say(TEXT, 0), say(TEXT, BATCH));
    bench.try_row("encrypt 12 KiB", || -> SetUp<_, _> {
        let mut tls = Encrypted::new()?.server;
        Ok(step(1, batch.len(), move || {
            assert!(tls.encrypt(black_box(&batch)).is_ok());
            tls.mark_sent(tls.outgoing().len());
        }))
    })?;
    bench.try_row("encrypt and send 64 B", || -> SetUp<_, _> {
        let mut outbox = Outbox::new(Some(Encrypted::new()?.server), true, usize::MAX);
        let batch = Batch::from(line.clone());
        Ok(step(1, batch.len(), move || {
            outbox.push(&TAKES_ALL, &batch, 0, None);
            assert_eq!(outbox.backlog(), 0);
        }))
    })?;
    bench.try_row("decrypt 64 B", || -> SetUp<_, _> {
        let Encrypted {
            mut server,
            mut client,
        } = Encrypted::new()?;
        let (length, mut plaintext) = (line.len(), [0; 1 << 10]);
        let encrypt = move || {
            let is_written = client.write_all(&line).is_ok();
            is_written.then(|| std::mem::take(&mut client.get_mut().outgoing))
        };
        Ok(Step {
            units: 1,
            bytes: length,
            prepare: encrypt,
            run: move |ciphertext: &Option<Vec<u8>>| {
                server.feed(ciphertext.as_deref().unwrap_or_default());
                let progress = server.read(&mut plaintext).ok();
                assert_eq!(progress, Some(Progress::Done(length)));
            },
        })
    })
}

/// A step, if it could be set up.
type SetUp<Prepare, Run> = Result<Step<Prepare, Run>, Box<dyn Error>>;

/// Both sides of a TLS connection whose handshake is complete.
struct Encrypted {
    server: Tls,
    client: SslStream<Pipe>,
}

impl Encrypted {
    fn new() -> Result<Encrypted, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let [certificate, key] = ["certificate", "key"].map(|name| folder.path().join(name));
        let identity = certificate::load_or_make(&certificate, &key, "localhost", &[])?;
        let mut server = Tls::new(&identity.context)?;
        let client = Ssl::new(&SslContext::builder(SslMethod::tls_client())?.build())?;
        let mut client = SslStream::new(client, Pipe::default())?;
        // The server's flight goes out between the client's two.
        for _ in 0..2 {
            // An error says only that the server must answer first.
            let _ = client.connect();
            server.feed(&std::mem::take(&mut client.get_mut().outgoing));
            server.handshake()?;
            client.get_mut().incoming.extend(server.outgoing());
            server.mark_sent(server.outgoing().len());
        }
        if !server.is_established() || !client.ssl().is_init_finished() {
            return Err("the handshake did not come to its end".into());
        }
        Ok(Encrypted { server, client })
    }
}

/// A message to the room as a client sends it, as often as it goes into `size` bytes, but at least once.
fn say(text: &str, size: usize) -> Lines {
    let message = text.into();
    let line = ClientMessage::Room { message }.to_line();
    line.repeat((size / line.len()).max(1))
}

/// What is timed.
struct Step<Prepare, Run> {
    /// How many operations one run consists of.
    units: usize,
    /// What goes through in one run, in bytes, or 0 where that doesn't matter.
    bytes: usize,
    /// Makes what one run needs.
    prepare: Prepare,
    run: Run,
}

/// A step that needs no preparation.
fn step<T>(
    units: usize,
    bytes: usize,
    mut run: impl FnMut() -> T,
) -> Step<impl FnMut(), impl FnMut(&()) -> T> {
    Step {
        units,
        bytes,
        prepare: || (),
        run: move |_: &()| run(),
    }
}

/// What is asked for, and what has come of it.
struct Bench {
    options: Options,
    /// The name of the last row that is not indented.
    above: String,
    /// Whether there is a step by the name that is asked for.
    has_found: bool,
}

impl Bench {
    /// Whether all steps are timed.
    fn is_table(&self) -> bool {
        !self.options.list && self.options.only.is_none()
    }

    /// Times a step and prints a row, or does what else is asked for. `set_up` is only called if the step is run.
    fn row<I, T, Prepare: FnMut() -> I, Run: FnMut(&I) -> T>(
        &mut self,
        name: &str,
        set_up: impl FnOnce() -> Step<Prepare, Run>,
    ) {
        match self.try_row(name, || Ok::<_, Infallible>(set_up())) {
            Ok(()) => {}
            Err(never) => match never {},
        }
    }

    /// Like [`row`](Self::row), where the setting up may fail.
    fn try_row<I, T, Prepare: FnMut() -> I, Run: FnMut(&I) -> T, E>(
        &mut self,
        name: &str,
        set_up: impl FnOnce() -> Result<Step<Prepare, Run>, E>,
    ) -> Result<(), E> {
        // An indented row goes with the one above it.
        let full_name = match name.strip_prefix("  ") {
            Some(rest) => format!("{} {rest}", self.above),
            None => {
                self.above = name.to_owned();
                self.above.clone()
            }
        };
        if self.options.list {
            println!("{full_name}");
        } else if self.is_table() {
            set_up()?.print_times(name);
        } else if self.options.only.as_ref() == Some(&full_name) {
            self.has_found = true;
            let times = self.options.times;
            println!("{}", set_up()?.run_untimed(times));
        }
        Ok(())
    }
}

impl<I, T, Prepare: FnMut() -> I, Run: FnMut(&I) -> T> Step<Prepare, Run> {
    /// Runs the step so often and returns how many operations that was.
    fn run_untimed(mut self, times: u32) -> usize {
        let inputs = self.inputs(MOST_TIMES);
        let times = times as usize;
        self.run_all(&inputs[..times]);
        times * self.units
    }

    fn inputs(&mut self, count: u32) -> Vec<I> {
        (0..count).map(|_| (self.prepare)()).collect()
    }

    /// What a run returns is dropped within the time.
    fn run_all(&mut self, inputs: &[I]) {
        for input in inputs {
            drop(black_box((self.run)(input)));
        }
    }

    /// Prints a row, for one of the operations that a run consists of.
    fn print_times(mut self, name: &str) {
        let mut time = |times| {
            let inputs = self.inputs(times);
            let start = Instant::now();
            self.run_all(&inputs);
            start.elapsed()
        };
        let mut times = 1;
        while time(times) < Duration::from_millis(5) {
            times *= 2;
        }
        let mut rounds = [(); ROUNDS].map(|()| time(times).as_nanos() as f64 / f64::from(times));
        rounds.sort_by(f64::total_cmp);
        let units = self.units as f64;
        let [min, median, max] = [0, ROUNDS / 2, ROUNDS - 1].map(|place| rounds[place] / units);
        let rate = format!("{:.0}", self.bytes as f64 / units / median * 1e3);
        let rate = if self.bytes > 0 { &rate } else { "" };
        println!("{name:42}{median:11.1}{min:12.1} .. {max:12.1}{rate:>9}");
    }
}
