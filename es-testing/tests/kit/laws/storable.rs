//! What no store takes is found before a store refuses it.

use es_core::Event;
use es_testing::laws::{events_are_storable, events_round_trip};
use proptest::prelude::{Just, Strategy};
use serde_json::Value;
use serde_json::value::RawValue;

use super::broken;

const LAW: &str = "events_are_storable";

#[derive(Event, Debug, Clone, PartialEq)]
enum Noted {
    TextNoted {
        text: String,
        #[event(metadata)]
        label: Value,
    },
}
use Noted::TextNoted;

fn noted(text: &str, label: Value) -> impl Strategy<Value = Noted> {
    Just(TextNoted { text: text.to_owned(), label })
}

/// As many arrays around null.
fn nested(depth: usize) -> Value {
    (0..depth).fold(Value::Null, |value, _| Value::Array(vec![value]))
}

#[test]
fn ordinary_content_is_storable() {
    // the metadata itself is the outermost level
    events_are_storable(noted("Straße \u{1F600} \\u0000", nested(63))).unwrap();
}

#[test]
fn the_character_nul_is_found_though_it_round_trips() {
    let events = ".*".prop_map(|text| TextNoted { text, label: Value::Null });
    events_round_trip(events.clone()).unwrap();
    let checked = events_are_storable(events);
    broken(checked.clone(), LAW, "no store takes its payload: a string at `/text` contains U+0000");
    broken(checked, LAW, "text: \"\\0\"");
}

#[test]
fn nul_in_metadata_is_found() {
    let checked = events_are_storable(noted("", Value::from("a\0")));
    broken(checked, LAW, "no store takes its metadata: a string at `/label` contains U+0000");
}

#[test]
fn deep_nesting_is_found() {
    events_round_trip(noted("", nested(64))).unwrap();
    let checked = events_are_storable(noted("", nested(64)));
    broken(checked, LAW, "metadata: nested deeper than 64 levels");
    // deeper than serde_json reads
    let checked = events_are_storable(noted("", nested(500)));
    broken(checked, LAW, "metadata: nested deeper than 64 levels");
}

#[test]
fn large_metadata_is_found() {
    let checked = events_are_storable(noted("", Value::from("x".repeat(64 * 1024))));
    broken(checked, LAW, "more than the limit of 65536");
}

#[test]
fn half_of_a_surrogate_pair_is_found() {
    #[derive(Event, Debug)]
    enum Raw {
        TextNoted { text: Box<RawValue> },
    }
    let events = Just("\"\\ud800\"").prop_map(|text| Raw::TextNoted {
        text: RawValue::from_string(text.to_owned()).expect("it is JSON"),
    });
    broken(events_are_storable(events), LAW, "half of a surrogate pair");
}
