//! The outbox and the pending receipts: any sequence of events, over a sink that takes what it likes.

use chatd::wire::Framing;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::cases;
use crate::oracle::outbox::{Event, PendingEvent, Step, check, check_pending};

/// Sizes of lines, mostly small.
fn size() -> impl Strategy<Value = u16> {
    prop_oneof![30 => 0..300_u16, 1 => any::<u16>()]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        40 => ([size(), size(), size()], 0..3_u8, any::<bool>())
            .prop_map(|(sizes, skip, has_receipt)| Event::Push { sizes, skip, has_receipt }),
        15 => size().prop_map(|size| Event::PushAlone { size }),
        30 => Just(Event::Flush),
        10 => Just(Event::Cork),
        5 => Just(Event::Uncork),
        15 => any::<u8>().prop_map(|friend| Event::Owe { friend }),
        20 => (any::<u8>(), any::<bool>())
            .prop_map(|(ticket, is_delivered)| Event::Resolve { ticket, is_delivered }),
        2 => Just(Event::ResolveAll),
        3 => Just(Event::Enforce),
        2 => any::<u16>().prop_map(|bytes| Event::RaiseLimit { bytes }),
        1 => any::<bool>().prop_map(|has_last_line| Event::Drain { has_last_line }),
        1 => Just(Event::Close),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => Just(Step::TakeAll),
        20 => (0..400_u16).prop_map(Step::Take),
        10 => Just(Step::WouldBlock),
        1 => any::<bool>().prop_map(|is_dead| Step::Fail { is_dead }),
    ]
}

fn pending_event() -> impl Strategy<Value = PendingEvent> {
    prop_oneof![
        4 => any::<u8>().prop_map(|friend| PendingEvent::Open { friend }),
        5 => (any::<u8>(), any::<u8>(), any::<bool>()).prop_map(|(friend, ticket, is_delivered)| {
            PendingEvent::Resolve { friend, ticket, is_delivered }
        }),
        1 => Just(PendingEvent::ResolveAll),
    ]
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn the_bytes_taken_are_the_lines_pushed(
        framing in prop_oneof![
            Just(Framing::Stream),
            Just(Framing::Prefixed),
            Just(Framing::WebSocket)
        ],
        limit in 0..20_000_usize,
        events in vec(event(), 0..50),
        steps in vec(step(), 0..50),
    ) {
        check(framing, limit, &events, &steps);
    }

    #[test]
    fn receipts_for_one_friend_keep_their_order(events in vec(pending_event(), 0..40)) {
        check_pending(&events);
    }
}
