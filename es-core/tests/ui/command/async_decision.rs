#[path = "shop/mod.rs"]
mod shop;
use shop::*;

// a function, not a closure: the type of a closure is told with its path, and differs by folder
async fn pay(cents: u64) -> OrderEvent {
    OrderPaid { cents }
}

fn decisions(orders: Repository<Order>, id: &OrderId) {
    let order = orders.by_id(id);
    let _ = order.decide(|_| pay(1));
}

fn main() {}
