//! Any bytes, cut anywhere, as a connection's first. The first byte says how many cuts there are, and the next ones
//! where.

#![no_main]

#[path = "../../properties/oracle/mod.rs"]
#[allow(dead_code, reason = "each target uses one oracle")]
mod oracle;

use libfuzzer_sys::fuzz_target;

use oracle::framing::{check_bytes, check_stream};

fuzz_target!(|input: &[u8]| {
    let Some((count, rest)) = input.split_first() else {
        return;
    };
    let (places, stream) = rest.split_at(rest.len().min(usize::from(count % 8)));
    let mut end = 0;
    let cuts: Vec<usize> = places
        .iter()
        .map(|step| {
            end += usize::from(*step);
            end
        })
        .collect();
    check_bytes(stream, &cuts, usize::from(*count));
    if stream.first() != Some(&0) {
        check_stream(stream, &cuts);
    }
});
