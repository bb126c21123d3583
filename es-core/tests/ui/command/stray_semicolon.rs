#[path = "shop/mod.rs"]
mod shop;
use shop::*;

fn decision(orders: Repository<Order>, id: &OrderId) {
    let _ = orders.by_id(id).decide(|order| {
        order.pay(1);
    });
}

fn main() {}
