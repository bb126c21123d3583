use es_core::{BoxError, Envelope, Projection};
use serde::{Deserialize, Serialize};

#[path = "shop/mod.rs"]
mod shop;
use shop::OrderEvent;

#[derive(Serialize, Deserialize)]
struct CustomerTotals;

impl Projection for CustomerTotals {
    const NAME: &'static str = "customer_totals";
    type Event = OrderEvent;
    type Key = String;
    fn evolve(_: &String, _: &mut Option<Self>, _: &Envelope<OrderEvent>) -> Result<(), BoxError> {
        Ok(())
    }
}

fn main() {}
