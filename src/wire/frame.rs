//! Cuts the bytes of a connection into frames, one JSON object each.
//!
//! The published protocol says only that JSON goes over a socket. TCP delivers a stream of bytes, so a frame may
//! arrive split anywhere, or many may arrive at once. A [`FrameReader`] accepts both, in either of two framings:
//!
//! * [`Framing::Stream`]: objects follow one another, with or without white space between them; the closing
//!   brace ends a frame.
//! * [`Framing::Prefixed`]: each object comes after its length, four bytes, big-endian. It is chosen once, by a
//!   first byte of `0x00`, which can start neither an object nor white space.
//!
//! The reader also settles what `serde_json` leaves open in values that it skips: depth of nesting, raw control
//! characters, lone surrogates and UTF-8. Whether the rest is JSON is for the parser to say.

use super::frame_error::FrameError;
use super::scanner::Scanner;

/// No frame may reach this many bytes, whatever the settings: a length prefix begins with `0x00`.
pub const FRAME_CEILING: usize = 16 << 20;

/// How much a connection that sends little is ready to read at once, in bytes.
const SMALL_BUFFER: usize = 2 << 10;

/// How much a connection that sends much is ready to read at once, in bytes. Only a frame larger than this makes
/// the buffer grow further.
const LARGE_BUFFER: usize = 64 << 10;

/// The way in which a client marks the ends of its frames, and the server those that it sends to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Objects one after another; the server ends each of its own with a newline.
    Stream,
    /// A four-byte big-endian length before each object.
    Prefixed,
}

/// Collects the bytes of one connection and hands out whole frames.
///
/// The caller reads from its socket into [`space`](Self::space), says how much came with
/// [`filled`](Self::filled), and takes frames with [`next_frame`](Self::next_frame) until there is none.
#[derive(Debug)]
pub struct FrameReader {
    /// Bytes `start..end` are unread; what comes behind `end` is free.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// How the client frames, once its first byte has told.
    framing: Option<Framing>,
    /// Where the scan of the frame that begins at `start` stands. Only used with [`Framing::Stream`].
    scanner: Scanner,
    /// Whether the last read filled all the space it was given.
    was_full: bool,
    /// How many bytes the last read brought.
    last_read: usize,
}

impl Default for FrameReader {
    fn default() -> Self {
        FrameReader::new()
    }
}

impl FrameReader {
    /// A reader for a connection that has not sent a byte yet.
    pub fn new() -> FrameReader {
        FrameReader {
            buffer: Vec::new(),
            start: 0,
            end: 0,
            framing: None,
            scanner: Scanner::default(),
            was_full: false,
            last_read: 0,
        }
    }

    /// The framing that the client has chosen, or `None` while its first bytes don't tell.
    pub fn framing(&mut self) -> Result<Option<Framing>, FrameError> {
        if self.framing.is_none()
            && let Some((framing, skip)) = detect_framing(&self.buffer[self.start..self.end])?
        {
            self.start += skip;
            self.framing = Some(framing);
        }
        Ok(self.framing)
    }

    /// Whether a frame has begun and not ended.
    pub fn is_inside_frame(&self) -> bool {
        self.start < self.end
    }

    /// Room for the next read, never empty. It is small while a connection sends little, because ten thousand
    /// idle connections each keep one.
    pub fn space(&mut self) -> &mut [u8] {
        let unread = self.end - self.start;
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, unread);
        }
        let size = self.buffer.len();
        let wanted = if unread == size {
            (size * 2).max(SMALL_BUFFER)
        } else if self.was_full && size < LARGE_BUFFER {
            size * 2
        } else if unread == 0 && size > SMALL_BUFFER && self.last_read < SMALL_BUFFER / 2 {
            SMALL_BUFFER
        } else {
            size
        };
        if wanted < size {
            self.buffer = vec![0; wanted];
        } else {
            self.buffer.resize(wanted, 0);
        }
        self.was_full = false;
        &mut self.buffer[unread..]
    }

    /// Tells that the first `count` bytes of [`space`](Self::space) were read.
    pub fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.buffer.len());
        self.was_full = self.end == self.buffer.len();
        self.last_read = count;
    }

    /// The next whole frame, or `None` when more bytes are needed. After an error the stream can't be trusted:
    /// the caller must not ask again.
    ///
    /// `limit` is the largest frame accepted, in bytes of JSON; it may change from call to call.
    pub fn next_frame(&mut self, limit: usize) -> Result<Option<&str>, FrameError> {
        match self.framing()? {
            None => Ok(None),
            Some(Framing::Stream) => self.next_object(limit),
            Some(Framing::Prefixed) => self.next_prefixed(limit),
        }
    }

    fn next_object(&mut self, limit: usize) -> Result<Option<&str>, FrameError> {
        if !self.scanner.is_inside() {
            let unread = &self.buffer[self.start..self.end];
            match unread.iter().position(|byte| !is_white_space(*byte)) {
                Some(skip) => self.start += skip,
                None => {
                    self.start = self.end;
                    return Ok(None);
                }
            }
        }
        let complete = self.scanner.advance(&self.buffer[self.start..self.end])?;
        if self.scanner.position() > limit {
            return Err(FrameError::TooLarge(limit));
        }
        if !complete {
            return Ok(None);
        }
        let frame = self.start..self.start + self.scanner.position();
        self.start = frame.end;
        self.scanner = Scanner::default();
        std::str::from_utf8(&self.buffer[frame])
            .map(Some)
            .map_err(|_| FrameError::NotUtf8)
    }

    fn next_prefixed(&mut self, limit: usize) -> Result<Option<&str>, FrameError> {
        let unread = &self.buffer[self.start..self.end];
        let Some((prefix, rest)) = unread.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*prefix) as usize;
        if length == 0 {
            return Err(FrameError::BadPrefix(
                "the length is 0; is it sent as 8 bytes?",
            ));
        }
        if length > limit {
            return Err(match prefix {
                [_, _, b'{', b'"'] => FrameError::BadPrefix("is it sent as 2 bytes? It must be 4"),
                _ if length < FRAME_CEILING => FrameError::TooLarge(limit),
                _ => FrameError::BadPrefix("the length is out of bounds; is it little-endian?"),
            });
        }
        if rest.len() < length {
            return Ok(None);
        }
        let body = self.start + 4..self.start + 4 + length;
        self.start = body.end;
        let body = trim(&self.buffer[body]);
        let mut scanner = Scanner::default();
        let complete = scanner.advance(body)?;
        if !complete || scanner.position() != body.len() {
            return Err(FrameError::NotOneObject);
        }
        std::str::from_utf8(body)
            .map(Some)
            .map_err(|_| FrameError::NotUtf8)
    }
}

/// Tells from the first bytes how a client frames, and how many of them to skip (a byte-order mark). `None` when
/// the bytes so far don't tell.
fn detect_framing(bytes: &[u8]) -> Result<Option<(Framing, usize)>, FrameError> {
    const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
    match bytes {
        [] => Ok(None),
        [0, ..] => Ok(Some((Framing::Prefixed, 0))),
        [b'{' | b' ' | b'\t' | b'\r' | b'\n', ..] => Ok(Some((Framing::Stream, 0))),
        _ if bytes.starts_with(BYTE_ORDER_MARK) => {
            Ok(Some((Framing::Stream, BYTE_ORDER_MARK.len())))
        }
        _ if BYTE_ORDER_MARK.starts_with(bytes) => Ok(None),
        _ => Err(guess_protocol(bytes)),
    }
}

/// Names what starts like this, for the log and for whoever wrote the client.
fn guess_protocol(bytes: &[u8]) -> FrameError {
    const HTTP_METHODS: [&[u8]; 10] = [
        b"GET ",
        b"POST ",
        b"PUT ",
        b"HEAD ",
        b"DELETE ",
        b"OPTIONS ",
        b"CONNECT ",
        b"TRACE ",
        b"PATCH ",
        b"PRI * HTTP",
    ];
    if HTTP_METHODS
        .iter()
        .any(|method| bytes.starts_with(method) || method.starts_with(bytes))
    {
        return FrameError::Http;
    }
    match bytes {
        [0x16] | [0x16, 3, ..] => FrameError::TlsHello,
        [_, _, 0, 0, 0, 0, 0, 0, ..] => {
            FrameError::UnknownStart("is the length sent as 8 bytes, little-endian?")
        }
        [_, _, 0, 0, ..] => FrameError::UnknownStart("is the length little-endian?"),
        [_, 0, b'{', ..] => {
            FrameError::UnknownStart("is the length sent as 2 bytes, little-endian?")
        }
        [b'[', ..] => FrameError::UnknownStart("a JSON array is not a message"),
        [b'"' | b'\'', ..] => {
            FrameError::UnknownStart("was the object encoded twice, or printed in quotes?")
        }
        [_, b'{', ..] => FrameError::UnknownStart("is the length sent as 1 byte?"),
        [first, ..] if first.is_ascii_graphic() => {
            FrameError::UnknownStart("this is text, but not a JSON object")
        }
        _ => FrameError::UnknownStart("these bytes are neither"),
    }
}

/// `bytes` without the white space around them.
fn trim(bytes: &[u8]) -> &[u8] {
    let is_black = |byte: &u8| !is_white_space(*byte);
    let start = bytes.iter().position(is_black).unwrap_or(bytes.len());
    let end = bytes
        .iter()
        .rposition(is_black)
        .map_or(start, |last| last + 1);
    &bytes[start..end]
}

/// White space between JSON values (RFC 8259, section 2).
fn is_white_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 64 << 10;

    /// Feeds `bytes` in pieces of `step` and collects all that comes out.
    #[track_caller]
    fn frames(bytes: &[u8], step: usize) -> (Vec<String>, Option<FrameError>) {
        let mut reader = FrameReader::new();
        let mut out = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let space = reader.space();
            let count = step.min(space.len()).min(rest.len());
            space[..count].copy_from_slice(&rest[..count]);
            reader.filled(count);
            rest = &rest[count..];
            loop {
                match reader.next_frame(LIMIT) {
                    Ok(Some(frame)) => out.push(frame.to_owned()),
                    Ok(None) => break,
                    Err(error) => return (out, Some(error)),
                }
            }
        }
        (out, None)
    }

    #[track_caller]
    fn check(bytes: &[u8], expected: &[&str]) {
        for step in [1, 2, 3, 7, bytes.len()] {
            let (got, error) = frames(bytes, step);
            assert_eq!(
                (got.iter().map(String::as_str).collect::<Vec<_>>(), error),
                (expected.to_vec(), None)
            );
        }
    }

    #[track_caller]
    fn check_error(bytes: &[u8], expected: FrameError) {
        for step in [1, 2, bytes.len()] {
            assert_eq!(frames(bytes, step).1, Some(expected), "in steps of {step}");
        }
    }

    #[test]
    fn objects_end_at_their_closing_brace() {
        check(
            b"{}{\"a\":{}}\r\n \t{\"b\":\"}\\\"}\"}",
            &["{}", "{\"a\":{}}", "{\"b\":\"}\\\"}\"}"],
        );
    }

    #[test]
    fn a_byte_order_mark_is_skipped_once() {
        check("\u{feff}{}{}".as_bytes(), &["{}", "{}"]);
        check_error("{}\u{feff}{}".as_bytes(), FrameError::NotAnObject);
        check_error("\u{feff}\u{feff}{}".as_bytes(), FrameError::NotAnObject);
    }

    #[test]
    fn a_first_byte_of_zero_chooses_length_prefixes() {
        check(b"\0\0\0\x02{}\0\0\0\x05 {} \n", &["{}", "{}"]);
        check_error(b"\0\0\0\x04{}{}", FrameError::NotOneObject);
        check_error(b"\0\0\0\x01{", FrameError::NotOneObject);
        check_error(b"\0\0\0\x02[]", FrameError::NotAnObject);
        check_error(
            b"\0\0\0\x00",
            FrameError::BadPrefix("the length is 0; is it sent as 8 bytes?"),
        );
        check_error(b"\0\x01\0\x01", FrameError::TooLarge(LIMIT));
        check_error(
            b"\0\0\0\x02{}{\"Co",
            FrameError::BadPrefix("the length is out of bounds; is it little-endian?"),
        );
    }

    #[test]
    fn only_white_space_may_stand_between_objects() {
        check_error(b"{},{}", FrameError::NotAnObject);
        check_error(b"{}\0", FrameError::NotAnObject);
        check_error(b"\n[1]", FrameError::NotAnObject);
    }

    #[test]
    fn strings_are_checked_in_every_key() {
        check_error(b"{\"x\":\"a\nb\"}", FrameError::RawControlCharacter);
        check_error(b"{\"x\":\"\\ud800\"}", FrameError::BadEscape);
        check_error(b"{\"x\":\"\\ud800x\"}", FrameError::BadEscape);
        check_error(b"{\"x\":\"\\udc00\"}", FrameError::BadEscape);
        check_error(b"{\"x\":\"\\ud800\\ud800\"}", FrameError::BadEscape);
        check_error(b"{\"x\":\"\\u00g0\"}", FrameError::BadEscape);
        check_error(b"{\"x\":\"\xff\"}", FrameError::NotUtf8);
        check(
            b"{\"x\":\"\\ud83d\\ude00\\u0000\"}",
            &["{\"x\":\"\\ud83d\\ude00\\u0000\"}"],
        );
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| {
            format!(
                "{{\"a\":{}{}}}",
                "[".repeat(depth - 1),
                "]".repeat(depth - 1)
            )
        };
        check(nested(100).as_bytes(), &[&nested(100)]);
        check(nested(128).as_bytes(), &[&nested(128)]);
        check_error(nested(129).as_bytes(), FrameError::TooDeep);
    }

    #[test]
    fn the_limit_counts_the_bytes_of_one_object() {
        let fits = format!("{{\"a\":\"{}\"}}", "x".repeat(LIMIT - 8));
        assert_eq!(fits.len(), LIMIT);
        check(format!("  {fits}  {fits}").as_bytes(), &[&fits, &fits]);
        check_error(
            format!(" {fits} {{\"a\":\"{}\"}}", "x".repeat(LIMIT - 7)).as_bytes(),
            FrameError::TooLarge(LIMIT),
        );
    }

    #[test]
    fn other_protocols_are_recognised_by_their_first_byte() {
        for step in [1, 100] {
            assert_eq!(
                frames(b"GET / HTTP/1.1\r\n\r\n{}", step).1,
                Some(FrameError::Http)
            );
            assert_eq!(
                frames(b"POST / HTTP/1.1\r\n\r\n{}", step).1,
                Some(FrameError::Http)
            );
            assert_eq!(
                frames(b"\x16\x03\x01\x02\0\x01", step).1,
                Some(FrameError::TlsHello)
            );
        }
        let little_endian = frames(b"\x1e\0\0\0{\"Command\"", 100).1;
        assert_eq!(
            little_endian,
            Some(FrameError::UnknownStart("is the length little-endian?"))
        );
        assert!(matches!(
            frames(b"hello\n", 100).1,
            Some(FrameError::UnknownStart(_))
        ));
    }

    #[test]
    fn the_buffer_grows_for_a_flood_and_shrinks_after_it() {
        let mut reader = FrameReader::new();
        assert_eq!(reader.space().len(), SMALL_BUFFER);
        for _ in 0..10 {
            let space = reader.space();
            space.fill(b' ');
            let count = space.len();
            reader.filled(count);
            assert_eq!(reader.next_frame(LIMIT), Ok(None));
        }
        assert_eq!(reader.space().len(), LARGE_BUFFER);
        reader.filled(10);
        assert_eq!(reader.next_frame(LIMIT), Ok(None));
        assert_eq!(reader.space().len(), SMALL_BUFFER);
    }
}
