//! A store that an older program made, and whether it still is what was written.
//!
//! Each backend keeps what its program of the past made of [`requests`] as a fixture, with two
//! snapshots of the first stream and a projection named `mail`. [`check`] reads it all with the
//! program of today, and goes on writing.

use std::collections::BTreeMap;
use std::time::Duration;

use es_core::backend::{
    AppendError, AppendRequest, Batch, Checkpoint, Claim, Content, EventStore, ListParked,
    NewEvent, ProjectionSink, ReadLog, ReadStream, RowChange, Slot, SnapshotStore, StreamId,
};
use es_core::event::{Metadata, MetadataField, Payload};
use es_core::execution::{IdempotencyKey, StreamVersion};
use es_core::projection::ParkedState;
use es_core::{ExpectedVersion, Store};

/// The stream that has snapshots, at the versions 2 and 4.
pub const SNAPSHOTTED: &str = "account/a";

/// The state of its snapshot at this version.
pub fn state(version: u64) -> Payload {
    payload(&format!(r#"{{"balance": {version}, "words": ["grün", "blau"]}}"#))
}

/// The row of the model for each key.
pub const ROWS: [(&str, &str); 4] =
    [("B", r#"{"n": 1}"#), ("a_c", "[1, 2.5, null]"), ("ab", r#""words""#), ("ä", "{}")];

/// The keys under which the first and the second event of the log are parked; the second was
/// discarded.
pub const PARKED: [&str; 2] = ["later", "never"];

/// What the projection is told to be.
pub fn claim() -> Claim {
    Claim::new("mail", "mail v1", Slot::Active, "the past", Duration::from_secs(1))
}

fn payload(text: &str) -> Payload {
    Payload::parse(text.to_owned()).expect("the text is JSON")
}

fn event(number: u64, text: &str) -> NewEvent {
    let id = format!("00000000-0000-7000-8000-{number:012}").parse().expect("the text is a UUID");
    NewEvent::new(id, "thing_happened", payload(text))
}

fn stream(text: &str) -> StreamId {
    text.parse().expect("the text names a stream")
}

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::new(text).expect("the text is a key")
}

/// What was appended, in this order: every JSON form, names that a language sorts in another order
/// than bytes, metadata, keys, and a unit of work.
pub fn requests() -> Vec<AppendRequest> {
    let to = |name: &str, expected, events| AppendRequest::to(stream(name), expected, events);
    let exact = |version| ExpectedVersion::Exact(StreamVersion::new(version));
    let mut metadata = Metadata::new()
        .with(MetadataField::new("note"), "grün 🌱")
        .with(MetadataField::new("actor_id"), 7)
        .with(MetadataField::new("duration_ms"), u32::MAX);
    metadata.correlation_id = Some("workflow_3001_posting_12345".to_owned());
    vec![
        to(SNAPSHOTTED, exact(0), vec![event(1, r#"{"b": 1, "aa": -0.5, "ä": [true, null]}"#)]),
        to(
            SNAPSHOTTED,
            exact(1),
            vec![
                event(2, r#"{"text": "Grüße, \"quoted\" \\ 'single' \n\t 漢字 🌱"}"#),
                event(3, r#"{"long": 9007199254740993, "small": 1.25, "deep": [[[{"x": []}]]]}"#),
            ],
        )
        .with_key(key("two at once")),
        to("account/B", ExpectedVersion::Any, vec![event(4, "{}").with_metadata(metadata)]),
        to("account/a_c", exact(0), vec![event(5, r#"{"n": 5}"#)]).with_key(key("Schlüssel")),
        to("account/ab", exact(0), vec![event(6, r#"{"n": 6}"#)]),
        to("account/Ä", exact(0), vec![event(7, r#"{"n": 7}"#)]),
        to(SNAPSHOTTED, exact(3), vec![event(8, r#"{"n": 8}"#)])
            .and(stream("account/Ä"), exact(1), vec![event(9, r#"{"n": 9}"#)])
            .and(stream("order/a"), exact(0), vec![event(10, r#"{"n": 10}"#)])
            .with_key(key("unit")),
        to(SNAPSHOTTED, exact(4), vec![event(11, r#"{"n": 11}"#)]),
    ]
}

/// Checks that the store holds what was written, and can be gone on with.
///
/// # Panics
///
/// If something is missing or different.
pub async fn check(store: impl Into<Store>) {
    let handle = store.into();
    let (store, capabilities) = (&*handle, handle.capabilities());
    let snapshots = capabilities.snapshots.as_deref().expect("the store keeps snapshots");
    let sink = capabilities.models.as_deref().expect("the store keeps models");
    let log = store.read_log(&ReadLog::from_start()).await.expect("the log is read").events;
    let mut streams: BTreeMap<StreamId, Vec<NewEvent>> = BTreeMap::new();
    let mut read = log.iter();
    for request in requests() {
        for part in request.streams() {
            for event in &part.events {
                let found = read.next().expect("the log holds every event");
                let known = streams.entry(part.stream.clone()).or_default();
                known.push(event.clone());
                assert_eq!((found.event_id, &found.stream), (event.event_id, &part.stream));
                assert_eq!(found.version, StreamVersion::new(known.len() as u64));
                assert_eq!(found.event_type, event.event_type);
                assert!(found.payload.same_json(&event.payload), "{found:?}");
                assert_eq!(found.metadata, event.metadata);
            }
        }
    }
    assert_eq!(read.next(), None, "the log holds no other event");
    for (name, known) in &streams {
        let page = store.read_stream(&ReadStream::new(name.clone())).await;
        let ids: Vec<_> =
            page.expect("the stream is read").events.iter().map(|event| event.event_id).collect();
        let expected: Vec<_> = known.iter().map(|event| event.event_id).collect();
        assert_eq!(ids, expected, "{name}");
    }
    repeats(store).await;
    for version in 1..=5 {
        let up_to = StreamVersion::new(version);
        let latest = snapshots.latest_snapshot(&stream(SNAPSHOTTED), up_to).await;
        // an old one need not be used, but what is used is right
        if let Some(snapshot) = latest.expect("snapshots are read") {
            assert!(snapshot.version <= up_to);
            assert!(snapshot.state.same_json(&state(snapshot.version.as_u64())));
        }
    }
    listing(snapshots).await;
    goes_on(store).await;
    projection(store, sink).await;
}

/// Kept states are listed one after the other, also those that do not tell their last event.
async fn listing(snapshots: &dyn SnapshotStore) {
    let all = snapshots.list_snapshots(None, 100).await.expect("snapshots are listed");
    let (mut listed, mut after) = (Vec::new(), None);
    while let Some(next) =
        snapshots.list_snapshots(after.as_ref(), 1).await.expect("a page is listed").pop()
    {
        listed.push(next.clone());
        after = Some(next);
    }
    assert_eq!(listed, all, "pages of one lead through all of them");
}

/// Keys are known: the same request is answered, another one refused.
async fn repeats(store: &dyn EventStore) {
    for request in requests() {
        let Some(key) = request.idempotency_key().cloned() else { continue };
        let ids: Vec<_> = request.streams().iter().flat_map(|part| &part.events).collect();
        let ids: Vec<_> = ids.iter().map(|event| event.event_id).collect();
        let first = request.streams()[0].stream.clone();
        let found = store.find_append(&first, &key).await.expect("keys are looked up");
        let again = store.append(request).await.expect("a repetition is answered");
        for answer in [found.expect("the key is known"), again] {
            assert!(answer.repeated);
            let parts = answer.streams.iter().flat_map(|part| &part.events);
            assert_eq!(parts.map(|event| event.event_id).collect::<Vec<_>>(), ids);
        }
        let other = AppendRequest::to(first, ExpectedVersion::Any, vec![event(99, "[]")]);
        let refused = store.append(other.with_key(key)).await;
        assert!(matches!(refused, Err(AppendError::KeyReused { .. })), "{refused:?}");
    }
}

/// New events are appended to old streams and new ones, once.
async fn goes_on(store: &dyn EventStore) {
    let end = store.end_of_log().await.expect("the log has an end");
    for (number, name, version) in [(21, SNAPSHOTTED, 5), (22, "account/new", 0)] {
        let expected = ExpectedVersion::Exact(StreamVersion::new(version));
        let new = AppendRequest::to(stream(name), expected, vec![event(number, "{}")]);
        let appended = store.append(new.clone()).await.expect("an append works");
        assert_eq!(appended.streams[0].version(), StreamVersion::new(version + 1));
        assert!(matches!(store.append(new).await, Err(AppendError::Conflict(_))));
    }
    let old = AppendRequest::to(stream("account/x"), ExpectedVersion::Any, vec![event(3, "{}")]);
    assert!(matches!(store.append(old).await, Err(AppendError::DuplicateEvent { .. })));
    let new = store.read_log(&ReadLog::after(end)).await.expect("the log is read").events;
    assert_eq!(new.len(), 2, "the new events come after the old ones: {new:?}");
}

/// The model is what it was, and goes on from where it stood.
async fn projection(store: &dyn EventStore, sink: &dyn ProjectionSink) {
    let status = sink.status(Some("mail")).await.expect("its state is read").remove(0);
    let active = status.active.expect("it has a model");
    assert_eq!((active.fingerprint.as_str(), active.waiting, active.discarded), ("mail v1", 1, 1));
    let from = active.checkpoint().clone();
    let lease = sink.acquire(&claim()).await.expect("nobody holds it");
    let keys: Vec<_> = ROWS.iter().map(|(key, _)| (*key).to_owned()).collect();
    let mut rows = sink.load("mail", Slot::Active, &keys).await.expect("rows are loaded");
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(rows.len(), ROWS.len());
    for (row, (key, value)) in rows.iter().zip(ROWS) {
        assert_eq!(row.key, key);
        assert!(row.value.same_json(&payload(value)), "{row:?}");
    }
    let listed = sink.rows("mail", Slot::Active, None, 10).await.expect("rows are listed");
    assert_eq!(listed, rows, "in the order of bytes");
    let parked = sink.parked("mail", Slot::Active, &ListParked::default()).await;
    let parked = parked.expect("parked events are listed");
    let log = store.read_log(&ReadLog::from_start()).await.expect("the log is read").events;
    for (number, entry) in parked.iter().enumerate() {
        assert_eq!((&*entry.key, entry.event.event_id), (PARKED[number], log[number].event_id));
        assert_eq!(matches!(entry.state, ParkedState::Discarded { .. }), number == 1);
    }
    assert_eq!(parked.len(), 2);
    let next = store.read_log(&ReadLog::after(from.position)).await.expect("the log goes on");
    let last = next.events.last().expect("there are new events");
    let mut batch = Batch::moving(0, from, Checkpoint::at(last)).content(Content::Rows(vec![
        RowChange { key: "new".to_owned(), value: Some(payload("1")) },
        RowChange { key: "B".to_owned(), value: None },
    ]));
    batch.unpark = vec![parked[0].id()];
    sink.commit(&lease, &batch).await.expect("the model goes on");
    let rows = sink.rows("mail", Slot::Active, None, 10).await.expect("rows are listed");
    let keys: Vec<_> = rows.iter().map(|row| row.key.as_str()).collect();
    assert_eq!(keys, ["a_c", "ab", "new", "ä"]);
    sink.wait_reached("mail", last.position).await.expect("it has come there");
}
