#[path = "shop/mod.rs"]
mod shop;
use shop::*;

fn decision(orders: Repository<Order>, id: &OrderId) {
    let order = || orders.by_id(id);
    let five = (order(), order(), order(), order(), order());
    let _ = transact(five, |_| Ok::<_, Refused>(()));
}

fn main() {}
