use es_core::projection::Keying;

#[path = "shop/mod.rs"]
mod shop;
use shop::{CustomerTotals, Order};

impl CustomerTotals {
    fn keys() -> Keying<Self> {
        Keying::per_stream::<Order>()
    }
}

fn main() {}
