#[path = "shop/mod.rs"]
mod shop;
use shop::*;

fn decisions(orders: Repository<Order>, id: &OrderId) {
    let mut n = 0;
    let _ = orders.by_id(id).decide(|order| {
        n += 1;
        order.pay(1)
    });
    let _ = transact(orders.by_id(id), |order| {
        order.cents = 3;
        Ok::<_, Refused>(())
    });
}

fn main() {}
