//! The store's own promises, beside the contract that every backend keeps.
#![allow(clippy::unwrap_used, reason = "what cannot be set up fails its test")]
#![allow(clippy::print_stdout, reason = "a child process tells its parent")]

mod append_only;
mod backup;
mod batches;
mod coalescing;
mod correlation;
mod failures;
mod files;
mod growth;
mod histories;
mod import;
mod inline;
mod listener;
mod long_reads;
mod migrations;
#[cfg(target_os = "linux")]
mod network;
mod old_store;
mod plans;
mod prepared;
mod processes;
mod projections;
mod raw_rows;
mod refused;
mod restored;
mod schema;
mod statements;
mod store;
mod support;
mod tables;
mod transactions;
mod wants;
