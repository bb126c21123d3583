//! What tells a damaged file from one that cannot be looked at now.

use es_core::StoreErrorKind;
use rusqlite::{Connection, Error, ErrorCode};

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
        OperationInterrupted, OutOfMemory, PermissionDenied, SystemIoFailure,
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

/// What of the whole file is damaged, the application's tables included; in SQLite's words, at most a
/// hundred lines. Where something of it cannot be checked, as in [`is_damaged`], the table of events
/// alone.
pub(crate) fn find_damage(connection: &Connection, look: Look) -> rusqlite::Result<Vec<String>> {
    let is_quick = look == Look::Quick;
    let found = connection.prepare(sql::FIND_DAMAGE).and_then(|mut statement| {
        statement.query_map([is_quick], |row| row.get(0))?.collect::<Result<Vec<_>, _>>()
    });
    match found {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::Unknown) => {
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
    let is_quick = look == Look::Quick;
    match connection.query_row(sql::IS_DAMAGED, [is_quick], |row| row.get(0)) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::Unknown) => Ok(false),
        found => found,
    }
}
