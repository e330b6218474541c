//! Why bytes can't be cut into frames.

use std::fmt;
use std::str::Utf8Error;

use crate::texts::framing_errors;
use crate::wire::shown::Found;

/// Why the bytes of a connection can't be cut into frames any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The first bytes are a TLS handshake on the plain port.
    TlsHello,
    /// The first bytes are an HTTP request.
    Http,
    /// The first bytes start neither framing; the text is a guess at the cause.
    UnknownStart(&'static str),
    /// Something other than `{` where an object should begin; the text is a guess at the cause.
    NotAnObject {
        /// What stands there.
        found: Found,
        /// Whether a message came before.
        is_after_message: bool,
        /// A guess at the cause.
        guess: &'static str,
    },
    /// The frame exceeds the limit, given in bytes.
    TooLarge(usize),
    /// A length prefix that can't be; the text is a guess at the cause.
    BadPrefix(&'static str),
    /// The frame is in UTF-16 or UTF-32.
    Utf16,
    /// The frame is not UTF-8.
    NotUtf8 {
        /// Where in the frame, counted in bytes from 0.
        at: usize,
        /// A guess at the encoding.
        guess: &'static str,
    },
    /// Arrays and objects are nested deeper than the limit, given in levels.
    TooDeep(u32),
    /// This control character stands in a string without an escape.
    RawControlCharacter(u8),
    /// A string has a `\u` escape that is malformed or is half of a surrogate pair.
    BadEscape,
    /// A frame that WebSocket does not allow; the text says why.
    WebSocket(&'static str),
    /// A binary message by WebSocket.
    Binary,
    /// A frame with a length holds more, or less, than one object; the text is a guess at the cause.
    NotOneObject(&'static str),
}

impl FrameError {
    /// What is wrong with the encoding of `frame`, if that is not UTF-8. A character that is cut off at the end is none of
    /// its faults if the frame `may_go_on`.
    pub(super) fn of_encoding(frame: &[u8], may_go_on: bool) -> Option<FrameError> {
        let error = std::str::from_utf8(frame).err()?;
        if may_go_on && error.error_len().is_none() {
            return None;
        }
        Some(FrameError::not_utf8(frame, error))
    }

    /// Names what `error` found in `frame`.
    pub(super) fn not_utf8(frame: &[u8], error: Utf8Error) -> FrameError {
        let at = error.valid_up_to();
        let guess = match frame.get(at..) {
            // A surrogate by itself, and a zero in two bytes, as the modified UTF-8 of Java has them.
            Some([0xed, 0xa0..=0xbf, ..] | [0xc0, 0x80, ..]) => framing_errors::java_utf_8(),
            _ => framing_errors::gbk_or_big5(),
        };
        FrameError::NotUtf8 { at, guess }
    }

    /// Whether the client speaks another protocol. The server closes such a connection without an answer: a web page
    /// that makes a browser connect learns nothing, and can say nothing.
    pub fn is_other_protocol(self) -> bool {
        matches!(self, FrameError::TlsHello | FrameError::Http)
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match *self {
            // These clients are told nothing, and the log is English.
            FrameError::TlsHello => {
                "this looks like a TLS handshake; TLS has a port of its own".to_owned()
            }
            FrameError::Http => {
                "this looks like an HTTP request; browsers have a port of their own".to_owned()
            }
            FrameError::UnknownStart(guess) => framing_errors::unknown_start(guess),
            FrameError::NotAnObject {
                found,
                is_after_message,
                guess,
            } => {
                let place = match is_after_message {
                    true => framing_errors::after_message(),
                    false => framing_errors::at_start_of_message(),
                };
                framing_errors::not_an_object(place, &found.to_string(), guess)
            }
            FrameError::TooLarge(limit) => framing_errors::too_large(limit),
            FrameError::BadPrefix(guess) => framing_errors::bad_prefix(guess),
            FrameError::Utf16 => framing_errors::utf_16().to_owned(),
            FrameError::NotUtf8 { at, guess } => framing_errors::not_utf_8(at + 1, guess),
            FrameError::TooDeep(limit) => framing_errors::too_deep(limit),
            FrameError::RawControlCharacter(b'\n' | b'\r') => {
                framing_errors::line_ends_in_string().to_owned()
            }
            FrameError::RawControlCharacter(byte) => {
                framing_errors::control_character_in_string(byte)
            }
            FrameError::BadEscape => framing_errors::bad_escape().to_owned(),
            FrameError::WebSocket(why) => framing_errors::websocket(why),
            FrameError::Binary => framing_errors::binary().to_owned(),
            FrameError::NotOneObject(guess) => framing_errors::not_one_object(guess),
        })
    }
}

impl std::error::Error for FrameError {}
