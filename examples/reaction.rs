//! What follows from an event: stock is reserved for an order, and the order is told if there is none:
//! `cargo run -p es-examples --example reaction`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use es_core::reaction::{Delivery, Start};
use es_core::{BoxError, Event, Reaction, Repository, Runner, Store};
use es_examples::OrderEvent::{self, *};
use es_examples::StockEvent::{self, *};
use es_examples::{Order, Stock};
use es_memory::MemoryStore;

#[derive(Event)]
#[event(union)]
enum Shop {
    Order(OrderEvent),
    Stock(StockEvent),
}

struct Fulfilment {
    orders: Repository<Order>,
    stocks: Repository<Stock>,
}

impl Reaction for Fulfilment {
    const NAME: &'static str = "fulfilment";
    const START: Start = Start::Beginning;
    type Event = Shop;

    async fn react(&self, event: &Delivery<Shop>) -> Result<(), BoxError> {
        match &event.data {
            Shop::Order(OrderPlaced { sku, count, .. }) => {
                let (order, stock) = (event.aggregate_id::<Order>()?, self.stocks.by_id(sku));
                stock.decide(|stock| stock.reserve(&order, *count)).reacting_to(event).await?;
            }
            Shop::Stock(StockReserved { order, .. }) => {
                self.orders.by_id(order).decide(Order::confirm).reacting_to(event).await?;
            }
            // the compensation: the refusal is a fact, and the order learns of it
            Shop::Stock(ReservationRefused { order, .. }) => {
                let order = self.orders.by_id(order);
                order.decide(|order| order.refuse("out of stock")).reacting_to(event).await?;
            }
            Shop::Order(OrderCancelled { sku }) => {
                let (order, stock) = (event.aggregate_id::<Order>()?, self.stocks.by_id(sku));
                stock.decide(|stock| stock.release(&order)).reacting_to(event).await?;
            }
            _ => {}
        }
        Ok(())
    }
}

impl Fulfilment {
    fn over(store: &Store) -> Self {
        Self { orders: Repository::new(store), stocks: Repository::new(store) }
    }
}

/// Two orders, for which there is stock for one; answers what became of them.
async fn a_day(store: &Store) -> Result<[Order; 2], BoxError> {
    let (orders, stocks) = (Repository::<Order>::new(store), Repository::<Stock>::new(store));
    let mut runner = Runner::new(store).reaction(Fulfilment::over(store));
    stocks.by_id("bread").decide(|_| ItemsDelivered { count: 3 }).await?;
    for id in ["o-1", "o-2"] {
        let place = |order: &Order| order.place("anna", "bread", 2, 700);
        orders.by_id(id).decide(place).await?;
    }
    // or tokio::spawn(runner.run()), for as long as the program lives
    runner.catch_up().await?;
    Ok([orders.load("o-1").await?.state, orders.load("o-2").await?.state])
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    println!("{:?}", a_day(&MemoryStore::new().into()).await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use es_testing::reaction::react;

    use super::*;

    fn placed(count: u32) -> OrderEvent {
        OrderPlaced { customer: "anna".to_owned(), sku: "bread".to_owned(), count, cents: 700 }
    }

    #[tokio::test]
    async fn a_refused_reservation_refuses_its_order() {
        let store = Store::from(MemoryStore::new());
        react(&store, &Fulfilment::over(&store))
            .given::<Order>("o-1", [placed(2)])
            .then::<Stock>("bread", [ReservationRefused { order: "o-1".into(), count: 2 }])
            .await
            .then::<Order>("o-1", [OrderRefused { reason: "out of stock".to_owned() }])
            .await
            .again()
            .await;
    }

    #[tokio::test]
    async fn a_cancelled_order_gives_back_what_was_reserved() {
        let store = Store::from(MemoryStore::new());
        react(&store, &Fulfilment::over(&store))
            .given::<Stock>("bread", [ItemsDelivered { count: 3 }])
            .given::<Order>("o-1", [placed(2)])
            .then::<Stock>("bread", [StockReserved { order: "o-1".into(), count: 2 }])
            .await
            .then::<Order>("o-1", [OrderConfirmed])
            .await
            .given::<Order>("o-1", [OrderCancelled { sku: "bread".to_owned() }])
            .then::<Stock>("bread", [ReservationReleased { order: "o-1".into() }])
            .await
            .again()
            .await;
    }

    #[tokio::test]
    async fn one_order_gets_what_there_is() {
        let [one, other] = a_day(&MemoryStore::new().into()).await.unwrap();
        let confirmed = Order::Open { sku: "bread".to_owned(), due: 700, is_confirmed: true };
        // whichever is reacted to first
        let both = [(&one, &other), (&other, &one)];
        assert!(both.contains(&(&confirmed, &Order::Refused)), "{one:?}, {other:?}");
    }
}
