//! One connection's bytes: its socket, plain or TLS, and what waits to be sent through it.

pub mod batch;
pub mod certificate;
pub mod connection;
pub mod end_reason;
pub mod ledger;
pub mod outbox;
mod queue;
pub mod receipt;
pub mod receiver;
pub mod socket;
pub mod tls;

pub use batch::Batch;
pub use connection::{Connection, Traffic};
pub use end_reason::EndReason;
pub use receipt::Receipt;
