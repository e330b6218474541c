//! What is spoken on a port.

use std::fmt;

use crate::wire::Framing;

/// What is spoken on a port, and so on all of its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PortKind {
    /// The bare protocol.
    Plain,
    /// The protocol inside TLS.
    Tls,
    /// HTTP as far as browsers need it, and the protocol inside WebSocket.
    Web,
}

impl PortKind {
    /// All of them, in the order in which they are told.
    pub const ALL: [PortKind; 3] = [PortKind::Web, PortKind::Plain, PortKind::Tls];

    /// How its clients frame; `None` leaves the choice to each client's first byte.
    pub fn framing(self) -> Option<Framing> {
        match self {
            PortKind::Plain | PortKind::Tls => None,
            PortKind::Web => Some(Framing::WebSocket),
        }
    }
}

/// As the log calls it.
impl fmt::Display for PortKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PortKind::Plain => "plain",
            PortKind::Tls => "TLS",
            PortKind::Web => "browser",
        })
    }
}
