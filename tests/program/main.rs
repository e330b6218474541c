//! The program itself, as a teacher who starts it meets it: what it prints, refuses, writes to its log and leaves behind.
//!
//! The files are named for their themes. What they check is what `chatd --help` and the README promise.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on fails"
)]
#![allow(
    clippy::print_stderr,
    reason = "a test that can't run here says which tool it misses"
)]
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "nobody uses a test from outside, and not each uses all of the harness"
)]

mod accounts;
#[cfg(unix)]
mod attached;
mod bot;
#[cfg(unix)]
mod browser;
mod certificate;
mod checker;
mod checker_clients;
mod checker_servers;
mod client;
mod console;
mod crashes;
#[cfg(unix)]
mod crowd;
#[cfg(unix)]
mod data_folder;
mod docs;
#[cfg(unix)]
mod editor;
#[cfg(target_os = "linux")]
mod exhaustion;
mod gui;
#[path = "../harness/mod.rs"]
mod harness;
mod language;
#[cfg(unix)]
mod lesson;
#[cfg(unix)]
mod limits;
mod log;
#[cfg(target_os = "linux")]
mod memory;
mod mistakes;
#[cfg(target_os = "linux")]
mod network_drive;
mod odd_server;
#[cfg(unix)]
mod output;
mod process;
mod python;
mod settings;
#[cfg(unix)]
mod signals;
mod soak;
mod start;
mod starters;
