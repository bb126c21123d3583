//! Spans and metrics of what is asked of a store, with OpenTelemetry's names for databases.

use std::sync::Arc;

use es_core::backend::{
    AppendRequest, Batch, Checkpoint, Claim, Content, Lease, ListParked, NewEvent, PageLimit,
    Position, ProjectionSink, ReadLog, ReadStream, RowChange, SinkError, Slot, Snapshot,
    SnapshotStore, StoreErrorKind, StreamId, Timestamp,
};
use es_core::environment::{EventIds, UuidV7Ids};
use es_core::event::{EventFilter, Metadata, Payload};
use es_core::execution::{IdempotencyKey, Snapshotted, StreamVersion};
use es_core::layer::traced;
use es_core::{ExpectedVersion, Repository, Store};
use es_memory::MemoryStore;
use es_testing::fault::{Call, Faults, Gate};
use futures_util::FutureExt;

use super::account::*;
use super::telemetry::{Fields, Kept, Spans};

/// What stands in ids, keys, payloads and metadata.
const SECRET: &str = "zyx";

fn request(id: &str, expected: ExpectedVersion, count: usize) -> AppendRequest {
    let event = || {
        let payload = Payload::of(&serde_json::json!({ "cents": 1, "note": SECRET })).unwrap();
        let mut event = NewEvent::new(UuidV7Ids.next_id(), "money_deposited", payload);
        event.metadata = Metadata::new().with(TENANT, SECRET.to_owned());
        event
    };
    AppendRequest::to(stream(id), expected, (0..count).map(|_| event()).collect())
}

fn claim(holder: &str) -> Claim {
    Claim::new("totals", "v1", Slot::Active, holder, Lease::LONGEST)
}

/// The only span since the last look, without what all have.
fn only(spans: &Spans, operation: &str) -> Fields {
    let mut all = spans.take();
    assert_eq!(all.len(), 1, "one call is one span, but: {all:?}");
    let mut span = all.remove(0);
    let named = format!("{operation} es.memory");
    for (name, value) in [
        ("name", "es.store"),
        ("otel.kind", "client"),
        ("otel.name", named.as_str()),
        ("db.system.name", "es.memory"),
        ("db.operation.name", operation),
    ] {
        assert_eq!(span.remove(name).as_deref(), Some(value), "{operation}: {name}");
    }
    span
}

/// What exporters look at.
const STATUS: (&str, &str) = ("otel.status_code", "ERROR");

fn fields(fields: &[(&str, &str)]) -> Fields {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test(flavor = "current_thread")]
async fn each_call_is_a_span_and_a_duration_with_the_names_of_open_telemetry() {
    let (kept, spans) = (Kept::default(), Spans::of("es_core::layer"));
    let _recording = metrics::set_default_local_recorder(&kept);
    let _watching = tracing::subscriber::set_default(spans.clone());
    let faults = Faults::new();
    let store = traced(faults.over(MemoryStore::new()));
    let of_accounts = ("db.collection.name", "account");

    store.append(request("a", ExpectedVersion::NoStream, 2)).await.unwrap();
    let span = only(&spans, "append");
    assert_eq!(span, fields(&[of_accounts, ("db.operation.batch.size", "2")]));
    let failed = |error| fields(&[of_accounts, ("error.type", error), STATUS]);
    store.append(request("a", ExpectedVersion::NoStream, 1)).await.unwrap_err();
    assert_eq!(only(&spans, "append"), failed("conflict"));
    faults.fail(Call::Append, 1, StoreErrorKind::Busy);
    store.append(request("a", ExpectedVersion::Any, 1)).await.unwrap_err();
    assert_eq!(only(&spans, "append"), failed("busy"));
    faults.delay(Call::Append, 1, Gate::new());
    assert!(store.append(request("a", ExpectedVersion::Any, 1)).now_or_never().is_none());
    assert_eq!(only(&spans, "append"), failed("cancelled"));
    let other = StreamId::new("audit", "1").unwrap();
    let event = NewEvent::new(UuidV7Ids.next_id(), "looked_at", Payload::of(&1).unwrap());
    let both = request("a", ExpectedVersion::Any, 1).and(other, ExpectedVersion::Any, vec![event]);
    let both = both.with_key(IdempotencyKey::new("k").unwrap());
    for _ in 0..2 {
        store.append(both.clone()).await.unwrap();
        assert_eq!(only(&spans, "append"), fields(&[("db.operation.batch.size", "2")]));
    }

    let rows = |count| ("db.response.returned_rows", count);
    let key = IdempotencyKey::new("k").unwrap();
    store.find_append(&stream("a"), &key).await.unwrap().unwrap();
    assert_eq!(only(&spans, "find_append"), fields(&[of_accounts, rows("2")]));
    store.read_stream(&ReadStream::new(stream("a"))).await.unwrap();
    assert_eq!(only(&spans, "read_stream"), fields(&[of_accounts, rows("3")]));
    store.read_log(&ReadLog::from_start()).await.unwrap();
    assert_eq!(only(&spans, "read_log"), fields(&[rows("4")]));
    let filter = EventFilter::all().aggregate::<Account>();
    store.read_log(&ReadLog::from_start().filter(filter)).await.unwrap();
    assert_eq!(only(&spans, "read_log"), fields(&[of_accounts, rows("3")]));
    store.end_of_log().await.unwrap();
    assert_eq!(only(&spans, "end_of_log"), Fields::new());
    store.wait_past(Position::START).await.unwrap();
    assert_eq!(spans.take(), Vec::<Fields>::new(), "what waits has none");

    let read = |operation: &str, error: &str| {
        let labels = format!("db.system.name=es.memory,db.operation.name={operation}{error}");
        kept.read("db.client.operation.duration", &labels)
    };
    assert_eq!(read("append", ""), Some(3));
    assert_eq!(read("append", ",error.type=conflict"), Some(1));
    assert_eq!(read("append", ",error.type=busy"), Some(1));
    assert_eq!(read("append", ",error.type=cancelled"), Some(1));
    assert_eq!(read("read_log", ""), Some(2));
    assert_eq!(read("wait_past", ""), None);
    let written = kept.read("es.append.events", "db.system.name=es.memory");
    assert_eq!(written, Some(4), "a repeat writes nothing");
}

#[tokio::test(flavor = "current_thread")]
async fn snapshots_and_models_are_traced_too() {
    let spans = Spans::of("es_core::layer");
    let _watching = tracing::subscriber::set_default(spans.clone());
    let memory = MemoryStore::new();
    let store = traced(memory.clone());
    assert!(store.is(&Store::from(memory)));
    store.append(request("a", ExpectedVersion::NoStream, 3)).await.unwrap();
    spans.take();
    // a kept state and the events after it stay one call
    let accounts = Repository::<Account>::new(&store).snapshot_every(0);
    assert_eq!(accounts.load("a").await.unwrap().state.balance, 3);
    let span = only(&spans, "latest_with_tail");
    let expected = [("db.collection.name", "account"), ("db.response.returned_rows", "3")];
    assert_eq!(span, fields(&expected));

    let models = store.capabilities().models.clone().unwrap();
    let lease = models.acquire(&claim("one")).await.unwrap();
    let of_totals = ("db.collection.name", "totals");
    assert_eq!(only(&spans, "acquire"), fields(&[of_totals]));
    let refused = models.acquire(&claim("two")).await;
    assert!(matches!(refused, Err(SinkError::Held { .. })), "{refused:?}");
    assert_eq!(only(&spans, "acquire"), fields(&[of_totals, ("error.type", "held"), STATUS]));
    let here = lease.checkpoints[0].clone();
    let mut batch = Batch::moving(0, here.clone(), here);
    batch.events = 7;
    models.commit(&lease, &batch).await.unwrap();
    let span = only(&spans, "commit");
    assert_eq!(span, fields(&[of_totals, ("db.operation.batch.size", "7")]));
    models.status(None).await.unwrap();
    assert_eq!(only(&spans, "status"), fields(&[("db.response.returned_rows", "1")]));
    models.wait_reached("totals", Position::START).await.unwrap();
    assert_eq!(spans.take(), Vec::<Fields>::new(), "what waits has none");
}

#[tokio::test(flavor = "current_thread")]
async fn nothing_that_somebody_wrote_is_told() {
    let (kept, spans) = (Kept::default(), Spans::of("es_core"));
    let _recording = metrics::set_default_local_recorder(&kept);
    let _watching = tracing::subscriber::set_default(spans.clone());
    let store = traced(MemoryStore::new());
    let (stream, key) = (stream(SECRET), IdempotencyKey::new(SECRET).unwrap());
    let keyed = request(SECRET, ExpectedVersion::NoStream, 3).with_key(key.clone());
    let appended = store.append(keyed).await.unwrap();
    store.append(request(SECRET, ExpectedVersion::NoStream, 1)).await.unwrap_err();
    store.append(request(SECRET, ExpectedVersion::Any, 2).with_key(key.clone())).await.unwrap_err();
    store.find_append(&stream, &key).await.unwrap();
    store.read_stream(&ReadStream::new(stream.clone())).await.unwrap();
    store.read_log(&ReadLog::from_start()).await.unwrap();

    let snapshots: Arc<dyn SnapshotStore> = store.capabilities().snapshots.clone().unwrap();
    let newest = appended.streams[0].events[2];
    let snapshot = Snapshot::new(
        stream.clone(),
        newest.version,
        newest.event_id,
        Account::fingerprint(),
        Payload::of(SECRET).unwrap(),
        Timestamp::EPOCH,
    );
    snapshots.save_snapshot(snapshot).await.unwrap();
    snapshots.latest_snapshot(&stream, StreamVersion::MAX).await.unwrap().unwrap();
    let page = PageLimit::default();
    snapshots.latest_with_tail(&stream, StreamVersion::MAX, page).await.unwrap().unwrap();
    snapshots.list_snapshots(None, 9).await.unwrap();
    snapshots.prune_snapshots(&stream, 1).await.unwrap();
    snapshots.delete_snapshots(&stream).await.unwrap();

    let models: Arc<dyn ProjectionSink> = store.capabilities().models.clone().unwrap();
    let lease = models.acquire(&claim(SECRET)).await.unwrap();
    models.acquire(&claim("other")).await.unwrap_err();
    let row = RowChange { key: SECRET.to_owned(), value: Some(Payload::of(SECRET).unwrap()) };
    let to = Checkpoint { position: newest.position, event: None };
    let batch = Batch::moving(0, lease.checkpoints[0].clone(), to);
    models.commit(&lease, &batch.content(Content::Rows(vec![row]))).await.unwrap();
    models.load("totals", Slot::Active, &[SECRET.to_owned()]).await.unwrap();
    models.rows("totals", Slot::Active, Some(SECRET), 9).await.unwrap();
    models.report(&lease, Some(SECRET)).await.unwrap();
    models.parked("totals", Slot::Active, &ListParked::default()).await.unwrap();
    models.request_retry("totals", Slot::Active, SECRET).await.unwrap_err();
    models.status(Some("totals")).await.unwrap();
    models.release(&lease).await.unwrap();

    let spans = spans.take();
    assert!(spans.len() >= 22, "{} spans", spans.len());
    for text in spans.iter().flat_map(|span| span.values()).chain(&kept.names()) {
        assert!(!text.contains(SECRET), "{text}");
    }
}
