//! The roster: any sequence of events.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::cases;
use crate::oracle::roster::{Event, check};

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (any::<u8>(), any::<bool>(), any::<bool>())
            .prop_map(|(name, spelling, is_guest)| Event::Join { name, spelling, is_guest }),
        // Mostly somebody who came lately.
        4 => prop_oneof![3 => 0..4_u8, 1 => any::<u8>()].prop_map(|session| Event::Leave { session }),
        4 => any::<u8>().prop_map(|lines| Event::Say { lines }),
        3 => any::<u8>().prop_map(|name| Event::Write { name }),
        3 => Just(Event::Flush),
        1 => Just(Event::Clear),
    ]
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn everybody_sees_one_order_and_exact_presence(events in vec(event(), 0..60)) {
        check(&events);
    }
}
