use es_core::projection::Keying;

#[path = "shop/mod.rs"]
mod shop;
use shop::CustomerTotals;

impl CustomerTotals {
    fn keys() -> Keying<Self> {
        Keying::<Self>::across_streams(|event| event.data.customer())
    }
}

fn main() {}
