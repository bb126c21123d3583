#[path = "shop/mod.rs"]
mod shop;
use shop::*;

fn decision(orders: Repository<Order>, id: &OrderId) {
    let _ = transact(vec![orders.by_id(id)], |orders| {
        orders.pop();
        Ok::<_, Refused>(())
    });
}

fn main() {}
