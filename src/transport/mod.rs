//! One connection's bytes: its socket, plain or TLS, and what waits to be sent through it.

pub mod batch;
pub mod certificate;
pub mod connection;
pub mod ledger;
pub mod outbox;
pub mod receiver;
pub mod socket;
pub mod tls;

pub use batch::Batch;
pub use connection::{Connection, EndReason, Receipt, Traffic};
