//! Names that are retired or were split, in events that are honest and in events that are not.

use es_core::event::{
    DecodeError, Decoded, EncodeError, EventType, Fields, Metadata, Payload, StoredEvent,
};
use es_core::{BoxError, Event};
use es_testing::laws::{self, LawViolation};
use proptest::prelude::{Just, Strategy, any, prop_oneof};

use super::broken;

#[derive(Event, Debug, Clone, PartialEq)]
#[event(retired("order_flagged"))]
#[event(split("order_placed_and_paid" => place_and_pay: OrderPlaced, OrderPaid))]
enum OrderEvent {
    OrderPlaced { cents: u64 },
    OrderPaid,
}

fn place_and_pay(old: &Fields, _: &StoredEvent<'_>) -> Result<Vec<OrderEvent>, BoxError> {
    let cents = old.get("cents").ok_or("there is no sum")?;
    Ok(vec![OrderEvent::OrderPlaced { cents }, OrderEvent::OrderPaid])
}

#[test]
fn honest_events_keep_the_laws() -> Result<(), LawViolation> {
    let events = || {
        let placed = any::<u64>().prop_map(|cents| OrderEvent::OrderPlaced { cents });
        prop_oneof![placed, Just(OrderEvent::OrderPaid)]
    };
    laws::events_round_trip(events())?;
    laws::kinds_are_distinct(events())?;
    laws::retired_names_are_never_written(events())?;
    laws::decode_never_panics(events())
}

#[test]
fn a_function_that_splits_and_trusts_its_input_is_found() {
    #[derive(Event, Debug)]
    #[event(split("order_made" => make: OrderPaid))]
    enum Trusting {
        OrderPaid,
    }

    fn make(old: &Fields, _: &StoredEvent<'_>) -> Result<Vec<Trusting>, BoxError> {
        old.get::<u64>("cents").expect("an order has a sum");
        Ok(vec![Trusting::OrderPaid])
    }
    let checked = laws::decode_never_panics(Just(()).prop_map(|()| Trusting::OrderPaid));
    broken(checked, "decode_never_panics", "panic: an order has a sum");
}

const SEEN: EventType = EventType::new("seen", 1).part_of(&["seen_and_heard"]);
const LOST: EventType = EventType::new("lost", 1);

/// An event type by hand, of one event: what its kind is, and for how many events a name stands, if
/// it can be read.
macro_rules! by_hand {
    ($name:ident, $kind:expr, $read:expr) => {
        #[derive(Debug, PartialEq)]
        struct $name;

        impl Event for $name {
            const TYPES: &'static [EventType] = &[SEEN];
            const RETIRED: &'static [&'static str] = &["lost"];

            fn event_type(&self) -> &'static EventType {
                $kind
            }

            fn encode(&self, _: &mut Metadata) -> Result<Payload, EncodeError> {
                Ok(Payload::of(&()).expect("null is JSON"))
            }

            fn decode(stored: StoredEvent<'_>) -> Result<Decoded<Self>, DecodeError> {
                let read: fn(&str, u32) -> Option<usize> = $read;
                match read(stored.event_type, stored.schema_version) {
                    None => Err(DecodeError::UnknownType {
                        event_type: stored.event_type.to_owned(),
                        known: vec!["seen"],
                    }),
                    Some(0) => Ok(Decoded::Nothing),
                    Some(1) => Ok(Decoded::One($name)),
                    Some(events) => Ok(Decoded::Several((0..events).map(|_| $name).collect())),
                }
            }
        }
    };
}

#[test]
fn what_is_written_under_a_name_of_the_past_is_found() {
    const LAW: &str = "retired_names_are_never_written";
    const BOTH: EventType = EventType::new("seen_and_heard", 1);
    by_hand!(Lost, &LOST, |_, _| Some(1));
    let checked = laws::retired_names_are_never_written(Just(()).prop_map(|()| Lost));
    broken(checked, LAW, "it is written as `lost`, which is retired");

    by_hand!(Both, &BOTH, |_, _| Some(1));
    let checked = laws::retired_names_are_never_written(Just(()).prop_map(|()| Both));
    broken(checked, LAW, "it is written as `seen_and_heard`, which was split");
}

#[test]
fn a_name_of_the_past_that_is_read_as_it_must_not_be_is_found() {
    const LAW: &str = "decode_never_panics";
    by_hand!(Kept, &SEEN, |name, version| match (name, version) {
        ("seen" | "lost", 1) => Some(1),
        ("lost", _) => Some(0),
        _ => None,
    });
    let checked = laws::decode_never_panics(Just(()).prop_map(|()| Kept));
    broken(checked, LAW, "`lost` is retired, and was read as Ok(One(Kept))");

    by_hand!(Versionless, &SEEN, |name, version| match (name, version) {
        ("seen", 1) => Some(1),
        ("lost", _) => Some(0),
        ("seen_and_heard", _) => Some(2),
        _ => None,
    });
    let checked = laws::decode_never_panics(Just(()).prop_map(|()| Versionless));
    broken(checked, LAW, "`seen_and_heard` was read in schema version 0");

    const ALONE: EventType = EventType::new("seen", 1);
    by_hand!(NoPart, &ALONE, |name, version| match (name, version) {
        ("seen", 1) => Some(1),
        ("lost", _) => Some(0),
        ("seen_and_heard", 1..) => Some(2),
        _ => None,
    });
    let checked = laws::decode_never_panics(Just(()).prop_map(|()| NoPart));
    broken(checked, LAW, "`seen_and_heard` was read as seen v1, which is no part of it");
}
