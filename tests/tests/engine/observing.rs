//! What projections tell of themselves: metrics, spans, health.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use es_core::layer::{Layered, StoreLayer};
use es_core::projection::{
    ApplyError, Blocker, Definition, FailurePolicy, HealthState, LogBlockers, Projection, Runner,
    health,
};
use es_core::{
    AppendRequest, Capabilities, Environment, EventFilter, EventStore, ExpectedVersion, NewEvent,
    Payload, RecordedEvent, Store, StoreError,
};
use es_memory::MemoryStore;
use es_testing::ManualClock;

use super::telemetry::{Kept, Spans};

/// Counts events by account, and cannot take one of the type `poison`.
struct Counted;

impl Projection for Counted {
    const NAME: &'static str = "counted";
    const VERSION: u32 = 1;
    type Row = u64;

    fn selection(&self) -> EventFilter {
        EventFilter::all()
    }

    fn apply(
        &self,
        _key: &str,
        row: Option<u64>,
        event: &RecordedEvent,
    ) -> Result<Option<u64>, ApplyError> {
        if event.event_type == *"poison" {
            return Err("it is poison".into());
        }
        Ok(Some(row.unwrap_or(0) + 1))
    }
}

async fn append(store: &MemoryStore, stream: &str, types: &[&str]) {
    let ids = Environment::default().event_ids;
    let event =
        |event_type: &&str| NewEvent::new(ids.next_id(), event_type, Payload::of(&()).unwrap());
    let events = types.iter().map(event).collect();
    let stream = stream.parse().unwrap();
    store.append(AppendRequest::to(stream, ExpectedVersion::Any, events)).await.unwrap();
}

fn runner(store: &MemoryStore, clock: &ManualClock) -> Runner {
    Runner::new(store.clone())
        .environment(Environment::default().with_clock(clock.clone()))
        .projection_with(Counted, FailurePolicy::park_key())
}

#[tokio::test(flavor = "current_thread")]
async fn metrics_tell_what_was_taken_and_what_is_left() {
    let kept = Kept::default();
    let _guard = metrics::set_default_local_recorder(&kept);
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(Arc::new(clock.clone()));
    append(&store, "account/1", &["paid", "paid"]).await;
    append(&store, "account/2", &["poison", "paid"]).await;
    let mut runner = runner(&store, &clock);
    runner.catch_up().await.unwrap();
    append(&store, "account/1", &["paid", "paid", "paid"]).await;
    clock.step(Duration::from_secs(4));
    let asked = health(store.clone(), &clock, &Definition::of(Counted)).await.unwrap();
    assert_eq!((asked.lag.events, asked.waiting), (3, 2));
    let read = |name: &str| kept.read(name, "projection=counted");
    assert_eq!(read("es.projection.events"), Some(4));
    assert_eq!(read("es.projection.batch.duration"), Some(1));
    assert_eq!(read("es.projection.failures"), None, "what is parked by policy is no failure");
    let gauge = |name: &str| read(name).map(f64::from_bits);
    assert_eq!(gauge("es.projection.lag.events"), Some(3.0));
    assert_eq!(gauge("es.projection.lag.seconds"), Some(4.0));
    assert_eq!(gauge("es.projection.parked"), Some(2.0));
}

#[tokio::test(flavor = "current_thread")]
async fn each_batch_is_a_span_with_the_names_of_open_telemetry() {
    let (spans, clock) = (Spans::of("es_core::projection"), ManualClock::new());
    let _guard = tracing::subscriber::set_default(spans.clone());
    let store = MemoryStore::with_clock(Arc::new(clock.clone()));
    append(&store, "account/1", &["paid", "paid"]).await;
    runner(&store, &clock).catch_up().await.unwrap();
    let spans = spans.take();
    let [span] = &spans[..] else { panic!("one batch is one span, but: {spans:?}") };
    let field = |name: &str| span.get(name).map(String::as_str);
    assert_eq!(field("name"), Some("process"));
    assert_eq!(field("otel.kind"), Some("consumer"));
    assert_eq!(field("messaging.operation.name"), Some("process"));
    assert_eq!(field("messaging.operation.type"), Some("process"));
    assert_eq!(field("messaging.consumer.group.name"), Some("counted"));
    assert_eq!(field("messaging.batch.message_count"), Some("2"));
}

/// Somebody who holds the log back.
struct Importer;

#[async_trait]
impl LogBlockers for Importer {
    async fn blocker(&self) -> Result<Option<Blocker>, StoreError> {
        let (session, description) = ("pid 4711".to_owned(), "importer".to_owned());
        Ok(Some(Blocker { session, description, open_for: Some(Duration::from_secs(9)) }))
    }
}

/// A store that knows of this.
struct HeldBack(Arc<dyn EventStore>);

impl StoreLayer for HeldBack {
    fn inner(&self) -> &Arc<dyn EventStore> {
        &self.0
    }

    fn capabilities(&self, inner: Capabilities) -> Capabilities {
        inner.blockers(Arc::new(Importer))
    }
}

#[tokio::test]
async fn a_writer_that_holds_the_log_back_is_named() {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(Arc::new(clock.clone()));
    append(&store, "account/1", &["paid"]).await;
    let mut runner = runner(&store, &clock);
    runner.catch_up().await.unwrap();
    let definition = Definition::of(Counted);
    let held_back = Store::from(Layered(HeldBack(Arc::new(store.clone()))));
    let ask = async || health(&held_back, &clock, &definition).await.unwrap();
    let asked = ask().await;
    assert_eq!(asked.state, HealthState::BlockedByWriter);
    assert_eq!(asked.state.to_string(), "blocked by a writer");
    assert_eq!(asked.blocked_by.unwrap().session, "pid 4711");
    append(&store, "account/1", &["paid"]).await;
    assert_eq!(ask().await.state, HealthState::Behind, "there is something that can be read");
    append(&store, "account/2", &["poison"]).await;
    runner.catch_up().await.unwrap();
    assert_eq!(ask().await.state, HealthState::Parked);
    runner.release().await;
    assert_eq!(ask().await.state, HealthState::NotRunning);
}

#[tokio::test]
async fn the_rate_is_told_with_the_lease() {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(Arc::new(clock.clone()));
    append(&store, "account/1", &["paid"]).await;
    let mut runner = runner(&store, &clock);
    let handle = runner.handle();
    runner.catch_up().await.unwrap();
    assert_eq!(handle.health().await.unwrap()[0].rate, None, "nothing can be said of a moment");
    clock.step(Duration::from_secs(5));
    append(&store, "account/1", &["paid"; 19]).await;
    runner.catch_up().await.unwrap();
    // the next renewal tells it
    runner.catch_up().await.unwrap();
    let asked = handle.health().await.unwrap().remove(0);
    assert_eq!((asked.rate, asked.state), (Some(4.0), HealthState::Idle));
    let definition = Definition::of(Counted);
    let ask = async || health(store.clone(), &clock, &definition).await.unwrap().rate;
    assert_eq!(ask().await, Some(4.0), "any process is told the same");
    clock.step(Duration::from_secs(11));
    runner.catch_up().await.unwrap();
    assert_eq!(ask().await, None, "it took nothing lately");
    clock.step(Duration::from_secs(5));
    append(&store, "account/1", &["paid"; 6]).await;
    runner.catch_up().await.unwrap();
    runner.release().await;
    assert_eq!(ask().await, None, "nobody runs it");
}
