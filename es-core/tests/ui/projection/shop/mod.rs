//! The events of orders and what customers ordered, for the cases beside.
#![allow(dead_code)]

use es_core::projection::Keying;
use es_core::{Aggregate, AggregateId, BoxError, Envelope, Event, Projection};
use serde::{Deserialize, Serialize};

#[derive(AggregateId, Clone, Serialize, Deserialize)]
pub struct CustomerId(pub String);

#[derive(Event)]
pub enum OrderEvent {
    OrderPlaced { customer: CustomerId },
}

impl OrderEvent {
    pub fn customer(&self) -> Option<&CustomerId> {
        let Self::OrderPlaced { customer } = self;
        Some(customer)
    }
}

#[derive(AggregateId)]
pub struct OrderId(String);

#[derive(Default, Clone)]
pub struct Order;

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    type Id = OrderId;
    type Event = OrderEvent;
    fn evolve(&mut self, _: &OrderEvent) {}
}

#[derive(Serialize, Deserialize)]
pub struct CustomerTotals;

impl Projection for CustomerTotals {
    const NAME: &'static str = "customer_totals";
    type Event = OrderEvent;
    type Key = CustomerId;
    fn keying() -> Keying<Self> {
        Keying::<Self>::across_streams(|event| event.data.customer().cloned())
    }
    fn evolve(
        _: &CustomerId,
        row: &mut Option<Self>,
        _: &Envelope<OrderEvent>,
    ) -> Result<(), BoxError> {
        *row = Some(Self);
        Ok(())
    }
}
