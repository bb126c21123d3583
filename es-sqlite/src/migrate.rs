//! The schema: what a file must be, and the steps that bring it up to date.

use std::path::Path;

use es_core::backend::{StoreError, StoreErrorKind};
use rusqlite::Connection;

use crate::append::run;
use crate::damage::{is_damage, is_want};
use crate::error::{Doing, Said, store_error};
use crate::sql;

/// Marks a SQLite file as a store; the first migration writes it.
pub(crate) const APPLICATION_ID: i64 = 0x4553_5131;

/// The steps, oldest first; step `n` leaves the schema at version `n + 1`.
pub(crate) const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_events.sql"),
    include_str!("../migrations/0002_append_only.sql"),
    include_str!("../migrations/0003_idempotency.sql"),
    include_str!("../migrations/0004_snapshots.sql"),
    include_str!("../migrations/0005_projections.sql"),
    include_str!("../migrations/0006_projection_rates.sql"),
    include_str!("../migrations/0007_snapshot_events.sql"),
    include_str!("../migrations/0008_forget_unused_snapshots.sql"),
];

/// What a SQLite file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Schema {
    /// It holds nothing at all.
    Empty,
    /// It is a store with this many migrations applied.
    Version(usize),
}

/// Says what the file is; an error if it is not for this program.
pub(crate) fn inspect(connection: &Connection, path: &Path) -> Result<Schema, StoreError> {
    // one snapshot, or another process that makes the store just now would be half seen
    run(connection, sql::BEGIN_READ)?;
    // after a failure the transaction may have ended, and the connection is worth nothing
    let schema = inspect_within(connection, path)?;
    run(connection, sql::ROLLBACK)?;
    Ok(schema)
}

/// [`inspect`] within a transaction.
fn inspect_within(connection: &Connection, path: &Path) -> Result<Schema, StoreError> {
    let number = |statement| {
        connection
            .prepare_cached(statement)
            .and_then(|mut statement| statement.query_row([], |row| row.get::<_, i64>(0)))
            .doing(connection, "opening")
    };
    let (application, version) = (number(sql::APPLICATION_ID)?, number(sql::SCHEMA_VERSION)?);
    if application == 0 && version == 0 && number(sql::COUNT_OBJECTS)? == 0 {
        return Ok(Schema::Empty);
    }
    if application == 0 && version == 0 && number(sql::HAS_EVENTS_TABLE)? != 0 {
        return Err(StoreError::new(
            StoreErrorKind::NotAStore,
            format!(
                "{path} has the tables of an event store and not the marks of its file, which a \
                 restored `.dump` leaves out; if it is whole, set them: PRAGMA application_id = \
                 {APPLICATION_ID}; PRAGMA user_version = the number that the store had, {} if this \
                 program wrote it; make backups with VACUUM INTO or .backup, which keep them",
                MIGRATIONS.len(),
                path = path.display(),
            ),
        ));
    }
    if application != APPLICATION_ID {
        return Err(StoreError::new(
            StoreErrorKind::NotAStore,
            format!(
                "{} is a SQLite database of another program, not an event store; name another file",
                path.display()
            ),
        ));
    }
    match usize::try_from(version) {
        Ok(version) if (1..=MIGRATIONS.len()).contains(&version) => Ok(Schema::Version(version)),
        _ => Err(StoreError::new(
            StoreErrorKind::NewerSchema,
            format!(
                "the store {} has schema version {version}, this program knows up to {}; \
                 use a newer program",
                path.display(),
                MIGRATIONS.len()
            ),
        )),
    }
}

/// Applies what is missing, in one transaction; of several processes at once, one does it.
pub(crate) fn migrate(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    run(connection, sql::BEGIN_WRITE)?;
    let migrated = inspect_within(connection, path).and_then(|schema| {
        let applied = match schema {
            Schema::Empty => 0,
            Schema::Version(version) => version,
        };
        for migration in &MIGRATIONS[applied..] {
            connection.execute_batch(migration).doing(connection, "migrating")?;
        }
        if schema == Schema::Empty {
            begin_cookie(connection).doing(connection, "making")?;
        }
        check_tables(connection, path)?;
        run(connection, sql::COMMIT)
    });
    if migrated.is_err() && !connection.is_autocommit() {
        run(connection, sql::ROLLBACK)?;
    }
    migrated
}

/// Lets the schema cookie begin where that of no other file does, so that a write-ahead log is known
/// to be another file's.
pub(crate) fn begin_cookie(connection: &Connection) -> rusqlite::Result<()> {
    let cookie: i32 = connection.query_row(sql::COOKIE_OF_ITS_OWN, [], |row| row.get(0))?;
    connection.pragma_update(None, "schema_version", cookie)
}

/// Refuses a store that lacks a table; it is damaged, or somebody has dropped one.
pub(crate) fn check_tables(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    for statement in [sql::APPEND_EVENT, sql::FIND_KEY, sql::LATEST_SNAPSHOT] {
        connection.prepare_cached(statement).map(drop).map_err(|error| {
            if is_want(&error) || is_damage(&error) {
                return store_error("opening", path, error);
            }
            let text =
                format!("the store {} lacks a table; restore it from a backup", path.display());
            StoreError::new(StoreErrorKind::Corrupt, text).caused_by(Said(error))
        })?;
    }
    Ok(())
}
