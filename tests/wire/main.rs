//! The protocol, tested on the wire: each test starts a server and speaks to it through sockets.
//!
//! The files are named for their themes. What they check is what `docs/protocol.md` promises.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on fails"
)]
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "nobody uses a test from outside, and not each uses all of the harness"
)]

#[path = "../harness/mod.rs"]
mod harness;
mod presence;
