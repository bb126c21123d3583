//! What the PostgreSQL tests of this workspace need: a temporary server, databases on it, and
//! two things to put in front of it.
//!
//! - [`Server`]: one temporary cluster for a whole test run, or one of its own for a test that
//!   kills it; [`TestDatabase`] is a database on it.
//! - [`Authority`]: signs the certificates of a server that listens on a port of 127.0.0.1.
//! - [`Proxy`]: counts messages, cuts connections at a chosen message, swallows everything.
//! - [`TransactionPooler`]: gives every transaction another session.
//!
//! ```no_run
//! # async fn example() {
//! use es_pgtest::Server;
//!
//! let database = Server::shared().database().await;
//! let pool = sqlx::PgPool::connect_with(database.options()).await.unwrap();
//! # }
//! ```
//!
//! The environment may ask for other servers: `ES_PGTEST_BINDIR` names the folder of the server's
//! programs, `ES_PGTEST_LOCALE` the locale of clusters and databases (`de_DE.UTF-8`, or
//! `icu:de-DE` from PostgreSQL 15 on), `ES_PGTEST_STANDBY=1` has commits on the shared server wait
//! for a streaming standby, and `ES_PGTEST_POOLER=pgbouncer` puts a real one in the place of
//! [`TransactionPooler`]'s own. What is asked for and cannot be had fails the test.
//!
//! A test without a server fails: nothing here skips silently.

mod account;
mod binaries;
mod cluster;
mod database;
mod error;
mod folder;
mod guardian;
mod listener;
mod pooler;
mod private;
mod proxy;
mod server;
mod settings;
mod shared;
mod tls;
mod upstream;
mod wanted;
mod wire;

pub use database::TestDatabase;
pub use pooler::{TransactionPooler, pooled_url};
pub use proxy::{Direction, Proxy};
pub use server::Server;
pub use settings::SETTINGS;
pub use tls::{Authority, Certificate};
