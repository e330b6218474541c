//! WebSocket (RFC 6455): what browsers speak. One text message is one object, with no newline; white space may stand around
//! it. A client masks its frames and may send a message in fragments; the server does neither.
//!
//! Of the kept libraries for WebSocket none fits a server in which other threads send without waiting and a batch is encoded
//! once for all browsers: they own the socket. What is needed of the protocol without them is this file.

use super::decoder::{Cut, Decoder};
use super::error::FrameError;
use super::hint;
use super::prefixed::find_object;
use crate::texts::framing_errors as texts;

/// The longest payload of a control frame, in bytes (section 5.5).
const LONGEST_CONTROL: usize = 125;

/// Bytes between fragments that may lie about unused, unless the message has more.
const SPARE: usize = 4 << 10;

/// Kinds of frames (section 5.2).
mod opcode {
    pub(super) const CONTINUATION: u8 = 0;
    pub(super) const TEXT: u8 = 1;
    pub(super) const BINARY: u8 = 2;
    pub(super) const CLOSE: u8 = 8;
    pub(super) const PING: u8 = 9;
    pub(super) const PONG: u8 = 10;
}

/// What a frame says that carries no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// The client ends the connection, with this status code or none.
    Close(Option<u16>),
    /// The client wants these bytes back, in a pong.
    Ping(Vec<u8>),
    /// An answer to a ping; the server sends none.
    Pong,
}

impl Control {
    /// The frame that answers, if one does.
    pub fn answer(&self) -> Option<Vec<u8>> {
        match self {
            Control::Ping(payload) => Some(frame(opcode::PONG, payload)),
            Control::Close(_) | Control::Pong => None,
        }
    }
}

/// The frame by which the server ends the connection, with this status code or none (section 5.5.1).
pub(crate) fn close_frame(code: Option<u16>) -> Vec<u8> {
    let payload = code.map(u16::to_be_bytes);
    frame(opcode::CLOSE, payload.as_ref().map_or(&[], |code| code))
}

/// The status code that tells the client of this error (section 7.4.1).
pub(crate) fn close_code(error: FrameError) -> u16 {
    match error {
        FrameError::Binary => 1003,
        FrameError::NotUtf8 { .. } | FrameError::Utf16 => 1007,
        FrameError::TooLarge(_) => 1009,
        _ => 1002,
    }
}

/// Puts fragments together and takes masks off, in place.
///
/// The payload of the fragments that have come stands in one piece at `start`. Between it and the next frame lie the headers of the
/// fragments, and the control frames that came in between. When a fragment is complete, the smaller of the two pieces moves to
/// the other, so that no number of fragments makes this slow.
#[derive(Debug, Default)]
pub(super) struct WebSocketDecoder {
    start: usize,
    /// How many bytes the fragments have, in all.
    assembled: usize,
    /// Where the next frame begins.
    next: usize,
    /// Whether a message has begun whose last fragment has not come.
    is_fragmented: bool,
    control: Option<Control>,
}

impl WebSocketDecoder {
    /// What the last frame said, if it carried no message. More frames may have arrived behind it.
    pub(super) fn take_control(&mut self) -> Option<Control> {
        self.control.take()
    }

    /// Whether a message has begun and not ended.
    pub(super) fn is_fragmented(&self) -> bool {
        self.is_fragmented
    }

    /// Cuts off what is not needed any more.
    fn cut(&mut self) -> Cut {
        let consumed = match self.assembled {
            0 => self.next,
            _ => self.start,
        };
        self.next -= consumed;
        self.start = 0;
        Cut {
            consumed,
            text: None,
        }
    }

    /// Moves the fragments up to the next frame if control frames have left too much room between the two.
    fn close_gap(&mut self, unread: &mut [u8]) {
        let end = self.start + self.assembled;
        if self.assembled > 0 && self.next - end > SPARE.max(self.assembled) {
            let start = self.next - self.assembled;
            unread.copy_within(self.start..end, start);
            self.start = start;
        }
    }

    /// Joins the payload at `body` to the fragments before it.
    fn join(&mut self, unread: &mut [u8], body: std::ops::Range<usize>) {
        let (end, length) = (self.start + self.assembled, body.len());
        let spare = body.start - end;
        if self.assembled <= length || spare > SPARE.max(self.assembled) {
            let start = body.start - self.assembled;
            unread.copy_within(self.start..end, start);
            self.start = start;
        } else {
            unread.copy_within(body, end);
        }
        self.assembled += length;
    }
}

impl Decoder for WebSocketDecoder {
    fn decode(&mut self, unread: &mut [u8], limit: usize) -> Result<Cut, FrameError> {
        // A control frame before this one has been taken.
        loop {
            let Some(header) = Header::parse(&unread[self.next..])? else {
                return Ok(self.cut());
            };
            header.check(self.is_fragmented)?;
            // The length can be any number of 64 bits: nothing may be added to it before.
            if !header.is_control() && header.length > limit.saturating_sub(self.assembled) {
                return Err(FrameError::TooLarge(limit));
            }
            let start = self.next + header.size;
            let body = start..start + header.length;
            if body.end > unread.len() {
                return Ok(self.cut());
            }
            unmask(&mut unread[body.clone()], header.mask);
            self.next = body.end;
            if header.is_control() {
                self.control = Some(control(header.opcode, &unread[body])?);
                self.close_gap(unread);
                return Ok(self.cut());
            }
            let text = match (self.is_fragmented, header.is_last) {
                (false, true) => body,
                (_, is_last) => {
                    if self.assembled == 0 {
                        (self.start, self.assembled) = (body.start, body.len());
                    } else {
                        self.join(unread, body);
                    }
                    self.is_fragmented = !is_last;
                    if !is_last {
                        continue;
                    }
                    self.start..self.start + self.assembled
                }
            };
            let object = find_text(&unread[text.clone()])?;
            let cut = Cut {
                consumed: self.next,
                text: Some(text.start + object.start..text.start + object.end),
            };
            *self = WebSocketDecoder::default();
            return Ok(cut);
        }
    }
}

/// Where the one object in a message stands.
fn find_text(message: &[u8]) -> Result<std::ops::Range<usize>, FrameError> {
    // This counts before all else: the status code says so, too.
    match FrameError::of_encoding(message, false) {
        Some(_) if hint::is_utf_16(message) => Err(FrameError::Utf16),
        Some(error) => Err(error),
        None => find_object(message, |_| texts::object_does_not_end()),
    }
}

/// The beginning of a frame (section 5.2).
#[derive(Debug)]
struct Header {
    is_last: bool,
    /// The bits for extensions, of which there are none.
    reserved: u8,
    opcode: u8,
    mask: [u8; 4],
    is_masked: bool,
    /// Bytes of the header.
    size: usize,
    /// Bytes of the payload.
    length: usize,
}

impl Header {
    /// The header at the beginning of `bytes`, or `None` while it is not complete. What makes it impossible is told before.
    fn parse(bytes: &[u8]) -> Result<Option<Header>, FrameError> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        let (length, wide) = match second & 0x7f {
            126 => match rest.first_chunk() {
                Some(wide) => (u64::from(u16::from_be_bytes(*wide)), 2),
                None => return Ok(None),
            },
            127 => match rest.first_chunk() {
                Some(wide) => (u64::from_be_bytes(*wide), 8),
                None => return Ok(None),
            },
            short => (u64::from(short), 0),
        };
        let is_masked = second & 0x80 != 0;
        let mask = match (is_masked, rest.get(wide..).and_then(<[u8]>::first_chunk)) {
            (true, Some(mask)) => *mask,
            (true, None) => return Ok(None),
            (false, _) => [0; 4],
        };
        Ok(Some(Header {
            is_last: first & 0x80 != 0,
            reserved: first & 0x70,
            opcode: first & 0x0f,
            mask,
            is_masked,
            size: 2 + wide + if is_masked { mask.len() } else { 0 },
            // One that does not fit is too large for any limit.
            length: usize::try_from(length).unwrap_or(usize::MAX),
        }))
    }

    fn is_control(&self) -> bool {
        self.opcode >= opcode::CLOSE
    }

    /// Fails on what no client may send here.
    fn check(&self, is_fragmented: bool) -> Result<(), FrameError> {
        let wrong = |why| Err(FrameError::WebSocket(why));
        if self.reserved != 0 {
            return wrong(texts::websocket_extension());
        }
        match self.opcode {
            opcode::BINARY if !is_fragmented => return Err(FrameError::Binary),
            opcode::CONTINUATION if !is_fragmented => return wrong(texts::websocket_no_start()),
            opcode::TEXT | opcode::BINARY if is_fragmented => {
                return wrong(texts::websocket_no_continuation());
            }
            opcode::CONTINUATION | opcode::TEXT => {}
            opcode::CLOSE | opcode::PING | opcode::PONG => {
                if !self.is_last || self.length > LONGEST_CONTROL {
                    return wrong(texts::websocket_long_control());
                }
            }
            _ => return wrong(texts::websocket_opcode()),
        }
        match self.is_masked {
            true => Ok(()),
            false => wrong(texts::websocket_no_mask()),
        }
    }
}

/// Takes the mask off (section 5.3).
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut words = payload.chunks_exact_mut(size_of::<u64>());
    for word in &mut words {
        let word: &mut [u8; 8] = match word.try_into() {
            Ok(word) => word,
            Err(_) => continue,
        };
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    let rest = words.into_remainder();
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// What a control frame says.
fn control(opcode: u8, payload: &[u8]) -> Result<Control, FrameError> {
    match (opcode, payload) {
        (opcode::PING, _) => Ok(Control::Ping(payload.to_vec())),
        (opcode::PONG, _) => Ok(Control::Pong),
        (_, []) => Ok(Control::Close(None)),
        (_, [high, low, why @ ..]) => {
            if let Some(error) = FrameError::of_encoding(why, false) {
                return Err(error);
            }
            match u16::from_be_bytes([*high, *low]) {
                code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => Ok(Control::Close(Some(code))),
                _ => Err(FrameError::WebSocket(texts::websocket_close_code())),
            }
        }
        (_, [_]) => Err(FrameError::WebSocket(texts::websocket_close_code())),
    }
}

/// A frame from the server, whole and without a mask.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + 10);
    append_frame(opcode, payload, &mut bytes);
    bytes
}

fn append_frame(opcode: u8, payload: &[u8], bytes: &mut Vec<u8>) {
    bytes.push(0x80 | opcode);
    match payload.len() {
        short @ ..126 => bytes.push(short as u8),
        medium @ ..0x1_0000 => {
            bytes.push(126);
            bytes.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            bytes.push(127);
            bytes.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
}

/// Wraps lines for this framing: a text message for each object, and the newline goes.
pub(super) fn encode(lines: &[u8]) -> Vec<u8> {
    // Most messages are longer than 32 bytes.
    let mut frames = Vec::with_capacity(lines.len() + lines.len() / 8 + 10);
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let json = line.strip_suffix(b"\n").unwrap_or(line);
        append_frame(opcode::TEXT, json, &mut frames);
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::super::FrameReader;
    use super::super::testing::{LIMIT, read, read_some};
    use super::*;
    use crate::wire::Framing;

    const MASK: [u8; 4] = [0x11, 0x7b, 0xff, 0x00];

    /// A frame from a client: its first byte, then the payload under a mask.
    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        append_frame(first & 0x0f, payload, &mut bytes);
        bytes[0] = first;
        bytes[1] |= 0x80;
        let start = bytes.len() - payload.len();
        unmask(&mut bytes[start..], MASK);
        bytes.splice(start..start, MASK);
        bytes
    }

    const LAST: u8 = 0x80;

    fn reader() -> FrameReader {
        FrameReader::new(Framing::WebSocket)
    }

    /// An object of `size` bytes no two of whose parts are alike.
    fn object(size: usize) -> String {
        let numbers: String = (0..size).map(|number| format!("{number},")).collect();
        format!("{{\"a\":\"{}\"}}", &numbers[..size - 8])
    }

    /// The message cut into fragments that end at `cuts`, with `between` after each but the last.
    fn fragments(message: &str, cuts: &[usize], between: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut start = 0;
        for (index, cut) in cuts.iter().enumerate() {
            let first = if index == 0 {
                opcode::TEXT
            } else {
                opcode::CONTINUATION
            };
            bytes.extend(masked(first, &message.as_bytes()[start..*cut]));
            bytes.extend(between);
            start = *cut;
        }
        let first = if cuts.is_empty() {
            opcode::TEXT
        } else {
            opcode::CONTINUATION
        };
        bytes.extend(masked(LAST | first, &message.as_bytes()[start..]));
        bytes
    }

    #[test]
    fn a_payload_is_unmasked_whatever_its_length() {
        for length in 0..40 {
            let mut payload: Vec<u8> = (0..length).collect();
            unmask(&mut payload, MASK);
            for (index, byte) in payload.iter().enumerate() {
                assert_eq!(*byte, index as u8 ^ MASK[index % 4]);
            }
        }
    }

    #[test]
    fn fragments_are_joined_whichever_piece_moves() {
        let message = object(20_000);
        for cuts in [
            // The further fragment moves to those before it, or they move to it, or each in turn.
            &[19_000][..],
            &[1_000],
            &[10_000],
            &[100, 300, 8_000, 8_001, 19_999],
            &[0, 0, 5, 5, 6_000, 6_000],
            &[20_000],
        ] {
            // With little in between, and with more than may lie about unused.
            for between in [
                Vec::new(),
                masked(LAST | opcode::PONG, b""),
                masked(LAST | opcode::PONG, &[9; 125]).repeat(200),
                masked(opcode::CONTINUATION, b"").repeat(2_000),
            ] {
                let bytes = [
                    fragments(&message, cuts, &between),
                    masked(LAST | opcode::TEXT, b"{}"),
                ]
                .concat();
                for step in [1, 7, 1_000, bytes.len()] {
                    let (got, error) = read(reader(), &bytes, step);
                    assert_eq!(error, None, "{cuts:?} in steps of {step}");
                    assert!(got == [&message, "{}"], "{cuts:?} in steps of {step}");
                }
            }
        }
    }

    #[test]
    fn a_message_may_come_a_byte_at_a_time() {
        let message = object(LIMIT);
        let cuts: Vec<usize> = (1..LIMIT).collect();
        let bytes = fragments(&message, &cuts, b"");
        for step in [6, 2_000, bytes.len()] {
            let (got, error) = read(reader(), &bytes, step);
            assert!(error.is_none() && got == [&*message], "in steps of {step}");
        }
    }

    #[test]
    fn frames_that_say_nothing_are_not_kept() {
        for size in [0, 1, 5_000, 40_000] {
            for nothing in [
                masked(opcode::CONTINUATION, b""),
                masked(LAST | opcode::PONG, b""),
                masked(LAST | opcode::PING, &[9; 125]),
            ] {
                let mut reader = reader();
                let message = object(size.max(8) + 1);
                let begun = masked(opcode::TEXT, &message.as_bytes()[..size]);
                let (mut got, error) = read_some(&mut reader, &begun, 2_000);
                assert_eq!((&*got, error), (&[][..], None));
                let some = nothing.repeat(1 + 4_000 / nothing.len());
                for _ in 0..300 {
                    let (more, error) = read_some(&mut reader, &some, 2_000);
                    assert_eq!((&*more, error), (&[][..], None));
                    let kept = reader.untaken().len();
                    assert!(
                        kept <= 2 * size + 2 * SPARE,
                        "{kept} bytes are kept of {size}"
                    );
                    let room = kept + reader.space().len();
                    assert!(room <= 4 * size + (128 << 10), "a buffer of {room} bytes");
                }
                assert!(reader.is_inside_frame());
                let end = masked(LAST, &message.as_bytes()[size..]);
                got = read_some(&mut reader, &end, 2_000).0;
                assert_eq!(got, [message]);
                assert!(!reader.is_inside_frame());
            }
        }
    }

    #[test]
    fn a_length_of_64_bits_is_too_large_and_not_added_to() {
        for length in [LIMIT as u64, 1 << 32, 1 << 63, u64::MAX - 1, u64::MAX] {
            let mut bytes = masked(opcode::TEXT, b"{");
            bytes.extend([LAST, 0x80 | 127]);
            bytes.extend(length.to_be_bytes());
            bytes.extend(MASK);
            bytes.extend([0; 100]);
            let (got, error) = read(reader(), &bytes, bytes.len());
            assert_eq!((got.len(), error), (0, Some(FrameError::TooLarge(LIMIT))));
        }
    }

    #[test]
    fn the_limit_is_for_messages_and_not_for_control_frames() {
        let mut reader = reader();
        let bytes = [
            masked(LAST | opcode::PING, &[7; 125]),
            masked(LAST | opcode::TEXT, b"{}"),
        ]
        .concat();
        let space = reader.space();
        space[..bytes.len()].copy_from_slice(&bytes);
        reader.filled(bytes.len());
        assert_eq!(reader.next_frame(2), Ok(None));
        assert_eq!(reader.take_control(), Some(Control::Ping(vec![7; 125])));
        assert_eq!(reader.next_frame(2), Ok(Some("{}")));
    }

    #[test]
    fn control_frames_are_handed_out_one_by_one_and_in_place() {
        let mut reader = reader();
        let bytes = [
            masked(LAST | opcode::PING, b"a"),
            masked(opcode::TEXT, b"{"),
            masked(LAST | opcode::PONG, b"b"),
            masked(LAST | opcode::CONTINUATION, b"}"),
            masked(LAST | opcode::CLOSE, &[3, 232, b'c']),
        ]
        .concat();
        reader.space()[..bytes.len()].copy_from_slice(&bytes);
        reader.filled(bytes.len());
        assert_eq!(reader.next_frame(LIMIT), Ok(None));
        assert_eq!(reader.take_control(), Some(Control::Ping(b"a".to_vec())));
        assert_eq!(reader.next_frame(LIMIT), Ok(None));
        assert_eq!(reader.take_control(), Some(Control::Pong));
        assert_eq!(reader.next_frame(LIMIT), Ok(Some("{}")));
        assert_eq!(reader.take_control(), None);
        assert_eq!(reader.next_frame(LIMIT), Ok(None));
        assert_eq!(reader.take_control(), Some(Control::Close(Some(1000))));
        assert_eq!(reader.next_frame(LIMIT), Ok(None));
        assert_eq!(reader.take_control(), None);
    }
}
