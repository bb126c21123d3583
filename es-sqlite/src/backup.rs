//! A copy of the file, made while others write to it.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use es_core::backend::{Position, StoreError, StoreErrorKind};
use rusqlite::backup::StepResult;
use rusqlite::{Connection, Error, OpenFlags, ffi};

use self::unfinished::Unfinished;
use crate::append::run;
use crate::damage::{Look, find_damage, is_damage};
use crate::error::{closed, store_error};
use crate::history::{Newest, newest};
use crate::migrate::begin_cookie;
use crate::open_reads::OpenReads;
use crate::sql;

mod unfinished;

/// How many pages are copied between two looks at whether to go on.
const PAGES: i32 = 1024;
/// How many steps of a check are made between two such looks.
const STEPS: i32 = 1_000_000;

/// How far a backup has come. All pages are copied before the copy is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct BackupProgress {
    /// How many pages were copied.
    pub copied: u64,
    /// How many there are.
    pub pages: u64,
}

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backup {
    /// The file.
    pub path: PathBuf,
    /// How long it is.
    pub bytes: u64,
    /// Where its log ends: it holds every event up to there, and none after.
    pub end: Position,
}

/// Why no backup was made. Nothing of it is left, unless the error says so or the disk does not remove
/// it: then the next backup to that name is refused until somebody has.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// Something is where the backup would be, or what SQLite would take for a part of it.
    #[error(
        "cannot back up to {}: {} is there; name another file, or remove it if no other backup is \
         being made",
        to.display(),
        there.display()
    )]
    Occupied {
        /// Where the backup would be.
        to: PathBuf,
        /// What is in the way.
        there: PathBuf,
    },
    /// The backup would be the store itself, by this name or another.
    #[error("cannot back up to {}: that is the store itself; name another file", to.display())]
    Itself {
        /// Where the backup would be.
        to: PathBuf,
    },
    /// The file cannot be made, flushed or renamed.
    #[error(
        "cannot back up to {}: {what}; see that its folder is there and that this user may write to \
         it",
        to.display()
    )]
    Target {
        /// Where the backup would be.
        to: PathBuf,
        /// What could not be done.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It was asked not to go on.
    #[error("the backup to {} was given up when it was asked to stop", to.display())]
    GivenUp {
        /// Where the backup would be.
        to: PathBuf,
    },
    /// The store failed, or the disk has no room for the backup.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Asked now and then how far it has come; it answers whether to go on.
pub(crate) type Progress = Box<dyn FnMut(BackupProgress) -> ControlFlow<()> + Send>;

/// What is copied, and where to.
pub(crate) struct Copying {
    /// The file, as its errors name it.
    pub(crate) from: PathBuf,
    pub(crate) to: PathBuf,
    pub(crate) progress: Progress,
    /// Set when nobody wants it any more.
    pub(crate) stop: Arc<AtomicBool>,
}

/// True if both names lead to one file.
fn is_one_file(one: &Path, other: &Path) -> bool {
    let file = |path| fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    file(one).is_some_and(|one| file(other) == Some(one))
}

impl Copying {
    /// Makes it. `check` says within the transaction that is copied whether it is that of the store.
    ///
    /// The transaction lasts for as long as pages are copied, and no longer: the copy is flushed and
    /// checked afterwards.
    pub(crate) fn make(
        mut self,
        source: Connection,
        reads: &OpenReads,
        check: impl FnOnce(&Connection) -> Result<(), StoreError>,
    ) -> Result<Backup, BackupError> {
        if is_one_file(&self.from, &self.to) {
            return Err(BackupError::Itself { to: self.to });
        }
        let unfinished = Unfinished::new(&self.to)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut copy = Connection::open_with_flags(unfinished.path(), flags)
            // it is flushed as a whole, and worth nothing before; and nobody else has it, so that it
            // needs no memory that is shared, which not every file system has
            .and_then(|copy| {
                copy.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))?;
                copy.pragma_update(None, "synchronous", "OFF")?;
                copy.pragma_update_and_check(None, "journal_mode", "MEMORY", |_| Ok(()))?;
                // the copy's cookie goes on from this one: it is told from the store, and from other
                // backups, wherever a log of theirs is beside it
                let page = source.pragma_query_value(None, "page_size", |row| row.get::<_, u32>(0));
                copy.pragma_update(None, "page_size", page?)?;
                begin_cookie(&copy)?;
                Ok(copy)
            })
            .map_err(|error| self.failure(error))?;
        let reading = reads.begin("backup_to");
        run(&source, sql::BEGIN_READ)?;
        check(&source)?;
        let newest_there = newest(&source)?;
        let progress = self.pages(&source, &mut copy)?;
        run(&source, sql::ROLLBACK)?;
        drop(source);
        drop(reading);
        let (from, to) = (self.from.clone(), self.to.clone());
        self.check(&copy, newest_there.as_ref(), progress)?;
        copy.close().map_err(|(_, error)| store_error("backing up to", &to, error))?;
        let bytes = unfinished.finish(&from)?;
        Ok(Backup { path: to, bytes, end: Newest::end(newest_there.as_ref()) })
    }

    /// Copies the pages.
    fn pages(
        &mut self,
        source: &Connection,
        copy: &mut Connection,
    ) -> Result<BackupProgress, BackupError> {
        let copying = rusqlite::backup::Backup::new(source, copy);
        let copying = copying.map_err(|error| self.failure(error))?;
        loop {
            let step = copying.step(PAGES).map_err(|error| self.failure(error))?;
            let counted = copying.progress();
            let pages = u64::from(counted.pagecount.unsigned_abs());
            let copied = pages.saturating_sub(u64::from(counted.remaining.unsigned_abs()));
            let progress = BackupProgress { copied, pages };
            if self.stop.load(Ordering::Relaxed) {
                return Err(closed(&self.from).into());
            }
            if (self.progress)(progress).is_break() {
                return Err(BackupError::GivenUp { to: self.to.clone() });
            }
            match step {
                StepResult::Done => return Ok(progress),
                StepResult::More => {}
                // nobody else has the copy, and the source is in a transaction that reads
                _ => {
                    let busy = Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_BUSY), None);
                    return Err(self.failure(busy));
                }
            }
        }
    }

    /// Refuses a copy that is damaged, as it is if the store is, or that ends elsewhere.
    fn check(
        self,
        copy: &Connection,
        newest_there: Option<&Newest>,
        progress: BackupProgress,
    ) -> Result<(), BackupError> {
        let Self { from, to, progress: mut ask, stop } = self;
        let is_closed = Arc::clone(&stop);
        let go_on = move || stop.load(Ordering::Relaxed) || ask(progress).is_break();
        let failed = |error: Error| match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::OperationInterrupted) => {
                match is_closed.load(Ordering::Relaxed) {
                    true => closed(&from).into(),
                    false => BackupError::GivenUp { to: to.clone() },
                }
            }
            _ => {
                let what = format!("checking the backup of {} in", from.display());
                store_error(&what, &to, error).into()
            }
        };
        copy.progress_handler(STEPS, Some(go_on)).map_err(failed)?;
        let damage = find_damage(copy, Look::Quick).map_err(failed)?;
        copy.progress_handler(0, None::<fn() -> bool>).map_err(failed)?;
        if let Some(found) = damage.first() {
            let text = format!(
                "the store {} is damaged, and so would be its backup, or a disk cannot read one of the \
                 two: {found}; if it stays so, restore an older backup",
                from.display()
            );
            return Err(StoreError::new(StoreErrorKind::Corrupt, text).into());
        }
        if newest(copy)?.as_ref() != newest_there {
            let text = format!("the backup of {} does not end as it does", from.display());
            return Err(StoreError::new(StoreErrorKind::Other, text).into());
        }
        Ok(())
    }

    /// A failure of SQLite: what is copied is damaged, or one of the two files fails.
    fn failure(&self, error: Error) -> BackupError {
        let Self { from, to, .. } = self;
        match is_damage(&error) {
            true => store_error("backing up", from, error).into(),
            false => store_error(&format!("backing up {} to", from.display()), to, error).into(),
        }
    }
}

/// The backups that are being made of an open store.
#[derive(Default)]
pub(crate) struct Backups {
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    is_closed: bool,
    threads: Vec<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Backups {
    /// Starts the thread of one, unless the store is closed; `stop` ends it early.
    pub(crate) fn start(
        &self,
        from: &Path,
        stop: Arc<AtomicBool>,
        spawn: impl FnOnce() -> Result<JoinHandle<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let mut running = self.running();
        if running.is_closed {
            return Err(closed(from));
        }
        running.threads.retain(|(_, thread)| !thread.is_finished());
        running.threads.push((stop, spawn()?));
        Ok(())
    }

    /// Lets none begin any more, and ends those that have begun.
    pub(crate) fn stop(&self) {
        let mut running = self.running();
        running.is_closed = true;
        running.threads.iter().for_each(|(stop, _)| stop.store(true, Ordering::Relaxed));
    }

    /// Waits for those that were ended.
    pub(crate) fn join(&self) {
        let threads = std::mem::take(&mut self.running().threads);
        for (_, thread) in threads {
            let _ = thread.join();
        }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stops a backup when the call that wants it is dropped.
pub(crate) struct Wanted(pub(crate) Arc<AtomicBool>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
