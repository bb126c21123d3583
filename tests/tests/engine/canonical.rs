//! What some store would give back in another form is judged in that form, on every store.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use es_core::backend::{Definition, EventStore, RawKeying, ReadStream, SnapshotStore};
use es_core::event::{EventFilter, Metadata, MetadataField, Payload, RecordedEvent};
use es_core::execution::{EventError, Snapshotted, StreamVersion};
use es_core::{Aggregate, CommandError, Event, Repository};
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
    ReadingTaken {
        reading: Reading,
    },
    LimitSet {
        limit: Option<f64>,
    },
    AnythingNoted {
        note: Value,
    },
    AmountRead {
        amount: Amount,
    },
    FieldsRead {
        amount: u64,
        #[serde(flatten)]
        rest: BTreeMap<String, Value>,
    },
    HeadersRead {
        headers: Headers,
    },
    DocumentCopied {
        doc: Payload,
    },
    TotalReset {},
}

/// What tells an integer from a float, as a `Value` does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Amount {
    Int(i64),
    Float(f64),
}

/// A map that may have several values under one name.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Headers(BTreeMap<String, Vec<String>>);

impl Serialize for Headers {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let all = self.0.iter().flat_map(|(name, all)| all.iter().map(move |one| (name, one)));
        to.collect_map(all)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Meter {
    notes: Vec<Value>,
    total: Option<Reading>,
    amount: Option<Amount>,
    count: u32,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

impl Aggregate for Meter {
    const TYPE: &'static str = "meter";
    type Id = String;
    type Event = MeterEvent;

    fn evolve(&mut self, event: &MeterEvent) {
        match event {
            MeterEvent::AnythingNoted { note } => self.notes.push(note.clone()),
            MeterEvent::TotalReset {} => self.total = Some(Reading::Total(0)),
            MeterEvent::AmountRead { amount } => self.amount = Some(amount.clone()),
            MeterEvent::FieldsRead { rest, .. } => self.rest.clone_from(rest),
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
        let error = meters.by_id(&id()).decide(|_| event.clone()).await.unwrap_err();
        assert!(matches!(error, CommandError::Event(EventError::Unreadable { .. })), "{error:?}");
    }
    assert_eq!(events(&store).await, []);
    let event = MeterEvent::ReadingTaken { reading: Reading::Text("x".to_owned()) };
    meters.by_id(&id()).decide(|_| event.clone()).await.unwrap();
    meters.load(&id()).await.unwrap();
}

#[tokio::test]
async fn what_is_not_finite_is_not_written_wherever_it_stands() {
    let store = Arc::new(MemoryStore::new());
    let meters: Repository<Meter> = Repository::new(store.clone());
    for limit in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
        let event = MeterEvent::LimitSet { limit: Some(limit) };
        let error = meters.by_id(&id()).decide(|_| event.clone()).await.unwrap_err();
        assert!(matches!(error, CommandError::Event(EventError::Encode(_))), "{error:?}");
    }
    assert_eq!(events(&store).await, []);
    meters.by_id(&id()).decide(|_| MeterEvent::LimitSet { limit: None }).await.unwrap();
}

#[tokio::test]
async fn a_command_answers_what_a_load_gives() {
    let store = Arc::new(MemoryStore::new());
    let meters: Repository<Meter> = Repository::new(store.clone());
    let note = json!({"bb": 1e16, "a": -0.0, "c": [1e300, 0.1]});
    let executed = meters
        .by_id(&id())
        .decide(|_| MeterEvent::AnythingNoted { note: note.clone() })
        .await
        .unwrap();
    assert_eq!(meters.load(&id()).await.unwrap().state, executed.state);
    assert_eq!(executed.state.notes[0]["bb"], json!(1e16));
    let stored = events(&store).await;
    assert!(stored[0].payload.as_str().starts_with(r#"{"note":{"a":0.0,"c":[1000"#));
}

#[tokio::test]
async fn a_float_stays_a_float_whatever_its_size() {
    let store = Arc::new(MemoryStore::new());
    let plain: Repository<Meter> = Repository::new(store.clone());
    let kept = plain.clone().snapshot_every(1);
    for power in -30..40 {
        for amount in [Amount::Float(10_f64.powi(power)), Amount::Int(1 << power.max(0))] {
            let event = MeterEvent::AmountRead { amount: amount.clone() };
            let executed = kept.by_id(&id()).decide(|_| event.clone()).await.unwrap();
            assert_eq!(executed.state.amount, Some(amount.clone()));
            kept.flush_snapshots().await;
            for meters in [&plain, &kept] {
                let state = meters.load(&id()).await.unwrap().state;
                assert_eq!(state.amount.as_ref(), Some(&amount), "{power}");
            }
        }
    }
}

#[tokio::test]
async fn an_event_that_says_one_name_twice_is_not_written() {
    let store = Arc::new(MemoryStore::new());
    let meters: Repository<Meter> = Repository::new(store.clone());
    let rest = |name: &str| BTreeMap::from([(name.to_owned(), json!(1_000_000))]);
    let headers = |values: &[&str]| {
        let values = values.iter().map(|&value| value.to_owned()).collect();
        MeterEvent::HeadersRead { headers: Headers([("set-cookie".to_owned(), values)].into()) }
    };
    let twice = [
        (MeterEvent::FieldsRead { amount: 5, rest: rest("amount") }, "/amount"),
        (headers(&["a", "b"]), "/headers/set-cookie"),
    ];
    for (event, place) in twice {
        let error = meters.by_id(&id()).decide(|_| event.clone()).await.unwrap_err();
        let CommandError::Invalid(invalid) = error else { panic!("{error:?}") };
        let told = format!("the member at `{place}` stands twice");
        assert!(invalid.to_string().contains(&told), "{invalid}");
    }
    assert_eq!(events(&store).await, []);
    let once = MeterEvent::FieldsRead { amount: 5, rest: rest("z") };
    meters.by_id(&id()).decide(|_| once.clone()).await.unwrap();
}

#[tokio::test]
async fn what_is_unreadable_is_not_copied_into_an_event_as_null() {
    let store = Arc::new(MemoryStore::new());
    let meters: Repository<Meter> = Repository::new(store.clone());
    let event = MeterEvent::DocumentCopied { doc: Payload::unreadable("event_data of event 7") };
    let error = meters.by_id(&id()).decide(|_| event.clone()).await.unwrap_err();
    let CommandError::Event(EventError::Encode(error)) = error else { panic!("{error:?}") };
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert!(why.contains("event_data of event 7"), "{why}");
    assert_eq!(events(&store).await, []);
}

#[tokio::test]
async fn a_state_that_would_not_come_back_is_not_kept() {
    let store = Arc::new(MemoryStore::new());
    let meters: Repository<Meter> = Repository::new(store.clone());
    let meters = meters.snapshot_every(1);
    let mut kept = Vec::new();
    let note = MeterEvent::AnythingNoted { note: json!(1) };
    let rest = |name: &str| BTreeMap::from([(name.to_owned(), json!(5))]);
    let twice = MeterEvent::FieldsRead { amount: 1, rest: rest("count") };
    let once = MeterEvent::FieldsRead { amount: 1, rest: rest("z") };
    for event in [note, twice, once, MeterEvent::TotalReset {}] {
        meters.by_id(&id()).decide(|_| event.clone()).await.unwrap();
        meters.flush_snapshots().await;
        let stream = "meter/m".parse().unwrap();
        let snapshot = store.latest_snapshot(&stream, StreamVersion::MAX).await.unwrap();
        kept.push(snapshot.map(|snapshot| snapshot.version.as_u64()));
    }
    assert_eq!(kept, [Some(1), Some(1), Some(3), Some(3)]);
}

/// Makes the same row of each event.
fn makes<R>(row: R) -> Definition
where
    R: Clone + Serialize + for<'a> Deserialize<'a> + Send + Sync + 'static,
{
    let (all, keying) = (EventFilter::all(), RawKeying::Streams);
    Definition::rows("makes", 1, all, keying, move |_, _, _| Ok(Some(row.clone())))
}

#[tokio::test]
async fn a_row_that_would_not_come_back_is_a_failure_of_its_event() {
    let store = Arc::new(MemoryStore::new());
    let meters: Repository<Meter> = Repository::new(store.clone());
    meters.by_id(&id()).decide(|_| MeterEvent::TotalReset {}).await.unwrap();
    let events = events(&store).await;
    let changes = |definition: Definition| definition.changes(&events, &HashMap::new());
    assert!(changes(makes(Reading::Histogram([(1, 2)].into()))).is_err());
    assert!(changes(makes(Some(f64::INFINITY))).is_err());
    assert!(changes(makes(vec![0.5, f64::NAN])).is_err());
    assert!(changes(makes(json!({"$serde_json::private::RawValue": "1"}))).is_err());
    let rest = BTreeMap::from([("count".to_owned(), json!(100))]);
    let error = changes(makes(Meter { rest, ..Meter::default() })).unwrap_err().to_string();
    assert!(error.contains("the member at `/count` stands twice"), "{error}");
    let rows = changes(makes(json!({"bb": 1e3, "a": null}))).unwrap();
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
        order_id: Option<i64>,
        #[event(metadata)]
        note: Option<String>,
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
        order_id: None,
        note: None,
    };
    for (event, part, told) in [
        (LabelEvent::LabelSet { label: "a ".to_owned() }, "payload", r#"/label: "a " -> "a""#),
        (owner(" b"), "metadata", r#"/owner: " b" -> "b""#),
    ] {
        let error = labels.by_id(&id()).decide(|_| event.clone()).await.unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
        let CommandError::Event(EventError::Changed { part: found, .. }) = error else {
            panic!("{error:?}")
        };
        assert_eq!(found, part);
    }
    let tags = (0..20).map(|n| n.to_string()).collect();
    let (kinds, total) = ((0..20).collect(), u128::MAX);
    let honest = [
        LabelEvent::LabelSet { label: "a".to_owned() },
        LabelEvent::TagsSet { tags, kinds, total },
    ];
    for event in &honest {
        labels.by_id(&id()).decide(|_| event.clone()).await.unwrap();
    }
    assert_eq!(labels.load(&id()).await.unwrap().state.0, honest);
}

#[tokio::test]
async fn a_field_that_an_event_decides_as_none_is_not_filled_from_the_command() {
    const REQUEST_ID: MetadataField<u64> = MetadataField::new("request_id");
    let store = Arc::new(MemoryStore::new());
    let labels: Repository<Labels> = Repository::new(store.clone());
    let base = Metadata::new()
        .with(MetadataField::new("order_id"), 7)
        .with(MetadataField::new("note"), "b")
        .with(REQUEST_ID, 8);
    let labels = labels.with_metadata(base);
    let noted = |order_id, note: Option<&str>| LabelEvent::OwnerNoted {
        owner: Owner("b".to_owned()),
        order_id,
        note: note.map(str::to_owned),
    };
    let decided = [noted(None, None), noted(Some(1), Some("a"))];
    for event in &decided {
        let executed = labels.by_id(&id()).decide(|_| event.clone()).await.unwrap();
        assert_eq!(executed.state.0.last(), Some(event));
    }
    assert_eq!(labels.load(&id()).await.unwrap().state.0, decided);
    let stream = ReadStream::new("labels/m".parse().unwrap());
    let stored = store.read_stream(&stream).await.unwrap().events;
    let filled = stored.iter().map(|event| event.metadata.get(REQUEST_ID));
    assert_eq!(Vec::from_iter(filled), [Some(8), Some(8)]);
    assert_eq!(stored[0].metadata.document("note"), None);
}

#[tokio::test]
async fn a_row_that_is_read_back_as_another_one_is_a_failure_of_its_event() {
    let store = Arc::new(MemoryStore::new());
    let meters: Repository<Meter> = Repository::new(store.clone());
    meters.by_id(&id()).decide(|_| MeterEvent::TotalReset {}).await.unwrap();
    let events = events(&store).await;
    let changes = |row: &str| {
        let definition = makes(Owner(row.to_owned()));
        definition.changes(&events, &HashMap::new())
    };
    let error = changes("x ").unwrap_err().to_string();
    assert!(error.contains(r#"(all): "x " -> "x""#), "{error}");
    assert!(changes("x").is_ok());
}
