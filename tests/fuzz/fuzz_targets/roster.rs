//! Events that come to a roster, a byte each.

#![no_main]

#[path = "../../properties/oracle/mod.rs"]
#[allow(dead_code, reason = "each target uses one oracle")]
mod oracle;

use libfuzzer_sys::fuzz_target;

use oracle::roster::{Event, check};

fuzz_target!(|input: &[u8]| {
    let events: Vec<Event> = input
        .iter()
        .take(200)
        .map(|byte| {
            let detail = byte >> 3;
            match byte & 7 {
                0 | 1 => Event::Join {
                    name: detail >> 1,
                    spelling: detail & 1 == 1,
                    is_guest: byte & 1 == 1,
                },
                2 | 3 => Event::Leave { session: detail },
                4 => Event::Say { lines: detail },
                5 => Event::Write { name: detail },
                6 => Event::Flush,
                _ if detail == 0 => Event::Clear,
                _ => Event::Say { lines: detail },
            }
        })
        .collect();
    check(&events);
});
