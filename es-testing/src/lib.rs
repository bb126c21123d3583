#![doc = include_str!("../README.md")]

// for authors of backends
pub mod checker;
mod clock;
pub mod contract;
pub mod fault;
mod fixture;
pub mod old_store;
pub mod projections;
pub mod raw_rows;
mod recorded;
mod runtime;
pub mod saboteur;

pub use clock::ManualClock;
pub use fixture::Fixture;
pub use runtime::ManualRuntime;

// for authors of domains
pub mod golden;
pub mod laws;
pub mod projection;
pub mod reaction;
pub mod spec;
