//! React, given, then, again: what passes, and what fails.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;

use es_core::backend::{InvalidRequest, StoreErrorKind, StreamId};
use es_core::execution::Retry;
use es_core::reaction::{Delivery, Start};
use es_core::{Aggregate, BoxError, CommandError, Event, Reaction, Repository, Store, transact};
use es_memory::MemoryStore;
use es_testing::fault::{Call, Faults};
use es_testing::reaction::react;
use futures_util::FutureExt;

#[derive(Event, Debug, PartialEq)]
enum OrderEvent {
    OrderPlaced { sku: String, count: u32 },
    OrderRefused { reason: String },
}
use OrderEvent::*;

#[derive(Event, Debug, PartialEq)]
enum StockEvent {
    StockDelivered { count: u32 },
    StockReserved { order: String, count: u32 },
    ReservationRefused { order: String, count: u32 },
}
use StockEvent::*;

#[derive(Event, Debug, PartialEq)]
#[event(union)]
enum ShopEvent {
    Order(OrderEvent),
    Stock(StockEvent),
}

#[derive(Default, Clone)]
struct Order {
    is_refused: bool,
}

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    type Id = String;
    type Event = OrderEvent;

    fn evolve(&mut self, event: &OrderEvent) {
        self.is_refused |= matches!(event, OrderRefused { .. });
    }
}

impl Order {
    fn refuse(&self, reason: &str) -> Option<OrderEvent> {
        (!self.is_refused).then(|| OrderRefused { reason: reason.to_owned() })
    }
}

#[derive(Default, Clone)]
struct Stock {
    left: u32,
}

impl Aggregate for Stock {
    const TYPE: &'static str = "stock";
    type Id = String;
    type Event = StockEvent;

    fn evolve(&mut self, event: &StockEvent) {
        match event {
            StockDelivered { count } => self.left += count,
            StockReserved { count, .. } => self.left -= count,
            ReservationRefused { .. } => {}
        }
    }
}

impl Stock {
    fn reserve(&self, order: &str, count: u32) -> StockEvent {
        let order = order.to_owned();
        match self.left < count {
            true => ReservationRefused { order, count },
            false => StockReserved { order, count },
        }
    }
}

/// What it does wrong, if anything.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Right,
    WithoutKey,
    TwiceUnderOneKey,
    TwiceInSteps,
    Failing,
}

struct Fulfilment {
    orders: Repository<Order>,
    stocks: Repository<Stock>,
    way: Way,
}

impl Reaction for Fulfilment {
    const NAME: &'static str = "fulfilment";
    const START: Start = Start::Now;
    type Event = ShopEvent;

    async fn react(&self, event: &Delivery<ShopEvent>) -> Result<(), BoxError> {
        match &event.data {
            ShopEvent::Order(OrderPlaced { sku, count }) => {
                let order = event.aggregate_id::<Order>()?;
                let of = &order;
                let reserve = || {
                    let stock = self.stocks.by_id(sku);
                    stock.decide(move |stock: &Stock| stock.reserve(of, *count))
                };
                match self.way {
                    Way::Right => drop(reserve().reacting_to(event).await?),
                    Way::WithoutKey => drop(reserve().caused_by(event).await?),
                    Way::TwiceUnderOneKey => {
                        reserve().reacting_to(event).await?;
                        let second = reserve().reacting_to(event).await;
                        let Err(CommandError::Invalid(refusal)) = second else {
                            return Err("the second decision was not refused".into());
                        };
                        let stream: StreamId = format!("stock/{sku}").parse()?;
                        assert_eq!(refusal, InvalidRequest::KeyTwice { stream });
                    }
                    Way::TwiceInSteps => {
                        reserve().reacting_to_step(event, "first").await?;
                        reserve().reacting_to_step(event, "second").await?;
                    }
                    Way::Failing => return Err("it cannot be reached".into()),
                }
            }
            ShopEvent::Stock(ReservationRefused { order, .. }) => {
                let refuse =
                    self.orders.by_id(order).decide(|order: &Order| order.refuse("out of stock"));
                refuse.reacting_to(event).await?;
            }
            _ => {}
        }
        Ok(())
    }
}

fn shop(way: Way) -> (Store, Fulfilment) {
    let store = Store::from(MemoryStore::new());
    let fulfilment =
        Fulfilment { orders: Repository::new(&store), stocks: Repository::new(&store), way };
    (store, fulfilment)
}

fn placed(sku: &str, count: u32) -> OrderEvent {
    OrderPlaced { sku: sku.to_owned(), count }
}

fn reserved(count: u32) -> StockEvent {
    StockReserved { order: "o-1".to_owned(), count }
}

/// What the check that fails says.
async fn told(check: impl Future<Output = ()>) -> String {
    let panic = AssertUnwindSafe(check).catch_unwind().await;
    let panic = panic.expect_err("the check passed, and must fail");
    panic.downcast_ref::<String>().expect("a check fails with a text").clone()
}

#[tokio::test]
async fn a_refused_reservation_refuses_its_order() {
    let (store, fulfilment) = shop(Way::Right);
    react(&store, &fulfilment)
        .given::<Order>("o-1", [placed("a", 3)])
        .then::<Stock>("a", [ReservationRefused { order: "o-1".to_owned(), count: 3 }])
        .await
        .then::<Order>("o-1", [OrderRefused { reason: "out of stock".to_owned() }])
        .await
        .again()
        .await;
}

#[tokio::test]
async fn what_was_looked_at_is_known() {
    let (store, fulfilment) = shop(Way::Right);
    react(&store, &fulfilment)
        .given::<Stock>("a", [StockDelivered { count: 5 }])
        .given::<Order>("o-1", [placed("a", 3)])
        .then::<Stock>("a", [reserved(3)])
        .await
        .then::<Order>("o-1", [])
        .await
        .given::<Stock>("a", [StockDelivered { count: 1 }])
        .then::<Stock>("a", [])
        .await
        .again()
        .await;
}

#[tokio::test]
async fn what_it_did_before_something_is_given_is_not_passed_over() {
    let (store, fulfilment) = shop(Way::Right);
    let (store, fulfilment) = (&store, &fulfilment);
    let check = move |expected: Vec<StockEvent>| async move {
        react(store, fulfilment)
            .given::<Stock>("a", [StockDelivered { count: 9 }])
            .given::<Order>("o-1", [placed("a", 3)])
            .then::<Order>("o-1", [])
            .await
            .given::<Stock>("a", [StockDelivered { count: 1 }])
            .then::<Stock>("a", expected)
            .await;
    };
    check(vec![reserved(3)]).await;
    // what is in the store by now is not reacted to, nor told
    let text = told(check(vec![])).await;
    assert!(text.contains("`fulfilment` did something else to stock/a"), "{text}");
}

#[tokio::test]
async fn other_events_fail() {
    let (store, fulfilment) = shop(Way::Right);
    let check = async {
        react(&store, &fulfilment)
            .given::<Stock>("a", [StockDelivered { count: 5 }])
            .given::<Order>("o-1", [placed("a", 3)])
            .then::<Stock>("a", [reserved(2)])
            .await;
    };
    let text = told(check).await;
    assert!(text.contains("`fulfilment` did something else to stock/a"), "{text}");
    assert!(text.contains("count: 2") && text.contains("count: 3"), "{text}");
}

#[tokio::test]
async fn a_decision_without_the_key_is_found() {
    let (store, fulfilment) = shop(Way::WithoutKey);
    let check = async {
        react(&store, &fulfilment)
            .given::<Stock>("a", [StockDelivered { count: 9 }])
            .given::<Order>("o-1", [placed("a", 3)])
            .then::<Stock>("a", [reserved(3)])
            .await
            .again()
            .await;
    };
    let text = told(check).await;
    assert!(text.contains("decide with `reacting_to`"), "{text}");
    assert!(text.contains("stock/a: stock_reserved"), "{text}");
}

#[tokio::test]
async fn a_second_decision_on_a_stream_needs_a_step() {
    for (way, expected) in [
        (Way::TwiceUnderOneKey, vec![reserved(3)]),
        (Way::TwiceInSteps, vec![reserved(3), reserved(3)]),
    ] {
        let (store, fulfilment) = shop(way);
        react(&store, &fulfilment)
            .given::<Stock>("a", [StockDelivered { count: 9 }])
            .given::<Order>("o-1", [placed("a", 3)])
            .then::<Stock>("a", expected)
            .await
            .again()
            .await;
    }
}

#[tokio::test]
async fn a_call_that_fails_says_for_what() {
    let (store, fulfilment) = shop(Way::Failing);
    let check = async {
        react(&store, &fulfilment)
            .given::<Order>("o-1", [placed("a", 3)])
            .then::<Stock>("a", [])
            .await;
    };
    let text = told(check).await;
    assert!(text.starts_with("`fulfilment` failed at `order/o-1: order_placed"), "{text}");
    assert!(text.ends_with("it cannot be reached"), "{text}");
}

/// What a call decides first.
#[derive(Clone, Copy, PartialEq)]
enum First {
    Nothing,
    Refusal,
    /// Something on another stream, with the article as the other member, which is the last one or not.
    Elsewhere {
        is_last: bool,
    },
    /// The same, and the store fails.
    InVain,
}

/// Decides twice on an article under one key.
struct Twice {
    stocks: Repository<Stock>,
    first: First,
}

impl Reaction for Twice {
    const NAME: &'static str = "twice";
    const START: Start = Start::Now;
    type Event = OrderEvent;

    async fn react(&self, event: &Delivery<OrderEvent>) -> Result<(), BoxError> {
        let OrderPlaced { sku, count } = &event.data else { return Ok(()) };
        let order = &event.aggregate_id::<Order>()?;
        let stock = || self.stocks.by_id(sku);
        let reserve = || stock().decide(move |stock: &Stock| stock.reserve(order, *count));
        match self.first {
            First::Nothing => {
                let nothing = stock().decide(|_: &Stock| None::<StockEvent>);
                nothing.reacting_to(event).await?;
            }
            First::Refusal => {
                let refusal = stock().decide(|_: &Stock| Err::<StockEvent, _>("it is short"));
                let refused = refusal.reacting_to(event).await;
                assert!(matches!(refused, Err(CommandError::Rejected("it is short"))));
            }
            First::Elsewhere { is_last } => {
                let other = self.stocks.by_id("other");
                let both = if is_last { (other, stock()) } else { (stock(), other) };
                let unit = transact(both, move |(one, two)| {
                    let other = if is_last { one } else { two };
                    other.record(StockDelivered { count: 1 });
                    Ok::<_, Infallible>(())
                });
                unit.reacting_to(event).await?;
            }
            First::InVain => {
                if reserve().retry(Retry::NONE).reacting_to(event).await.is_err() {
                    reserve().reacting_to(event).await?;
                }
                return Ok(());
            }
        }
        match reserve().reacting_to(event).await {
            Err(CommandError::Invalid(InvalidRequest::KeyTwice { .. })) => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => Err("the second decision was not refused".into()),
        }
    }
}

#[tokio::test]
async fn a_second_decision_is_refused_whatever_came_of_the_first() {
    let elsewhere = [false, true].map(|is_last| First::Elsewhere { is_last });
    for first in [First::Nothing, First::Refusal].into_iter().chain(elsewhere) {
        let store = Store::from(MemoryStore::new());
        let twice = Twice { stocks: Repository::new(&store), first };
        react(&store, &twice)
            .given::<Order>("o-1", [placed("a", 3)])
            .then::<Stock>("a", [])
            .await
            .again()
            .await;
    }
}

#[tokio::test]
async fn a_decision_that_was_not_carried_out_is_sent_again() {
    let (store, faults) = (Store::from(MemoryStore::new()), Faults::new());
    faults.fail(Call::Append, 1, StoreErrorKind::Unavailable);
    let stocks = Repository::new(faults.over(&store));
    let twice = Twice { stocks, first: First::InVain };
    react(&store, &twice)
        .given::<Order>("o-1", [placed("a", 3)])
        .then::<Stock>("a", [ReservationRefused { order: "o-1".to_owned(), count: 3 }])
        .await
        .again()
        .await;
    assert_eq!(faults.calls(Call::Append), 2);
}
