use es_core::event::Fields;
use es_core::{BoxError, Event};

#[derive(Event)]
#[event(split("order_made" => by_value: OrderPlaced))]
#[event(split("order_kept" => missing: OrderPlaced))]
enum OrderEvent {
    OrderPlaced,
}

fn by_value(_: Fields) -> Result<Vec<OrderEvent>, BoxError> {
    Ok(vec![OrderEvent::OrderPlaced])
}

fn main() {}
