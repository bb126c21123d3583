use es_core::event::{Fields, StoredEvent};
use es_core::{BoxError, Event};

#[derive(Event)]
#[event(retired("order_lost"))]
#[event(split("order_made" => make: OrderPlaced, OrderPayed))]
#[event(split("order_paid" => make: OrderPlaced, OrderPaid))]
#[event(split("order_made" => make: OrderPaid))]
#[event(split("order_lost" => make: OrderPaid))]
#[event(split("order_kept" => keep))]
enum OrderEvent {
    OrderPlaced,
    OrderPaid,
}

fn make(_: &Fields, _: &StoredEvent<'_>) -> Result<Vec<OrderEvent>, BoxError> {
    Ok(Vec::new())
}

fn main() {}
