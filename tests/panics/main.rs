//! Panics inside the server: what one in a connection's thread costs, and what one in the server's own threads does.
//!
//! They are provoked by a log that panics at certain records, for a connection's thread and the listeners write to it.
//! A process has one log, so these tests have a process of their own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on fails"
)]
#![allow(
    clippy::print_stderr,
    reason = "what is measured is told, and so is a tool that is missing"
)]
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "nobody uses a test from outside, and not each uses all of the harness"
)]

mod connections;
mod faulty_log;
#[path = "../harness/mod.rs"]
mod harness;
mod own_threads;
#[path = "../program/process.rs"]
mod process;
