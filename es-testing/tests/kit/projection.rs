//! Given, then: what passes, what fails, and what a failure tells.

mod tables;

use std::panic::{AssertUnwindSafe, catch_unwind};

use es_core::projection::Keying;
use es_core::{Aggregate, AggregateId, BoxError, Envelope, Event, Projection};
use es_testing::projection::given;
use serde::{Deserialize, Serialize};

#[derive(AggregateId, Debug, Clone, PartialEq, Serialize, Deserialize)]
struct CustomerId(String);

impl From<&str> for CustomerId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

#[derive(Event, Debug)]
enum OrderEvent {
    OrderPlaced { customer: CustomerId, cents: u64 },
    OrderPaid,
}
use OrderEvent::*;

#[derive(Event, Debug)]
enum CustomerEvent {
    CustomerMoved,
}
use CustomerEvent::*;

#[derive(Event, Debug)]
#[event(union)]
enum ShopEvent {
    Order(OrderEvent),
    Customer(CustomerEvent),
}

#[derive(Default, Clone)]
struct Order;

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    type Id = u64;
    type Event = OrderEvent;

    fn evolve(&mut self, _: &OrderEvent) {}
}

#[derive(Default, Clone)]
struct Customer;

impl Aggregate for Customer {
    const TYPE: &'static str = "customer";
    type Id = CustomerId;
    type Event = CustomerEvent;

    fn evolve(&mut self, _: &CustomerEvent) {}
}

/// What each customer did.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Totals {
    cents: u64,
    moves: u32,
}

fn of_customer(event: &Envelope<'_, ShopEvent>) -> Result<Option<CustomerId>, BoxError> {
    match &event.data {
        ShopEvent::Order(OrderPlaced { customer, .. }) => Ok(Some(customer.clone())),
        ShopEvent::Order(OrderPaid) => Ok(None),
        ShopEvent::Customer(CustomerMoved) => Ok(Some(event.aggregate_id::<Customer>()?)),
    }
}

impl Projection for Totals {
    const NAME: &'static str = "totals";
    type Event = ShopEvent;
    type Key = CustomerId;

    fn keying() -> Keying<Self> {
        Keying::across_streams(of_customer)
    }

    fn evolve(
        _: &CustomerId,
        row: &mut Option<Self>,
        event: &Envelope<'_, ShopEvent>,
    ) -> Result<(), BoxError> {
        let totals = row.get_or_insert_default();
        match &event.data {
            ShopEvent::Order(OrderPlaced { cents: 0, .. }) => return Err("it is free".into()),
            ShopEvent::Order(OrderPlaced { cents, .. }) => totals.cents += cents,
            ShopEvent::Order(OrderPaid) => {}
            ShopEvent::Customer(CustomerMoved) => totals.moves += 1,
        }
        Ok(())
    }
}

/// What an order comes to, until it is paid.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Open(u64);

impl Projection for Open {
    const NAME: &'static str = "open";
    type Event = OrderEvent;
    type Key = u64;

    fn keying() -> Keying<Self> {
        Keying::per_stream::<Order>()
    }

    fn evolve(
        _: &u64,
        row: &mut Option<Self>,
        event: &Envelope<'_, OrderEvent>,
    ) -> Result<(), BoxError> {
        *row = match event.data {
            OrderPlaced { cents, .. } => Some(Self(cents)),
            OrderPaid => None,
        };
        Ok(())
    }
}

fn placed(customer: &str, cents: u64) -> OrderEvent {
    OrderPlaced { customer: customer.into(), cents }
}

fn anna(cents: u64, moves: u32) -> (CustomerId, Totals) {
    ("anna".into(), Totals { cents, moves })
}

#[test]
fn rows_are_those_of_the_events_in_their_order() {
    given::<Totals>().then_rows([]);
    given::<Totals>()
        .events::<Order>(&1, [placed("anna", 700)])
        .events::<Customer>("anna", [CustomerMoved])
        .events::<Order>(&2, [placed("anna", 50), OrderPaid])
        .then_rows([anna(750, 1)]);
    given::<Open>()
        .events::<Order>(&1, [placed("anna", 700)])
        .events::<Order>(&2, [placed("bert", 50)])
        .events::<Order>(&1, [OrderPaid])
        .then_rows([(2, Open(50))]);
}

/// The text of the panic of a check that must fail.
fn told(check: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(check)).expect_err("the rows are others");
    *panic.downcast::<String>().expect("the panic has a text")
}

#[test]
fn other_rows_are_told_with_what_was_given() {
    let check = || {
        given::<Open>()
            .events::<Order>(&1, [placed("anna", 700)])
            .events::<Order>(&2, [placed("bert", 50)])
            .then_rows([(1, Open(700)), (3, Open(1))]);
    };
    let expected = "\
these are not the rows
    given: 2 events
           order/1: order_placed {\"cents\":700,\"customer\":\"anna\"}
           order/2: order_placed {\"cents\":50,\"customer\":\"bert\"}
 expected: 2 rows
           1: Open(700)
         * 3: Open(1)
   actual: 2 rows
           1: Open(700)
         * 2: Open(50)";
    assert_eq!(told(check), expected);
}

#[test]
fn an_event_that_cannot_be_taken_is_told() {
    let check = || {
        let free = given::<Totals>().events::<Order>(&1, [placed("anna", 0)]);
        free.then_rows([anna(0, 0)]);
    };
    let told = told(check);
    assert!(told.contains(" expected: 1 row\n"), "{told}");
    let actual = "   actual: `order/1: order_placed {\"cents\":0,\"customer\":\"anna\"}` cannot be \
                  taken: it is free";
    assert!(told.ends_with(actual), "{told}");
}

#[test]
fn events_of_an_id_that_names_no_stream_are_refused() {
    let told = told(|| drop(given::<Totals>().events::<Customer>("", [CustomerMoved])));
    assert!(told.starts_with("the id names no stream: "), "{told}");
}
