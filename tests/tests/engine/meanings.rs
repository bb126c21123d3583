//! A stored name that means something else than before: what was kept with the old meaning is not used.

use std::fmt::Debug;
use std::sync::Arc;

use es_core::backend::{
    AppendRequest, EventStore, NewEvent, ReadStream, Snapshot, SnapshotStore, StreamId, Timestamp,
};
use es_core::environment::{EventIds, UuidV7Ids};
use es_core::event::{Fields, Payload, StoredEvent};
use es_core::execution::Snapshotted;
use es_core::{Aggregate, BoxError, Event, ExpectedVersion, Repository};
use es_memory::MemoryStore;
use serde::{Deserialize, Serialize};

/// An order whose state are the names of its events.
macro_rules! order {
    ($order:ident, $event:ty) => {
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        struct $order(Vec<String>);

        impl Aggregate for $order {
            const TYPE: &'static str = "order";
            type Id = String;
            type Event = $event;

            fn evolve(&mut self, event: &$event) {
                self.0.push(event.event_type().name.to_owned());
            }
        }

        impl Snapshotted for $order {
            const REVISION: u32 = 1;
        }
    };
}

#[derive(Event)]
#[event(retired("order_flagged"))]
enum RetiredEvent {
    OrderPlaced,
    OrderPaid,
}
order!(Retired, RetiredEvent);

#[derive(Event)]
enum AliasedEvent {
    OrderPlaced,
    #[event(alias = "order_flagged")]
    OrderPaid,
}
order!(Aliased, AliasedEvent);

#[derive(Event)]
#[event(split("order_flagged" => Self::both: OrderPlaced, OrderPaid))]
enum SplitEvent {
    OrderPlaced,
    OrderPaid,
}
order!(Split, SplitEvent);

impl SplitEvent {
    fn both(_: &Fields, _: &StoredEvent<'_>) -> Result<Vec<Self>, BoxError> {
        Ok(vec![Self::OrderPlaced, Self::OrderPaid])
    }
}

#[derive(Event)]
#[event(split("order_flagged" => Self::twice: OrderPlaced))]
enum OtherwiseEvent {
    OrderPlaced,
    OrderPaid,
}
order!(Otherwise, OtherwiseEvent);

impl OtherwiseEvent {
    fn twice(_: &Fields, _: &StoredEvent<'_>) -> Result<Vec<Self>, BoxError> {
        Ok(vec![Self::OrderPlaced, Self::OrderPlaced])
    }
}

fn stream() -> StreamId {
    "order/o-1".parse().unwrap()
}

/// Keeps what this logic makes of the stream.
async fn keep<A: Snapshotted<Id = String>>(store: &Arc<MemoryStore>) {
    let loaded = Repository::<A>::new(store.clone()).load("o-1").await.unwrap();
    let page = store.read_stream(&ReadStream::new(stream())).await.unwrap();
    let snapshot = Snapshot::new(
        stream(),
        loaded.version,
        page.events.last().unwrap().event_id,
        A::fingerprint(),
        Payload::of(&loaded.state).unwrap(),
        Timestamp::EPOCH,
    );
    store.save_snapshot(snapshot).await.unwrap();
}

/// Whatever was kept, it reads what it reads without.
async fn check<A: Snapshotted<Id = String> + Debug + PartialEq>(store: &Arc<MemoryStore>) {
    let replayed = Repository::<A>::new(store.clone());
    let kept = replayed.clone().snapshot_every(100);
    let (kept, replayed) = (kept.load("o-1").await.unwrap(), replayed.load("o-1").await.unwrap());
    assert_eq!(kept, replayed, "{}", A::fingerprint());
}

#[tokio::test]
async fn a_state_with_another_meaning_of_a_name_in_it_is_not_used() {
    let store = Arc::new(MemoryStore::new());
    let events = ["order_placed", "order_flagged", "order_paid"].map(|name| {
        NewEvent::new(UuidV7Ids.next_id(), name, Payload::parse("{}".to_owned()).unwrap())
    });
    let request = AppendRequest::to(stream(), ExpectedVersion::NoStream, events.into());
    store.append(request).await.unwrap();
    for kept in 0..4 {
        match kept {
            0 => keep::<Retired>(&store).await,
            1 => keep::<Aliased>(&store).await,
            2 => keep::<Split>(&store).await,
            _ => keep::<Otherwise>(&store).await,
        }
        check::<Retired>(&store).await;
        check::<Aliased>(&store).await;
        check::<Split>(&store).await;
        check::<Otherwise>(&store).await;
    }
}

#[test]
fn a_fingerprint_names_what_is_retired_and_split_and_is_as_ever_without() {
    let plain = "order r1 [order_placed v1, order_paid v1]";
    assert_eq!(Aliased::fingerprint(), plain);
    assert_eq!(Retired::fingerprint(), format!("{plain} retired [order_flagged]"));
    let split = format!("{plain} split [order_flagged = order_placed + order_paid]");
    assert_eq!(Split::fingerprint(), split);
    let otherwise = format!("{plain} split [order_flagged = order_placed]");
    assert_eq!(Otherwise::fingerprint(), otherwise);
}
