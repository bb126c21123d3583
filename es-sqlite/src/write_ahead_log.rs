//! Whether the write-ahead log that lies beside a file is the file's own.
//!
//! SQLite does not know. A backup that is copied over a store that was not closed gets the pages
//! that the store wrote last, and lacks those that it wrote between the backup and these; or gets all
//! of them, and is the old store again. The first is found where the log has pages of events. Both
//! are found by the schema cookie, which is counted up from where it was and begins elsewhere in each
//! store and in each backup: where the log has the first page, as after every growth. A log without the
//! first page says how many pages its file has. If that fits as well, a log with pages of projections
//! or snapshots alone is not told from the file's own.

mod pages;

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use es_core::backend::{StoreError, StoreErrorKind};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};

use crate::damage::{Look, is_damage, is_damaged};
use crate::error::{Doing, store_error, unseen};
use crate::migrate::APPLICATION_ID;
use crate::sql;

/// What a log begins with, and each page in it.
const HEADER_BYTES: u64 = 32;
const PAGE_HEADER_BYTES: u64 = 24;
/// In a file of so many bytes the entries of the indexes are counted, which takes milliseconds.
const COUNTED_BYTES: u64 = 64 * 1024 * 1024;
/// So many events stand on a page at most; the least has the names, an id and a time.
const EVENTS_A_PAGE: u64 = 40;

/// So often the schema is changed at most until the log is written into the file.
const SCHEMA_CHANGES: u32 = 1 << 16;

/// Where SQLite keeps the write-ahead log of a file.
pub(crate) fn write_ahead_log(path: &Path) -> PathBuf {
    let mut name = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()).into_os_string();
    name.push("-wal");
    name.into()
}

fn length(path: &Path) -> u64 {
    fs::metadata(write_ahead_log(path)).map_or(0, |log| log.len())
}

/// What lies beside a file, looked at before SQLite brings the two together.
#[derive(Debug)]
pub(crate) struct Beside {
    /// Whether there is a write-ahead log: of a program that was killed, of one that has the store
    /// open, or of the file that was here before this one. One that cannot be looked at is taken for
    /// one that is there.
    has_log: bool,
    /// Whether there is none, not even an empty one.
    is_without: bool,
    /// The file without the log; `None` if it is no store without it.
    alone: Option<Alone>,
    /// To have one open file to spare: to remove a log may take one more than to make it.
    spare: Option<File>,
}

impl Beside {
    /// Looks at it; refuses a log beside no file, or one without content: SQLite would remove it.
    pub(crate) fn of(path: &Path) -> Result<Self, StoreError> {
        let at = write_ahead_log(path);
        let log = fs::metadata(&at);
        let is_without = matches!(&log, Err(error) if error.kind() == ErrorKind::NotFound);
        let has_log = log.as_ref().map_or(!is_without, |log| log.len() > 0);
        // nobody is told to remove what could not be looked at
        let refused = |refusal| match log {
            Ok(_) => Err(refusal),
            Err(error) => Err(unseen(&at, error)),
        };
        // the file is looked at last: whoever makes a store writes to it before there is a log
        match fs::metadata(path) {
            Ok(file) if has_log && file.len() == 0 => {
                let empty = StoreError::new(StoreErrorKind::Corrupt, "the file itself is empty");
                return refused(foreign(path).caused_by(empty));
            }
            Err(error) if has_log && error.kind() == ErrorKind::NotFound => {
                return refused(StoreError::new(StoreErrorKind::NotAStore, orphan(path)));
            }
            _ => {}
        }
        let alone = if has_log { Alone::of(path)? } else { None };
        Ok(Self { has_log, is_without, alone, spare: File::open("/dev/null").ok() })
    }

    /// Why an opening is refused. A log that it has made is removed.
    pub(crate) fn refusal(self, path: &Path, error: StoreError) -> StoreError {
        drop(self.spare);
        if self.is_without {
            remove_empty_log(path);
        }
        match error.kind() {
            StoreErrorKind::Corrupt if self.has_log => foreign(path).caused_by(error),
            _ => error,
        }
    }

    /// Refuses a log that is not the file's.
    pub(crate) fn check_log(&self, connection: &Connection, path: &Path) -> Result<(), StoreError> {
        if !self.has_log {
            return Ok(());
        }
        if let Some(alone) = &self.alone {
            let with_log: i32 = connection
                .query_row(sql::SCHEMA_COOKIE, [], |row| row.get(0))
                .doing(connection, "opening")?;
            if with_log.wrapping_sub(alone.cookie).cast_unsigned() > SCHEMA_CHANGES {
                let text = "the log does not go on from the schema that the file has";
                return Err(StoreError::new(StoreErrorKind::Corrupt, text));
            }
            if alone.is_of_another_size {
                let text = "the log is of a file with another number of pages";
                return Err(StoreError::new(StoreErrorKind::Corrupt, text));
            }
        }
        check_events(connection, path)
    }
}

/// What stands in the file itself.
#[derive(Debug)]
struct Alone {
    cookie: i32,
    /// Whether the log is of a file with another number of pages.
    is_of_another_size: bool,
}

impl Alone {
    /// `None` if that is no store, or cannot be read without the log, as when it was brought into the
    /// file in part.
    fn of(path: &Path) -> Result<Option<Self>, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI;
        let read = || -> rusqlite::Result<Option<(i32, [u32; 2])>> {
            let file = Connection::open_with_flags(immutable(path), flags)?;
            let number = |statement| file.query_row(statement, [], |row| row.get::<_, i32>(0));
            if i64::from(number(sql::APPLICATION_ID)?) != APPLICATION_ID {
                return Ok(None);
            }
            let [pages, page_bytes] = ["page_count", "page_size"]
                .map(|pragma| file.pragma_query_value(None, pragma, |row| row.get::<_, u32>(0)));
            Ok(Some((number(sql::SCHEMA_COOKIE)?, [pages?, page_bytes?])))
        };
        let before = pages::header(path);
        let found = match read() {
            Err(error) if is_damage(&error) => None,
            read => read.map_err(|error| store_error("opening", path, error))?,
        };
        Ok(found.map(|(cookie, [pages, page_bytes])| {
            // it has the log in sight that the file was read beside, or there is no answer
            let by_log = before.and_then(|header| pages::count(path, &header));
            // there may be more behind the end that the file names, which the log then counts
            let length = fs::metadata(path).map_or(0, |file| file.len());
            let there = length.div_ceil(u64::from(page_bytes.max(1)));
            let is_other = |by_log: u32| by_log != pages && u64::from(by_log) != there;
            Self { cookie, is_of_another_size: by_log.is_some_and(is_other) }
        }))
    }
}

/// The address of a file under which SQLite reads it without its log, and takes no locks. `fs` must not
/// read it: closing it would release the locks of this process's other connections.
fn immutable(path: &Path) -> String {
    // a path on Windows begins with a drive
    let mut address = String::from(if cfg!(windows) { "file:///" } else { "file://" });
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => address.push(char::from(*byte)),
            _ => address.push_str(&format!("%{byte:02X}")),
        }
    }
    address.push_str("?immutable=1");
    address
}

/// Removes a log that is empty, with its index, if nobody has the file open.
///
/// SQLite does that when the last connection is closed, but not one that only reads.
pub(crate) fn remove_empty_log(path: &Path) {
    if !fs::metadata(write_ahead_log(path)).is_ok_and(|log| log.len() == 0) {
        return;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // the log is opened by the first read; where the file may not be written, it stays
    let _ = Connection::open_with_flags(path, flags).and_then(|connection| {
        connection.query_row(sql::SCHEMA_VERSION, [], |row| row.get::<_, i64>(0))
    });
}

/// Refuses a log that lacks events: of those that may stand in it, and the one before them, an index
/// does not know one, or an index of a small store has more of them; or some are missing, or positions
/// were given whose events are not there, and the file is damaged. Somebody may have left them out by
/// hand.
fn check_events(connection: &Connection, path: &Path) -> Result<(), StoreError> {
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

/// Of a log that is left alone.
fn orphan(path: &Path) -> String {
    let path = path.display();
    format!(
        "no store at {path}, but the write-ahead log of one is beside it, which may have its newest \
         events: put the file back, or remove {path}-wal and {path}-shm"
    )
}

/// The refusal of a log that is another file's.
fn foreign(path: &Path) -> StoreError {
    let path = path.display();
    let text = format!(
        "the store {path} is damaged, or its disk cannot read it, or the write-ahead log {path}-wal \
         beside it is of another file, as when a backup is copied over a store that was not closed; \
         if that does not pass, keep copies of all, restore a backup, and remove {path}-wal and \
         {path}-shm before"
    );
    StoreError::new(StoreErrorKind::Corrupt, text)
}
