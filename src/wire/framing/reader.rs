//! Puts buffer, detection and decoders together.

use super::Framing;
use super::buffer::ReadBuffer;
use super::decoder::{Cut, Decoder};
use super::detect::detect;
use super::error::FrameError;
use super::incomplete;
use super::prefixed::PrefixedDecoder;
use super::stream::StreamDecoder;
use super::websocket::{Control, WebSocketDecoder};
use crate::texts::framing_errors;

/// Collects the bytes of one connection and hands out whole frames.
///
/// The caller reads from its socket into [`space`](Self::space), says how much came with
/// [`filled`](Self::filled), and takes frames with [`next_frame`](Self::next_frame) until there is none.
///
/// A frame is UTF-8, begins with `{` and ends at the matching brace. The reader also checks what `serde_json` does
/// not check in values that it skips: the depth of nesting, raw control characters and lone surrogates. Whether
/// the rest is JSON is for the parser to say.
#[derive(Debug)]
pub struct FrameReader {
    buffer: ReadBuffer,
    decoder: AnyDecoder,
}

impl FrameReader {
    /// A reader for a connection whose first bytes choose the framing.
    pub fn detecting() -> FrameReader {
        FrameReader {
            buffer: ReadBuffer::default(),
            decoder: AnyDecoder::Detecting,
        }
    }

    /// A reader for a connection that can only use `framing`.
    pub fn new(framing: Framing) -> FrameReader {
        FrameReader {
            buffer: ReadBuffer::default(),
            decoder: AnyDecoder::new(framing),
        }
    }

    /// The framing of the connection, or `None` while too few bytes have arrived to tell. The error says that no
    /// framing begins like this.
    pub fn framing(&mut self) -> Result<Option<Framing>, FrameError> {
        match self.decoder {
            AnyDecoder::Detecting => {
                let Some((framing, skip)) = detect(self.buffer.unread())? else {
                    return Ok(None);
                };
                self.buffer.consume(skip);
                self.decoder = AnyDecoder::new(framing);
                Ok(Some(framing))
            }
            AnyDecoder::Stream(_) => Ok(Some(Framing::Stream)),
            AnyDecoder::Prefixed(_) => Ok(Some(Framing::Prefixed)),
            AnyDecoder::WebSocket(_) => Ok(Some(Framing::WebSocket)),
        }
    }

    /// Whether a frame has begun and not ended.
    pub fn is_inside_frame(&self) -> bool {
        let is_fragmented = match &self.decoder {
            AnyDecoder::WebSocket(decoder) => decoder.is_fragmented(),
            _ => false,
        };
        is_fragmented || !self.buffer.is_empty()
    }

    /// A guess at why the frame that has begun does not end, in words for the author of the client.
    pub fn guess_at_missing(&mut self) -> String {
        let unread = self.buffer.unread();
        match &self.decoder {
            AnyDecoder::Detecting => incomplete::in_mark(unread),
            AnyDecoder::Stream(decoder) => incomplete::in_stream(unread, decoder.is_in_string()),
            AnyDecoder::Prefixed(_) => incomplete::behind_prefix(unread),
            AnyDecoder::WebSocket(_) => framing_errors::websocket_incomplete().to_owned(),
        }
    }

    /// What a frame without a message said that came next. [`next_frame`](Self::next_frame) returns `None` for each of them,
    /// though more may have arrived.
    pub fn take_control(&mut self) -> Option<Control> {
        match &mut self.decoder {
            AnyDecoder::WebSocket(decoder) => decoder.take_control(),
            _ => None,
        }
    }

    /// Takes the head of an HTTP message, up to and including its empty line (RFC 9112, section 2.1). `None` while it has not
    /// arrived in full, or if it is larger than `limit`.
    pub fn take_head(&mut self, limit: usize) -> Option<Vec<u8>> {
        let start = self.buffer.unread().chunks(limit).next()?;
        let end = memchr::memmem::find(start, b"\r\n\r\n")? + b"\r\n\r\n".len();
        Some(self.buffer.consume(end).to_vec())
    }

    /// The bytes that have arrived and were not taken.
    pub fn untaken(&mut self) -> &[u8] {
        self.buffer.unread()
    }

    /// Space for the next read, never empty.
    pub fn space(&mut self) -> &mut [u8] {
        self.buffer.space()
    }

    /// Makes the next [`space`](Self::space) no smaller than this, in bytes.
    pub fn expect(&mut self, bytes: usize) {
        self.buffer.expect(bytes);
    }

    /// Notes that a read has put `count` bytes at the beginning of [`space`](Self::space).
    pub fn filled(&mut self, count: usize) {
        self.buffer.filled(count);
    }

    /// The next whole frame, or `None` when more bytes are needed. After an error the stream can't be trusted:
    /// the caller must not ask again.
    ///
    /// `limit` is the largest frame accepted, in bytes of JSON; it may change from call to call.
    pub fn next_frame(&mut self, limit: usize) -> Result<Option<&str>, FrameError> {
        // `framing` checks this too, but a call for each frame takes measurable time.
        if matches!(self.decoder, AnyDecoder::Detecting) {
            self.framing()?;
        }
        let unread = self.buffer.unread();
        let Cut { consumed, text } = match &mut self.decoder {
            AnyDecoder::Detecting => return Ok(None),
            AnyDecoder::Stream(decoder) => decoder.decode(unread, limit)?,
            AnyDecoder::Prefixed(decoder) => decoder.decode(unread, limit)?,
            AnyDecoder::WebSocket(decoder) => decoder.decode(unread, limit)?,
        };
        let consumed = self.buffer.consume(consumed);
        let Some(text) = text else {
            return Ok(None);
        };
        let text = &consumed[text];
        std::str::from_utf8(text)
            .map(Some)
            .map_err(|error| FrameError::not_utf8(text, error))
    }
}

/// The decoder of the framing that the connection uses.
#[derive(Debug)]
enum AnyDecoder {
    /// Too few bytes have arrived to tell the framing.
    Detecting,
    Stream(StreamDecoder),
    Prefixed(PrefixedDecoder),
    WebSocket(WebSocketDecoder),
}

impl AnyDecoder {
    fn new(framing: Framing) -> AnyDecoder {
        match framing {
            Framing::Stream => AnyDecoder::Stream(StreamDecoder::default()),
            Framing::Prefixed => AnyDecoder::Prefixed(PrefixedDecoder),
            Framing::WebSocket => AnyDecoder::WebSocket(WebSocketDecoder::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::read;
    use super::*;

    #[test]
    fn a_fixed_framing_is_not_detected() {
        let line = b"{\"a\":1}\n";
        for (framing, other) in [
            (Framing::Stream, Framing::Prefixed),
            (Framing::Prefixed, Framing::Stream),
        ] {
            assert_eq!(FrameReader::new(framing).framing(), Ok(Some(framing)));
            let (frames, error) = read(FrameReader::new(framing), &framing.encode(line), 3);
            assert_eq!((frames, error), (vec!["{\"a\":1}".to_owned()], None));
            let (frames, error) = read(FrameReader::new(framing), &other.encode(line), 3);
            assert!(frames.is_empty() && error.is_some(), "{frames:?} {error:?}");
        }
    }
}
