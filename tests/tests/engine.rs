//! The engine over a real store: retries, idempotency, metadata, snapshots, streams, and what
//! projections tell of themselves.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

mod engine {
    pub(crate) mod account;
    mod aliases;
    mod answers;
    mod cached;
    mod canonical;
    mod command_faults;
    mod commands;
    mod condensing;
    mod correlation;
    mod decoded;
    mod gathering;
    mod handles;
    mod histories;
    mod import;
    mod kinds;
    mod meanings;
    mod observing;
    mod odd_commits;
    mod paged;
    mod prepared;
    mod reactions;
    mod recorded_content;
    mod replay;
    mod scoped;
    mod sinks;
    mod snapshot_laws;
    mod snapshots;
    mod streams;
    mod tails;
    mod telemetry;
    mod time_travel;
    mod told;
    mod traced;
    mod twins;
    mod typed_rows;
    mod units;
    mod unread;
    mod unread_races;
    mod waiting;
}
