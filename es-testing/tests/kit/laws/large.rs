//! Laws over an aggregate whose strategy is so large that it overflows the stack of a test when it
//! is built without optimization, unless the macro makes room.

use es_core::{Aggregate, Event};
use es_testing::laws::{LawViolation, events_round_trip};
use proptest::prelude::{Strategy, any, prop_oneof};

/// Few bytes, but the value tree of an option is large.
type Fields = [Option<u8>; 10];

/// Kinds in groups, each with an unboxed strategy, and one of all.
macro_rules! large {
    ($($group:ident: $($kind:ident),+;)+) => {
        #[derive(Event, Debug, Clone, PartialEq)]
        enum LargeEvent {
            $($($kind { first: Fields, second: Fields },)+)+
        }

        $(
            fn $group() -> impl Strategy<Value = LargeEvent> {
                prop_oneof![$(
                    any::<(Fields, Fields)>()
                        .prop_map(|(first, second)| LargeEvent::$kind { first, second })
                ),+]
            }
        )+

        fn any_event() -> impl Strategy<Value = LargeEvent> {
            prop_oneof![$($group()),+]
        }

        fn any_event_of_boxed_arms() -> impl Strategy<Value = LargeEvent> {
            prop_oneof![$($(
                any::<(Fields, Fields)>()
                    .prop_map(|(first, second)| LargeEvent::$kind { first, second })
                    .boxed()
            ),+),+]
        }
    };
}

large! {
    racks: RackBuilt, RackCleaned, RackMoved;
    rooms: RoomBuilt, RoomCleaned, RoomMoved;
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Large(usize);

impl Aggregate for Large {
    const TYPE: &'static str = "large";
    type Id = i64;
    type Event = LargeEvent;

    fn evolve(&mut self, _: &LargeEvent) {
        self.0 += 1;
    }
}

es_testing::aggregate_laws! {
    name = large_laws,
    aggregate = Large,
    events = any_event(),
}

#[test]
fn a_strategy_of_boxed_arms_fits_the_stack_of_a_test() -> Result<(), LawViolation> {
    events_round_trip(any_event_of_boxed_arms())
}
