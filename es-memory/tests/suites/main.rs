//! The suites of every backend over the in-memory store.

#[path = "../support/neighbour.rs"]
mod neighbour;

mod contract;
mod projections;
