//! What some store would give back in another form is judged in that form, on every store.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use es_core::projection::{ApplyError, Definition, Projection};
use es_core::{
    Aggregate, Event, EventFilter, EventStore, ExecuteError, Metadata, ReadStream, RecordedEvent,
    Repository, SnapshotQueue, SnapshotStore, Snapshotted, StreamVersion,
};
use es_memory::MemoryStore;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// serde reads its content only if the tag comes first, and a database may put it last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
enum Reading {
    Histogram(BTreeMap<i64, u32>),
    Total(u128),
    Text(String),
}

#[derive(Event, Debug, Clone, PartialEq)]
enum MeterEvent {
    ReadingTaken { reading: Reading },
    LimitSet { limit: Option<f64> },
    AnythingNoted { note: Value },
    TotalReset {},
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Meter {
    notes: Vec<Value>,
    total: Option<Reading>,
}

impl Aggregate for Meter {
    const TYPE: &'static str = "meter";
    type Id = String;
    type Event = MeterEvent;

    fn evolve(&mut self, event: &MeterEvent) {
        match event {
            MeterEvent::AnythingNoted { note } => self.notes.push(note.clone()),
            MeterEvent::TotalReset {} => self.total = Some(Reading::Total(0)),
            _ => {}
        }
    }
}

impl Snapshotted for Meter {
    const REVISION: u32 = 1;
}

fn id() -> String {
    "m".to_owned()
}

async fn events(store: &MemoryStore) -> Vec<RecordedEvent> {
    store.read_stream(&ReadStream::new("meter/m".parse().unwrap())).await.unwrap().events
}

#[tokio::test]
async fn an_event_that_another_order_of_keys_makes_unreadable_is_not_written() {
    let store = Arc::new(MemoryStore::new());
    let meters: Repository<Meter> = Repository::new(store.clone());
    for reading in [Reading::Histogram([(1, 2)].into()), Reading::Total(7)] {
        let event = MeterEvent::ReadingTaken { reading };
        let error = meters.record(&id(), |_| event.clone()).await.unwrap_err();
        assert!(matches!(error, ExecuteError::Unreadable { .. }), "{error:?}");
    }
    assert_eq!(events(&store).await, []);
    let event = MeterEvent::ReadingTaken { reading: Reading::Text("x".to_owned()) };
    meters.record(&id(), |_| event.clone()).await.unwrap();
    meters.load(&id()).await.unwrap();
}

#[tokio::test]
async fn what_is_not_finite_is_not_written_wherever_it_stands() {
    let store = Arc::new(MemoryStore::new());
    let meters: Repository<Meter> = Repository::new(store.clone());
    for limit in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
        let event = MeterEvent::LimitSet { limit: Some(limit) };
        let error = meters.record(&id(), |_| event.clone()).await.unwrap_err();
        assert!(matches!(error, ExecuteError::Encode(_)), "{error:?}");
    }
    assert_eq!(events(&store).await, []);
    meters.record(&id(), |_| MeterEvent::LimitSet { limit: None }).await.unwrap();
}

#[tokio::test]
async fn a_command_answers_what_a_load_gives() {
    let store = Arc::new(MemoryStore::new());
    let meters: Repository<Meter> = Repository::new(store.clone());
    let note = json!({"bb": 1e16, "a": -0.0, "c": [1e300, 0.1]});
    let executed =
        meters.record(&id(), |_| MeterEvent::AnythingNoted { note: note.clone() }).await.unwrap();
    assert_eq!(meters.load(&id()).await.unwrap().state, executed.state);
    assert_eq!(executed.state.notes[0]["bb"], json!(10_000_000_000_000_000_u64));
    let stored = events(&store).await;
    assert!(stored[0].payload.as_str().starts_with(r#"{"note":{"a":0.0,"c":[1000"#));
}

#[tokio::test]
async fn a_state_that_would_not_come_back_is_not_kept() {
    let store = Arc::new(MemoryStore::new());
    let (queue, worker) = SnapshotQueue::new(store.clone(), 10);
    tokio::spawn(worker.run());
    let meters: Repository<Meter> = Repository::new(store.clone());
    let meters = meters.with_snapshots(store.clone(), queue.clone(), 1);
    let mut kept = Vec::new();
    let note = MeterEvent::AnythingNoted { note: json!(1) };
    for event in [note, MeterEvent::TotalReset {}] {
        meters.record(&id(), |_| event.clone()).await.unwrap();
        queue.flush().await;
        let stream = "meter/m".parse().unwrap();
        let snapshot = store.latest_snapshot(&stream, StreamVersion::MAX).await.unwrap();
        kept.push(snapshot.map(|snapshot| snapshot.version.as_u64()));
    }
    assert_eq!(kept, [Some(1), Some(1)]);
}

/// Makes the same row of each event.
struct Makes<R>(R);

impl<R> Projection for Makes<R>
where
    R: Clone + Serialize + for<'a> Deserialize<'a> + Send + Sync + 'static,
{
    const NAME: &'static str = "makes";
    const VERSION: u32 = 1;
    type Row = R;

    fn selection(&self) -> EventFilter {
        EventFilter::all()
    }

    fn apply(&self, _: &str, _: Option<R>, _: &RecordedEvent) -> Result<Option<R>, ApplyError> {
        Ok(Some(self.0.clone()))
    }
}

#[tokio::test]
async fn a_row_that_would_not_come_back_is_a_failure_of_its_event() {
    let store = Arc::new(MemoryStore::new());
    let meters: Repository<Meter> = Repository::new(store.clone());
    meters.record(&id(), |_| MeterEvent::TotalReset {}).await.unwrap();
    let events = events(&store).await;
    let changes = |definition: Definition| definition.changes(&events, &HashMap::new());
    assert!(changes(Makes(Reading::Histogram([(1, 2)].into())).into()).is_err());
    assert!(changes(Makes(Some(f64::INFINITY)).into()).is_err());
    assert!(changes(Makes(vec![0.5, f64::NAN]).into()).is_err());
    assert!(changes(Makes(json!({"$serde_json::private::RawValue": "1"})).into()).is_err());
    let rows = changes(Makes(json!({"bb": 1e3, "a": null})).into()).unwrap();
    assert_eq!(rows[0].value.as_ref().unwrap().as_str(), r#"{"a":null,"bb":1000.0}"#);
}

fn trimmed<'de, D: serde::Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    String::deserialize(from).map(|text| text.trim().to_owned())
}

/// What is read otherwise than it is written, and what only seems to be.
#[derive(Event, Debug, Clone, PartialEq)]
enum LabelEvent {
    LabelSet {
        #[serde(deserialize_with = "trimmed")]
        label: String,
    },
    OwnerNoted {
        #[event(metadata)]
        owner: Owner,
        #[event(metadata)]
        conversation_id: Option<i64>,
    },
    TagsSet {
        tags: HashSet<String>,
        #[event(metadata)]
        kinds: HashSet<u32>,
        #[event(metadata)]
        total: u128,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Owner(#[serde(deserialize_with = "trimmed")] String);

#[derive(Debug, Clone, Default, PartialEq)]
struct Labels(Vec<LabelEvent>);

impl Aggregate for Labels {
    const TYPE: &'static str = "labels";
    type Id = String;
    type Event = LabelEvent;

    fn evolve(&mut self, event: &LabelEvent) {
        self.0.push(event.clone());
    }
}

#[tokio::test]
async fn an_event_that_is_read_back_as_another_one_is_not_written() {
    let store = Arc::new(MemoryStore::new());
    let labels: Repository<Labels> = Repository::new(store.clone());
    let owner = |owner: &str| LabelEvent::OwnerNoted {
        owner: Owner(owner.to_owned()),
        conversation_id: None,
    };
    for (event, part, told) in [
        (LabelEvent::LabelSet { label: "a ".to_owned() }, "payload", r#"/label: "a " -> "a""#),
        (owner(" b"), "metadata", r#"/owner: " b" -> "b""#),
    ] {
        let error = labels.record(&id(), |_| event.clone()).await.unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
        let ExecuteError::Changed { part: found, .. } = error else { panic!("{error:?}") };
        assert_eq!(found, part);
    }
    let tags = (0..20).map(|n| n.to_string()).collect();
    let (kinds, total) = ((0..20).collect(), u128::MAX);
    let honest = [
        LabelEvent::LabelSet { label: "a".to_owned() },
        LabelEvent::TagsSet { tags, kinds, total },
    ];
    for event in &honest {
        labels.record(&id(), |_| event.clone()).await.unwrap();
    }
    assert_eq!(labels.load(&id()).await.unwrap().state.0, honest);
    // what the command adds to a field that the event left out is read back with it
    let of = labels.with_metadata(Metadata::new().with("conversation_id", 7));
    of.record(&id(), |_| owner("b")).await.unwrap();
    let state = of.load(&id()).await.unwrap().state;
    let expected =
        LabelEvent::OwnerNoted { owner: Owner("b".to_owned()), conversation_id: Some(7) };
    assert_eq!(state.0[2], expected);
}

#[tokio::test]
async fn a_row_that_is_read_back_as_another_one_is_a_failure_of_its_event() {
    let store = Arc::new(MemoryStore::new());
    let meters: Repository<Meter> = Repository::new(store.clone());
    meters.record(&id(), |_| MeterEvent::TotalReset {}).await.unwrap();
    let events = events(&store).await;
    let changes = |row: &str| {
        let definition: Definition = Makes(Owner(row.to_owned())).into();
        definition.changes(&events, &HashMap::new())
    };
    let error = changes("x ").unwrap_err().to_string();
    assert!(error.contains(r#"(all): "x " -> "x""#), "{error}");
    assert!(changes("x").is_ok());
}
