//! One connection's bytes: its socket, plain or TLS, what waits to be sent through it, and how it ends.

pub mod batch;
pub mod close_reason;
pub mod close_state;
pub mod connection;
pub mod connection_reader;
mod origin;
pub mod outbox;
pub mod pending_receipts;
mod port_kind;
pub mod receipt;
mod send_queue;
pub mod socket;
pub mod tls;
#[cfg(windows)]
mod waker;
pub mod watch;

pub use batch::Batch;
pub use close_reason::CloseReason;
pub use close_state::CloseCause;
pub use connection::{Connection, ConnectionLabel};
pub use origin::Origin;
pub use port_kind::PortKind;
pub use receipt::Receipt;
pub use socket::Socket;
