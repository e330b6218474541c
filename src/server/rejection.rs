//! Why a client is not served.

use std::fmt;

use super::permits::NoPermit;
use crate::texts::reasons;
use crate::transport::{CloseCause, CloseReason};

/// Why a client is not served. Shown as the sentence that it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Rejection {
    /// A limit on connections was met.
    NoPermit(NoPermit),
    /// The client's address is banned.
    Banned,
    /// The system gives no other descriptor.
    NoDescriptor,
    /// The system gives no thread.
    NoThread,
}

impl Rejection {
    /// Why the connection ends, with the words for the client.
    pub(crate) fn cause(self) -> CloseCause {
        let reason = match self {
            Rejection::Banned => CloseReason::Banned,
            Rejection::NoPermit(_) | Rejection::NoDescriptor | Rejection::NoThread => {
                CloseReason::Rejected
            }
        };
        CloseCause::new(reason, self.to_string())
    }
}

/// Why a client that has not logged in makes room for another, with the words for it.
pub(crate) fn making_room() -> CloseCause {
    CloseCause::new(CloseReason::MadeRoom, reasons::making_room())
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Rejection::NoPermit(NoPermit::Full(limit)) => f.write_str(&reasons::server_full(limit)),
            Rejection::NoPermit(NoPermit::AddressFull(limit)) => {
                f.write_str(&reasons::address_full(limit))
            }
            Rejection::Banned => f.write_str(reasons::banned()),
            Rejection::NoDescriptor => f.write_str(reasons::no_descriptor_left()),
            Rejection::NoThread => f.write_str(reasons::no_thread_left()),
        }
    }
}
