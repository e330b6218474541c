//! Limits and faults, tested on the wire: what slow, dead, greedy and broken clients cost the others.
//!
//! The files are named for their themes. What they check is what `docs/protocol.md` promises in its section 11.

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

mod bad_network;
mod guessing;
#[path = "../harness/mod.rs"]
mod harness;
mod idle;
mod limits;
mod login_deadline;
mod malformed;
mod slow_client;
mod storm;
mod stress;
mod tools;
mod transcripts;
