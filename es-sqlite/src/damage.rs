//! What tells a damaged file from one that cannot be looked at now.

use es_core::backend::StoreErrorKind;
use rusqlite::{Connection, Error, ErrorCode, params};

use crate::error::kind;
use crate::sql;

/// True if the file is not, or no more, what SQLite reads.
pub(crate) fn is_damage(error: &Error) -> bool {
    matches!(kind(error), StoreErrorKind::Corrupt | StoreErrorKind::NotAStore)
}

/// True if it says nothing of the file, as when no file can be opened any more. That a table is not
/// there is no such error.
pub(crate) fn is_want(error: &Error) -> bool {
    use ErrorCode::{
        CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, FileLockingProtocolFailed,
        OperationInterrupted, OutOfMemory, PermissionDenied, ReadOnly, SystemIoFailure,
    };
    matches!(
        error.sqlite_error_code(),
        Some(
            CannotOpen
                | DatabaseBusy
                | DatabaseLocked
                | DiskFull
                | FileLockingProtocolFailed
                | OperationInterrupted
                | OutOfMemory
                | PermissionDenied
                | ReadOnly
                | SystemIoFailure
        )
    )
}

/// How much of the file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// Tables.
    Quick,
    /// Their indexes, too.
    Whole,
}

/// The table that holds the log.
const EVENTS: &str = "execution_events";

/// What of the whole file is damaged, the application's tables included; in SQLite's words, at most a
/// hundred lines. Where something of it cannot be checked, as in [`is_damaged`], the table of events
/// alone.
pub(crate) fn find_damage(connection: &Connection, look: Look) -> rusqlite::Result<Vec<String>> {
    match found(connection, look, None) {
        Err(error) if is_unchecked(&error) => {
            let is_damaged = is_damaged(connection, look)?;
            Ok(is_damaged
                .then(|| "the table of events is damaged".to_owned())
                .into_iter()
                .collect())
        }
        found => found,
    }
}

/// True if the table of events is damaged; a value that its column forbids is no damage. What cannot
/// be checked, because an index needs a function that only the application has, is taken for whole.
pub(crate) fn is_damaged(connection: &Connection, look: Look) -> rusqlite::Result<bool> {
    match found(connection, look, Some(EVENTS)) {
        Err(error) if is_unchecked(&error) => Ok(false),
        found => Ok(!found?.is_empty()),
    }
}

/// What is damaged of a table with its indexes, or of the whole file.
fn found(connection: &Connection, look: Look, of: Option<&str>) -> rusqlite::Result<Vec<String>> {
    let is_quick = look == Look::Quick;
    let mut statement = connection.prepare(sql::FIND_DAMAGE)?;
    let found = statement.query_map(params![is_quick, of], |row| row.get(0))?;
    found.collect()
}

/// True if a part of the file can be checked by the application alone.
fn is_unchecked(error: &Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::Unknown)
}
