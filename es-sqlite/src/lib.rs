//! The embedded durable store of es-core, on SQLite.

pub use rusqlite;

mod config;
mod error;
mod migrate;
mod open;
mod sql;

mod queue;
mod store;

mod append;
mod transaction;
mod writer;

mod read;
mod reader;
mod row;
mod snapshot;
mod wait;

pub use error::store_error;
pub use config::{SqliteConfig, Synchronous};
pub use store::SqliteStore;
pub use transaction::{SqliteTransaction, TransactionError};
