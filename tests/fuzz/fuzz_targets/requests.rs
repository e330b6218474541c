//! Any text as a request: what is accepted can be said again.

#![no_main]

#[path = "../../properties/oracle/mod.rs"]
#[allow(dead_code, reason = "each target uses one oracle")]
mod oracle;

use libfuzzer_sys::fuzz_target;

use oracle::framing::check_request;

fuzz_target!(|text: &str| check_request(text));
