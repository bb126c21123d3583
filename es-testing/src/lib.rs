#![doc = include_str!("../README.md")]

// for authors of backends
mod clock;
pub mod contract;
mod fixture;

pub use clock::ManualClock;
pub use fixture::Fixture;

// for authors of domains
pub mod spec;
