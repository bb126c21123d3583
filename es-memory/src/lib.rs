#![doc = include_str!("../README.md")]

mod inline;
mod log;
mod projections;
mod sink;
mod store;
mod tables;

pub use store::MemoryStore;
