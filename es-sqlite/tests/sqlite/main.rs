//! The store's own promises, beside the contract that every backend keeps.
#![allow(clippy::unwrap_used, reason = "what cannot be set up fails its test")]

mod store;
mod support;
