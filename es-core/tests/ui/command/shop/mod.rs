//! Orders and stocks, for the cases beside.
#![allow(dead_code, unused_imports)]

pub use es_core::{Aggregate, AggregateId, Draft, Event, Repository, transact};

#[derive(Event)]
pub enum OrderEvent {
    OrderPaid { cents: u64 },
}
pub use OrderEvent::*;

#[derive(Event)]
pub enum StockEvent {
    ItemsTaken { items: u32 },
}
pub use StockEvent::*;

#[derive(AggregateId)]
pub struct OrderId(String);

#[derive(AggregateId)]
pub struct CustomerId(String);

#[derive(Clone, Default)]
pub struct Order {
    pub cents: u64,
}

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    type Id = OrderId;
    type Event = OrderEvent;

    fn evolve(&mut self, OrderPaid { cents }: &OrderEvent) {
        self.cents += cents;
    }
}

#[derive(Debug)]
pub struct Refused;

impl Order {
    pub fn pay(&self, cents: u64) -> Result<OrderEvent, Refused> {
        if self.cents == 0 { Ok(OrderPaid { cents }) } else { Err(Refused) }
    }
}
