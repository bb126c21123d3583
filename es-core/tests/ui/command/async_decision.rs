#[path = "shop/mod.rs"]
mod shop;
use shop::*;

fn decisions(orders: Repository<Order>, id: &OrderId) {
    let order = orders.by_id(id);
    let _ = order.decide(async |_| OrderPaid { cents: 1 });
    let _ = order.decide(|_| async { OrderPaid { cents: 1 } });
}

fn main() {}
