#![deny(unused_must_use)]

#[path = "shop/mod.rs"]
mod shop;
use shop::*;

async fn decision(orders: Repository<Order>, id: &OrderId) {
    orders.by_id(id).decide(|order| order.pay(1));
}

fn main() {}
