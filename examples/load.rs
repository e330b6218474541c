//! Will my machine hold the class? Plays a whole class against a running server, and says how it went.
//!
//! ```text
//! cargo run --release                                       # the server, in one terminal
//! cargo run --release --example load -- --users 60          # the class, in another
//! ```
//!
//! Every user is a thread with a connection, as in the server. A thread reads until its next message is due, so one
//! thread serves both directions, with TLS too. Each message carries the time at which it was sent; all users
//! live in this process, so its receiver knows how long it took.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that reports to its user"
)]

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use chatd::wire::{ClientMessage, FrameReader, Framing, ServerMessage};
use clap::Parser;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslStream, SslVerifyMode};
use tungstenite::{Message, WebSocket};

/// Play a class against a running chatd, and say how it went.
#[derive(Clone, Debug, Parser)]
struct Options {
    /// Where the server is
    #[arg(default_value = "127.0.0.1")]
    host: String,
    /// Its port [default: 4004, 4399 with --tls, or 4080 with --web]
    #[arg(long)]
    port: Option<u16>,
    /// Connect with TLS
    #[arg(long)]
    tls: bool,
    /// Connect as browsers do, by WebSocket
    #[arg(long, conflicts_with = "tls")]
    web: bool,
    /// How many users log in
    #[arg(long, default_value_t = 40)]
    users: usize,
    /// Messages to the room a second, of all users together
    #[arg(long, default_value_t = 10.0)]
    rate: f64,
    /// Private messages a second, of all users together
    #[arg(long, default_value_t = 10.0)]
    private_rate: f64,
    /// Length of a message, in bytes
    #[arg(long, default_value_t = 64)]
    size: usize,
    /// How long they talk, in seconds
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

impl Options {
    /// Where to connect.
    fn address(&self) -> io::Result<SocketAddr> {
        let usual = match (self.tls, self.web) {
            (true, _) => 4399,
            (_, true) => 4080,
            _ => 4004,
        };
        let port = self.port.unwrap_or(usual);
        let mut addresses = (self.host.as_str(), port)
            .to_socket_addrs()
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.host)))?;
        let first = addresses.next();
        first.ok_or_else(|| io::Error::other(format!("{}: no address has this name", self.host)))
    }
}

/// How long everybody waits, when all is said, for what has not arrived yet.
const PATIENCE: Duration = Duration::from_secs(10);

/// What all users share.
struct Class {
    options: Options,
    start: Instant,
    /// How many are logged in.
    present: AtomicUsize,
    /// Talking begins when all are.
    talks: AtomicBool,
    /// Everybody leaves.
    is_over: AtomicBool,
    room_sent: AtomicU64,
    private_sent: AtomicU64,
    room_received: AtomicU64,
    private_received: AtomicU64,
    receipts: AtomicU64,
    latencies: Mutex<Histogram>,
    /// What the server refused, and how often.
    refusals: Counts,
    /// What else the server said by a 10, such as that the room is written down, and how often.
    notices: Counts,
    /// How connections failed without a word from the server, and how often.
    failures: Counts,
}

/// Reasons, and how often each was met.
#[derive(Default)]
struct Counts(Mutex<BTreeMap<String, usize>>);

impl Counts {
    fn add(&self, why: &str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(why.to_owned()).or_default() += 1;
    }

    /// Prints them. True if there are any.
    fn print(&self, what: &str) -> bool {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (why, count) in counts.iter() {
            match count {
                1 => println!("{what} once: {why}"),
                _ => println!("{what} {count} times: {why}"),
            }
        }
        !counts.is_empty()
    }
}

impl Class {
    /// Whether everything that was sent has arrived.
    fn is_complete(&self) -> bool {
        self.missing() == (0, 0, 0)
    }

    /// Room messages, private messages and receipts that have not arrived.
    fn missing(&self) -> (u64, u64, u64) {
        let (room, private) = (
            self.room_sent.load(Relaxed),
            self.private_sent.load(Relaxed),
        );
        let users = self.options.users as u64;
        (
            (room * users).saturating_sub(self.room_received.load(Relaxed)),
            private.saturating_sub(self.private_received.load(Relaxed)),
            private.saturating_sub(self.receipts.load(Relaxed)),
        )
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    if options.users < 2 || options.rate < 0.0 || options.private_rate < 0.0 {
        eprintln!("load: at least two users and no negative rates are needed");
        return ExitCode::FAILURE;
    }
    match run(options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Plays the class. True if it went well.
fn run(options: Options) -> io::Result<bool> {
    let class = Arc::new(Class {
        start: Instant::now(),
        present: AtomicUsize::new(0),
        talks: AtomicBool::new(false),
        is_over: AtomicBool::new(false),
        room_sent: AtomicU64::new(0),
        private_sent: AtomicU64::new(0),
        room_received: AtomicU64::new(0),
        private_received: AtomicU64::new(0),
        receipts: AtomicU64::new(0),
        latencies: Mutex::new(Histogram::default()),
        refusals: Counts::default(),
        notices: Counts::default(),
        failures: Counts::default(),
        options,
    });
    let options = &class.options;
    let address = options.address()?;
    let seen = TcpStream::connect_timeout(&address, PATIENCE).map_err(|error| {
        let what = match error.kind() {
            ErrorKind::ConnectionRefused => {
                "nothing listens there. Is chatd running? Start it first: cargo run --release"
            }
            ErrorKind::TimedOut => {
                "nothing answers there. Is the address right, the firewall open?"
            }
            _ => "no connection",
        };
        io::Error::new(error.kind(), format!("{address}: {what} ({error})"))
    })?;
    drop(seen);
    let mut threads = Vec::new();
    for number in 0..options.users {
        let user_class = Arc::clone(&class);
        let work = move || {
            let user = User::connect(&user_class, number, address);
            if let Err(error) = user.and_then(User::take_part) {
                user_class.failures.add(&error.to_string());
            }
        };
        let builder = thread::Builder::new().stack_size(256 << 10);
        threads.push(builder.spawn(work)?);
    }
    while class.present.load(Relaxed) < options.users {
        if threads.iter().any(|thread| thread.is_finished()) {
            break;
        }
        thread::sleep(Duration::from_millis(1));
    }
    let login_time = class.start.elapsed();
    let has_begun = class.present.load(Relaxed) == options.users;
    if has_begun {
        eprintln!("{} users logged in within {login_time:.2?}", options.users);
        class.talks.store(true, Relaxed);
        for second in 1..=options.seconds {
            thread::sleep(Duration::from_secs(1));
            let (room, private) = (
                class.room_received.load(Relaxed),
                class.private_received.load(Relaxed),
            );
            eprint!(
                "\r{second} s of {}: {room} room and {private} private messages received ",
                options.seconds
            );
        }
        eprintln!();
        class.talks.store(false, Relaxed);
        let deadline = Instant::now() + PATIENCE;
        while !class.is_complete() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
    }
    class.is_over.store(true, Relaxed);
    for (number, thread) in threads.into_iter().enumerate() {
        match thread.join() {
            Ok(()) => {}
            Err(_) => class
                .failures
                .add(&format!("the thread of user {number} failed")),
        }
    }
    Ok(report(&class, address.ip(), has_begun, login_time))
}

/// Says how it went. True if it went well.
fn report(class: &Class, server: IpAddr, has_begun: bool, login_time: Duration) -> bool {
    let options = &class.options;
    let was_told = class.notices.print("told by the server");
    let was_refused = class.refusals.print("refused");
    let has_failed = class.failures.print("failed");
    if !has_begun {
        println!("No: not all of {} users could log in.", options.users);
        if was_refused {
            explain_refusals(server);
        }
        return false;
    }
    let latencies = class
        .latencies
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let (room, private, receipts) = class.missing();
    println!("login      {} users in {login_time:.2?}", options.users);
    println!(
        "sent       {} to the room, {} private",
        class.room_sent.load(Relaxed),
        class.private_sent.load(Relaxed)
    );
    println!(
        "received   {} room messages, {} private, {} receipts",
        class.room_received.load(Relaxed),
        class.private_received.load(Relaxed),
        class.receipts.load(Relaxed)
    );
    println!("missing    {room} room messages, {private} private, {receipts} receipts");
    let [p50, p99, most] = [0.5, 0.99, 1.0].map(|share| latencies.quantile(share));
    println!("latency    p50 {p50:.2?}, p99 {p99:.2?}, most {most:.2?}");
    let lossless = (room, private, receipts) == (0, 0, 0);
    let is_good = lossless && !was_refused && !has_failed;
    match (is_good, p99 < Duration::from_millis(200)) {
        (true, true) => println!("Yes: nothing was lost, and nobody would notice the delay."),
        (true, false) => {
            println!("It holds, but it feels slow: nothing was lost, yet messages are late.");
            if !server.is_loopback() {
                explain_one_address();
            }
        }
        (false, _) if was_refused => {
            println!("No: something was refused; see above.");
            explain_refusals(server);
        }
        (false, _) => {
            println!("No: something was lost; see above.");
            if was_told {
                explain_refusals(server);
            }
        }
    }
    is_good
}

/// Says that what was refused is not the machine's fault.
fn explain_refusals(server: IpAddr) {
    println!(
        "What the server refuses is a matter of its settings, not of what the machine can do: a limit, a lock, a ban. \
         Mend that, and try again."
    );
    if !server.is_loopback() {
        explain_one_address();
    }
}

/// Says what all users from one address, as here, share.
fn explain_one_address() {
    println!(
        "All these users come from one address, and share its limits: 256 connections, 50 commands and 64 KiB a second. \
         A class on as many machines does not. Start the server with --max-per-address 0 --rate 0 --byte-rate 0 for this \
         test, or run it on the server's machine."
    );
}

/// A user's connection, which one thread reads and writes.
enum Stream {
    Plain(TcpStream),
    Tls(Box<SslStream<TcpStream>>),
    Web(Box<WebSocket<TcpStream>>),
}

impl Stream {
    fn socket(&self) -> &TcpStream {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => stream.get_ref(),
            Stream::Web(socket) => socket.get_ref(),
        }
    }

    /// Reads what comes into `frames`.
    fn read(&mut self, frames: &mut FrameReader) -> io::Result<usize> {
        let space = frames.space();
        let count = match self {
            Stream::Plain(socket) => socket.read(space)?,
            Stream::Tls(stream) => stream.read(space)?,
            Stream::Web(socket) => {
                let message = socket.read().map_err(into_io)?;
                let text = message.into_data();
                let mut rest = &text[..];
                // The roster of a large class is longer than the space for one read.
                while !rest.is_empty() {
                    let space = frames.space();
                    let count = space.len().min(rest.len());
                    space[..count].copy_from_slice(&rest[..count]);
                    frames.filled(count);
                    rest = &rest[count..];
                }
                return Ok(text.len().max(1));
            }
        };
        frames.filled(count);
        Ok(count)
    }

    /// Sends one line.
    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Stream::Plain(socket) => socket.write_all(line),
            Stream::Tls(stream) => stream.write_all(line),
            Stream::Web(socket) => {
                let text = std::str::from_utf8(line).map_err(io::Error::other)?;
                let message = Message::text(text.trim_end());
                socket.send(message).map_err(into_io)
            }
        }
    }
}

fn into_io(error: tungstenite::Error) -> io::Error {
    match error {
        tungstenite::Error::Io(error) => error,
        other => io::Error::other(other),
    }
}

/// One user of the class.
struct User<'a> {
    class: &'a Class,
    number: usize,
    stream: Stream,
    frames: FrameReader,
    /// Whether the login has succeeded.
    is_present: bool,
    /// What the server has said last. If the connection ends then, it is why.
    told: Option<String>,
    /// How long this user's messages took that it received. Shared with the others at the end.
    latencies: Histogram,
}

impl<'a> User<'a> {
    fn connect(class: &'a Class, number: usize, address: SocketAddr) -> io::Result<User<'a>> {
        let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        socket.set_nodelay(true)?;
        let stream = if class.options.tls {
            let mut context = SslContext::builder(SslMethod::tls_client())?;
            // The load is the same for any server.
            context.set_verify(SslVerifyMode::NONE);
            let mut stream = SslStream::new(Ssl::new(&context.build())?, socket)?;
            stream.connect().map_err(io::Error::other)?;
            Stream::Tls(Box::new(stream))
        } else if class.options.web {
            let url = format!("ws://{address}/chat");
            let (socket, _) = tungstenite::client(url, socket).map_err(io::Error::other)?;
            Stream::Web(Box::new(socket))
        } else {
            Stream::Plain(socket)
        };
        Ok(User {
            class,
            number,
            stream,
            frames: FrameReader::new(Framing::Stream),
            is_present: false,
            told: None,
            latencies: Histogram::default(),
        })
    }

    fn name(number: usize) -> String {
        format!("load{:x}n{number}", std::process::id())
    }

    /// Takes part until all leave. An end that the server has explained is no error.
    fn take_part(mut self) -> io::Result<()> {
        let outcome = self.talk();
        match (outcome, self.told) {
            (outcome, Some(why)) if outcome.is_err() || !self.is_present => {
                self.class.refusals.add(&why)
            }
            (Err(error), None) => return Err(error),
            (_, Some(notice)) => self.class.notices.add(&notice),
            (Ok(()), None) => {}
        }
        Ok(())
    }

    fn talk(&mut self) -> io::Result<()> {
        let login = ClientMessage::Login {
            name: User::name(self.number).into(),
            password: None,
        };
        self.stream.write_line(&login.to_line())?;
        let options = &self.class.options;
        let per_user = |rate: f64| match rate / options.users as f64 {
            0.0 => Duration::MAX,
            rate => Duration::from_secs_f64(1.0 / rate),
        };
        let (room_pause, private_pause) = (per_user(options.rate), per_user(options.private_rate));
        // Users take turns rather than all speak at once.
        let turn = self.number as f64 / options.users as f64;
        let mut due: Option<[Option<Instant>; 2]> = None;
        let mut rounds = 0;
        while !self.class.is_over.load(Relaxed) {
            let talks = self.class.talks.load(Relaxed);
            let now = Instant::now();
            if talks && due.is_none() {
                let first =
                    |pause: Duration| (pause != Duration::MAX).then(|| now + pause.mul_f64(turn));
                due = Some([first(room_pause), first(private_pause)]);
            }
            if let (true, Some([room, private])) = (talks, &mut due) {
                if let Some(at) = room.filter(|at| *at <= now) {
                    *room = Some(at + room_pause);
                    self.say(None)?;
                }
                if let Some(at) = private.filter(|at| *at <= now) {
                    *private = Some(at + private_pause);
                    let friend = (self.number + 1 + rounds) % options.users;
                    rounds += 1;
                    self.say(Some(friend))?;
                }
            }
            let next = due.iter().flatten().flatten().min().copied();
            let wait = next.map_or(LOOK_UP, |at| {
                at.saturating_duration_since(Instant::now()).min(LOOK_UP)
            });
            self.receive(wait)?;
        }
        self.stream.write_line(&ClientMessage::Logout.to_line())?;
        // The server closes when all it owed is sent. Leaving earlier would look like a lost connection.
        while self.receive(LOOK_UP).is_ok() {}
        let mut all = self
            .class
            .latencies
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.add(&self.latencies);
        Ok(())
    }

    /// Sends a message to the room, or to one user.
    fn say(&mut self, friend: Option<usize>) -> io::Result<()> {
        let mut message = format!("{} ", self.class.start.elapsed().as_micros());
        while message.len() < self.class.options.size {
            message.push('x');
        }
        let message = message.into();
        let line = match friend {
            None => {
                self.class.room_sent.fetch_add(1, Relaxed);
                ClientMessage::Room { message }.to_line()
            }
            Some(friend) => {
                self.class.private_sent.fetch_add(1, Relaxed);
                ClientMessage::Private {
                    friend_name: User::name(friend).into(),
                    message,
                }
                .to_line()
            }
        };
        self.stream.write_line(&line)
    }

    /// Reads what comes, for at most `wait`.
    fn receive(&mut self, wait: Duration) -> io::Result<()> {
        self.stream
            .socket()
            .set_read_timeout(Some(wait.max(Duration::from_micros(100))))?;
        match self.stream.read(&mut self.frames) {
            Ok(0) => return Err(io::Error::other("the server closed the connection")),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        let class = self.class;
        let stamp = |message: &str| {
            let sent = message
                .split(' ')
                .next()
                .and_then(|micros| micros.parse().ok());
            sent.map(|micros| {
                class
                    .start
                    .elapsed()
                    .saturating_sub(Duration::from_micros(micros))
            })
        };
        while let Some(frame) = self
            .frames
            .next_frame(usize::MAX)
            .map_err(io::Error::other)?
        {
            match serde_json::from_str(frame)? {
                ServerMessage::LoginReply { flag: 1, .. } => {
                    class.present.fetch_add(1, Relaxed);
                    self.is_present = true;
                }
                ServerMessage::LoginReply { message, .. } => {
                    self.told = Some(message.unwrap_or_default().into());
                    return Err(io::Error::other("the login was refused"));
                }
                ServerMessage::Room { message, .. } => {
                    class.room_received.fetch_add(1, Relaxed);
                    self.latencies.record(stamp(&message));
                }
                ServerMessage::Private { message, .. } => {
                    class.private_received.fetch_add(1, Relaxed);
                    self.latencies.record(stamp(&message));
                }
                ServerMessage::HeartbeatOrReceipt {
                    flag: Some(flag),
                    message,
                    ..
                } => {
                    class.receipts.fetch_add(1, Relaxed);
                    if flag == 0 {
                        class.refusals.add(&message.unwrap_or_default());
                    }
                }
                ServerMessage::Notice { message } => {
                    if let Some(before) = self.told.replace(message.into()) {
                        class.notices.add(&before);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// How often a user who has nothing to say looks up whether that has changed.
const LOOK_UP: Duration = Duration::from_millis(100);

/// Counts durations in buckets, each a sixteenth wider than the one before: quantiles are good to six per cent.
struct Histogram {
    buckets: Vec<u64>,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram {
            buckets: vec![0; 512],
        }
    }
}

impl Histogram {
    const GROWTH: f64 = 17.0 / 16.0;

    fn record(&mut self, duration: Option<Duration>) {
        let micros = duration.map_or(0, |duration| duration.as_micros()).max(1) as f64;
        let bucket = (micros.ln() / Histogram::GROWTH.ln()) as usize;
        let last = self.buckets.len() - 1;
        self.buckets[bucket.min(last)] += 1;
    }

    fn add(&mut self, other: &Histogram) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
    }

    fn quantile(&self, share: f64) -> Duration {
        let total: u64 = self.buckets.iter().sum();
        let mut below = (total as f64 * share).ceil() as u64;
        for (bucket, count) in self.buckets.iter().enumerate() {
            if below <= *count {
                let micros = Histogram::GROWTH.powi(bucket as i32 + 1);
                return Duration::from_secs_f64(micros / 1e6);
            }
            below -= count;
        }
        Duration::ZERO
    }
}
