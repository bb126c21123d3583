//! What is special to the PostgreSQL store, beside the contract.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

#[path = "../support/mod.rs"]
mod support;

mod appends;
mod bad_input;
mod blockers;
mod collation;
mod crowds;
mod cut_off;
mod faults;
mod few_connections;
mod following;
mod functions;
mod held_back;
mod held_up;
mod histories;
mod huge_rows;
mod import;
mod inline;
mod language;
mod looks;
mod migrations;
mod model_plans;
mod notes;
mod old_store;
mod oracle;
mod panics;
mod plans;
mod prepared;
mod projections;
mod raw_rows;
mod raw_sql;
mod retired;
mod round_trips;
mod rules;
mod secrets;
mod sequence;
mod settings;
mod snapshot_table;
mod snapshots;
mod standbys;
mod stopped;
mod tables;
mod trackers;
mod vacuums;
mod wake_ups;
mod wrong_rules;
