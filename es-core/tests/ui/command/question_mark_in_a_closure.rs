#[path = "shop/mod.rs"]
mod shop;
use shop::*;

fn decision(orders: Repository<Order>, id: &OrderId) {
    let _ = transact(orders.by_id(id), |order| {
        order.record(order.pay(1)?);
        Ok(())
    });
}

fn main() {}
