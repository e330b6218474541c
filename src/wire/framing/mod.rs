//! Framing: how the ends of messages are marked in a stream of bytes.
//!
//! TCP delivers bytes, not messages: a message can arrive in pieces, or many can arrive in one read. The published
//! protocol says only that JSON goes over a socket, so clients differ in how they mark where a message ends. Each
//! framing has a file here with both directions: a decoder that finds the next frame in what has arrived, and an
//! encoder that wraps messages for sending. A [`FrameReader`] collects the bytes of one connection and has them
//! decoded; [`detect()`] tells from a client's first bytes which framing it uses.

mod buffer;
mod decoder;
mod detect;
pub(super) mod error;
mod hint;
mod incomplete;
mod prefixed;
mod reader;
mod stream;
#[cfg(test)]
mod testing;
pub(crate) mod websocket;

use std::borrow::Cow;

pub use detect::{TLS_HANDSHAKE, detect};
pub use error::FrameError;
pub use prefixed::FRAME_CEILING;
pub use reader::FrameReader;
pub use websocket::Control;

/// How both sides of a connection mark the ends of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Objects one after another; the server ends each of its own with a newline.
    Stream,
    /// A length before each object: four bytes, big-endian.
    Prefixed,
    /// A text message of WebSocket for each object.
    WebSocket,
}

impl Framing {
    /// How many framings there are. `framing as usize` is an index below it.
    pub const COUNT: usize = Framing::WebSocket as usize + 1;

    /// Wraps `lines` for this framing. `lines` holds whole messages, each with its newline.
    pub fn encode(self, lines: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Framing::Stream => stream::encode(lines).into(),
            Framing::Prefixed => prefixed::encode(lines).into(),
            Framing::WebSocket => websocket::encode(lines).into(),
        }
    }
}
