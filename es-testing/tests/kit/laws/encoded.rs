//! Types of events that are not written as they are read.

use es_core::event::{
    DecodeError, Decoded, EncodeError, EventType, Metadata, Payload, StoredEvent,
};
use serde_json::Value;

use super::*;

/// A hand-written event type that does what one function pointer says.
macro_rules! by_hand {
    ($name:ident, $types:expr, $kind:expr, $encode:expr, $decode:expr) => {
        #[derive(Debug, PartialEq)]
        struct $name;

        impl Event for $name {
            const TYPES: &'static [EventType] = $types;

            fn event_type(&self) -> &'static EventType {
                $kind
            }

            fn encode(&self, metadata: &mut Metadata) -> Result<Payload, EncodeError> {
                let encode: fn(&mut Metadata) = $encode;
                encode(metadata);
                Ok(Payload::parse("{}".to_owned()).expect("an object is JSON"))
            }

            fn decode(stored: StoredEvent<'_>) -> Result<Decoded<Self>, DecodeError> {
                let decode: fn(StoredEvent<'_>) -> Result<(), DecodeError> = $decode;
                decode(stored).map(|()| Decoded::One($name))
            }
        }
    };
}

const SEEN: EventType = kind("seen", 1);
const HEARD: EventType = kind("heard", 1);

const fn kind(name: &'static str, schema_version: u32) -> EventType {
    EventType::new(name, schema_version)
}

fn unknown(stored: StoredEvent<'_>) -> DecodeError {
    DecodeError::UnknownType { event_type: stored.event_type.to_owned(), known: vec!["seen"] }
}

#[test]
fn encoding_that_sets_the_schema_version_is_found() {
    by_hand!(
        Meddling,
        &[SEEN],
        &SEEN,
        |metadata| metadata.set_document("event_version", Value::from("2.0")),
        |_| Ok(())
    );
    broken(
        laws::events_round_trip(Just(()).prop_map(|()| Meddling)),
        "events_round_trip",
        "sets the schema version",
    );
}

#[test]
fn shared_names_are_found() {
    const ALIASED: EventType = HEARD.aliases(&["seen"]);
    by_hand!(Twice, &[SEEN, ALIASED], &SEEN, |_| {}, |_| Ok(()));
    let checked = laws::kinds_are_distinct(Just(()).prop_map(|()| Twice));
    broken(checked, "kinds_are_distinct", "`seen` is used twice");

    const PART: EventType = HEARD.part_of(&["seen"]);
    by_hand!(Split, &[SEEN, PART], &SEEN, |_| {}, |_| Ok(()));
    let checked = laws::kinds_are_distinct(Just(()).prop_map(|()| Split));
    broken(checked, "kinds_are_distinct", "`seen` is used twice");
}

#[test]
fn kinds_outside_of_the_list_are_found() {
    by_hand!(Unlisted, &[SEEN], &HEARD, |_| {}, |_| Ok(()));
    let checked = laws::kinds_are_distinct(Just(()).prop_map(|()| Unlisted));
    broken(checked, "kinds_are_distinct", "heard v1 is not in TYPES");
}

#[test]
fn a_version_zero_is_found() {
    by_hand!(Zero, &[kind("seen", 0)], &SEEN, |_| {}, |_| Ok(()));
    let checked = laws::kinds_are_distinct(Just(()).prop_map(|()| Zero));
    broken(checked, "kinds_are_distinct", "version 0");
}

#[test]
fn an_upcaster_that_trusts_its_input_is_found() {
    #[derive(Event, Debug)]
    enum Trusting {
        #[event(version = 2, upcast(1 => rename))]
        TextChosen { text: String },
    }

    fn rename(payload: &mut Fields) {
        let old = payload.remove("old").expect("version 1 has this field");
        payload.insert("text", old);
    }
    let events = any::<String>().prop_map(|text| Trusting::TextChosen { text });
    let checked = laws::decode_never_panics(events);
    broken(checked, "decode_never_panics", "panic: version 1 has this field");
}

#[test]
fn reading_what_must_be_refused_is_found() {
    by_hand!(Future, &[SEEN], &SEEN, |_| {}, |stored| {
        match stored.event_type {
            "seen" => Ok(()),
            _ => Err(unknown(stored)),
        }
    });
    let checked = laws::decode_never_panics(Just(()).prop_map(|()| Future));
    broken(checked, "decode_never_panics", "was read in schema version 0");

    by_hand!(Any, &[SEEN], &SEEN, |_| {}, |stored| {
        match stored.schema_version {
            1 => Ok(()),
            _ => Err(unknown(stored)),
        }
    });
    let checked = laws::decode_never_panics(Just(()).prop_map(|()| Any));
    broken(checked, "decode_never_panics", "was not refused");
}

#[test]
fn an_alias_that_is_not_read_is_found() {
    const ALIASED: EventType = SEEN.aliases(&["spotted"]);
    by_hand!(Deaf, &[ALIASED], &ALIASED, |_| {}, |stored| {
        match (stored.event_type, stored.schema_version) {
            ("seen", 1) => Ok(()),
            _ => Err(unknown(stored)),
        }
    });
    let checked = laws::decode_never_panics(Just(()).prop_map(|()| Deaf));
    broken(checked, "decode_never_panics", "unknown event type `spotted`");
}

#[test]
fn a_kind_that_is_never_generated_is_found() {
    let checked = laws::every_kind_is_generated(Just(AccountOpened));
    broken(checked, "every_kind_is_generated", "money_moved, note_changed");
}
