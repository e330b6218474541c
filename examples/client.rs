//! A terminal client for the classroom chat server, written to be read. `docs/protocol.md` tells what is spoken,
//! and `client.py` beside this file does the same in Python.
//!
//! A client waits for two things at once, the server and the keyboard. Two threads that block, one in reading and
//! one in writing, would do for a plain socket, but not for TLS: encryption keeps one state for both directions, so
//! a thread that waits for the server inside an `SslStream` keeps the other from writing to it. Hence one thread
//! owns the connection, whichever kind it is, and none of its reads and writes blocks. The other thread waits for
//! the keyboard and passes lines through a channel; waiting at that channel, for a moment at a time, is how the
//! first one rests. As it alone also keeps the list of who is online, there is nothing to lock.
//!
//! With `--tls` it trusts a server's certificate at first sight, remembers its fingerprint, and refuses any other
//! certificate from then on, as ssh does. A user who was not deceived the first time can't be deceived later.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::env;
use std::error::Error;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, ErrorKind, IsTerminal, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use chatd::printable::Printable;
use chatd::wire::framing::FRAME_CEILING;
use chatd::wire::{ClientMessage, FrameReader, Framing, ServerMessage};
use clap::Parser;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use openssl::hash::MessageDigest;
use openssl::ssl::{SslConnector, SslMethod, SslStream, SslVerifyMode, SslVersion};
use serde_json::Value;

const HELP: &str =
    "TEXT (for all), @NAME TEXT or /msg NAME TEXT, /who, /register NAME PASSWORD, /quit";

/// How long to wait for a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait for the answer to a login, which the server may put off, or to a logout.
const ANSWER_PATIENCE: Duration = Duration::from_secs(15);

/// How long a server may be silent: three heartbeats, as most servers send them.
const USUAL_SILENCE: Duration = Duration::from_secs(45);

/// No server is taken for lost sooner than this, however close its heartbeats are.
const LEAST_SILENCE: Duration = Duration::from_secs(5);

/// The pauses between attempts to come back begin with the first of these, and double up to the second.
const PAUSES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(60)];

/// How long to rest when all that has come is shown.
const REST: Duration = Duration::from_millis(20);

/// Chat in a terminal.
#[derive(Parser)]
#[command(name = "client", after_help = format!("Then type: {HELP}"))]
struct Options {
    /// Name or address of the server's machine
    host: String,
    /// The name to use: letters and digits, at least 4
    name: String,
    /// Leave it out to be a guest
    password: Option<String>,
    /// Port of the server [default: 4004, with --tls 4399]
    #[arg(long)]
    port: Option<u16>,
    /// Encrypt the connection
    #[arg(long)]
    tls: bool,
    /// SHA-256 of the certificate that the server must have; implies --tls
    #[arg(long, value_name = "HEX")]
    fingerprint: Option<String>,
    /// Where to remember the certificates of servers [default: chatd/known_servers in your configuration folder]
    #[arg(long, value_name = "FILE")]
    known_servers: Option<PathBuf>,
    /// Seconds of silence after which the server is taken for lost; 0 is three of its heartbeats
    #[arg(
        long,
        value_name = "SECONDS",
        env = "CHAT_LOST_AFTER",
        default_value = "0"
    )]
    lost_after: u64,
}

/// Any error will do: each ends the connection, if not the program, and the user reads it as one line.
type Outcome<T> = Result<T, Box<dyn Error>>;

/// The one error after which no other attempt is made: the certificate is not the server's.
#[derive(Debug)]
struct Distrust(String);

impl Error for Distrust {}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused: {}", self.0)
    }
}

fn main() -> ExitCode {
    let Err(error) = chat(Options::parse()) else {
        return ExitCode::SUCCESS;
    };
    // Some of its words may be the server's.
    let _ = writeln!(io::stderr(), "client: {}", Printable(&error.to_string()));
    ExitCode::FAILURE
}

/// Chats until the user leaves. A person whose connection is lost finds the client trying to come back. A script is told
/// that it failed, as it may have to do something else then.
fn chat(options: Options) -> Outcome<()> {
    let is_person = io::stdin().is_terminal();
    // It holds few lines: if more are piped in than the server takes, the rest waits in the pipe.
    let (sender, typed) = bounded(16);
    thread::Builder::new().spawn(move || read_lines(&sender))?;
    let mut silence = Silence::new(Duration::from_secs(options.lost_after));
    let mut was_online = false;
    let mut pause = PAUSES[0];
    loop {
        let error = match connect(&options) {
            Err(error) => error,
            Ok(stream) => {
                let mut client = Client::log_in(stream, &options, silence);
                let Err(error) = client.run(&typed) else {
                    return Ok(());
                };
                match client.stage {
                    Stage::LoggingIn => {}
                    Stage::Chatting => (was_online, pause) = (true, PAUSES[0]),
                    Stage::Leaving => return Err(error),
                }
                silence = client.silence;
                error
            }
        };
        if !is_person || !was_online || error.is::<Distrust>() {
            return Err(error);
        }
        let seconds = pause.as_secs();
        say(&format!("* {error}; trying again in {seconds} s"))?;
        if has_left_within(pause, &typed)? {
            return Ok(());
        }
        pause = (2 * pause).min(PAUSES[1]);
    }
}

/// Lets some time pass. What is typed meanwhile can't be sent, but it can end the program.
fn has_left_within(pause: Duration, typed: &Receiver<String>) -> Outcome<bool> {
    let end = Instant::now() + pause;
    loop {
        match typed.recv_deadline(end) {
            Ok(line) if line == "/quit" => return Ok(true),
            Ok(line) if line.is_empty() => {}
            Ok(_) => say("* NOT sent, as you are not online")?,
            Err(RecvTimeoutError::Timeout) => return Ok(false),
            Err(RecvTimeoutError::Disconnected) => return Ok(true),
        }
    }
}

/// Passes on what is typed. When the input ends, so does this thread, and that closes the channel.
fn read_lines(typed: &Sender<String>) {
    for line in io::stdin().lock().split(b'\n').map_while(Result::ok) {
        let text = String::from_utf8_lossy(&line);
        if typed.send(text.trim_end_matches('\r').to_owned()).is_err() {
            return;
        }
    }
}

/// A connection, plain or TLS.
trait Stream: Read + Write {}
impl Stream for TcpStream {}
impl Stream for SslStream<TcpStream> {}

/// Connects, in calls that block, and hands over a stream whose calls do not.
fn connect(options: &Options) -> Outcome<Box<dyn Stream>> {
    let tls = options.tls || options.fingerprint.is_some(); // never in the clear by mistake
    let port = options.port.unwrap_or(if tls { 4399 } else { 4004 });
    let socket = open_socket(&options.host, port)
        .map_err(|error| format!("cannot connect to {}, port {port}: {error}", options.host))?;
    if tls {
        return Ok(Box::new(encrypt(options, port, socket)?));
    }
    socket.set_nonblocking(true)?;
    Ok(Box::new(socket))
}

/// Connects to the first address of `host` that answers.
fn open_socket(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut outcome = Err(ErrorKind::AddrNotAvailable.into());
    for address in (host, port).to_socket_addrs()? {
        outcome = outcome.or_else(|_| TcpStream::connect_timeout(&address, PATIENCE));
    }
    outcome
}

/// Makes a TLS connection of a socket. No authority has signed the server's certificate, so OpenSSL is told to
/// accept any, and the fingerprint vouches for it.
fn encrypt(options: &Options, port: u16, socket: TcpStream) -> Outcome<SslStream<TcpStream>> {
    let mut connector = SslConnector::builder(SslMethod::tls_client())?;
    connector.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    connector.set_verify(SslVerifyMode::NONE);
    let connector = connector.build().configure()?.verify_hostname(false);
    socket.set_read_timeout(Some(PATIENCE))?;
    let no_tls = |_| "no TLS connection came about; is this the server's port for TLS?";
    let stream = connector.connect(&options.host, socket).map_err(no_tls)?;

    let certificate = stream.ssl().peer_certificate();
    let certificate = certificate.ok_or("the server shows no certificate")?;
    let digest = certificate.digest(MessageDigest::sha256())?;
    let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    let found = pairs.join(":");
    match &options.fingerprint {
        Some(given) if is_same(given, &found) => {}
        Some(_) => Err(Distrust(format!(
            "the server's fingerprint is {found}, not the one you gave"
        )))?,
        None => match options.known_servers.clone().or_else(usual_known_servers) {
            Some(file) => {
                let server = format!("{}:{port}", options.host.to_lowercase());
                remember_or_compare(&file, &server, &found)?;
            }
            None => say(&format!(
                "* NOT verified: anybody may be this server. Its fingerprint is {found}"
            ))?,
        },
    }
    stream.get_ref().set_nonblocking(true)?;
    Ok(stream)
}

/// Whether two fingerprints are the same, with or without colons, in either letter case.
fn is_same(one: &str, other: &str) -> bool {
    let digits = |text: &str| text.replace(':', "").to_lowercase();
    digits(one) == digits(other)
}

/// The file in which servers are remembered, if the user has a place for configuration.
fn usual_known_servers() -> Option<PathBuf> {
    let folder = match env::var_os(if cfg!(windows) {
        "APPDATA"
    } else {
        "XDG_CONFIG_HOME"
    }) {
        Some(folder) if Path::new(&folder).is_absolute() => folder.into(),
        _ => env::home_dir()?.join(".config"),
    };
    Some(folder.join("chatd").join("known_servers"))
}

/// Compares a fingerprint with the one that is remembered for this server, or remembers it if there is none.
/// The file has a line for each server: its address and port, a space, and its fingerprint.
fn remember_or_compare(file: &Path, server: &str, found: &str) -> Outcome<()> {
    let name = file.display();
    let lines = match fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        read => read.map_err(|error| format!("cannot read {name}: {error}"))?,
    };
    let remembered = lines.lines().zip(1..).find_map(|(line, number)| {
        let (of, fingerprint) = line.split_once(' ')?;
        (of == server).then_some((fingerprint.trim(), number))
    });
    match remembered {
        Some((fingerprint, _)) if is_same(fingerprint, found) => Ok(()),
        Some((fingerprint, number)) => {
            warn_of_change(
                server,
                fingerprint,
                found,
                &format!("line {number} of {name}"),
            )?;
            Err(Distrust("the server's certificate has changed".into()).into())
        }
        None => {
            let gap = if lines.is_empty() || lines.ends_with('\n') {
                ""
            } else {
                "\n"
            };
            append(file, &format!("{gap}{server} {found}\n"))
                .map_err(|error| format!("cannot write {name}: {error}"))?;
            say(&format!(
                "* the first time here: remembered in {name} that the server's fingerprint is {found}"
            ))
        }
    }
}

/// Adds to the end of a file, in one write, so that two clients can't mix their lines.
fn append(file: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    let mut file = options.append(true).create(true).open(file)?;
    file.write_all(text.as_bytes())
}

fn warn_of_change(server: &str, remembered: &str, found: &str, place: &str) -> io::Result<()> {
    let (server, remembered, place) = (Printable(server), Printable(remembered), Printable(place));
    write!(
        io::stderr(),
        "
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@@  WARNING: THIS IS NOT THE CERTIFICATE OF THIS SERVER SO FAR  @@
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
server:      {server}
remembered:  {remembered}
shown now:   {found}

Somebody may be pretending to be the server, to read what you write and your password.
Or the server has a new certificate. Ask your teacher: it prints its fingerprint when
it starts. If that is the one shown now, delete {place} and connect again.

"
    )
}

/// Prints one line. A message may hold anything, even what clears the screen, so that is escaped.
fn say(line: &str) -> Outcome<()> {
    writeln!(io::stdout(), "{}", Printable(line))
        .map_err(|error| format!("cannot print: {error}").into())
}

/// Where a conversation stands.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    LoggingIn,
    Chatting,
    /// 03 is on its way; what was sent before it is still answered.
    Leaving,
}

/// Watches for a server that has vanished without a word. One that is alive sends heartbeats, so one that has been
/// silent for three of them is lost.
struct Silence {
    /// How long it may last.
    limit: Duration,
    /// Whether the user has set that, so that there is nothing to learn.
    is_fixed: bool,
    /// When something came last.
    heard: Instant,
    /// When the last four heartbeats came, on this connection.
    beats: VecDeque<Instant>,
}

impl Silence {
    /// With the limit that the user has set, or with what the server will teach if that is 0.
    fn new(limit: Duration) -> Silence {
        let is_fixed = !limit.is_zero();
        Silence {
            limit: if is_fixed { limit } else { USUAL_SILENCE },
            is_fixed,
            heard: Instant::now(),
            beats: VecDeque::new(),
        }
    }

    fn begin(&mut self) {
        self.heard = Instant::now();
        self.beats.clear();
    }

    /// Learns from a heartbeat. The longest of three gaps counts, as the network may have held one up and not the next.
    fn beat(&mut self) {
        self.beats.push_back(self.heard);
        if self.beats.len() > 4 {
            self.beats.pop_front();
        }
        let gaps = self.beats.iter().zip(self.beats.iter().skip(1));
        let longest = gaps.map(|(one, next)| *next - *one).max();
        if let (4, false, Some(longest)) = (self.beats.len(), self.is_fixed, longest) {
            self.limit = LEAST_SILENCE.max(3 * longest);
        }
    }

    /// Tells how a connection was lost if it has been silent for too long.
    fn check(&mut self) -> Outcome<()> {
        let limit = self.limit;
        if self.heard.elapsed() < limit {
            return Ok(());
        }
        // Perhaps it is one whose heartbeats are rare, or that has none. Then it will be here again at once.
        if self.beats.is_empty() && !self.is_fixed {
            self.limit *= 2;
        }
        Err(format!(
            "connection lost: nothing came for {:.0} s",
            limit.as_secs_f64()
        ))?
    }
}

/// One connection and what is known about it.
struct Client {
    stream: Box<dyn Stream>,
    reader: FrameReader,
    /// Bytes that the connection has not taken yet.
    unsent: Vec<u8>,
    /// Who is online, and whether as a guest.
    online: BTreeMap<String, bool>,
    stage: Stage,
    silence: Silence,
}

impl Client {
    /// A client whose login is on its way.
    fn log_in(stream: Box<dyn Stream>, options: &Options, mut silence: Silence) -> Client {
        silence.begin();
        let mut client = Client {
            stream,
            reader: FrameReader::new(Framing::Stream),
            unsent: Vec::new(),
            online: BTreeMap::new(),
            stage: Stage::LoggingIn,
            silence,
        };
        client.send(&ClientMessage::Login {
            name: options.name.as_str().into(),
            password: options.password.as_deref().map(Into::into),
        });
        client
    }

    fn run(&mut self, typed: &Receiver<String>) -> Outcome<()> {
        while self.receive()? {
            match self.stage {
                Stage::Chatting => self.silence.check()?,
                _ if self.silence.heard.elapsed() < ANSWER_PATIENCE => {}
                Stage::LoggingIn => Err("no answer to the login; is this the right port?")?,
                Stage::Leaving => return Ok(()),
            }
            self.send_more();
            if self.stage != Stage::Chatting || !self.unsent.is_empty() {
                thread::sleep(REST); // what is typed meanwhile waits in the channel
                continue;
            }
            match typed.recv_timeout(REST) {
                Ok(line) => self.obey(&line)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.leave(),
            }
        }
        Ok(())
    }

    fn send(&mut self, message: &ClientMessage<'_>) {
        self.unsent.extend(message.to_line());
    }

    fn leave(&mut self) {
        self.send(&ClientMessage::Logout);
        self.silence.heard = Instant::now();
        self.stage = Stage::Leaving;
    }

    /// Writes as much as the connection takes at once.
    fn send_more(&mut self) {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // It is lost, which reading will find too, but not before the server's last words.
                Err(_) => self.unsent.clear(),
            }
        }
    }

    /// Shows all that has come: each read may bring half a message or three of them. Tells whether there may be
    /// more later; if not, the server has closed the connection because it was asked to.
    fn receive(&mut self) -> Outcome<bool> {
        loop {
            match self.stream.read(self.reader.space()) {
                Ok(0) => match self.stage {
                    Stage::Leaving => return Ok(false),
                    Stage::LoggingIn => Err("the server hung up at once; is this the right port?")?,
                    Stage::Chatting => Err("connection lost: the server has closed it")?,
                },
                Ok(count) => {
                    self.reader.filled(count);
                    self.silence.heard = Instant::now();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => Err(format!("connection lost: {error}"))?,
            }
            let not_chat = |error| format!("this is no chat server: {error}");
            while let Some(frame) = self.reader.next_frame(FRAME_CEILING).map_err(not_chat)? {
                // What this client does not know, such as a command of a later server, it ignores, and what has a
                // number where a name should be.
                if let Ok(message) = serde_json::from_str(&with_clean_friends(frame)) {
                    self.show(message)?;
                }
            }
        }
    }

    #[rustfmt::skip] // It reads as a table, a message a line.
    fn show(&mut self, message: ServerMessage<'_>) -> Outcome<()> {
        use ServerMessage::*;
        let text = |field: Option<Cow<'_, str>>| field.unwrap_or("?".into()).into_owned();
        let line = match message {
            Notice { message } => format!("* the server says: {message}"),
            LoginReply { flag: 1, friends, .. } => {
                self.stage = Stage::Chatting;
                self.online = friends.into_iter().map(|(name, guest)| (name.into(), guest != 0)).collect();
                self.who()
            }
            LoginReply { message, .. } => Err(format!("login refused: {}", text(message)))?,
            RegisterReply { flag: 1, .. } => "* registered".to_owned(),
            RegisterReply { message, .. } => format!("* not registered: {}", text(message)),
            Private { friend_name, message } => format!("[{friend_name} to you] {message}"),
            HeartbeatOrReceipt { flag: None, .. } => {
                self.silence.beat();
                return Ok(());
            }
            HeartbeatOrReceipt { flag: Some(1), friend_name, .. } => format!("* sent to {}", text(friend_name)),
            HeartbeatOrReceipt { friend_name, message, .. } =>
                format!("* NOT sent to {}: {}", text(friend_name), text(message)),
            LoggedOn { name, is_user_guest } => {
                self.online.insert(name.to_string(), is_user_guest != 0);
                format!("* {name} is here")
            }
            LoggedOut { name } => {
                self.online.remove(&*name);
                format!("* {name} has left")
            }
            Room { speaker, message } => format!("{speaker}: {message}"),
        };
        say(&line)
    }

    fn who(&self) -> String {
        let guest = |is_guest: &bool| if *is_guest { " (guest)" } else { "" };
        let show = |(name, is_guest): (&String, &bool)| format!("{name}{}", guest(is_guest));
        let names: Vec<String> = self.online.iter().map(show).collect();
        format!("* online: {}", names.join(", "))
    }

    /// Does what was typed.
    #[rustfmt::skip] // Another table, a command a line.
    fn obey(&mut self, line: &str) -> Outcome<()> {
        let line = line.strip_prefix('@').map_or(line.to_owned(), |rest| format!("/msg {rest}"));
        let mut words = line.splitn(3, ' ');
        let [word, name, text] = std::array::from_fn(|_| words.next().unwrap_or_default());
        let (name, message) = (name.into(), text.into());
        match word {
            "/msg" if !text.is_empty() => self.send(&ClientMessage::Private { friend_name: name, message }),
            "/register" if !text.is_empty() => self.send(&ClientMessage::Register { name, password: message }),
            "/who" => say(&self.who())?,
            "/quit" => self.leave(),
            _ if word.starts_with('/') => say(HELP)?,
            _ if line.is_empty() => {}
            _ => self.send(&ClientMessage::Room { message: line.as_str().into() }),
        }
        Ok(())
    }
}

/// A message whose `Friends` are as they should be: each is a name and a mark, and the mark is a number. Other servers
/// may write `true` there, and a wrong one may send anything; the friends that are left are still good.
fn with_clean_friends(frame: &str) -> Cow<'_, str> {
    if serde_json::from_str::<ServerMessage<'_>>(frame).is_ok() {
        return frame.into();
    }
    let Ok(mut message) = serde_json::from_str::<Value>(frame) else {
        return frame.into();
    };
    if let Some(Value::Array(friends)) = message.get_mut("Friends") {
        friends.retain_mut(|friend| {
            let Some([Value::String(_), mark]) = friend.as_array_mut().map(Vec::as_mut_slice)
            else {
                return false;
            };
            *mark = u8::from(*mark == true || *mark == 1).into();
            true
        });
    }
    message.to_string().into()
}
