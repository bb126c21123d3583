//! The suites of every backend over the SQLite store.
#![allow(clippy::unwrap_used, reason = "a fixture that cannot be made fails its test")]

mod contract;
mod fixture;
mod projections;
