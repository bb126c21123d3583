#![doc = include_str!("../README.md")]
//!
//! # Threads
//!
//! One thread writes. It takes what waits, at most 512 appends or 8 MiB, into one transaction and
//! answers each caller for itself; it never waits for more to come. What needs a transaction for itself
//! comes after those that wait with it. An append whose caller has gone
//! before its transaction began is skipped. When a commit fails nobody is told of success: after a
//! full disk, a busy file or a violated constraint nothing was written, after anything else the
//! outcome is unknown and the store refuses all further work until it is opened again, because a
//! failed flush must not be tried a second time.
//!
//! A few threads read, each on a connection of its own, so that readers and the writer do not wait
//! for one another, but for a moment (0.1 to 2 s) where reads keep a write-ahead log of 64 MiB from
//! being cut. Every call is one short transaction, or one statement; a page of the log looks at no more
//! than 10,000 events, wanted or not.
//!
//! A backup has a thread and a connection of its own ([`SqliteStore::backup_to`]).
//!
//! One thread looks for commits of other processes, but only while somebody waits in
//! [`wait_past`](es_core::backend::EventStore::wait_past), or for a projection.
//!
//! # Projections
//!
//! The store is a [`ProjectionSink`](es_core::backend::ProjectionSink). Each commit is a
//! transaction of its own on the writing thread, changes of tables
//! ([`TableProjection`](es_core::TableProjection)) included, and is flushed to the disk with the next
//! append: after a loss of power it may be made once more. The view
//! `projection_active_rows` shows what is served. A switch takes the replaced model out of the way;
//! its rows are removed afterwards, a part at a time, and appends go on between the parts. Who waits
//! for a projection is woken by commits of this process at once, and by those of others as for the
//! log.
//!
//! There is no store in memory: SQLite's has neither write-ahead log nor independent readers. Use
//! es-memory.
//!
//! # The file
//!
//! Events are rows of `execution_events`, to be read with any SQLite program; `schema.sql` shows
//! all tables.
//!
//! ```sql
//! SELECT * FROM execution_events
//! WHERE aggregate_id = 12345 AND created_at <= '2025-11-19 10:00:00';
//! ```
//!
//! - `created_at` is text in SQLite's own form, in UTC with microseconds, so that it compares with
//!   what people type and with SQLite's date functions. Writing the text costs a fraction of a
//!   microsecond for an append.
//! - The unique constraint `unique_aggregate_version` begins with `aggregate_id`, so that it is the
//!   index of queries that name the id alone, too.
//! - There is no index on `created_at` or on fields of `metadata`: each would cost every append,
//!   and the log is in the order of time anyway. Further indexes and tables may be added to the
//!   file; the store leaves them alone.
//! - In SQLite `metadata ->> 'conversation_id'` is a number, to be compared with `9184` and not
//!   with `'9184'`.
//! - Triggers refuse `UPDATE`, `DELETE` and every `INSERT` that would replace an event, leave a gap
//!   in a stream or stand before the end of the log; `CHECK` constraints refuse rows that could not
//!   be read back. Both hold in every program that opens the file. The store itself has made the
//!   same checks already and appends on a connection without them, for as long as the application
//!   has no triggers of its own on the store's tables: those run with every append. They must not
//!   append events between those of a request with a key, which is refused then.
//! - A row may be inserted by hand: `event_id`, `created_at` and `metadata` have defaults.
//! - `application_id` marks the file, `user_version` is the version of the schema.
//!
//! The file must be on a local file system, of which others are warned of; several processes of one
//! machine may have it open. `docs/sqlite.md` says how to run a store: backups, long reads, rights.

pub use rusqlite;

mod backup;
mod checkpoint;
mod config;
mod damage;
mod error;
mod gate;
mod history;
mod migrate;
mod network;
mod open;
mod open_reads;
mod sql;

mod queue;
mod store;

mod append;
mod transaction;
mod write_ahead_log;
mod writer;

mod copies;
mod projection;
mod read;
mod reader;
mod row;
mod snapshot;
mod wait;

pub use backup::{Backup, BackupError, BackupProgress};
pub use checkpoint::WriteAheadLog;
pub use config::{SqliteConfig, Synchronous};
pub use error::store_error;
pub use open_reads::OpenRead;
pub use store::{SqliteStore, backup};
pub use transaction::{SqliteTransaction, TransactionError};
