//! Whether the file, and the log in it, are still those that this store has read.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use es_core::backend::{EventReceipt, LogPage, Position, StoreError, StoreErrorKind};
use es_core::event::RecordedEvent;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::damage::{Look, is_damage, is_damaged, is_want};
use crate::error::{Doing, unseen};
use crate::sql;
use crate::wait::Wake;

/// Readers look at the file no more often than this.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How many events at the end of the log are looked at when the file was written.
const NEWEST: i64 = 256;

/// What tells one file from another under the same name: also how many names it has.
#[cfg(unix)]
type FileId = (u64, u64, u64);

#[cfg(unix)]
fn id(found: &fs::Metadata) -> FileId {
    use std::os::unix::fs::MetadataExt;
    (found.dev(), found.ino(), found.nlink())
}

/// Elsewhere an open file cannot be replaced.
#[cfg(not(unix))]
type FileId = ();

#[cfg(not(unix))]
fn id(_: &fs::Metadata) -> FileId {}

/// `None` if nothing has the name; an error says nothing of what has it.
fn found(path: &Path) -> io::Result<Option<fs::Metadata>> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// What SQLite keeps beside a file, as long as anybody has it open: what is written into one that
/// has lost its name is seen by nobody else, and is gone when the last of us ends.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// A companion, and which file it was; `None` as long as there was none.
struct Companion {
    path: PathBuf,
    file: OnceLock<FileId>,
}

impl Companion {
    /// Those of the file, which are named by where it really is.
    fn of(path: &Path) -> [Self; 2] {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        COMPANIONS.map(|suffix| {
            let mut path = path.clone().into_os_string();
            path.push(suffix);
            let companion = Self { path: path.into(), file: OnceLock::new() };
            companion.is_same();
            companion
        })
    }

    /// False if it is another file by now, or none any more.
    fn is_same(&self) -> bool {
        match found(&self.path) {
            Ok(Some(found)) => *self.file.get_or_init(|| id(&found)) == id(&found),
            Ok(None) => self.file.get().is_none(),
            Err(_) => true,
        }
    }
}

/// The newest event that was seen in the log.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Newest {
    position: i64,
    /// `None` where it is none that a program can read.
    event_id: Option<String>,
}

impl From<&RecordedEvent> for Newest {
    fn from(event: &RecordedEvent) -> Self {
        let position = event.position.to_sequence().cast_signed();
        let is_readable = event.payload.unreadable_because().is_none();
        Self { position, event_id: is_readable.then(|| event.event_id.to_string()) }
    }
}

impl From<&EventReceipt> for Newest {
    fn from(event: &EventReceipt) -> Self {
        let position = event.position.to_sequence().cast_signed();
        Self { position, event_id: Some(event.event_id.to_string()) }
    }
}

/// What was seen of the file; what is found out about it is final.
pub(crate) struct History {
    path: PathBuf,
    file: FileId,
    companions: [Companion; 2],
    /// Held for as long as somebody looks, so that nobody else goes on with a file in doubt.
    content: Mutex<Content>,
    newest: Mutex<Option<Newest>>,
    looked_at: Mutex<Instant>,
    poison: Arc<OnceLock<StoreError>>,
    wake: Arc<Wake>,
}

impl History {
    pub(crate) fn new(
        path: PathBuf,
        newest: Option<Newest>,
        poison: Arc<OnceLock<StoreError>>,
        wake: Arc<Wake>,
        connection: &Connection,
    ) -> Result<Self, StoreError> {
        let found = fs::metadata(&path).map_err(|error| unseen(&path, error))?;
        let (file, (length, written_at)) = (id(&found), content(&found));
        let companions = Companion::of(&path);
        let end = match End::of(connection) {
            Ok(end) => Some(end),
            // the reads that meet the damage tell of it
            Err(error) if is_damage(&error) => None,
            Err(error) => return Err(error).doing(connection, "opening"),
        };
        let content = Mutex::new(Content { length, written_at, end });
        let (newest, looked_at) = (Mutex::new(newest), Mutex::new(Instant::now()));
        Ok(Self { path, file, companions, content, newest, looked_at, poison, wake })
    }

    /// What was seen up to now. To be asked for before the transaction begins that is to be judged
    /// by it, or that could be the older of the two.
    pub(crate) fn seen(&self) -> Option<Newest> {
        locked(&self.newest).clone()
    }

    /// Events were seen, by a transaction that is committed.
    pub(crate) fn advance(&self, newest: Option<Newest>) {
        let mut seen = locked(&self.newest);
        let is_later =
            |newest: &Newest| seen.as_ref().is_none_or(|seen| seen.position < newest.position);
        if let Some(newest) = newest.filter(is_later) {
            *seen = Some(newest);
        }
    }

    pub(crate) fn advance_to(&self, page: &LogPage) {
        self.advance(page.events.last().map(Newest::from));
    }

    /// Refuses if the name stands for another file by now, or for none: what is written would go
    /// into a file that nobody can open any more. Where the system does not answer it is looked at
    /// again the next time.
    pub(crate) fn check_file(&self) -> Result<(), StoreError> {
        *locked(&self.looked_at) = Instant::now();
        let mut known = locked(&self.content);
        let found = found(&self.path);
        if found.as_ref().is_ok_and(|found| found.as_ref().map(id) != Some(self.file)) {
            let found = "the file was replaced, removed or given another name while it was open";
            return Err(self.end(found.to_owned()));
        }
        if let Some(lost) = self.companions.iter().find(|companion| !companion.is_same()) {
            let lost = lost.path.display();
            return Err(self.end(format!("{lost} was replaced or removed while it was open")));
        }
        self.check_content(&mut known, found.ok().flatten().as_ref())
    }

    /// Refuses if the file was overwritten by another one, or cut off. SQLite writes to it when it
    /// brings in the write-ahead log; then the indexes still know the events at its end, and none is
    /// gone that was there. Only `VACUUM` makes it shorter by right.
    fn check_content(
        &self,
        known: &mut Content,
        found: Option<&fs::Metadata>,
    ) -> Result<(), StoreError> {
        if let Some(reason) = self.poison.get() {
            return Err(reason.clone());
        }
        let Some((length, written_at)) = found.map(content) else { return Ok(()) };
        let is_shorter = length < known.length;
        if known.written_at == written_at && !is_shorter {
            known.length = length;
            return Ok(());
        }
        // a connection of its own: the others have pages of before in memory
        let look = || -> rusqlite::Result<Option<End>> {
            let connection = connect(&self.path)?;
            if is_shorter && is_damaged(&connection, Look::Quick)? {
                return Ok(None);
            }
            let (_, unknown) = newest_are_whole(&connection)?;
            let is_there = match &known.end {
                Some(end) => end.is_in(&connection)?,
                None => true,
            };
            (unknown == 0 && is_there).then(|| End::of(&connection)).transpose()
        };
        // what the disk failed to read once looks like damage, too
        let looked = look().or_else(|error| if is_damage(&error) { look() } else { Err(error) });
        match looked {
            Ok(Some(end)) => {
                *known = Content { length, written_at, end: Some(end) };
                Ok(())
            }
            // no answer: it is looked at again the next time
            Err(error) if is_want(&error) => Ok(()),
            _ => {
                let found = "the file was overwritten or cut off while it was open, or its disk cannot \
                             read it";
                Err(self.end(found.to_owned()))
            }
        }
    }

    /// [`check_file`](Self::check_file), unless that was done just now.
    pub(crate) fn check_file_sometimes(&self) -> Result<(), StoreError> {
        if locked(&self.looked_at).elapsed() < LOOK_AGAIN {
            return Ok(());
        }
        self.check_file()
    }

    /// Refuses if the log does not hold what was seen of it.
    pub(crate) fn check_log(
        &self,
        connection: &Connection,
        seen: Option<&Newest>,
    ) -> Result<(), StoreError> {
        let Some(Newest { position, event_id }) = seen else { return Ok(()) };
        let is_there: bool = connection
            .prepare_cached(sql::HAS_EVENT_AT)
            .and_then(|mut statement| {
                statement.query_row(params![position, event_id], |row| row.get(0))
            })
            .doing(connection, "looking at the log in")?;
        if is_there {
            return Ok(());
        }
        let at = Position::from_sequence(position.cast_unsigned());
        let event_id = event_id.as_deref().unwrap_or("without a readable id");
        Err(self.end(format!("event {event_id} was seen at {at} and is not there any more")))
    }

    /// From now on every call is refused.
    fn end(&self, found: String) -> StoreError {
        let path = self.path.display();
        let error = StoreError::new(
            StoreErrorKind::Diverged,
            format!(
                "the store {path} is not the one that was opened: {found}, as after the restoring \
                 of a backup; open it again and compare what was read of it before"
            ),
        );
        tracing::error!(path = %path, %found, "the store has become another one");
        let _ = self.poison.set(error.clone());
        self.wake.stop(error.clone());
        self.poison.get().cloned().unwrap_or(error)
    }
}

/// What was seen of the file's content.
struct Content {
    length: u64,
    /// When it was written last.
    written_at: Option<SystemTime>,
    /// `None` as long as it could not be read.
    end: Option<End>,
}

/// The newest position, and how many events are at the last ones up to it. Fewer than positions,
/// where somebody has left some out.
struct End {
    position: i64,
    events: i64,
}

impl End {
    fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let newest = connection.query_row(sql::NEWEST_EVENT, [], |row| row.get(0)).optional()?;
        let position = newest.unwrap_or(0);
        Ok(Self { position, events: events_up_to(connection, position)? })
    }

    /// False if some of its events are gone.
    fn is_in(&self, connection: &Connection) -> rusqlite::Result<bool> {
        Ok(events_up_to(connection, self.position)? >= self.events)
    }
}

fn events_up_to(connection: &Connection, position: i64) -> rusqlite::Result<i64> {
    connection.query_row(sql::EVENTS_UP_TO, [position, NEWEST], |row| row.get(0))
}

/// How long a file is, and when it was written last.
fn content(found: &fs::Metadata) -> (u64, Option<SystemTime>) {
    (found.len(), found.modified().ok())
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(LOOK_AGAIN)?;
    Ok(connection)
}

/// How many of the newest positions have no event, and how many events there an index
/// does not know.
fn newest_are_whole(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    connection.query_row(sql::NEWEST_ARE_WHOLE, [NEWEST], |row| Ok((row.get(0)?, row.get(1)?)))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The newest event of the log.
pub(crate) fn newest(connection: &Connection) -> Result<Option<Newest>, StoreError> {
    connection
        .prepare_cached(sql::NEWEST_EVENT)
        .and_then(|mut statement| {
            statement
                .query_row([], |row| {
                    Ok(Newest { position: row.get(0)?, event_id: row.get(1).ok() })
                })
                .optional()
        })
        .doing(connection, "reading the end of")
}

impl Newest {
    /// Where the log ends that ends with this event.
    pub(crate) fn end(newest: Option<&Self>) -> Position {
        newest.map_or(Position::START, |newest| {
            Position::from_sequence(newest.position.max(0).unsigned_abs())
        })
    }
}
