//! Lines for an outbox, and a socket that takes what it likes: pairs of bytes, in turn for the one and the other.

#![no_main]

#[path = "../../properties/oracle/mod.rs"]
#[allow(dead_code, reason = "each target uses one oracle")]
mod oracle;

use chatd::wire::Framing;
use libfuzzer_sys::fuzz_target;

use oracle::outbox::{Event, Step, check};

/// Sizes on both sides of what is sent at once.
fn size(byte: u8) -> u16 {
    match byte {
        0..200 => byte.into(),
        _ => u16::from(byte) << 8,
    }
}

fn event([kind, detail]: [u8; 2]) -> Event {
    match kind & 15 {
        0..4 => Event::Push {
            sizes: [size(detail), u16::from(kind), 7],
            skip: kind >> 4,
            has_receipt: kind & 1 == 1,
        },
        4 | 5 => Event::PushAlone { size: size(detail) },
        6 => Event::Flush,
        7 => Event::Cork,
        8 => Event::Uncork,
        9 => Event::Owe { friend: detail },
        10 => Event::Resolve {
            ticket: detail >> 1,
            is_delivered: detail & 1 == 1,
        },
        11 => Event::Enforce,
        12 => Event::RaiseLimit {
            bytes: size(detail),
        },
        13 if detail == 0 => Event::Close,
        14 if detail < 2 => Event::Drain {
            has_last_line: detail == 1,
        },
        15 if detail == 0 => Event::ResolveAll,
        _ => Event::Flush,
    }
}

fn step([kind, detail]: [u8; 2]) -> Step {
    match kind & 7 {
        0..2 => Step::TakeAll,
        2..5 => Step::Take(size(detail)),
        7 if detail < 2 => Step::Fail {
            is_dead: detail == 1,
        },
        _ => Step::WouldBlock,
    }
}

fuzz_target!(|input: &[u8]| {
    let Some(([kind, limit], rest)) = input
        .split_first_chunk::<2>()
        .map(|(head, rest)| (*head, rest))
    else {
        return;
    };
    let framing = match kind % 3 {
        0 => Framing::Stream,
        1 => Framing::Prefixed,
        _ => Framing::WebSocket,
    };
    let (pairs, _) = rest.as_chunks::<4>();
    let pairs = &pairs[..pairs.len().min(100)];
    let events: Vec<Event> = pairs.iter().map(|pair| event([pair[0], pair[1]])).collect();
    let steps: Vec<Step> = pairs.iter().map(|pair| step([pair[2], pair[3]])).collect();
    check(framing, usize::from(limit) << 8, &events, &steps);
});
