//! A client that checks all that it reads.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use chatd::wire::{ClientMessage, FrameReader, Framing, ServerMessage};
use openssl::ssl::{Ssl, SslStream};
use socket2::{Domain, Socket, Type};

use crate::{
    BYE, LOOK_UP, Outcome, PASSWORD, PATIENCE, STEADY, World, ensure, hash_of, lock, spell,
};

/// A connection, plain or TLS.
pub(crate) trait Stream: Read + Write + Send {
    fn socket(&self) -> &TcpStream;
}

impl Stream for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Stream for SslStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref()
    }
}

/// Somebody who is online, as another knows them.
pub(crate) struct Known {
    pub(crate) name: String,
    is_guest: bool,
    /// How much they have said to the room and to me; unknown until the first message if they came before me.
    heard: Option<(u64, u64)>,
    /// My roster when they came.
    roster: Option<u64>,
}

impl Known {
    /// Rosters are compared by their hash: that of their entries, in any order.
    fn hash(&self) -> u64 {
        hash_of((&self.name, self.is_guest))
    }
}

/// A client, what it knows, and what it is owed.
pub(crate) struct User<'a> {
    pub(crate) world: &'a World,
    pub(crate) stream: Box<dyn Stream>,
    pub(crate) is_tls: bool,
    pub(crate) framing: Framing,
    frames: FrameReader,
    /// Which of the steady users this is.
    pub(crate) number: Option<usize>,
    pub(crate) name: String,
    /// The last reply to a login or a registration.
    reply: Option<bool>,
    pub(crate) notice: Option<String>,
    pub(crate) online: HashMap<String, Known>,
    roster: u64,
    roster_at_login: u64,
    /// Hash of the broadcasts since the last tick.
    segment: Option<u64>,
    /// How many messages went to the room, and to each steady user.
    said: [u64; 1 + STEADY],
    /// How many private messages there were in all.
    written: u64,
    /// Receipts outstanding: by friend, the spellings in which the friend was written to.
    pub(crate) owed: HashMap<String, VecDeque<String>>,
    pub(crate) byes: u64,
    pub(crate) steady_byes: usize,
    pub(crate) last_heartbeat: Instant,
}

impl<'a> User<'a> {
    /// Connects in one of four ways: plain or TLS, either framing. A narrow one can take little that it does not read.
    pub(crate) fn connect(world: &'a World, way: usize, is_narrow: bool) -> io::Result<User<'a>> {
        let is_tls = way % 2 == 1;
        let framing = [Framing::Stream, Framing::Prefixed][way / 2];
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        if is_narrow {
            socket.set_recv_buffer_size(4096)?;
        }
        socket.connect(&world.addresses[usize::from(is_tls)].into())?;
        let socket = TcpStream::from(socket);
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(PATIENCE))?;
        world.count("connections");
        let stream: Box<dyn Stream> = if is_tls {
            socket.set_read_timeout(Some(PATIENCE))?;
            let mut stream = SslStream::new(Ssl::new(&world.tls)?, socket)?;
            stream.connect().map_err(io::Error::other)?;
            Box::new(stream)
        } else {
            Box::new(socket)
        };
        Ok(User {
            world,
            stream,
            is_tls,
            framing,
            frames: FrameReader::new(framing),
            number: None,
            name: String::new(),
            reply: None,
            notice: None,
            online: HashMap::new(),
            roster: 0,
            roster_at_login: 0,
            segment: None,
            said: [0; 1 + STEADY],
            written: 0,
            owed: HashMap::new(),
            byes: 0,
            steady_byes: 0,
            last_heartbeat: Instant::now(),
        })
    }

    pub(crate) fn send(&mut self, message: &ClientMessage<'_>) -> Outcome<()> {
        let bytes = self.framed(message);
        let sent = self.stream.write_all(&bytes);
        sent.map_err(|error| format!("cannot send: {error}"))
    }

    pub(crate) fn framed(&self, message: &ClientMessage<'_>) -> Vec<u8> {
        self.framing.encode(&message.to_line()).into_owned()
    }

    /// Reads once, for at most `wait`, and checks what came. False if that is the end of the connection.
    pub(crate) fn receive(&mut self, wait: Duration) -> Outcome<bool> {
        let failed = |error| format!("connection lost: {error}");
        let wait = wait.max(Duration::from_millis(1));
        self.stream
            .socket()
            .set_read_timeout(Some(wait))
            .map_err(failed)?;
        match self.stream.read(self.frames.space()) {
            Ok(0) => {
                ensure!(
                    !self.frames.is_inside_frame(),
                    "the end comes inside a frame"
                );
                return Ok(false);
            }
            Ok(count) => self.frames.filled(count),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {
                    return Ok(true);
                }
                _ => return Err(failed(error)),
            },
        }
        let mut frames = std::mem::replace(&mut self.frames, FrameReader::new(self.framing));
        let mut number = 0;
        while let Some(frame) = frames
            .next_frame(usize::MAX)
            .map_err(|error| error.to_string())?
        {
            self.see(frame)
                .map_err(|why| format!("{why}, in {}", start_of(frame)))?;
            number += 1;
        }
        self.frames = frames;
        self.world.count_more("received", number);
        Ok(true)
    }

    /// Reads until `is_so`.
    pub(crate) fn wait_until(
        &mut self,
        what: &str,
        is_so: impl Fn(&User<'_>) -> bool,
    ) -> Outcome<()> {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(self) {
            ensure!(Instant::now() < deadline, "{what} does not come");
            ensure!(
                self.receive(LOOK_UP)?,
                "the connection ends before {what} has come"
            );
        }
        Ok(())
    }

    /// Takes one message, and checks that it may come now.
    fn see(&mut self, frame: &str) -> Outcome<()> {
        let message =
            serde_json::from_str(frame).map_err(|error| format!("not a message: {error}"))?;
        let is_in = !self.online.is_empty();
        use ServerMessage::*;
        if let LoggedOn { .. } | LoggedOut { .. } | Room { .. } = message {
            self.segment = self.segment.map(|hash| hash_of((hash, frame)));
        }
        match message {
            Notice { message } => self.notice = Some(message.into_owned()),
            RegisterReply { flag, .. } => self.reply = Some(flag == 1),
            LoginReply { flag: 0, .. } => self.reply = Some(false),
            LoginReply { friends, .. } => {
                ensure!(!is_in, "a second login");
                self.reply = Some(true);
                for (name, guest) in friends {
                    self.appear(&name, guest, None)?;
                }
                self.roster_at_login = self.roster;
            }
            _ if !is_in => return Err("something comes before the reply to the login".to_owned()),
            HeartbeatOrReceipt { flag: None, .. } => {
                self.world.count("heartbeats");
                self.last_heartbeat = Instant::now();
            }
            HeartbeatOrReceipt {
                flag, friend_name, ..
            } => {
                let friend = friend_name.unwrap_or_default();
                let key = friend.to_ascii_lowercase();
                let owed = self.owed.get_mut(&key).and_then(VecDeque::pop_front);
                ensure!(
                    owed.as_deref() == Some(&*friend),
                    "the next receipt due is {owed:?}"
                );
                if self.owed[&key].is_empty() {
                    self.owed.remove(&key);
                }
                let is_sent = flag == Some(1);
                ensure!(
                    is_sent || !key.starts_with("steady"),
                    "not sent to a steady user"
                );
                self.world
                    .count(if is_sent { "receipts 1" } else { "receipts 0" });
            }
            LoggedOn {
                name,
                is_user_guest,
            } => {
                self.appear(&name, is_user_guest, Some((0, 0)))?;
                if let Some(known) = self.online.get_mut(&name.to_ascii_lowercase()) {
                    known.roster = Some(self.roster);
                }
            }
            LoggedOut { name } => {
                let known = self.online.remove(&name.to_ascii_lowercase());
                let known = known.filter(|known| known.name == name && name != self.name);
                let known = known.ok_or("somebody leaves who is not there")?;
                self.roster ^= known.hash();
                if self.number == Some(0) && name.starts_with("Deaf") {
                    lock(&self.world.cut_off).insert(name.into_owned());
                }
            }
            Private {
                friend_name,
                message,
            } => self.hear(&friend_name, &message, true)?,
            Room { speaker, message } => self.hear(&speaker, &message, false)?,
        }
        Ok(())
    }

    /// Somebody is online from now on.
    fn appear(&mut self, name: &str, guest: u8, heard: Option<(u64, u64)>) -> Outcome<()> {
        let known = Known {
            name: name.to_owned(),
            is_guest: guest == 1,
            heard,
            roster: None,
        };
        self.roster ^= known.hash();
        let before = self.online.insert(name.to_ascii_lowercase(), known);
        ensure!(before.is_none(), "{name} appears twice");
        Ok(())
    }

    /// Takes what somebody said.
    fn hear(&mut self, name: &str, text: &str, is_private: bool) -> Outcome<()> {
        let known = self
            .online
            .get_mut(&name.to_ascii_lowercase())
            .filter(|known| known.name == name);
        let known = known.ok_or("somebody speaks who is not there")?;
        let mut words = text.split(' ');
        let roster = words
            .next()
            .and_then(|word| u64::from_str_radix(word, 16).ok());
        ensure!(
            known.roster.is_none() || roster == known.roster,
            "{name} was told of another roster"
        );
        let said: Vec<u64> = words
            .by_ref()
            .take(1 + STEADY)
            .filter_map(|word| word.parse().ok())
            .collect();
        ensure!(said.len() == 1 + STEADY, "a garbled text");
        let said = (said[0], self.number.map_or(0, |number| said[1 + number]));
        let heard = known.heard.get_or_insert(said);
        ensure!(
            *heard == said,
            "lost, doubled or out of order: heard {heard:?} of {said:?}"
        );
        if is_private {
            heard.1 += u64::from(self.number.is_some());
            self.world.count("private received");
            return Ok(());
        }
        heard.0 += 1;
        match words.next().unwrap_or_default() {
            BYE => {
                self.byes += 1;
                self.steady_byes += usize::from(name.starts_with("Steady"));
            }
            word => {
                if let Some(tick) = word.strip_prefix("tick").and_then(|tick| tick.parse().ok()) {
                    if let Some(hash) = self.segment {
                        self.world.compare(tick, hash)?;
                    }
                    self.segment = Some(0);
                }
            }
        }
        Ok(())
    }

    /// The evidence, and then some words.
    fn text(&self, what: &str) -> String {
        let mut text = format!("{:x}", self.roster_at_login);
        for number in self.said {
            let _ = write!(text, " {number}");
        }
        text + " " + what
    }

    pub(crate) fn say(&mut self, what: &str) -> Outcome<()> {
        let message = self.text(what).into();
        self.said[0] += 1;
        self.world.count("room");
        self.send(&ClientMessage::Room { message })
    }

    pub(crate) fn say_to(&mut self, friend: &str, what: &str) -> Outcome<()> {
        let message = self.text(what).into();
        let key = friend.to_ascii_lowercase();
        if let Some(number) = key
            .strip_prefix("steady")
            .and_then(|number| number.parse::<usize>().ok())
        {
            self.said[1 + number] += 1;
        }
        let owed = self.owed.entry(key).or_default();
        // The receipt shows by the spelling which message it is for.
        self.written += 1;
        let friend = spell(friend, self.written);
        owed.push_back(friend.clone());
        self.world.count("private");
        self.send(&ClientMessage::Private {
            friend_name: friend.into(),
            message,
        })
    }

    /// Tries to log in. Tells whether it worked.
    pub(crate) fn log_in(&mut self, name: &str, password: Option<&str>) -> Outcome<bool> {
        let is_guest = password.is_none();
        let password = password.map(Into::into);
        self.name = name.to_owned();
        self.reply = None;
        self.send(&ClientMessage::Login {
            name: name.into(),
            password,
        })?;
        self.wait_until("the reply to a login", |user| user.reply.is_some())?;
        if self.reply != Some(true) {
            self.world.count("logins refused");
            return Ok(false);
        }
        let own = self.online.get_mut(&name.to_ascii_lowercase());
        let own = own.ok_or("the own name is missing in Friends")?;
        own.heard = Some((0, 0));
        ensure!(own.is_guest == is_guest, "the own guest mark is wrong");
        let kinds = ["logins with a password", "logins"];
        self.world.count(kinds[usize::from(is_guest)]);
        Ok(true)
    }

    pub(crate) fn register(&mut self, name: &str) -> Outcome<bool> {
        self.reply = None;
        self.send(&ClientMessage::Register {
            name: name.into(),
            password: PASSWORD.into(),
        })?;
        self.wait_until("the reply to a registration", |user| user.reply.is_some())?;
        self.world.count("registrations");
        Ok(self.reply == Some(true))
    }

    /// Takes all that is still owed, up to the end of the connection.
    pub(crate) fn read_out(&mut self) -> Outcome<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.receive(LOOK_UP)? {
            ensure!(Instant::now() < deadline, "the server does not close");
        }
        ensure!(
            self.owed.is_empty(),
            "receipts that never came: {:?}",
            self.owed
        );
        let own = self
            .online
            .get(&self.name.to_ascii_lowercase())
            .and_then(|own| own.heard);
        ensure!(
            own.is_none_or(|own| own.0 == self.said[0]),
            "own words never came back"
        );
        Ok(())
    }
}

fn start_of(frame: &str) -> String {
    frame.chars().take(200).collect()
}
