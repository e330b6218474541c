//! The protocol, tested on the wire: each test starts a server and speaks to it through sockets.
//!
//! The files are named for their themes. What they check is what `docs/protocol.md` promises.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that can't go on fails, and one that is skipped says so"
)]
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "nobody uses a test from outside, and not each uses all of the harness"
)]

mod accounts;
mod bytes;
mod closing;
mod commands;
mod framing;
#[path = "../harness/mod.rs"]
mod harness;
mod hints;
mod http;
mod leaving;
mod lines;
mod listening;
mod login;
mod moderation;
mod other_protocols;
mod presence;
mod private;
mod room;
mod teacher;
mod unfinished;
mod websocket;
