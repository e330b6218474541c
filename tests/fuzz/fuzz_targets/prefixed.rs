//! Frames behind right lengths. In the input the byte 0xff, which no good frame has, ends each; behind the last stand
//! the places of cuts.

#![no_main]

#[path = "../../properties/oracle/mod.rs"]
#[allow(dead_code, reason = "each target uses one oracle")]
mod oracle;

use libfuzzer_sys::fuzz_target;

use oracle::framing::check_prefixed;

fuzz_target!(|input: &[u8]| {
    let mut bodies: Vec<Vec<u8>> = input
        .split(|byte| *byte == 0xff)
        .map(<[u8]>::to_vec)
        .collect();
    let cuts: Vec<usize> = bodies
        .pop()
        .unwrap_or_default()
        .into_iter()
        .map(usize::from)
        .collect();
    bodies.retain(|body| !body.is_empty());
    check_prefixed(&bodies, &cuts);
});
