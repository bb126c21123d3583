#![doc = include_str!("../README.md")]

// for authors of domains
mod clock;
pub mod fault;
pub mod golden;
pub mod laws;
pub mod projection;
pub mod reaction;
mod recorded;
mod runtime;
pub mod spec;

pub use clock::ManualClock;
pub use runtime::ManualRuntime;

// for authors of backends
#[cfg(feature = "backend")]
pub mod checker;
#[cfg(feature = "backend")]
pub mod contract;
#[cfg(feature = "backend")]
mod fixture;
#[cfg(feature = "backend")]
pub mod old_store;
#[cfg(feature = "backend")]
pub mod projections;
#[cfg(feature = "backend")]
pub mod raw_rows;
#[cfg(feature = "backend")]
#[doc(hidden)]
pub mod scenes;
#[cfg(feature = "backend")]
pub mod suite;

#[cfg(feature = "backend")]
pub use fixture::Fixture;
