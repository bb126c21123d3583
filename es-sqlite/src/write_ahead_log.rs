//! Whether the write-ahead log that lies beside a file is the file's own.
//!
//! SQLite does not know. A backup that is copied over a store that was not closed gets the pages
//! that the store wrote last, and lacks those that it wrote between the backup and these. That is
//! found where the log has pages of events; one with pages of projections or snapshots alone is not
//! told from the file's own.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use es_core::{StoreError, StoreErrorKind};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::damage::{Look, is_damaged};
use crate::error::Doing;
use crate::sql;

/// What a log begins with, and each page in it.
const HEADER_BYTES: u64 = 32;
const PAGE_HEADER_BYTES: u64 = 24;
/// In a file of so many bytes the entries of the indexes are counted, which takes milliseconds.
const COUNTED_BYTES: u64 = 64 * 1024 * 1024;
/// So many events stand on a page at most; the least has the names, an id and a time.
const EVENTS_A_PAGE: u64 = 40;

/// Where SQLite keeps the write-ahead log of a file.
pub(crate) fn write_ahead_log(path: &Path) -> PathBuf {
    let mut log = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()).into_os_string();
    log.push("-wal");
    log.into()
}

fn length(path: &Path) -> u64 {
    fs::metadata(write_ahead_log(path)).map_or(0, |log| log.len())
}

/// True if a write-ahead log is beside the file: of a program that was killed, of one that has the
/// store open, or of the file that was here before this one. One that cannot be looked at is taken for
/// one that is there.
pub(crate) fn has_log(path: &Path) -> bool {
    match fs::metadata(write_ahead_log(path)) {
        Ok(log) => log.len() > 0,
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}

/// Refuses a write-ahead log that is not the file's: of the events that may stand in the log, and the
/// one before them, an index does not know one, or an index of a small store has more of them; or some
/// are missing, or positions were given whose events are not there, and the file is damaged. Somebody
/// may have left them out by hand.
pub(crate) fn check_log(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let numbers = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
    let given = connection
        .prepare_cached(sql::SEQUENCE)
        .and_then(|mut statement| statement.query_row([], numbers).optional())
        .doing(connection, "opening")?;
    let page_bytes = connection
        .pragma_query_value(None, "page_size", |row| row.get::<_, u32>(0))
        .doing(connection, "opening")?;
    let pages =
        length(path).saturating_sub(HEADER_BYTES) / (u64::from(page_bytes) + PAGE_HEADER_BYTES);
    let events = (pages * EVENTS_A_PAGE).saturating_add(1).cast_signed();
    let (holes, unknown) = connection
        .prepare_cached(sql::NEWEST_ARE_WHOLE)
        .and_then(|mut statement| statement.query_row([events], numbers))
        .doing(connection, "opening")?;
    if unknown > 0 {
        let text = format!("{unknown} of its newest events are not in the indexes");
        return Err(StoreError::new(StoreErrorKind::Corrupt, text));
    }
    let is_small = fs::metadata(path).is_ok_and(|file| file.len() <= COUNTED_BYTES);
    if is_small
        && connection
            .query_row(sql::ENTRIES_DIFFER, [], |row| row.get::<_, bool>(0))
            .doing(connection, "opening")?
    {
        let text = "its indexes have entries that no event has";
        return Err(StoreError::new(StoreErrorKind::Corrupt, text));
    }
    if holes == 0 && given.is_none_or(|(given, newest)| given <= newest) {
        return Ok(());
    }
    if is_damaged(connection, Look::Whole).doing(connection, "opening")? {
        let text = "events are missing, and its tables and indexes do not fit each other";
        return Err(StoreError::new(StoreErrorKind::Corrupt, text));
    }
    Ok(())
}

/// The refusal of a log that is another file's.
pub(crate) fn foreign(path: &Path) -> StoreError {
    let path = path.display();
    let text = format!(
        "the store {path} is damaged, or its disk cannot read it, or the write-ahead log {path}-wal \
         beside it is of another file, as when a backup is copied over a store that was not closed; \
         if that does not pass, keep copies of all, restore a backup, and remove {path}-wal and \
         {path}-shm before"
    );
    StoreError::new(StoreErrorKind::Corrupt, text)
}
