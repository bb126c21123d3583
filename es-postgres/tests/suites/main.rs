//! The suites of every backend in each mode of the store; es-pgtest/servers chooses modes by name.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

#[path = "../support/mod.rs"]
mod support;

mod contract_ints;
mod contract_own;
mod contract_pooled;
mod contract_table;
mod contract_together;
mod contract_within;
mod projections_own;
mod projections_pooled;
