//! What is too much, and what is just enough.

use es_core::backend::{AppendError, AppendRequest, Limits, NewEvent, Timestamp};
use es_core::event::{Metadata, Payload};

use serde_json::json;

use super::parts::*;
use crate::fixture::Fixture;

/// A JSON string of exactly this many bytes.
fn text_of(bytes: usize) -> Payload {
    raw(format!("\"{}\"", "x".repeat(bytes - 2)))
}

fn raw(text: String) -> Payload {
    Payload::parse(text).expect("the scenario's text is JSON")
}

fn nested(depth: usize) -> Payload {
    raw("[".repeat(depth) + &"]".repeat(depth))
}

fn with(payload: Payload) -> NewEvent {
    NewEvent::new(new_id(), "amount_paid_in", payload)
}

/// Metadata with this one field.
fn metadata(name: &str, document: impl Into<Payload>) -> Metadata {
    let mut metadata = Metadata::new();
    metadata.set_document(name, document);
    metadata
}

/// Metadata of exactly this many bytes.
fn metadata_of(bytes: usize) -> Metadata {
    let frame = r#"{"note":""}"#.len();
    metadata("note", json!("x".repeat(bytes - frame)))
}

/// An event of which payload and metadata have exactly the allowed size once they are stored.
fn spaced(limits: &Limits) -> NewEvent {
    let space = " ".repeat(300);
    let array = |bytes: usize| {
        let text = "x".repeat(bytes - r#"["",1]"#.len());
        raw(format!("{space}[{space}\"{text}\" ,\n{space}1\t]"))
    };
    let note = array(limits.metadata_bytes - r#"{"note":}"#.len());
    with(array(limits.payload_bytes)).with_metadata(metadata("note", note))
}

/// The largest number of events of the largest payload that an append can hold, with empty
/// metadata, and what is left then.
fn full_append(limits: &Limits) -> Vec<NewEvent> {
    let empty = "{}".len();
    let most = limits.payload_bytes + empty;
    let count = (limits.append_bytes / most).min(limits.events - 1);
    let mut events: Vec<_> = (0..count).map(|_| with(text_of(limits.payload_bytes))).collect();
    let left = limits.append_bytes - count * most;
    if (empty + 2..=most).contains(&left) {
        events.push(with(text_of(left - empty)));
    }
    events
}

/// Requests that no backend takes, each with one event too much or one thing wrong in the last
/// place that is looked at.
fn refused(limits: &Limits) -> Vec<(&'static str, AppendRequest)> {
    let to = |events| AppendRequest::to(stream("1"), ANY, events);
    let last = |wrong: NewEvent| to(vec![event(1), event(2), wrong]);
    let twice = event(3);
    let mut overfull = full_append(limits);
    overfull.push(event(1));
    vec![
        ("no event", to(Vec::new())),
        ("no event for the second stream", to(vec![event(1)]).and(stream("2"), ANY, Vec::new())),
        ("one stream twice", to(vec![event(1)]).and(stream("1"), ANY, vec![event(2)])),
        ("one id twice", to(vec![twice.clone(), event(2), twice.clone()])),
        (
            "one id twice, in two streams",
            to(vec![twice.clone()]).and(stream("2"), ANY, vec![event(1), twice]),
        ),
        ("one event too many", to(events(1..=limits.events as u64 + 1))),
        (
            "one event too many in an import",
            to(events(1..=limits.events as u64 + 1)).recorded_at(Timestamp::EPOCH),
        ),
        (
            "one event too many over two streams",
            to(events(1..=limits.events as u64)).and(stream("2"), ANY, vec![event(1)]),
        ),
        ("one byte too much in a payload", last(with(text_of(limits.payload_bytes + 1)))),
        (
            "one byte too much in metadata",
            last(event(3).with_metadata(metadata_of(limits.metadata_bytes + 1))),
        ),
        ("too many bytes in all", to(overfull)),
        ("a payload nested too deeply", last(with(nested(limits.depth + 1)))),
        ("U+0000 in a payload", last(with(raw(r#"{"a":["b\u0000"]}"#.to_owned())))),
        ("U+0000 in a key", last(with(raw(r#"{"a\u0000":1}"#.to_owned())))),
        ("U+0000 in metadata", last(event(3).with_metadata(metadata("note", json!("\0"))))),
        ("half a surrogate pair", last(with(raw(r#""\ud800""#.to_owned())))),
        ("an exponent beyond a double", last(with(raw("[1e309]".to_owned())))),
        (
            "a key that serde_json reserves",
            last(with(raw(r#"[{"a":{"$serde_json::private::RawValue":"[]"}}]"#.to_owned()))),
        ),
        (
            "a reserved key with escapes",
            last(with(raw(r#"{"\u0024serde_json::private::Number" :"1"}"#.to_owned()))),
        ),
        (
            "a reserved key in metadata",
            last(
                event(3).with_metadata(metadata("x", json!({"$serde_json::private::RawValue": 5}))),
            ),
        ),
        (
            "two members of one name",
            last(with(raw(r#"{"by":1,"to":[{"x":1,"y":2,"\u0078":3}]}"#.to_owned()))),
        ),
        (
            "two members of one name in metadata",
            last(
                event(3).with_metadata(metadata("x", raw(r#"{"by":1,"to":2,"by":1}"#.to_owned()))),
            ),
        ),
        (
            "a field that is too long for its index",
            last(event(3).with_metadata(metadata(
                Limits::INDEXED_METADATA[0],
                json!("c".repeat(Limits::INDEXED_BYTES)),
            ))),
        ),
        ("numbers that grow beyond the limit", {
            let numbers = vec!["1e300"; limits.payload_bytes / 300 + 1];
            last(with(raw(format!("[{}]", numbers.join(",")))))
        }),
        (
            "a number with too many digits",
            last(with(raw(format!("[0.{}]", "1".repeat(Limits::NUMBER_BYTES))))),
        ),
        ("an event type in upper case", last(typed_event("AmountPaidIn", 3))),
        ("an empty event type", last(typed_event("", 3))),
        (
            "an event type that is too long",
            last(typed_event(&"n".repeat(Limits::EVENT_TYPE_BYTES + 1), 3)),
        ),
    ]
}

pub(super) async fn a_refused_request_writes_nothing(fixture: &dyn Fixture) {
    let (store, limits) = (fixture.store(), fixture.limits());
    append(&store, &stream("1"), NONE, vec![event(0)]).await;
    let before = read_log(&store).await;
    for (what, request) in refused(&limits) {
        let Err(expected) = request.check(&limits) else {
            panic!("{what}: the scenario's request is within the fixture's limits {limits:?}");
        };
        match store.append(request).await {
            Err(AppendError::Invalid(found)) => {
                assert_eq!(found, expected, "{what}: the refusal names what is wrong");
            }
            Err(error) => panic!("{what} must be refused as such, but: {error}"),
            Ok(_) => panic!("{what} was accepted"),
        }
        assert_eq!(read_log(&store).await, before, "{what}: nothing may be written");
    }
    append(&store, &stream("1"), exactly(1), vec![event(1)]).await;
}

pub(super) async fn what_is_within_the_limits_is_kept(fixture: &dyn Fixture) {
    let (store, limits) = (fixture.store(), fixture.limits());
    let longest = "k".repeat(Limits::IDEMPOTENCY_KEY_BYTES);
    let to = |events| AppendRequest::to(stream("1"), ANY, events);
    let requests = [
        ("as many events as allowed", to(events(1..=limits.events as u64))),
        (
            "as many events as allowed in an import",
            to(events(1..=limits.events as u64)).recorded_at(Timestamp::EPOCH),
        ),
        (
            "as many events as allowed over two streams",
            to(events(2..=limits.events as u64)).and(stream("2"), ANY, vec![event(1)]),
        ),
        (
            "metadata of the allowed size",
            to(vec![event(1).with_metadata(metadata_of(limits.metadata_bytes))]),
        ),
        // among them payloads of the allowed size
        ("as many bytes as allowed", to(full_append(&limits))),
        (
            "a payload and metadata of the allowed size, and white space beside",
            to(vec![spaced(&limits)]),
        ),
        ("a payload of the allowed depth", to(vec![with(nested(limits.depth))])),
        ("the longest key", to(vec![event(1)]).with_key(key(&longest))),
    ];
    for (what, request) in requests {
        let count = request.event_count();
        let written: Vec<NewEvent> =
            request.streams().iter().flat_map(|part| part.events.clone()).collect();
        let before = end_of_log(&store).await;
        if let Err(error) = store.append(request).await {
            panic!("{what} is allowed, but was refused: {error}");
        }
        let found = read_log_after(&store, before).await;
        assert_eq!(found.len(), count, "{what}: all of it is kept");
        // the streams of one append may stand in any order in the log
        for written in &written {
            let found = found.iter().find(|event| event.event_id == written.event_id);
            let Some(found) = found else {
                panic!("{what}: event {} is not kept", written.event_id);
            };
            assert!(found.payload.same_json(&written.payload), "{what}: kept unchanged");
            assert_eq!(found.metadata, written.metadata, "{what}: kept unchanged");
        }
        // what a store gave back, each takes again, in whatever text it gives it back
        if let [only] = &found[..] {
            let again = NewEvent::new(new_id(), "amount_paid_in", only.payload.clone());
            let again = again.with_metadata(only.metadata.clone());
            append(&store, &stream("again"), ANY, vec![again]).await;
        }
    }
}
