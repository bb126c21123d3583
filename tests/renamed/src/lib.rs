//! Events and ids of a crate to which es-core is `shop`, or hidden in a module of its own: nothing that
//! the derives write may name `es_core`, nor serde, which is no dependency of it.

use shop::BoxError;
use shop::event::{Fields, StoredEvent};

/// A facade, as a crate has it that others derive by.
pub mod facade {
    pub use shop as es;
}

/// The dependency itself.
#[derive(shop::Event, Debug, Clone, PartialEq)]
#[event(crate = "shop")]
#[event(retired("order_flagged"))]
#[event(split("order_placed_and_paid" => place_and_pay: OrderPlaced, OrderPaid))]
pub enum OrderEvent {
    /// With fields in every place.
    #[event(version = 2, upcast(1 => in_cents), alias = "com.acme.v1.Placed")]
    OrderPlaced {
        /// The sum.
        cents: u64,
        /// Who placed it.
        #[event(metadata)]
        customer: Option<String>,
        /// Whether anybody was told.
        #[event(metadata)]
        #[serde(default)]
        told: bool,
    },
    /// Without fields.
    OrderPaid,
    /// With a payload of its own.
    NoteAdded(String),
}

fn place_and_pay(old: &Fields, _: &StoredEvent<'_>) -> Result<Vec<OrderEvent>, BoxError> {
    let cents = old.get("cents").ok_or("there is no sum")?;
    let placed = OrderEvent::OrderPlaced { cents, customer: None, told: false };
    Ok(vec![placed, OrderEvent::OrderPaid])
}

fn in_cents(payload: &mut Fields) {
    payload.rename("amount", "cents");
}

/// By the facade, from the root of this crate.
#[derive(facade::es::Event, Debug, Clone, PartialEq)]
#[event(crate = "crate::facade::es", tense = "any", reason = "the warehouse speaks German")]
pub enum WarehouseEvent {
    /// With a field.
    BestellungStorniert {
        /// Why.
        grund: String,
    },
}

/// A union of both.
#[derive(shop::Event, Debug, Clone, PartialEq)]
#[event(union, crate = "facade::es")]
pub enum ShopEvent {
    /// Orders.
    Order(OrderEvent),
    /// The warehouse.
    Warehouse(WarehouseEvent),
}

/// An id.
#[derive(shop::AggregateId, Debug, Clone, PartialEq)]
#[aggregate_id(crate = "shop")]
pub struct OrderId(pub u64);

/// An id of an id.
#[derive(facade::es::AggregateId, Debug, Clone, PartialEq)]
#[aggregate_id(crate = "self::facade::es")]
pub struct LineId(pub OrderId);
