//! Frames and commands, judged by `serde_json`'s own parsers.

use chatd::wire::framing::{Control, detect};
use chatd::wire::scanner::MAX_NESTING;
use chatd::wire::syntax_error::explain;
use chatd::wire::{ClientMessage, Command, Field, FrameError, FrameReader, Framing, ServerMessage};
use serde_json::Value;
use serde_json::value::RawValue;

/// The limit on frames where a test is not about it.
pub const LIMIT: usize = 1 << 20;

/// What a reader made of a stream.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    /// The frames it gave out.
    pub frames: Vec<String>,
    /// What came beside them by WebSocket.
    pub controls: Vec<Control>,
    /// What it says after the last byte: whether a frame has begun, or why it trusts the stream no longer.
    pub end: Result<bool, FrameError>,
}

/// Feeds `stream` to a reader that detects the framing. The rest is as with [`read_with`].
pub fn read(stream: &[u8], cuts: &[usize], limit: usize) -> Outcome {
    read_with(FrameReader::detecting(), stream, cuts, limit)
}

/// Feeds `stream` to `reader` in pieces that end at `cuts`, and takes frames whenever there are any.
fn read_with(mut reader: FrameReader, stream: &[u8], cuts: &[usize], limit: usize) -> Outcome {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| (*cut).min(stream.len())).collect();
    cuts.push(stream.len());
    cuts.sort_unstable();
    let (mut frames, mut controls) = (Vec::new(), Vec::new());
    let mut next = 0;
    for cut in cuts {
        while next < cut {
            let space = reader.space();
            assert!(!space.is_empty(), "there is always room");
            let count = space.len().min(cut - next);
            space[..count].copy_from_slice(&stream[next..next + count]);
            reader.filled(count);
            next += count;
            loop {
                let frame = reader.next_frame(limit).map(|one| one.map(str::to_owned));
                match frame {
                    Ok(Some(frame)) => frames.push(frame),
                    Ok(None) => match reader.take_control() {
                        Some(control) => controls.push(control),
                        None => break,
                    },
                    Err(error) => {
                        check_sentence(&error.to_string());
                        return Outcome {
                            frames,
                            controls,
                            end: Err(error),
                        };
                    }
                }
            }
        }
    }
    let end = Ok(reader.is_inside_frame());
    if end == Ok(true) {
        check_sentence(&reader.guess_at_missing());
    }
    Outcome {
        frames,
        controls,
        end,
    }
}

/// Checks that a sentence for the author of a client can be shown anywhere, and fits into the shortest line.
fn check_sentence(sentence: &str) {
    assert!((1..500).contains(&sentence.len()), "{sentence}");
    assert!(!sentence.contains(char::is_control), "{sentence:?}");
}

/// What is to become of a value that `serde_json` takes for JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    Refuse,
    /// At this depth `serde_json` gives no second opinion.
    Either,
}

/// Judges a whole value, whose grammar `serde_json` has found right, by the protocol's own rules.
pub fn judge(json: &str) -> Verdict {
    if !json.starts_with('{') {
        return Verdict::Refuse;
    }
    let (plain, depth) = without_numbers(json);
    match depth {
        _ if depth > MAX_NESTING as usize => Verdict::Refuse,
        // `serde_json` itself goes one level less deep.
        _ if depth == MAX_NESTING as usize => Verdict::Either,
        // Half a surrogate pair is all that can still be wrong.
        _ if serde_json::from_str::<Value>(&plain).is_ok() => Verdict::Accept,
        _ => Verdict::Refuse,
    }
}

/// The same value with 0 for every number, for a number may be too large for any type; and its depth.
fn without_numbers(json: &str) -> (String, usize) {
    let mut plain = String::with_capacity(json.len());
    let (mut depth, mut deepest) = (0, 0);
    let mut rest = json.chars().peekable();
    while let Some(char) = rest.next() {
        match char {
            '-' | '0'..='9' => {
                while rest
                    .next_if(|next| matches!(next, '-' | '+' | '.' | 'e' | 'E' | '0'..='9'))
                    .is_some()
                {}
                plain.push('0');
                continue;
            }
            '{' | '[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            '}' | ']' => depth -= 1,
            '"' => {
                plain.push('"');
                while let Some(char) = rest.next() {
                    plain.push(char);
                    match char {
                        '"' => break,
                        '\\' => plain.extend(rest.next()),
                        _ => {}
                    }
                }
                continue;
            }
            _ => {}
        }
        plain.push(char);
    }
    (plain, deepest)
}

/// Checks a stream without length prefixes: where it is cut makes no difference, and each frame that is accepted is
/// exactly what `serde_json` finds next in the same bytes, and the other way round.
///
/// The relation is between values, not between positions. The reader looks for the brace that ends an object and
/// leaves its inside to the parser, so a mistake may be noticed later than `serde_json` would, or when the
/// stream ends, but nothing that is wrong is ever accepted, and nothing after it.
pub fn check_stream(stream: &[u8], cuts: &[usize]) {
    assert_ne!(stream.first(), Some(&0), "this chooses length prefixes");
    let outcome = read(stream, &[], LIMIT);
    check_cuts(stream, cuts, LIMIT, &outcome);
    let body = stream.strip_prefix("\u{feff}".as_bytes()).unwrap_or(stream);
    let mut values = serde_json::Deserializer::from_slice(body).into_iter::<&RawValue>();
    let mut frames = outcome.frames.iter();
    loop {
        let frame = frames.next();
        // What is no command ends the connection: the stream is not read further.
        let accepted = frame.filter(|frame| parse(frame));
        match values.next() {
            Some(Ok(value)) => {
                let verdict = judge(value.get());
                match accepted {
                    Some(frame) => {
                        assert_ne!(verdict, Verdict::Refuse, "accepted: {frame}");
                        assert_eq!(frame, value.get());
                    }
                    None => {
                        assert_ne!(verdict, Verdict::Accept, "{outcome:?} has no {value}");
                        assert!(
                            frame.is_some() || outcome.end.is_err(),
                            "the end of {value} was seen: {outcome:?}"
                        );
                        return;
                    }
                }
            }
            Some(Err(error)) => {
                assert_eq!(accepted, None, "serde_json says: {error}");
                let is_waiting = outcome.end == Ok(true);
                assert!(
                    frame.is_some() || outcome.end.is_err() || is_waiting,
                    "serde_json says: {error}, the reader {outcome:?}"
                );
                return;
            }
            None => {
                assert_eq!((frame, outcome.end), (None, Ok(false)));
                return;
            }
        }
    }
}

/// Checks that a stream read in pieces gives the same frames, and fails if it fails in one piece. Why it fails may
/// differ: with a few bytes more a guess can be better.
pub fn check_cuts(stream: &[u8], cuts: &[usize], limit: usize, whole: &Outcome) {
    check_same(read(stream, cuts, limit), whole, cuts);
}

fn check_same(in_pieces: Outcome, whole: &Outcome, cuts: &[usize]) {
    assert_eq!(in_pieces.frames, whole.frames, "cut at {cuts:?}");
    assert_eq!(in_pieces.controls, whole.controls, "cut at {cuts:?}");
    assert_eq!(in_pieces.end.ok(), whole.end.ok(), "cut at {cuts:?}");
}

/// Checks frames behind length prefixes: where the stream is cut makes no difference, and a frame is accepted
/// exactly if `serde_json` finds one good object in it.
pub fn check_prefixed(bodies: &[Vec<u8>], cuts: &[usize]) {
    let mut stream = Vec::new();
    for body in bodies {
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        stream.extend_from_slice(&length.to_be_bytes());
        stream.extend_from_slice(body);
    }
    let outcome = read(&stream, &[], LIMIT);
    check_cuts(&stream, cuts, LIMIT, &outcome);
    check_bodies(bodies.iter().map(Vec::as_slice), &outcome);
}

/// Checks that each body is accepted exactly if it is one good object, and nothing behind one that is not. True if all are.
fn check_bodies<'b>(bodies: impl Iterator<Item = &'b [u8]>, outcome: &Outcome) -> bool {
    let mut frames = outcome.frames.iter();
    for body in bodies {
        let frame = frames.next();
        let accepted = frame.filter(|frame| parse(frame));
        let value = serde_json::from_slice::<&RawValue>(body).ok();
        let verdict = value.map_or(Verdict::Refuse, |value| judge(value.get()));
        match accepted {
            Some(frame) => {
                assert_ne!(verdict, Verdict::Refuse, "accepted: {frame}");
                assert_eq!(Some(frame.as_str()), value.map(RawValue::get));
            }
            None => {
                assert_ne!(verdict, Verdict::Accept, "{outcome:?} has no {value:?}");
                assert!(frame.is_some() || outcome.end.is_err(), "{outcome:?}");
                return false;
            }
        }
    }
    assert_eq!((frames.next(), outcome.end), (None, Ok(false)));
    true
}

/// A text message as a client may send it by WebSocket.
#[derive(Clone, Debug)]
pub struct WebMessage {
    pub body: Vec<u8>,
    /// Where its fragments end, but for the last. Two at one place have an empty one between them.
    pub cuts: Vec<usize>,
    /// Hides the payload of its frames.
    pub mask: [u8; 4],
    /// For each fragment, as long as there are any: whether a ping follows it, with what, or a pong.
    pub controls: Vec<Option<Vec<u8>>>,
}

impl WebMessage {
    /// Appends the frames to `stream`, and what comes out beside the message to `controls`.
    fn write(&self, stream: &mut Vec<u8>, controls: &mut Vec<Control>) {
        let mut ends: Vec<usize> = self
            .cuts
            .iter()
            .map(|at| (*at).min(self.body.len()))
            .collect();
        ends.sort_unstable();
        ends.push(self.body.len());
        let mut start = 0;
        for (index, end) in ends.iter().enumerate() {
            let last = if index + 1 == ends.len() { 0x80 } else { 0 };
            let text = u8::from(index == 0);
            write_web_frame(last | text, &self.body[start..*end], self.mask, stream);
            start = *end;
            match self.controls.get(index) {
                Some(Some(payload)) => {
                    write_web_frame(0x89, payload, self.mask, stream);
                    controls.push(Control::Ping(payload.clone()));
                }
                Some(None) => {
                    write_web_frame(0x8a, b"", self.mask, stream);
                    controls.push(Control::Pong);
                }
                None => {}
            }
        }
    }
}

/// Appends a frame from a client (RFC 6455, section 5.2).
fn write_web_frame(first: u8, payload: &[u8], mask: [u8; 4], stream: &mut Vec<u8>) {
    stream.push(first);
    match payload.len() {
        length @ 0..=125 => stream.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            stream.push(0x80 | 126);
            stream.extend((length as u16).to_be_bytes());
        }
        length => {
            stream.push(0x80 | 127);
            stream.extend((length as u64).to_be_bytes());
        }
    }
    stream.extend(mask);
    let masks = mask.iter().cycle();
    stream.extend(payload.iter().zip(masks).map(|(byte, mask)| byte ^ mask));
}

/// Checks messages by WebSocket: neither where the stream is cut nor how a message is fragmented makes a difference, a message
/// is accepted exactly if `serde_json` finds one good object in it, and each control frame comes out.
pub fn check_web_socket(messages: &[WebMessage], cuts: &[usize]) {
    let (mut stream, mut controls) = (Vec::new(), Vec::new());
    for message in messages {
        message.write(&mut stream, &mut controls);
    }
    let outcome = read_web_socket(&stream, &[], LIMIT);
    check_same(read_web_socket(&stream, cuts, LIMIT), &outcome, cuts);
    let bodies = messages.iter().map(|message| message.body.as_slice());
    let are_good = check_bodies(bodies, &outcome);
    match are_good {
        true => assert_eq!(outcome.controls, controls),
        false => assert!(controls.starts_with(&outcome.controls), "{outcome:?}"),
    }
}

/// Checks any bytes at all as what comes by WebSocket: cuts make no difference, no frame passes the limit, and whatever is
/// accepted is good JSON.
pub fn check_web_bytes(stream: &[u8], cuts: &[usize], limit: usize) {
    let outcome = read_web_socket(stream, &[], limit);
    check_same(read_web_socket(stream, cuts, limit), &outcome, cuts);
    check_frames(&outcome.frames, limit);
    for control in &outcome.controls {
        if let Control::Ping(payload) = control {
            assert!(payload.len() < 126, "{control:?}");
        }
    }
}

fn read_web_socket(stream: &[u8], cuts: &[usize], limit: usize) -> Outcome {
    read_with(FrameReader::new(Framing::WebSocket), stream, cuts, limit)
}

/// Checks any bytes at all, in whichever framing they choose: cuts make no difference, nor does it if the reader was
/// told the framing, no frame passes the limit, and whatever is accepted is good JSON.
pub fn check_bytes(stream: &[u8], cuts: &[usize], limit: usize) {
    let outcome = read(stream, &[], limit);
    check_cuts(stream, cuts, limit, &outcome);
    if let Ok(Some((framing, skipped))) = detect(stream) {
        let told = read_with(FrameReader::new(framing), &stream[skipped..], &[], limit);
        assert_eq!(told, outcome, "{framing:?}");
    }
    check_frames(&outcome.frames, limit);
}

/// Checks that frames keep to the limit and are good JSON, up to the first that is no command.
fn check_frames(frames: &[String], limit: usize) {
    for frame in frames {
        assert!(frame.len() <= limit, "{} bytes", frame.len());
        if !parse(frame) {
            return;
        }
        let value = serde_json::from_str::<&RawValue>(frame).expect("JSON");
        assert_eq!(value.get(), frame, "nothing but the object");
        assert_ne!(judge(frame), Verdict::Refuse, "accepted: {frame}");
    }
}

/// Whether a frame is a command, which is checked against what `serde_json` reads in it.
fn parse(frame: &str) -> bool {
    let parsed = Command::parse(frame);
    if let (Ok(command), Ok(value)) = (&parsed, serde_json::from_str::<Value>(frame)) {
        assert_eq!(command, &command_in(&value), "{frame}");
    }
    if let Err(error) = &parsed {
        check_sentence(&explain(frame, error));
    }
    parsed.is_ok()
}

/// What an object asks for.
fn command_in(object: &Value) -> Command<'_> {
    let field = |key| match object.get(key) {
        None | Some(Value::Null) => Field::Absent,
        Some(Value::String(text)) => Field::Text(text.into()),
        Some(_) => Field::Other,
    };
    let number = match object.get("Command") {
        None => return Command::Missing,
        Some(Value::String(text)) => match text.as_bytes() {
            [ones] if ones.is_ascii_digit() => text.parse().ok(),
            [tens, ones] if tens.is_ascii_digit() && ones.is_ascii_digit() => text.parse().ok(),
            _ => None,
        },
        Some(other) => other.as_u64(),
    };
    match number {
        Some(1) => Command::Login {
            name: field("Name"),
            password: field("Password"),
        },
        Some(2) => Command::Register {
            name: field("Name"),
            password: field("Password"),
        },
        Some(3) => Command::Logout,
        Some(4) => Command::Private {
            friend: field("FriendName"),
            message: field("Message"),
        },
        Some(5) => Command::Room {
            message: field("Message"),
        },
        Some(14) => Command::HeartbeatAnswer,
        _ => Command::Unknown,
    }
}

/// Checks any text as a command: if it is one, whatever the server would relay of it reads back the same, and it is
/// what a client would have to send for it.
pub fn check_command(text: &str) {
    if !parse(text) {
        return;
    }
    let Ok(command) = Command::parse(text) else {
        return;
    };
    match command {
        Command::Room { message } => {
            let Some(message) = message.text() else {
                return;
            };
            check_relayed(&ServerMessage::Room {
                speaker: "Anna".into(),
                message: message.into(),
            });
            let message = message.into();
            check_sent(&ClientMessage::Room { message });
        }
        Command::Private { friend, message } => {
            let friend = friend.text().unwrap_or_default();
            check_relayed(&ServerMessage::receipt(friend, Ok(())));
            check_relayed(&ServerMessage::receipt(friend, Err(friend)));
            let Some(message) = message.text() else {
                return;
            };
            check_relayed(&ServerMessage::Private {
                friend_name: friend.into(),
                message: message.into(),
            });
            check_sent(&ClientMessage::Private {
                friend_name: friend.into(),
                message: message.into(),
            });
        }
        Command::Login { name, password } => check_sent(&ClientMessage::Login {
            name: name.text().unwrap_or_default().into(),
            password: password.text().map(Into::into),
        }),
        Command::Register { name, password } => check_sent(&ClientMessage::Register {
            name: name.text().unwrap_or_default().into(),
            password: password.text().unwrap_or_default().into(),
        }),
        Command::Logout | Command::HeartbeatAnswer | Command::Unknown | Command::Missing => {}
    }
}

/// Checks that a message is one line of JSON that reads back the same.
fn check_relayed(message: &ServerMessage<'_>) {
    let line = message.to_line();
    check_line(&line);
    let back: ServerMessage<'_> = serde_json::from_slice(&line).expect("a message");
    assert_eq!(&back, message);
}

/// Checks that a message is one line that the server reads as the same command.
fn check_sent(message: &ClientMessage<'_>) {
    let line = message.to_line();
    check_line(&line);
    let outcome = read(&line, &[], LIMIT);
    assert_eq!((outcome.frames.len(), outcome.end), (1, Ok(false)));
    let command = Command::parse(&outcome.frames[0]).expect("a command");
    let text = |field: &Field<'_>| field.text().map(str::to_owned);
    match (message, &command) {
        (ClientMessage::Room { message }, Command::Room { message: read }) => {
            assert_eq!(text(read).as_deref(), Some(&**message));
        }
        (
            ClientMessage::Private {
                friend_name,
                message,
            },
            Command::Private {
                friend,
                message: read,
            },
        ) => {
            assert_eq!(text(friend).as_deref(), Some(&**friend_name));
            assert_eq!(text(read).as_deref(), Some(&**message));
        }
        (
            ClientMessage::Login { name, password },
            Command::Login {
                name: read,
                password: read_password,
            },
        ) => {
            assert_eq!(text(read).as_deref(), Some(&**name));
            assert_eq!(text(read_password).as_deref(), password.as_deref());
        }
        (
            ClientMessage::Register { name, password },
            Command::Register {
                name: read,
                password: read_password,
            },
        ) => {
            assert_eq!(text(read).as_deref(), Some(&**name));
            assert_eq!(text(read_password).as_deref(), Some(&**password));
        }
        _ => panic!("{message:?} is read as {command:?}"),
    }
}

fn check_line(line: &[u8]) {
    let newlines = line.iter().filter(|byte| **byte == b'\n').count();
    assert!(newlines == 1 && line.ends_with(b"\n"), "one line");
    let body = &line[..line.len() - 1];
    let value: &RawValue = serde_json::from_slice(body).expect("JSON");
    assert_eq!(value.get().as_bytes(), body);
    for framing in [Framing::Stream, Framing::Prefixed] {
        let reader = FrameReader::new(framing);
        let read = read_with(reader, &framing.encode(line), &[], usize::MAX);
        assert_eq!(
            (read.frames, read.end),
            (vec![value.get().to_owned()], Ok(false))
        );
    }
}
