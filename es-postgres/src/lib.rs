#![doc = include_str!("../README.md")]
//!
//! # Appends
//!
//! An append is one statement and one round trip. What arrives while all writing connections are
//! busy waits and shares the next statement, each with its own answer. What another transaction holds
//! up delays no append to other streams.
//! Success is answered after the commit. When an answer is lost the error says that the outcome is
//! unknown; with an idempotency key the same append can be sent again.
//!
//! # The log
//!
//! Positions are drawn before commits, so the log is read up to a *frontier*: everything at or
//! below it is there to be seen or never will be. Only open transactions that have inserted into
//! this table hold it back. Appends of other stores of this crate are noticed by a notification,
//! which is sent after the commit and by a session of its own, raw SQL by polling.
//!
//! # The tables
//!
//! The shape is that of `migrations/0001_events.sql`, in a schema and under a name of one's own
//! ([`Layout`]), with ids of type `text` or `int`. A schema holds one store. Triggers refuse
//! `UPDATE`, `DELETE` and `TRUNCATE`, and rows that could not be read back, by SQLSTATE 23514.
//! JSON is `jsonb`: equal as a value, and written anew.
//!
//! Snapshots are in `{events}_snapshots`; those of one aggregate type can be in a table of the
//! application's instead ([`Layout::snapshots`]).
//!
//! Triggers of the application on the table run with `search_path = pg_catalog`; they must name
//! schemas.
//!
//! # Projections
//!
//! The store is a [`ProjectionSink`](es_core::backend::ProjectionSink). A commit of rows is one
//! call of a migrated function and one round trip; leases expire by the server's clock; commits of
//! other processes are noticed by polling, one statement for all who wait. Changes of tables
//! ([`TableProjection`](es_core::TableProjection)) are carried out within the transaction
//! of the commit; the tables are made by whoever claims the model, or by a script
//! ([`PostgresStore::table_script`]). All calls share [`projectors`](PostgresConfig::projectors)
//! connections.
//!
//! # Encryption
//!
//! Connections to other machines verify the server unless the address, the environment or
//! [`ssl_mode`](PostgresConfig::ssl_mode) says otherwise. No feature for TLS is enabled here: the
//! application enables one of sqlx's, such as `tls-rustls-ring-native-roots`. Without one, what needs
//! encryption is refused, and nothing is sent.

pub use sqlx;

mod config;
mod error;
mod identifier;
mod inspect;
mod migrate;
mod sql;

mod connection;
mod store;

mod append;
mod batch;
mod transaction;
mod writer;

mod blocker;
mod frontier;
mod log;
mod projection;
mod read;
mod row;
mod snapshot;

pub use config::{
    ConfigError, IdType, Layout, PostgresConfig, Session, SnapshotTable, Synchronous,
};
pub use error::{sql_state, store_error};
pub use identifier::{Identifier, InvalidIdentifier};
pub use migrate::Migrations;
pub use store::PostgresStore;
