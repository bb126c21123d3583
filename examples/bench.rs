//! How fast an order is paid, on three stores: `cargo run --release -p es-examples --example bench`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use es_benches::harness::{Report, decisions};
use es_examples::{Order, OrderEvent, OrderId};

async fn paying(calls: u64) -> Report {
    let (customer, sku) = ("anna".to_owned(), "bread".to_owned());
    let placed = OrderEvent::OrderPlaced { customer, sku, count: 2, cents: 700 };
    let history = [placed, OrderEvent::OrderConfirmed];
    let id = |n: u64| OrderId(format!("o-{n}"));
    decisions::<Order, _>(calls, id, &history, |order| order.pay(700)).await
}

#[tokio::main]
async fn main() {
    println!("{}", paying(1_000).await);
}

#[tokio::test]
async fn each_store_is_measured() {
    let report = paying(3).await;
    let stores: Vec<_> = report.stores.iter().map(|measured| measured.store).collect();
    assert_eq!(stores, ["memory", "sqlite", "postgres"]);
    assert_eq!(report.to_string().lines().count(), 1 + stores.len(), "{report}");
}
