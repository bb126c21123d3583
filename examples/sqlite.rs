//! Orders in a file, with a read model that is kept up to date beside them:
//! `cargo run -p es-examples --example sqlite`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::path::Path;
use std::time::Duration;

use es_core::ExpectedVersion::NoStream;
use es_core::projection::{Keying, ReadModel};
use es_core::{Aggregate, BoxError, Envelope, Projection, Repository, Runner, Store};
use es_examples::{Order, OrderEvent, OrderId};
use es_sqlite::SqliteStore;
use serde::{Deserialize, Serialize};

/// An order as its page shows it: the aggregate's own state, where whoever asks loads no events.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct OrderPage(Order);

impl Projection for OrderPage {
    const NAME: &'static str = "order_pages";
    type Event = OrderEvent;
    type Key = OrderId;
    fn keying() -> Keying<Self> {
        Keying::per_stream::<Order>()
    }
    fn evolve(
        _: &OrderId,
        row: &mut Option<Self>,
        event: &Envelope<OrderEvent>,
    ) -> Result<(), BoxError> {
        row.get_or_insert_default().0.evolve(&event.data);
        Ok(())
    }
}

/// Opens the shop, takes an order, and closes the shop; answers the order's page.
async fn a_day(path: &Path) -> Result<Option<OrderPage>, BoxError> {
    let sqlite = SqliteStore::open(path).await?;
    let store = Store::from(sqlite.clone());
    let orders = Repository::<Order>::new(&store).snapshot_every(100).with_cache(1_000);
    let runner = Runner::new(&store).projection::<OrderPage>();
    let (handle, running) = (runner.handle(), tokio::spawn(runner.run()));

    let place = |order: &Order| order.place("anna", "bread", 2, 700);
    let placed = orders.by_id("o-1").expecting(NoStream).decide(place).await?;
    // optimistic concurrency: refused if the order is not as it was seen
    let seen = orders.by_id("o-1").expecting(placed.version);
    let paid = seen.decide(|order| order.pay(700)).await?;

    let pages = ReadModel::<OrderPage>::new(&store);
    // one's own write is in it
    pages.wait_for(paid.position(), Duration::from_secs(10)).await?;
    let page = pages.get("o-1").await?;

    handle.stop();
    running.await??;
    orders.flush_snapshots().await;
    sqlite.close().await;
    Ok(page)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let folder = tempfile::tempdir()?;
    println!("{:?}", a_day(&folder.path().join("shop.db")).await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use es_core::CommandError;
    use es_core::event::{EventStoreExt, ReadLog};
    use es_examples::Refusal;
    use futures_util::TryStreamExt;

    use super::*;

    #[tokio::test]
    async fn what_was_recorded_is_there_on_the_next_day() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.db");
        let paid = Order::Open { sku: "bread".to_owned(), due: 0, is_confirmed: false };
        assert_eq!(a_day(&path).await.unwrap(), Some(OrderPage(paid.clone())));

        let store = Store::from(SqliteStore::open(&path).await.unwrap());
        let log: Vec<_> = store.log(ReadLog::from_start()).try_collect().await.unwrap();
        assert_eq!(log.len(), 2);
        let orders = Repository::<Order>::new(&store);
        assert_eq!(orders.load("o-1").await.unwrap().state, paid);
        let page = ReadModel::<OrderPage>::new(&store).get("o-1").await.unwrap();
        assert_eq!(page, Some(OrderPage(paid)));
        let placed = orders.by_id("o-1").decide(|order| order.place("ben", "bread", 1, 350)).await;
        let Err(CommandError::Rejected(refusal)) = placed else { panic!("{placed:?}") };
        assert_eq!(refusal, Refusal::PlacedAlready);
    }
}
