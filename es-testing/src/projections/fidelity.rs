//! Generated documents through the whole path: written, projected, rebuilt, opened again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use es_core::backend::{
    AppendRequest, Definition, EventStore, Limits, ListParked, NewEvent, RawKeying, Slot, StreamId,
    check_json,
};
use es_core::event::{EventFilter, EventId, Payload, RecordedEvent};
use es_core::projection::{FailurePolicy, Rebuild};
use serde::Deserialize;
use serde_json::json;

use super::ProjectionFixture;
use super::models::{caught_up, runner};
use super::parts::*;
use crate::contract::documents::{document, text};
use crate::contract::names;

const KEPT: &str = "document_kept";

/// What an event says.
#[derive(Deserialize)]
struct Kept {
    key: String,
    value: Payload,
}

/// The documents under each key, each around the one before it.
struct Documents;

impl Documents {
    const NAME: &str = "documents";

    fn model() -> Definition {
        let keying = RawKeying::Across(Arc::new(|event: &RecordedEvent| {
            Ok(vec![event.payload.decode::<Kept>()?.key])
        }));
        let kept = EventFilter::all().stored_name(KEPT);
        let model =
            Definition::rows(Self::NAME, 1, kept, keying, |_, row: Option<Payload>, event| {
                let kept: Kept = event.payload.decode()?;
                Ok(Some(around(row.as_ref(), &kept.value)))
            });
        model.on_failure(FailurePolicy::park_key())
    }
}

/// Each stream's event.
struct Streams;

impl Streams {
    const NAME: &str = "streams";

    fn model() -> Definition {
        let kept = EventFilter::all().stored_name(KEPT);
        Definition::rows(Self::NAME, 1, kept, RawKeying::Streams, |key, row, event| {
            assert_eq!(key, event.stream.to_string(), "a row of each stream");
            assert_eq!(row, None::<EventId>, "one event of each stream");
            Ok(Some(event.event_id))
        })
    }
}

fn around(row: Option<&Payload>, value: &Payload) -> Payload {
    let before = row.map_or("null", Payload::as_str);
    Payload::parse(format!("[{before},{value}]")).expect("the parts are JSON")
}

/// What must be in the model, from the rules alone.
#[derive(Default)]
struct Expected {
    rows: BTreeMap<String, Payload>,
    /// Keys of which an event waits.
    stuck: BTreeSet<String>,
    waiting: usize,
    /// The event of each stream.
    streams: BTreeMap<String, EventId>,
}

impl Expected {
    fn take(&mut self, stream: &StreamId, event_id: EventId, kept: &Kept) {
        self.streams.insert(stream.to_string(), event_id);
        let limits = Limits::default();
        let row = around(self.rows.get(&kept.key), &kept.value);
        let is_key = (1..=512).contains(&kept.key.len()) && !kept.key.contains('\0');
        let is_row = check_json(row.as_str(), Limits::STATE_BYTES, limits.depth).is_ok()
            && row.canonical().is_ok();
        if !is_key || !is_row || self.stuck.contains(&kept.key) {
            self.waiting += 1;
            // an event without a key waits for itself
            if is_key {
                self.stuck.insert(kept.key.clone());
            }
        } else {
            self.rows.insert(kept.key.clone(), row);
        }
    }

    /// The generated name of a stream that has no event.
    fn new_stream(&self, rng: &mut fastrand::Rng) -> StreamId {
        loop {
            let (kind, id) = names::stream(rng);
            if let Ok(stream) = StreamId::new(&kind, &id)
                && !self.streams.contains_key(&stream.to_string())
            {
                return stream;
            }
        }
    }

    async fn check(&self, sink: &Sink, when: &str) {
        let found = model(sink, Documents::NAME, Slot::Active).await;
        let keys: Vec<_> = found.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, Vec::from_iter(self.rows.keys()), "{when}: the keys in their order");
        for (key, row) in &found {
            let (row, expected) = (row.to_string(), &self.rows[key]);
            let is_same = Payload::parse(row.clone()).is_ok_and(|row| row.same_json(expected));
            assert!(is_same, "{when}: {expected} of key {key:?} came back as {row}");
        }
        let found = model(sink, Streams::NAME, Slot::Active).await;
        let found = found.into_iter().map(|(stream, row)| (stream, row.to_string()));
        let expected =
            self.streams.iter().map(|(stream, id)| (stream.clone(), format!("\"{id}\"")));
        assert!(found.eq(expected), "{when}: a row of each stream, in their order");
        let all = ListParked { limit: usize::MAX, ..ListParked::default() };
        let parked = match sink.parked(Documents::NAME, Slot::Active, &all).await {
            Ok(parked) => parked,
            Err(error) => panic!("{when}: listing what is parked failed: {error}"),
        };
        assert_eq!(parked.len(), self.waiting, "{when}: what cannot be a row waits");
    }
}

/// An event whose key and document are chosen by chance; `None` if no store takes it.
fn generated(rng: &mut fastrand::Rng, batch: u64) -> Option<(NewEvent, Kept)> {
    let mut key = String::new();
    text(rng, &mut key);
    match rng.u8(..32) {
        0 => key = format!("\"{}\"", "k".repeat(rng.usize(500..520))),
        1 => {}
        2 => key = json!(names::text(rng, 512)).to_string(),
        // few keys in a batch, so that rows grow
        _ => key = format!("\"{batch} {}\"", ["a", "é", "A", "\\ud83d\\ude00"][rng.usize(..4)]),
    }
    let said = format!("{{\"key\":{key},\"value\":{}}}", document(rng));
    let payload = Payload::parse(said).expect("the parts are JSON");
    let limits = Limits::default();
    let event = NewEvent::new(new_id(), KEPT, payload);
    let request = AppendRequest::to(stream("1"), ANY, vec![event.clone()]);
    request.check(&limits).ok()?;
    let kept = event.payload.decode().expect("what is taken can be read");
    Some((event, kept))
}

/// Brings both models to the end of the log.
async fn live(store: &Arc<dyn EventStore>, sink: &Sink) {
    let mut runner =
        runner(store, sink, "one").definition(Documents::model()).definition(Streams::model());
    caught_up(&mut runner).await;
    runner.release().await;
}

/// Generated documents under generated keys, in streams of generated names: the model holds them to the
/// last digit, live, rebuilt and opened again; what cannot be a row or a key waits, and keeps no other
/// from its place.
pub(super) async fn generated_rows_come_back_live_and_rebuilt(fixture: &dyn ProjectionFixture) {
    let (store, seed) = (fixture.store(), seed());
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut expected = Expected::default();
    let when = |what: &str| format!("ES_SEED={seed}, {what}");
    for batch in 0..rounds(5, 100) {
        let written: Vec<_> = (0..100).filter_map(|_| generated(&mut rng, batch)).collect();
        for (event, kept) in written {
            // a stream for each, so that one without a key stops no other
            let stream = expected.new_stream(&mut rng);
            expected.take(&stream, event.event_id, &kept);
            append(&store, &stream, NONE, vec![event]).await;
        }
        if rng.u8(..8) == 0 {
            live(&store, &fixture.sink()).await;
        }
    }
    live(&store, &fixture.sink()).await;
    expected.check(&fixture.sink(), &when("live")).await;
    for model in [Documents::model(), Streams::model()] {
        let rebuild = Rebuild::definition(with_models(&store, &fixture.sink()), model);
        if let Err(error) = soon("a rebuild ends", rebuild.slices(3).run()).await {
            panic!("{}: {error}", when("rebuilt"));
        }
    }
    expected.check(&fixture.sink(), &when("rebuilt")).await;
    drop(store);
    if fixture.reopen().await {
        expected.check(&fixture.sink(), &when("opened again")).await;
    }
}
