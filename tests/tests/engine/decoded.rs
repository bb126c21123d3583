//! Stored events that stand for none or for several, wherever the engine reads them.

use std::sync::Arc;

use es_core::backend::{AppendRequest, EventStore, EventStoreExt, NewEvent, ReadLog};
use es_core::environment::Environment;
use es_core::event::{
    DecodeError, Decoded, EncodeError, EventFilter, EventType, Metadata, Payload, StoredEvent,
};
use es_core::execution::{EventError, StreamVersion};
use es_core::replay::Replay;
use es_core::{Aggregate, CommandError, Envelope, Event, ExpectedVersion, Repository};
use es_memory::MemoryStore;
use futures_util::TryStreamExt;
use serde::Serialize;

use super::account::Account;

#[allow(clippy::enum_variant_names, reason = "so do the names of events of an order")]
/// `order_placed_and_paid` was split into these two; `order_flagged` is retired.
#[derive(Debug, Clone, PartialEq)]
enum OrderEvent {
    OrderPlaced,
    OrderPaid,
    /// Written by hand, and wrongly: what it writes is read as two.
    OrderClosed,
}
use OrderEvent::*;

const BOTH: &[&str] = &["order_placed_and_paid"];
const PLACED: EventType = EventType::new("order_placed", 1).part_of(BOTH);
const PAID: EventType = EventType::new("order_paid", 1).part_of(BOTH);
const CLOSED: EventType = EventType::new("order_closed", 1);

impl Event for OrderEvent {
    const TYPES: &'static [EventType] = &[PLACED, PAID, CLOSED];
    const RETIRED: &'static [&'static str] = &["order_flagged"];

    fn event_type(&self) -> &'static EventType {
        match self {
            OrderPlaced => &PLACED,
            OrderPaid => &PAID,
            OrderClosed => &CLOSED,
        }
    }

    fn encode(&self, _: &mut Metadata) -> Result<Payload, EncodeError> {
        Ok(Payload::of(&()).expect("null is JSON"))
    }

    fn decode(stored: StoredEvent<'_>) -> Result<Decoded<Self>, DecodeError> {
        match stored.event_type {
            "order_placed" => Ok(Decoded::One(OrderPlaced)),
            "order_paid" => Ok(Decoded::One(OrderPaid)),
            "order_placed_and_paid" => Ok(Decoded::Several(vec![OrderPlaced, OrderPaid])),
            "order_closed" => Ok(Decoded::Several(vec![OrderClosed, OrderClosed])),
            "order_flagged" => Ok(Decoded::Nothing),
            other => {
                Err(DecodeError::UnknownType { event_type: other.to_owned(), known: Vec::new() })
            }
        }
    }
}

/// The names of its events.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
struct Order(Vec<&'static str>);

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    type Id = String;
    type Event = OrderEvent;

    fn evolve(&mut self, event: &OrderEvent) {
        self.0.push(event.event_type().name);
    }
}

fn id() -> String {
    "o-1".to_owned()
}

/// A retired event, one that was split, and an ordinary one.
async fn stored() -> (Arc<MemoryStore>, Repository<Order>) {
    let store = Arc::new(MemoryStore::new());
    let names = ["order_flagged", "order_placed_and_paid", "order_paid"];
    let events = names.map(|name| {
        let event_id = Environment::default().event_ids.next_id();
        NewEvent::new(event_id, name, Payload::of(&()).unwrap())
    });
    let stream = es_core::execution::stream_of::<Order>(&id()).unwrap();
    let request = AppendRequest::to(stream, ExpectedVersion::Any, events.into());
    store.append(request).await.unwrap();
    (store.clone(), Repository::new(store))
}

#[tokio::test]
async fn a_load_takes_each_part_and_counts_stored_events() {
    let (_, orders) = stored().await;
    let whole = ["order_placed", "order_paid", "order_paid"];
    for (version, parts) in [(0, 0), (1, 0), (2, 2), (3, 3)] {
        let version = StreamVersion::new(version);
        let loaded = orders.load_at(&id(), version).await.unwrap();
        assert_eq!((loaded.version, loaded.state.0), (version, whole[..parts].to_vec()));
    }
    // a command goes on from the version of the stream
    let paid = orders.by_id(&id()).decide(|_| OrderPaid).await.unwrap();
    assert_eq!((paid.version, paid.state.0.len()), (StreamVersion::new(4), 4));
}

#[tokio::test]
async fn a_retired_event_makes_nothing_unreadable_whatever_is_stored() {
    let (store, orders) = stored().await;
    let stream = es_core::execution::stream_of::<Order>(&id()).unwrap();
    let odd = async |name: &str| {
        let event_id = Environment::default().event_ids.next_id();
        let mut event = NewEvent::new(event_id, name, Payload::of(&[7]).unwrap());
        event.metadata.set_document("event_version", Payload::of("2024-05").unwrap());
        let request = AppendRequest::to(stream.clone(), ExpectedVersion::Any, vec![event]);
        store.append(request).await.unwrap();
    };
    odd("order_flagged").await;
    let loaded = orders.load(&id()).await.unwrap();
    assert_eq!((loaded.version, loaded.state.0.len()), (StreamVersion::new(4), 3));
    orders.by_id(&id()).decide(|_| OrderPaid).await.unwrap();
    let history: Vec<_> = orders.history(&id()).try_collect().await.unwrap();
    assert_eq!(history.len(), 4);
    // and an event that means something is not guessed at
    odd("order_paid").await;
    assert!(orders.load(&id()).await.is_err());
}

#[tokio::test]
async fn a_history_has_each_part_with_what_was_recorded() {
    let (_, orders) = stored().await;
    let history: Vec<_> = orders.history(&id()).try_collect().await.unwrap();
    let told = history.into_iter().map(|(recorded, event)| (recorded.version.as_u64(), event));
    assert_eq!(told.collect::<Vec<_>>(), [(2, OrderPlaced), (2, OrderPaid), (3, OrderPaid)]);
}

#[tokio::test]
async fn envelopes_number_the_parts() {
    let (store, _) = stored().await;
    let log: Vec<_> = store.log(ReadLog::from_start()).try_collect().await.unwrap();
    let mut read = Vec::new();
    for recorded in &log {
        for event in Envelope::<OrderEvent>::read(recorded).unwrap() {
            read.push((event.version.as_u64(), event.part, event.data));
        }
    }
    assert_eq!(read, [(2, 0, OrderPlaced), (2, 1, OrderPaid), (3, 0, OrderPaid)]);

    let ones: Vec<_> = log.iter().map(|event| event.decode_one::<OrderEvent>()).collect();
    assert!(matches!(ones[0], Err(DecodeError::NotOne { events: 0, .. })), "{ones:?}");
    assert!(matches!(ones[1], Err(DecodeError::NotOne { events: 2, .. })), "{ones:?}");
    assert!(matches!(ones[2], Ok(OrderPaid)), "{ones:?}");

    assert_eq!(log[0].aggregate_id::<Order>(), Ok(id()));
    let other = log[0].aggregate_id::<Account>().unwrap_err().to_string();
    assert_eq!(other, "`order/o-1` is no account");
}

#[tokio::test]
async fn filters_find_what_has_a_part_of_a_kind_and_nothing_retired() {
    let (store, _) = stored().await;
    let found = async |filter: EventFilter| -> Vec<u64> {
        let log = store.log(ReadLog::from_start().filter(filter));
        log.map_ok(|event| event.version.as_u64()).try_collect().await.unwrap()
    };
    assert_eq!(found(EventFilter::events([PLACED])).await, [2]);
    assert_eq!(found(EventFilter::events([PAID])).await, [2, 3]);
    assert_eq!(found(EventFilter::events([CLOSED])).await, [0_u64; 0]);
    assert_eq!(found(EventFilter::of::<OrderEvent>().aggregate::<Order>()).await, [2, 3]);
    assert_eq!(found(EventFilter::all().aggregate::<Order>()).await, [1, 2, 3]);
    assert_eq!(found(EventFilter::all().aggregate::<Account>()).await, [0_u64; 0]);
}

#[tokio::test]
async fn a_replay_gives_both_logics_each_part() {
    let (store, _) = stored().await;
    let replay = Replay::<Order>::new(store);
    let same = replay.compare_with(Order::evolve).report().await.unwrap();
    assert_eq!((same.aggregates, same.events, same.differing.len()), (1, 3, 0));
    let only_paid = |order: &mut Order, event: &OrderEvent| {
        if *event == OrderPaid {
            order.evolve(event);
        }
    };
    let report = replay.compare_with(only_paid).report().await.unwrap();
    assert!(report.differing[0].verdict.is_different(), "{report:?}");
}

#[tokio::test]
async fn what_is_written_must_be_read_back_as_one() {
    let (_, orders) = stored().await;
    let closed = orders.by_id(&id()).decide(|_| OrderClosed).await;
    match closed {
        Err(CommandError::Event(EventError::Unreadable { event_type: "order_closed", source })) => {
            assert_eq!(source.to_string(), "event `order_closed` stands for 2 events, not for one");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(orders.load(&id()).await.unwrap().version, StreamVersion::new(3));
}
