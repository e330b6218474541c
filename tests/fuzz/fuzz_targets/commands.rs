//! Any text as a command: what is accepted can be said again.

#![no_main]

#[path = "../../properties/oracle/mod.rs"]
#[allow(dead_code, reason = "each target uses one oracle")]
mod oracle;

use libfuzzer_sys::fuzz_target;

use oracle::framing::check_command;

fuzz_target!(|text: &str| check_command(text));
