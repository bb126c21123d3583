#[path = "shop/mod.rs"]
mod shop;
use shop::*;

fn members(orders: Repository<Order>, customer: &CustomerId) {
    let _ = orders.by_id(customer);
    let _ = orders.by_id("o-1");
    let _ = orders.by_id(&"o-1".to_owned());
}

fn main() {}
