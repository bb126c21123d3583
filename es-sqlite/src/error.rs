//! What SQLite's failures mean.

use std::fmt::{self, Display};
use std::path::Path;

use es_core::backend::{StoreError, StoreErrorKind};
use rusqlite::{Connection, Error, ErrorCode, ffi};

/// Turns a failure of SQLite into one of the store that says what was being done, and to which
/// file.
pub(crate) trait Doing<T> {
    fn doing(self, connection: &Connection, what: impl Display) -> Result<T, StoreError>;
}

impl<T> Doing<T> for Result<T, Error> {
    fn doing(self, connection: &Connection, what: impl Display) -> Result<T, StoreError> {
        self.map_err(|error| {
            let path = connection.path().unwrap_or("the store");
            store_error(&what.to_string(), Path::new(path), error)
        })
    }
}

/// What a failure of SQLite means as a failure of the store: `what` was being done to the file at
/// `path`.
///
/// For applications that keep tables of their own beside the events.
pub fn store_error(what: &str, path: &Path, error: Error) -> StoreError {
    let kind = kind(&error);
    let read_only;
    let advice = match kind {
        _ if error.sqlite_error_code() == Some(ErrorCode::CannotOpen) => {
            match (is_out_of_files(), is_mounted_read_only(path)) {
                (true, _) => {
                    "too many files are open in this process or on this system; raise the limit \
                     (`ulimit -n`) and try again"
                }
                (_, true) => {
                    "its file system is mounted read-only, and SQLite keeps files beside it; mount it \
                     for writing and try again, or read a copy of the store elsewhere"
                }
                _ => {
                    "the file, or one of those beside it, cannot be opened; check the permissions of \
                     the file and its folder, and the disk"
                }
            }
        }
        _ if is_full_index(&error) => NO_ROOM,
        _ if is_out_of_memory(&error) => {
            "memory is short; raise what this process may have (`ulimit -v`, or the limit of its \
             container), or end others, and try again"
        }
        _ if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) => {
            "the system failed to read, write or lock it; see the system's log, and try again when \
             that is mended"
        }
        _ if error.sqlite_error_code() == Some(ErrorCode::FileLockingProtocolFailed) => {
            "its locks fail; see that it is on a local file system, and open the store again"
        }
        // a lock that the file system refuses looks the same
        StoreErrorKind::Busy => {
            "another process holds the file for longer than the busy time-out; if there is none, open \
             the store again"
        }
        StoreErrorKind::Full => NO_ROOM,
        StoreErrorKind::ReadOnly => {
            let code = error.sqlite_error().map_or(ffi::SQLITE_READONLY, |said| said.extended_code);
            read_only = without_writing(path, code, is_mounted_read_only(path));
            &read_only
        }
        // what was flushed of a store that was being made may be a part of it
        StoreErrorKind::NotAStore => {
            "the file is no SQLite database; name another one, or restore it from a backup (one that \
             was only being made when the disk or the power failed had nothing in it)"
        }
        // SQLite calls it damage, too, when the disk does not read a page
        StoreErrorKind::Corrupt => {
            "the file is damaged, or its disk cannot read it; if it stays so, restore it from a backup"
        }
        _ => "SQLite failed",
    };
    StoreError::new(kind, format!("{what} {}: {advice}", path.display())).caused_by(Said(error))
}

/// What is to be done on a disk that is full.
const NO_ROOM: &str = "no room is left; free some and try again";

/// True if the index of the log could not be made larger, which SQLite counts among the failures of the
/// disk. What was being done may have been a commit, so it is none that certainly wrote nothing.
fn is_full_index(error: &Error) -> bool {
    error.sqlite_error().is_some_and(|said| said.extended_code == ffi::SQLITE_IOERR_SHMSIZE)
}

/// True if memory was lacking, also to see the index of the log.
fn is_out_of_memory(error: &Error) -> bool {
    let code = error.sqlite_error().map(|said| said.extended_code);
    error.sqlite_error_code() == Some(ErrorCode::OutOfMemory)
        || matches!(code, Some(ffi::SQLITE_IOERR_NOMEM | ffi::SQLITE_IOERR_SHMMAP))
}

/// What SQLite needs to write, also for who only reads, and what is to be done that it can; `code` is
/// its extended result code.
fn without_writing(path: &Path, code: i32, is_mounted_read_only: bool) -> String {
    let path = path.display();
    let (needs, cure) = match code {
        // its index of the log is to be made anew, or is kept by nobody who may write it
        ffi::SQLITE_READONLY_RECOVERY
        | ffi::SQLITE_READONLY_CANTLOCK
        | ffi::SQLITE_READONLY_CANTINIT => (
            format!("{path}-shm is to be written, also to read, and this user may not"),
            "see to its permissions, open the store as its owner, or read a copy of the store and \
             its -wal in another folder",
        ),
        ffi::SQLITE_READONLY_ROLLBACK => (
            format!(
                "a program was interrupted while it wrote, and what it had begun must be undone first, \
                 from {path}-journal"
            ),
            "open the store for writing once, then again",
        ),
        // whoever mounts its file system for writing does not bring it back
        ffi::SQLITE_READONLY_DBMOVED => {
            return "the file was moved, replaced or removed while it was open; put it back, or open \
                    the store again"
                .to_owned();
        }
        ffi::SQLITE_READONLY_DIRECTORY => (
            format!(
                "files beside it are to be made, such as {path}-wal and {path}-shm, also to read, and \
                 this user may make none in its folder"
            ),
            "see to the folder's permissions, or read a copy of the store in another folder",
        ),
        _ => (
            "the file, or one of those beside it, allows no writing".to_owned(),
            "see to the permissions, and open the store again",
        ),
    };
    match is_mounted_read_only {
        true => format!(
            "{needs}: its file system is mounted read-only; mount it for writing, and open the store \
             again"
        ),
        false => format!("{needs}; {cure}"),
    }
}

/// What SQLite said, as a cause. rusqlite's error says the same once more as its own cause.
#[derive(Debug)]
pub(crate) struct Said(pub(crate) Error);

impl Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Error::SqliteFailure(code, Some(text)) => {
                write!(f, "{text} (SQLite's code {})", code.extended_code)
            }
            // without the whole of the statement, which is the store's own
            Error::SqlInputError { error, msg, .. } => {
                write!(f, "{msg} (SQLite's code {})", error.extended_code)
            }
            other => other.fmt(f),
        }
    }
}

impl std::error::Error for Said {}

/// True if this process can open no further file: SQLite does not say why it could not.
#[cfg(target_os = "linux")]
fn is_out_of_files() -> bool {
    use rustix::io::Errno;
    // a connection opens as many, and has closed some when it fails
    let opened = [(); 3].map(|()| std::fs::File::open("/"));
    opened.iter().any(|file| match file {
        Ok(_) => false,
        Err(error) => matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE)),
    })
}

/// Elsewhere it is not told.
#[cfg(not(target_os = "linux"))]
fn is_out_of_files() -> bool {
    false
}

/// True if nobody can write the file, whatever rights it has.
#[cfg(target_os = "linux")]
pub(crate) fn is_mounted_read_only(path: &Path) -> bool {
    use rustix::fs::{Access, access};
    access(path, Access::WRITE_OK) == Err(rustix::io::Errno::ROFS)
}

/// Elsewhere it is not told.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_mounted_read_only(_: &Path) -> bool {
    false
}

/// What kind of failure it is.
pub(crate) fn kind(error: &Error) -> StoreErrorKind {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreErrorKind::Busy,
        Some(ErrorCode::DiskFull) => StoreErrorKind::Full,
        Some(ErrorCode::ReadOnly) => StoreErrorKind::ReadOnly,
        Some(ErrorCode::NotADatabase) => StoreErrorKind::NotAStore,
        Some(ErrorCode::DatabaseCorrupt) => StoreErrorKind::Corrupt,
        Some(_) => StoreErrorKind::Other,
        None => match error {
            Error::FromSqlConversionFailure(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::InvalidColumnType(..)
            | Error::Utf8Error(..) => StoreErrorKind::Corrupt,
            _ => StoreErrorKind::Other,
        },
    }
}

/// True if a statement met damage, or what the disk did not read: SQLite commits nothing any more of
/// the transaction.
pub(crate) fn has_met_damage(error: &StoreError) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let of_sqlite = error.downcast_ref::<Said>().map(|Said(error)| error);
        let of_sqlite = of_sqlite.or_else(|| error.downcast_ref::<Error>());
        if of_sqlite.and_then(Error::sqlite_error_code) == Some(ErrorCode::DatabaseCorrupt) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// True if the disk did not take what was to be flushed.
pub(crate) fn is_failed_flush(error: &Error) -> bool {
    error.sqlite_error().is_some_and(|said| said.extended_code == ffi::SQLITE_IOERR_FSYNC)
}

/// The failure of a commit.
///
/// When there was no room, the file was held or a deferred constraint is violated, SQLite has
/// written no commit. After everything else the commit may be on the disk or not, and a failed
/// flush must never be tried again: the system may have dropped what it could not write.
pub(crate) fn commit_error(path: &Path, error: Error) -> StoreError {
    let what = "committing to";
    if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) {
        let path = path.display();
        let text = format!("{what} {path}: a constraint is violated, nothing was written");
        return StoreError::new(StoreErrorKind::Other, text).caused_by(Said(error));
    }
    match kind(&error) {
        StoreErrorKind::Full | StoreErrorKind::Busy | StoreErrorKind::ReadOnly => {
            store_error(what, path, error)
        }
        _ => StoreError::new(
            StoreErrorKind::OutcomeUnknown,
            format!(
                "{what} {}: SQLite failed; open the store again to see whether it was written",
                path.display()
            ),
        )
        .caused_by(Said(error)),
    }
}

/// The failure to look at a file.
pub(crate) fn unseen(path: &Path, error: std::io::Error) -> StoreError {
    let text = format!(
        "the file {} cannot be looked at; check the permissions of its folder, and the disk",
        path.display()
    );
    StoreError::new(StoreErrorKind::Other, text).caused_by(error)
}

/// The refusal after [`close`](crate::SqliteStore::close).
pub(crate) fn closed(path: &Path) -> StoreError {
    StoreError::new(StoreErrorKind::Closed, format!("the store {} was closed", path.display()))
}

/// The refusal of everything after a commit whose outcome is unknown.
pub(crate) fn poisoned(path: &Path, cause: StoreError) -> StoreError {
    StoreError::new(
        StoreErrorKind::Closed,
        format!("the store {} stopped after a failed commit; open it again", path.display()),
    )
    .caused_by(cause)
}

#[cfg(test)]
mod tests {
    use es_core::backend::rules::inline_refusal;
    use es_core::backend::{Definition, RawKeying};
    use es_core::event::EventFilter;

    use super::*;

    #[test]
    fn each_want_of_writing_names_what_it_wants_and_its_cure() {
        let cases = [
            (8, ["/x/store.db", "allows no writing", "see to the permissions"]),
            (264, ["/x/store.db-shm", "this user may not", "see to its permissions"]),
            (520, ["/x/store.db-shm", "this user may not", "see to its permissions"]),
            (776, ["/x/store.db-journal", "was interrupted", "for writing once"]),
            (1032, ["/x/store.db", "moved, replaced or removed", "put it back"]),
            (1288, ["/x/store.db-shm", "this user may not", "see to its permissions"]),
            (1544, ["/x/store.db-wal", "none in its folder", "see to the folder's permissions"]),
        ];
        let path = Path::new("/x/store.db");
        for (code, [thing, want, cure]) in cases {
            let failed = Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
            let error = store_error("opening", path, failed);
            assert_eq!(error.kind(), StoreErrorKind::ReadOnly, "{code}");
            let text = error.to_string();
            for part in [thing, want, cure] {
                assert!(text.contains(part), "{code}: {part}: {text}");
            }
            let mounted = without_writing(path, code, true);
            let is_moved = code == ffi::SQLITE_READONLY_DBMOVED;
            assert!(mounted.contains(want), "{code}: {mounted}");
            assert_eq!(mounted.contains("mount it for writing"), !is_moved, "{code}: {mounted}");
            assert_eq!(mounted.contains(cure), is_moved, "{code}: {mounted}");
        }
    }

    #[test]
    fn what_lacks_room_or_memory_says_so() {
        let told = |code| {
            let failed = Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
            let error = store_error("opening", Path::new("/x/store.db"), failed);
            (error.kind(), error.to_string())
        };
        let (kind, text) = told(ffi::SQLITE_IOERR_SHMSIZE);
        assert_eq!(text, "opening /x/store.db: no room is left; free some and try again");
        // a commit may have been written
        assert_eq!(kind, StoreErrorKind::Other);
        assert_eq!(told(ffi::SQLITE_FULL), (StoreErrorKind::Full, text));
        assert!(told(ffi::SQLITE_IOERR_READ).1.contains("see the system's log"));
        for code in [ffi::SQLITE_NOMEM, ffi::SQLITE_IOERR_NOMEM, ffi::SQLITE_IOERR_SHMMAP] {
            assert!(told(code).1.contains("`ulimit -v`"), "{code}");
        }
    }

    #[test]
    fn damage_is_met_however_deep_it_is_told() {
        let failed = |code| Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
        let (all, keying) = (EventFilter::all(), RawKeying::Streams);
        let mail = Definition::rows::<()>("mail", 1, all, keying, |_, row, _| Ok(row));
        for (code, is_damage) in
            [(rusqlite::ffi::SQLITE_CORRUPT, true), (rusqlite::ffi::SQLITE_FULL, false)]
        {
            let plain = StoreError::new(StoreErrorKind::Other, "x").caused_by(Said(failed(code)));
            assert_eq!(has_met_damage(&plain), is_damage);
            // by a projection that is kept within the append
            assert_eq!(has_met_damage(&inline_refusal(&mail, failed(code).into())), is_damage);
            assert_eq!(has_met_damage(&inline_refusal(&mail, plain.into())), is_damage);
        }
    }
}
