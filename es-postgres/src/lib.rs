//! The PostgreSQL store of es-core.

pub use sqlx;

mod config;
mod error;
mod identifier;
mod migrate;
mod sql;

mod connection;
mod store;

mod append;
mod batch;
mod transaction;
mod writer;

mod frontier;
mod log;
mod read;
mod row;
mod snapshot;

pub use config::{ConfigError, IdType, Layout, PostgresConfig, Session};
pub use error::store_error;
pub use identifier::{Identifier, InvalidIdentifier};
pub use migrate::Migrations;
pub use store::PostgresStore;
