//! What a command records: metadata, documents, and what cannot be written or read.

use std::sync::Arc;

use es_core::backend::EventStore;
use es_core::environment::Environment;
use es_core::event::{DecodeError, EventVersion, Metadata, MetadataField};
use es_core::execution::{EventError, LoadError, Retry, StreamVersion};
use es_core::{CommandError, ExpectedVersion};
use es_memory::MemoryStore;
use es_testing::ManualClock;
use serde_json::json;

use super::account::*;

const REQUEST_ID: MetadataField<u64> = MetadataField::new("request_id");

#[tokio::test]
async fn a_metadata_field_that_does_not_fit_makes_nothing_unreadable() {
    let store = store();
    let accounts = accounts(&store);
    let odd = r#"{"event_version":"draft","causation_id":"x"}"#;
    let odd: Metadata = serde_json::from_str(odd).unwrap();
    accounts.by_id("a").decide(|account| account.deposit(1)).metadata(odd).await.unwrap();
    assert_eq!(accounts.load("a").await.unwrap().state.balance, 1);
    let metadata = &events(&store, "a").await[0].metadata;
    assert_eq!(metadata.event_version, Some(EventVersion::new(1)));
    assert_eq!(metadata.document("causation_id").unwrap().as_str(), r#""x""#);
    let again: Metadata = serde_json::from_str(&serde_json::to_string(metadata).unwrap()).unwrap();
    assert_eq!(again, *metadata);
}

#[derive(es_core::Event, Debug, Clone, PartialEq)]
enum Measured {
    #[event(name = "temperature_measured")]
    TemperatureMeasured {
        celsius: f64,
        #[event(metadata)]
        duration_ms: Option<u64>,
    },
}

#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
struct Station {
    spent: u64,
}

impl es_core::Aggregate for Station {
    const TYPE: &'static str = "station";
    type Id = String;
    type Event = Measured;
    fn evolve(&mut self, Measured::TemperatureMeasured { duration_ms, .. }: &Measured) {
        self.spent += duration_ms.unwrap_or(0);
    }
}

#[tokio::test]
async fn an_event_that_is_no_json_is_not_written() {
    let store = store();
    let stations = es_core::Repository::<Station>::new(store.clone());
    let measure =
        |celsius| move |_: &Station| Measured::TemperatureMeasured { celsius, duration_ms: None };
    let error = stations.by_id("s").decide(measure(f64::NAN)).await.unwrap_err();
    let CommandError::Event(EventError::Encode(error)) = error else { panic!("{error:?}") };
    assert_eq!(error.event_type, "temperature_measured");
    assert!(stations.load("s").await.unwrap().existing().is_none());
}

#[tokio::test]
async fn metadata_that_are_no_json_are_refused_by_the_name_of_the_field() {
    const MEAN: MetadataField<f64> = MetadataField::new("mean");
    let store = store();
    let metadata = Metadata::new().with(MEAN, f64::INFINITY);
    let refused = accounts(&store).by_id("a").decide(|account| account.deposit(1));
    let error = refused.metadata(metadata).retry(Retry::times(3)).await.unwrap_err();
    assert!(matches!(error, CommandError::Invalid(_)), "{error:?}");
    assert!(error.to_string().contains("the metadata field `mean` is no JSON"), "{error}");
    assert_eq!(events(&store, "a").await, []);
}

#[tokio::test]
async fn the_state_that_is_answered_is_the_state_that_is_loaded() {
    let store = store();
    let stations = es_core::Repository::<Station>::new(store.clone());
    let measure = |_: &Station| Measured::TemperatureMeasured { celsius: 1.0, duration_ms: None };
    // the event decides that there is none, whatever the command's metadata says
    for duration in [json!(77), json!("soon")] {
        let mut metadata = Metadata::new();
        metadata.set_document("duration_ms", duration);
        let executed = stations.by_id("s").decide(measure).metadata(metadata).await.unwrap();
        assert_eq!(executed.state, stations.load("s").await.unwrap().state);
        assert_eq!(executed.state.spent, 0);
    }
}

#[tokio::test]
async fn metadata_of_the_command_stands_before_that_of_the_repository() {
    let store = store();
    let base = Metadata::new().with(TENANT, "t".to_owned()).with(REQUEST_ID, 1);
    let accounts = accounts(&store).with_metadata(base);
    let own = Metadata::new().with(REQUEST_ID, 2);
    accounts.by_id("a").decide(|account| account.deposit(1)).metadata(own).await.unwrap();
    let metadata = &events(&store, "a").await[0].metadata;
    assert_eq!(metadata.get(REQUEST_ID), Some(2));
    assert_eq!(metadata.get(TENANT).as_deref(), Some("t"));
    assert_eq!(metadata.event_version, Some(EventVersion::new(1)));
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_named() {
    let store = store();
    let accounts = accounts(&store);
    accounts.by_id("a").decide(|account| account.deposit(1)).await.unwrap();
    let foreign = es_core::backend::NewEvent::new(
        Environment::default().event_ids.next_id(),
        "account_renamed",
        es_core::event::Payload::of("x").unwrap(),
    );
    let any = ExpectedVersion::Any;
    store
        .append(es_core::backend::AppendRequest::to(stream("a"), any, vec![foreign]))
        .await
        .unwrap();
    let error = accounts.load("a").await.unwrap_err();
    let LoadError::Decode { version, source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(version.as_u64(), 2);
    assert!(matches!(source, DecodeError::UnknownType { .. }));
    assert_eq!(error.to_string(), "event 2 of account/a cannot be read");
    assert!(source.to_string().contains("money_deposited"), "{source}");
}

#[tokio::test]
async fn an_id_that_can_name_no_stream_is_refused_before_anything_happens() {
    let accounts = accounts(&store());
    for bad in ["", "a\0b", &"x".repeat(300)] {
        let update = accounts.by_id(bad).decide(|account| account.deposit(1)).await;
        assert!(matches!(update, Err(CommandError::Invalid(_))), "{update:?}");
        assert!(matches!(accounts.load(bad).await, Err(LoadError::InvalidId(_))));
    }
}

#[tokio::test]
async fn states_of_the_past_are_prefixes_of_the_stream() {
    let clock = ManualClock::new();
    let store = Arc::new(MemoryStore::with_clock(Arc::new(clock.clone())));
    let accounts = accounts(&store);
    let mut instants = Vec::new();
    for cents in [1, 10, 100] {
        instants.push(clock.step(std::time::Duration::from_secs(1)));
        accounts.by_id("a").decide(|account| account.deposit(cents)).await.unwrap();
    }
    for (version, balance) in [(0, 0), (1, 1), (2, 11), (3, 111), (9, 111)] {
        let loaded = accounts.load_at("a", StreamVersion::new(version)).await.unwrap();
        assert_eq!(loaded.state.balance, balance);
    }
    for (instant, balance) in instants.iter().zip([1, 11, 111]) {
        assert_eq!(accounts.load_at("a", *instant).await.unwrap().state.balance, balance);
    }
    assert!(accounts.load("b").await.unwrap().existing().is_none());
}
