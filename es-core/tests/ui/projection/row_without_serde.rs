use es_core::projection::Keying;
use es_core::{BoxError, Envelope, Projection};

#[path = "shop/mod.rs"]
mod shop;
use shop::{Order, OrderEvent, OrderId};

struct OrderTotals;

impl Projection for OrderTotals {
    const NAME: &'static str = "order_totals";
    type Event = OrderEvent;
    type Key = OrderId;
    fn keying() -> Keying<Self> {
        Keying::per_stream::<Order>()
    }
    fn evolve(_: &OrderId, _: &mut Option<Self>, _: &Envelope<OrderEvent>) -> Result<(), BoxError> {
        Ok(())
    }
}

fn main() {}
