//! The store's own promises, beside the contract that every backend keeps.

mod store;
mod support;
