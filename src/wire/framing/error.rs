//! Why bytes can't be cut into frames.

use std::fmt;

/// Why the bytes of a connection can't be cut into frames any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The first bytes are a TLS handshake on the plain port.
    TlsHello,
    /// The first bytes are an HTTP request.
    Http,
    /// The first bytes start neither framing; the text is a guess at the cause.
    UnknownStart(&'static str),
    /// Something other than `{` where an object should begin.
    NotAnObject,
    /// The frame exceeds the limit, given in bytes.
    TooLarge(usize),
    /// A length prefix that can't be; the text is a guess at the cause.
    BadPrefix(&'static str),
    /// The frame is not UTF-8.
    NotUtf8,
    /// Arrays and objects are nested deeper than the limit, given in levels.
    TooDeep(u32),
    /// A control character stands in a string without an escape.
    RawControlCharacter,
    /// A string has a `\u` escape that is malformed or is half of a surrogate pair.
    BadEscape,
    /// A length-prefixed frame holds more, or less, than one object.
    NotOneObject,
}

impl FrameError {
    /// Whether the client speaks another protocol. The server closes such a connection without an answer: a web page
    /// that makes a browser connect learns nothing, and can say nothing.
    pub fn is_other_protocol(self) -> bool {
        matches!(self, FrameError::TlsHello | FrameError::Http)
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::TlsHello => {
                f.write_str("this looks like a TLS handshake; TLS has a port of its own")
            }
            FrameError::Http => f.write_str("this looks like an HTTP request"),
            FrameError::UnknownStart(guess) => {
                write!(
                    f,
                    "a connection starts with a JSON object or with a 4-byte big-endian length; {guess}"
                )
            }
            FrameError::NotAnObject => {
                f.write_str("each message is a JSON object and begins with '{'")
            }
            FrameError::TooLarge(limit) => write!(f, "the message is longer than {limit} bytes"),
            FrameError::BadPrefix(guess) => write!(f, "bad length prefix: {guess}"),
            FrameError::NotUtf8 => f.write_str("the message is not UTF-8"),
            FrameError::TooDeep(limit) => {
                write!(f, "the message is nested deeper than {limit} levels")
            }
            FrameError::RawControlCharacter => {
                f.write_str("a control character in a string must be escaped, a newline as \\n")
            }
            FrameError::BadEscape => {
                f.write_str("a \\u escape in a string is malformed or is half of a pair")
            }
            FrameError::NotOneObject => {
                f.write_str("a length-prefixed frame holds exactly one JSON object")
            }
        }
    }
}

impl std::error::Error for FrameError {}
