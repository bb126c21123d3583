//! What is special to the PostgreSQL store, beside the contract.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

#[path = "../support/mod.rs"]
mod support;

mod appends;
mod bad_input;
mod blockers;
mod following;
mod held_back;
mod inline;
mod language;
mod migrations;
mod plans;
mod projections;
mod raw_sql;
mod round_trips;
mod secrets;
mod sequence;
mod snapshot_table;
mod snapshots;
mod trackers;
mod wake_ups;
