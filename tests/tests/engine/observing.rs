//! What projections tell of themselves: metrics, spans, health.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use es_core::backend::{Capabilities, Definition, EventStore, LogBlockers, RawKeying, StoreError};
use es_core::environment::Environment;
use es_core::event::EventFilter;
use es_core::layer::{Layered, StoreLayer};
use es_core::projection::{Blocker, FailurePolicy, HealthState, Subscription};
use es_core::{Runner, Store};
use es_memory::MemoryStore;
use es_testing::ManualClock;

use super::account::append;
use super::telemetry::{Kept, Spans};

/// Counts events by account, and cannot take one of the type `poison`.
fn counted() -> Definition {
    let (all, keying) = (EventFilter::all(), RawKeying::Streams);
    let model = Definition::rows("counted", 1, all, keying, |_, row, event| {
        if event.event_type == *"poison" {
            return Err("it is poison".into());
        }
        Ok(Some(row.unwrap_or(0_u64) + 1))
    });
    model.on_failure(FailurePolicy::park_key())
}

fn subscription(store: impl Into<Store>, clock: &ManualClock) -> Subscription {
    let environment = Environment::default().with_clock(clock.clone());
    Subscription::definition(store, counted()).with_environment(environment)
}

fn runner(store: &MemoryStore, clock: &ManualClock) -> Runner {
    Runner::new(store.clone())
        .environment(Environment::default().with_clock(clock.clone()))
        .definition(counted())
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
    let asked = subscription(store.clone(), &clock).health().await.unwrap();
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
struct Importer(Blocker);

#[async_trait]
impl LogBlockers for Importer {
    async fn blocker(&self) -> Result<Option<Blocker>, StoreError> {
        Ok(Some(self.0.clone()))
    }
}

/// A store that knows of this.
pub(super) struct HeldBack(pub(super) Arc<dyn EventStore>, pub(super) Blocker);

impl StoreLayer for HeldBack {
    fn inner(&self) -> &Arc<dyn EventStore> {
        &self.0
    }

    fn capabilities(&self, inner: Capabilities) -> Capabilities {
        inner.blockers(Arc::new(Importer(self.1.clone())))
    }
}

#[tokio::test]
async fn a_writer_that_holds_the_log_back_is_named() {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(Arc::new(clock.clone()));
    append(&store, "account/1", &["paid"]).await;
    let mut runner = runner(&store, &clock);
    runner.catch_up().await.unwrap();
    let (session, description) = ("pid 4711".to_owned(), "importer".to_owned());
    let by = Blocker { session, description, open_for: Some(Duration::from_secs(9)) };
    let held_back = Store::from(Layered(HeldBack(Arc::new(store.clone()), by)));
    let held_back = subscription(held_back, &clock);
    let ask = async || held_back.health().await.unwrap();
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
    let subscription = subscription(store.clone(), &clock);
    let ask = async || subscription.health().await.unwrap().rate;
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
