//! What belongs together is found by SQL.

use std::sync::Arc;

use es_core::backend::{EventStore, ReadStream};
use es_core::{Aggregate, Event, Repository};

use crate::support::{Folder, append_one, event, stream};

#[derive(Event, Debug)]
enum OrderEvent {
    OrderOpened,
    OrderPaid,
}

#[derive(Clone, Default)]
struct Order;

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    type Id = String;
    type Event = OrderEvent;

    fn evolve(&mut self, _: &OrderEvent) {}
}

#[tokio::test]
async fn the_event_that_begins_a_correlation_is_found_with_those_that_follow_from_it() {
    let folder = Folder::new();
    let store = Arc::new(folder.store().await);
    append_one(&store, "order/before", event("of nobody")).await;
    let orders: Repository<Order> = Repository::new(store.clone());
    let both = |_: &Order| [OrderEvent::OrderOpened, OrderEvent::OrderPaid];
    let root = orders.by_id("a").decide(both).await.unwrap();
    let cause = root.cause().unwrap();
    orders.by_id("b").decide(|_| OrderEvent::OrderPaid).caused_by(cause).await.unwrap();

    let events = store.read_stream(&ReadStream::new(stream("order/a"))).await.unwrap().events;
    let connection = folder.connection();
    let mut found = connection
        .prepare(
            "SELECT aggregate_id || aggregate_version FROM execution_events
             WHERE metadata ->> 'correlation_id' = ?1 ORDER BY position",
        )
        .unwrap();
    let found = found.query_map([events[0].event_id.to_string()], |row| row.get(0)).unwrap();
    let found: Vec<String> = found.collect::<Result<_, _>>().unwrap();
    assert_eq!(found, ["a1", "a2", "b1"]);
}
