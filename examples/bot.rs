//! A bot that answers in the room and in private, as short as a client in Rust can be: `chatd::wire` cuts the
//! stream into frames and knows every message as a type. To start it: `cargo run --example bot -- 127.0.0.1`
//!
//! Two bots that answer each other never stop. So this one answers commands only, of which no answer is one; and
//! never itself, nor anybody whose name ends in "bot".

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use chatd::wire::framing::FRAME_CEILING;
use chatd::wire::{ClientMessage, FrameReader, Framing, ServerMessage};
use clap::Parser;

/// Answers in a second: fewer than the server takes from a client, so that sending never blocks.
const ANSWERS: u32 = 10;

#[derive(Parser)]
struct Options {
    /// Name or address of the server's machine
    host: String,
    /// The bot's name
    #[arg(default_value = "ChatBot")]
    name: String,
    /// Port of the server, the one without TLS
    #[arg(long, default_value_t = 4004)]
    port: u16,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse();
    let (name, password) = (options.name.as_str().into(), None);
    let mut stream = TcpStream::connect((options.host.as_str(), options.port))?;
    stream.write_all(&ClientMessage::Login { name, password }.to_line())?;
    let (online, window) = (BTreeSet::new(), (Instant::now(), 0));
    let mut bot = Bot { online, window };
    let mut reader = FrameReader::new(Framing::Stream);
    loop {
        match stream.read(reader.space())? {
            0 => return Err("the server has closed the connection".into()),
            count => reader.filled(count), // half a message, or three of them
        }
        while let Some(frame) = reader.next_frame(FRAME_CEILING)? {
            let message = serde_json::from_str(frame); // an error is a message of a later server
            if let Some(answer) = message.map_or(Ok(None), |of| bot.hear(of, &options.name))? {
                stream.write_all(&answer.to_line())?;
            }
        }
    }
}

struct Bot {
    /// Who is online.
    online: BTreeSet<String>,
    /// When the present second began, and how many answers were due in it.
    window: (Instant, u32),
}

impl Bot {
    /// Takes note of what the server says, and answers if that is called for.
    #[rustfmt::skip] // It reads as a table, a message a line.
    fn hear<'a>(&mut self, message: ServerMessage<'a>, me: &str) -> Result<Option<ClientMessage<'a>>, String> {
        use ServerMessage::*;
        match message {
            LoginReply { flag: 1, friends, .. } => self.online = friends.into_iter().map(|of| of.0.into()).collect(),
            LoginReply { message, .. } => Err(message.unwrap_or_default())?,
            LoggedOn { name, .. } => drop(self.online.insert(name.into())),
            LoggedOut { name } => drop(self.online.remove(&*name)),
            Room { speaker, message } if speaker != me =>
                return Ok(self.answer(&speaker, &message).map(|message| ClientMessage::Room { message })),
            Private { friend_name, message } if friend_name != me =>
                return Ok(self.answer(&friend_name, &message).map(|message| ClientMessage::Private { friend_name, message })),
            _ => {}
        }
        Ok(None)
    }

    #[rustfmt::skip] // The same for its commands.
    fn answer<'a>(&mut self, speaker: &str, text: &str) -> Option<Cow<'a, str>> {
        let names = || self.online.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let answer = match text.trim() {
            _ if speaker.to_lowercase().ends_with("bot") => return None,
            "!help" => "I know !help, !time, !dice and !who".into(),
            "!time" => format!("it is {}", jiff::Zoned::now().strftime("%H:%M:%S")).into(),
            // What a new hasher gives is random; Rust's own library has no other dice.
            "!dice" => format!("{speaker} rolls a {}", RandomState::new().build_hasher().finish() % 6 + 1).into(),
            "!who" => format!("{} online: {}", self.online.len(), names()).into(),
            _ => return None,
        };
        if self.window.0.elapsed() > Duration::from_secs(1) {
            self.window = (Instant::now(), 0);
        }
        self.window.1 += 1;
        (self.window.1 <= ANSWERS).then_some(answer)
    }
}
