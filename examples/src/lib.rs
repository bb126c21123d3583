#![doc = include_str!("../README.md")]

mod order;
mod stock;

pub use order::{Order, OrderEvent, OrderId, Refusal};
pub use stock::{Stock, StockEvent};
