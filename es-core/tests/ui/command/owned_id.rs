#[path = "shop/mod.rs"]
mod shop;
use shop::*;

fn member(orders: Repository<Order>, id: OrderId) {
    let _ = orders.by_id(id);
}

fn main() {}
