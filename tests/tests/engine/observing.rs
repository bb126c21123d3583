//! What projections tell of themselves: metrics, spans, health.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use es_core::projection::{
    Blocker, Definition, FailurePolicy, HealthState, LogBlockers, RawKeying, Runner, Subscription,
};
use es_core::{
    AppendRequest, Capabilities, Environment, EventFilter, EventStore, ExpectedVersion, NewEvent,
    Payload, Store, StoreError,
};
use es_memory::MemoryStore;
use es_testing::ManualClock;
use es_testing::wrapper::{Wrapped, Wrapper};
use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Recorder, SharedString, Unit};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

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

async fn append(store: &MemoryStore, stream: &str, types: &[&str]) {
    let ids = Environment::default().event_ids;
    let event =
        |event_type: &&str| NewEvent::new(ids.next_id(), event_type, Payload::of(&()).unwrap());
    let events = types.iter().map(event).collect();
    let stream = stream.parse().unwrap();
    store.append(AppendRequest::to(stream, ExpectedVersion::Any, events)).await.unwrap();
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

/// Keeps the sum of each counter, the last value of each gauge, and how often a histogram was fed.
#[derive(Default)]
struct Kept {
    values: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
}

struct Fed(Arc<AtomicU64>);

impl HistogramFn for Fed {
    fn record(&self, _: f64) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Kept {
    fn value(&self, key: &Key) -> Arc<AtomicU64> {
        let labels: Vec<_> =
            key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = format!("{} {}", key.name(), labels.join(","));
        self.values.lock().unwrap().entry(name).or_default().clone()
    }

    fn read(&self, name: &str) -> Option<u64> {
        let values = self.values.lock().unwrap();
        let value = values.get(&format!("{name} projection=counted"))?;
        Some(value.load(Ordering::SeqCst))
    }
}

impl Recorder for Kept {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &metrics::Metadata<'_>) -> Counter {
        Counter::from_arc(self.value(key))
    }

    fn register_gauge(&self, key: &Key, _: &metrics::Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.value(key))
    }

    fn register_histogram(&self, key: &Key, _: &metrics::Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Fed(self.value(key))))
    }
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
    assert_eq!(kept.read("es.projection.events"), Some(4));
    assert_eq!(kept.read("es.projection.batch.duration"), Some(1));
    assert_eq!(kept.read("es.projection.failures"), None, "what is parked by policy is no failure");
    let gauge = |name: &str| kept.read(name).map(f64::from_bits);
    assert_eq!(gauge("es.projection.lag.events"), Some(3.0));
    assert_eq!(gauge("es.projection.lag.seconds"), Some(4.0));
    assert_eq!(gauge("es.projection.parked"), Some(2.0));
}

/// Keeps the fields of the spans.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<BTreeMap<String, String>>>>);

struct Fields<'a>(&'a mut BTreeMap<String, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("es_core::projection")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = BTreeMap::from([("name".to_owned(), span.metadata().name().to_owned())]);
        span.record(&mut Fields(&mut fields));
        let mut spans = self.0.lock().unwrap();
        spans.push(fields);
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test(flavor = "current_thread")]
async fn each_batch_is_a_span_with_the_names_of_open_telemetry() {
    let (spans, clock) = (Spans::default(), ManualClock::new());
    let _guard = tracing::subscriber::set_default(spans.clone());
    let store = MemoryStore::with_clock(Arc::new(clock.clone()));
    append(&store, "account/1", &["paid", "paid"]).await;
    runner(&store, &clock).catch_up().await.unwrap();
    let spans = spans.0.lock().unwrap();
    let [span] = &spans[..] else { panic!("one batch is one span, but: {spans:?}") };
    let field = |name: &str| span.get(name).map(|value| value.trim_matches('"'));
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

impl Wrapper for HeldBack {
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
    let held_back = Store::from(Wrapped(HeldBack(Arc::new(store.clone()))));
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
