//! The application's own writes, together with events.

use std::fmt;
use std::sync::Arc;

use es_core::environment::Clock;
use es_core::{AppendError, AppendRequest, Appended, Limits, StoreError, StoreErrorKind};
use rusqlite::{Connection, Error, ffi};

use crate::append::{CheckedAppend, append};
use crate::projection::Inline;

/// Why nothing more is written in a transaction.
const ENDED: &str = "a statement before has ended the transaction, nothing of it is written";

/// A transaction on the store's file, open for as long as the closure runs that was given to
/// [`SqliteStore::write`](crate::SqliteStore::write).
pub struct SqliteTransaction<'a> {
    connection: &'a Connection,
    limits: Limits,
    clock: Arc<dyn Clock>,
    inline: Arc<Inline>,
}

impl fmt::Debug for SqliteTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteTransaction")
            .field("path", &self.connection.path())
            .finish_non_exhaustive()
    }
}

impl<'a> SqliteTransaction<'a> {
    pub(crate) fn new(
        connection: &'a Connection,
        limits: Limits,
        clock: Arc<dyn Clock>,
        inline: Arc<Inline>,
    ) -> Self {
        Self { connection, limits, clock, inline }
    }

    /// The connection, for statements on the application's own tables.
    ///
    /// The store begins and ends the transaction: `BEGIN`, `COMMIT` and `ROLLBACK` are not for the
    /// closure, savepoints are. A statement that fails may have ended the transaction, for instance
    /// when no room is left; whatever is written after that is refused.
    pub fn connection(&self) -> &Connection {
        self.connection
    }

    /// Runs one statement and answers how many rows it changed.
    ///
    /// # Errors
    ///
    /// What SQLite answers; that the transaction was ended, if a statement before has ended it.
    pub fn execute(
        &self,
        statement: &str,
        values: impl rusqlite::Params,
    ) -> rusqlite::Result<usize> {
        if self.connection.is_autocommit() {
            let code = ffi::Error::new(ffi::SQLITE_ABORT_ROLLBACK);
            return Err(Error::SqliteFailure(code, Some(ENDED.to_owned())));
        }
        self.connection.prepare_cached(statement)?.execute(values)
    }

    /// Writes events in this transaction: they are in the store when the closure returns `Ok` and
    /// the commit succeeds.
    ///
    /// Follows the rules of [`EventStore::append`](es_core::EventStore::append). A refused append
    /// leaves nothing behind, so the closure may go on after one.
    ///
    /// # Errors
    ///
    /// See [`AppendError`].
    pub fn append(&mut self, request: AppendRequest) -> Result<Appended, AppendError> {
        if self.connection.is_autocommit() {
            let path = self.connection.path().unwrap_or("the store");
            let text = format!("writing to {path}: {ENDED}");
            return Err(StoreError::new(StoreErrorKind::Other, text).into());
        }
        let checked = CheckedAppend::new(request, &self.limits)?;
        append(self.connection, &checked, self.clock.now(), &self.inline)
    }
}

/// An error for closures that use the application's tables and append events; any other error type
/// with `From<StoreError>` does as well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransactionError {
    /// An append was refused.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The store failed, for instance to commit.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// One of the application's statements failed.
    #[error("a statement of the application failed")]
    Sqlite(#[from] rusqlite::Error),
}
