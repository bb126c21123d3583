#[path = "shop/mod.rs"]
mod shop;
use shop::*;

fn members(orders: Repository<Order>, customer: &CustomerId) {
    let _ = orders.by_id(customer);
    let _ = orders.by_id("o-1");
}

fn main() {}
