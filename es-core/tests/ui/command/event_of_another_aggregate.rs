#[path = "shop/mod.rs"]
mod shop;
use shop::*;

fn decisions(orders: Repository<Order>, id: &OrderId) {
    let order = orders.by_id(id);
    let _ = order.decide(|_| ItemsTaken { items: 1 });
    let _ = order.decide(|_| Ok::<_, Refused>(ItemsTaken { items: 1 }));
}

fn main() {}
