//! What comes by WebSocket. The first byte says whether the rest is any bytes at all, or messages that are framed as they should
//! be; the next ones say where the stream is cut.

#![no_main]

#[path = "../../properties/oracle/mod.rs"]
#[allow(dead_code, reason = "each target uses one oracle")]
mod oracle;

use libfuzzer_sys::fuzz_target;

use oracle::framing::{WebMessage, check_web_bytes, check_web_socket};

/// A message from a part of the input: the places of three cuts, a ping's payload, a mask, and the body.
fn message(part: &[u8]) -> Option<WebMessage> {
    let ([first, second, third, ping, mask @ ..], body) = part.split_first_chunk::<8>()?;
    Some(WebMessage {
        body: body.to_vec(),
        cuts: [first, second, third].map(|cut| usize::from(*cut)).to_vec(),
        mask: *mask,
        controls: vec![None, Some(vec![*ping; usize::from(*ping % 126)])],
    })
}

fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else {
        return;
    };
    let (places, rest) = rest.split_at(rest.len().min(usize::from(kind % 8)));
    let mut end = 0;
    let cuts: Vec<usize> = places
        .iter()
        .map(|step| {
            end += usize::from(*step);
            end
        })
        .collect();
    if kind & 0x80 == 0 {
        return check_web_bytes(rest, &cuts, usize::from(*kind));
    }
    // No good message has this byte.
    let messages: Vec<WebMessage> = rest
        .split(|byte| *byte == 0xff)
        .filter_map(message)
        .collect();
    check_web_socket(&messages, &cuts);
});
