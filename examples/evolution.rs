//! Events of the past, under other names and in other shapes:
//! `cargo run -p es-examples --example evolution`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use es_core::event::{Fields, StoredEvent};
use es_core::{Aggregate, BoxError, Event, Repository, Store};
use es_memory::MemoryStore;
use futures_util::TryStreamExt;

/// Everything that a stored name has become.
#[allow(clippy::enum_variant_names, reason = "the names of events are whole")]
#[derive(Event, Debug, Clone, PartialEq)]
#[event(retired("order_flagged"))]
#[event(split("order_paid_and_shipped" => pay_and_ship: OrderPaid, OrderShipped))]
enum OrderEvent {
    #[event(version = 2, upcast(1 => in_cents))]
    OrderPlaced {
        cents: u64,
        /// It came later, and may lack.
        #[serde(default)]
        coupon: Option<String>,
    },
    OrderPaid,
    OrderShipped {
        carrier: String,
    },
    #[event(alias = "order_canceled")]
    OrderCancelled,
}
use OrderEvent::*;

/// A payload of version 1 becomes one of version 2.
fn in_cents(payload: &mut Fields) {
    if let Some(euros) = payload.get::<u64>("euros") {
        payload.insert("cents", euros * 100);
        payload.remove("euros");
    }
}

/// One stored event stands for two.
fn pay_and_ship(old: &Fields, _: &StoredEvent<'_>) -> Result<Vec<OrderEvent>, BoxError> {
    let carrier = old.get("carrier").ok_or("there is no carrier")?;
    Ok(vec![OrderPaid, OrderShipped { carrier }])
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Order {
    due: u64,
    has_ended: bool,
}

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    type Id = String;
    type Event = OrderEvent;

    fn evolve(&mut self, event: &OrderEvent) {
        match event {
            OrderPlaced { cents, .. } => self.due = *cents,
            OrderPaid => self.due = 0,
            OrderShipped { .. } | OrderCancelled => self.has_ended = true,
        }
    }
}

/// What the program was in its first year.
mod first_year {
    use es_core::{Aggregate, Event};

    #[allow(clippy::enum_variant_names, reason = "the names of events are whole")]
    #[derive(Event, Debug)]
    pub(crate) enum OrderEvent {
        OrderPlaced { euros: u64 },
        OrderFlagged,
        OrderPaidAndShipped { carrier: String },
        OrderCanceled,
    }

    #[derive(Clone, Default)]
    pub(crate) struct Order;

    impl Aggregate for Order {
        const TYPE: &'static str = "order";
        type Id = String;
        type Event = OrderEvent;
        fn evolve(&mut self, _: &OrderEvent) {}
    }
}

/// A store with what was recorded in the first year.
async fn filled() -> Result<Store, BoxError> {
    use first_year::OrderEvent::*;
    let store = Store::from(MemoryStore::new());
    let orders = Repository::<first_year::Order>::new(&store);
    let ended = |_: &first_year::Order| {
        let carrier = "DHL".to_owned();
        [OrderPlaced { euros: 7 }, OrderFlagged, OrderPaidAndShipped { carrier }]
    };
    orders.by_id("o-1").decide(ended).await?;
    orders.by_id("o-2").decide(|_| [OrderPlaced { euros: 5 }, OrderCanceled]).await?;
    Ok(store)
}

/// What happened to an order, in the words of today.
async fn history(store: &Store, id: &str) -> Result<Vec<OrderEvent>, BoxError> {
    let history = Repository::<Order>::new(store).history(id);
    Ok(history.map_ok(|(_, event)| event).try_collect().await?)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let store = filled().await?;
    for id in ["o-1", "o-2"] {
        println!("{id}: {:?}", history(&store, id).await?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use es_core::event::{EventFilter, EventStoreExt, ReadLog};
    use es_testing::golden;

    use super::*;

    fn placed(cents: u64) -> OrderEvent {
        OrderPlaced { cents, coupon: None }
    }

    fn shipped() -> OrderEvent {
        OrderShipped { carrier: "DHL".to_owned() }
    }

    #[tokio::test]
    async fn the_past_is_read_in_the_words_of_today() {
        let store = filled().await.unwrap();
        assert_eq!(history(&store, "o-1").await.unwrap(), [placed(700), OrderPaid, shipped()]);
        assert_eq!(history(&store, "o-2").await.unwrap(), [placed(500), OrderCancelled]);
        let order = Repository::<Order>::new(&store).load("o-1").await.unwrap();
        assert_eq!(order.state, Order { due: 0, has_ended: true });
        assert_eq!(order.version.as_u64(), 3, "a version counts what is stored");
    }

    #[tokio::test]
    async fn a_selection_finds_the_old_names() {
        let store = filled().await.unwrap();
        for (kind, stored) in [
            (OrderEvent::ORDER_PAID, "order_paid_and_shipped"),
            (OrderEvent::ORDER_CANCELLED, "order_canceled"),
        ] {
            let read = ReadLog::from_start().filter(EventFilter::events([kind]));
            let found: Vec<_> = store.log(read).try_collect().await.unwrap();
            let names: Vec<_> = found.iter().map(|event| event.event_type.as_str()).collect();
            assert_eq!(names, [stored]);
        }
    }

    #[test]
    fn every_stored_form_is_read_for_ever() -> Result<(), golden::Mismatch> {
        let folder = "golden/evolution";
        let coupon = Some("SPRING".to_owned());
        let examples = [OrderPlaced { cents: 700, coupon }, OrderPaid, shipped(), OrderCancelled];
        golden::check_aggregate::<Order>(folder, examples)?;
        // a file runs the upcaster; what it must make of it is said here
        assert_eq!(golden::read::<OrderEvent>(folder, "order_placed.v1.json")?, placed(700));
        Ok(())
    }
}
