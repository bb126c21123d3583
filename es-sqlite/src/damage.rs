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
    /// The table of events.
    Quick,
    /// Its indexes, too.
    Whole,
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
