//! Several customers in one store, who know nothing of one another:
//! `cargo run -p es-examples --example tenants`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use es_core::layer::scoped;
use es_core::projection::{Keying, ReadModel};
use es_core::{BoxError, Envelope, Projection, Repository, Runner, Store};
use es_examples::Order;
use es_examples::OrderEvent::{self, *};
use es_memory::MemoryStore;
use serde::{Deserialize, Serialize};

/// Places an order in the tenant's shop. The tenant is the one of whoever asks, as they were
/// authenticated, and never what they say; all that follows cannot leave it.
async fn place(store: &Store, tenant: &str, id: &str, cents: u32) -> Result<Order, BoxError> {
    let orders = Repository::<Order>::new(scoped(store, tenant)?);
    let place = |order: &Order| order.place("anna", "bread", 1, cents);
    Ok(orders.by_id(id).decide(place).await?.state)
}

/// What each tenant has sold: one projection over the whole store, with the tenant in its key.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Sales {
    cents: u64,
}

impl Projection for Sales {
    const NAME: &'static str = "sales";
    type Event = OrderEvent;
    type Key = String;
    fn keying() -> Keying<Self> {
        // `order/acme/o-1`: what stands before the id of the order is the tenant's name
        Keying::<Self>::across_streams(|event| {
            let id = event.stream.aggregate_id().split_once('/');
            id.map(|(tenant, _)| tenant.to_owned())
        })
    }
    fn evolve(
        _: &String,
        row: &mut Option<Self>,
        event: &Envelope<OrderEvent>,
    ) -> Result<(), BoxError> {
        if let OrderPaid { cents } = event.data {
            row.get_or_insert_default().cents += u64::from(cents);
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let store = Store::from(MemoryStore::new());
    for (tenant, cents) in [("acme", 700), ("bolt", 50)] {
        println!("{tenant}: {:?}", place(&store, tenant, "o-1", cents).await?);
        let orders = Repository::<Order>::new(scoped(&store, tenant)?);
        orders.by_id("o-1").decide(|order| order.pay(cents)).await?;
    }
    Runner::new(&store).projection::<Sales>().once().await?;
    println!("acme has sold {:?}", ReadModel::<Sales>::new(&store).get("acme").await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use es_core::event::{EventStoreExt, ReadLog, RecordedEvent};
    use futures_util::TryStreamExt;

    use super::*;

    async fn log(store: &Store) -> Vec<RecordedEvent> {
        store.log(ReadLog::from_start()).try_collect().await.unwrap()
    }

    #[tokio::test]
    async fn the_orders_of_one_are_not_there_for_another() {
        let store = Store::from(MemoryStore::new());
        place(&store, "acme", "o-1", 700).await.unwrap();
        let bolt = scoped(&store, "bolt").unwrap();
        assert!(log(&bolt).await.is_empty());
        let orders = Repository::<Order>::new(&bolt);
        assert_eq!(orders.load("o-1").await.unwrap().existing(), None);

        // the same id is another order
        place(&store, "bolt", "o-1", 50).await.unwrap();
        let own = log(&bolt).await;
        assert_eq!(own.len(), 1);
        assert_eq!(own[0].stream.to_string(), "order/o-1");
        let all: Vec<_> = log(&store).await.iter().map(|it| it.stream.to_string()).collect();
        assert_eq!(all, ["order/acme/o-1", "order/bolt/o-1"]);
    }

    #[tokio::test]
    async fn one_projection_serves_all_tenants() {
        let store = Store::from(MemoryStore::new());
        for (tenant, cents) in [("acme", 700), ("bolt", 50)] {
            place(&store, tenant, "o-1", cents).await.unwrap();
            let orders = Repository::<Order>::new(scoped(&store, tenant).unwrap());
            orders.by_id("o-1").decide(|order| order.pay(cents)).await.unwrap();
        }
        Runner::new(&store).projection::<Sales>().once().await.unwrap();
        let sales = ReadModel::<Sales>::new(&store);
        assert_eq!(sales.get("acme").await.unwrap(), Some(Sales { cents: 700 }));
        assert_eq!(sales.get("bolt").await.unwrap(), Some(Sales { cents: 50 }));
        assert_eq!(sales.get("corp").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_name_that_is_none_is_refused() {
        let store = Store::from(MemoryStore::new());
        for name in ["", "acme/o-1", "Acme", "../bolt"] {
            assert!(scoped(&store, name).is_err(), "{name}");
        }
    }
}
