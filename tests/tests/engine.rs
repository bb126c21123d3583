//! The engine over a real store: retries, idempotency, metadata, snapshots, streams.

mod engine {
    pub(crate) mod account;
    mod commands;
    mod snapshots;
    mod streams;
    mod units;
}
