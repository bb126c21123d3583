//! What those want who run a store: how its log is, whether the file is whole, a backup of it.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use es_core::backend::{StoreError, StoreErrorKind};
use tokio::sync::oneshot;

use super::SqliteStore;
use super::start::{spawn, with_absolute_path};
use crate::backup::{Backup, BackupError, BackupProgress, Copying, Wanted};
use crate::checkpoint::{WriteAheadLog, length};
use crate::config::SqliteConfig;
use crate::damage::{Look, find_damage};
use crate::error::Doing;
use crate::open::{open_to_copy, open_to_read};
use crate::open_reads::OpenReads;
use crate::write_ahead_log::{remove_empty_log, write_ahead_log};

impl SqliteStore {
    /// How long the write-ahead log is, and which read of this store may keep it so.
    pub fn write_ahead_log(&self) -> WriteAheadLog {
        let oldest_read = self.shared.open_reads.oldest().map(|(_, read)| read);
        WriteAheadLog { bytes: length(&write_ahead_log(self.path())), oldest_read }
    }

    /// Reads the whole file and says what of it is damaged, in SQLite's words, a hundred lines at
    /// most. Values that somebody wrote by hand are no damage; a want of indexes is.
    ///
    /// It is one read, on a reading thread, and takes as long as reading and comparing everything.
    ///
    /// # Errors
    ///
    /// When the file cannot be read at all.
    pub async fn find_damage(&self) -> Result<Vec<String>, StoreError> {
        self.read_as("find_damage", |connection| {
            match find_damage(connection, Look::Whole).doing(connection, "checking") {
                Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                    Ok(vec![error.to_string()])
                }
                found => found,
            }
        })
        .await
    }

    /// Copies the store into a new file while it is read and written: every event and row of one
    /// moment, the application's tables included. See [`backup_with`](Self::backup_with).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let store = es_sqlite::SqliteStore::open(folder.path().join("turing.db")).await?;
    /// let backup = store.backup_to(folder.path().join("turing-backup.db")).await?;
    /// assert_eq!(es_sqlite::SqliteStore::open(&backup.path).await?.path(), backup.path);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`BackupError`].
    pub async fn backup_to(&self, to: impl Into<PathBuf>) -> Result<Backup, BackupError> {
        self.backup_with(to, |_| ControlFlow::Continue(())).await
    }

    /// [`backup_to`](Self::backup_to), with a closure that is told now and then how far it has come, on
    /// the thread of the backup, and answers whether to go on.
    ///
    /// The copy is made beside its path, under the name with `.unfinished` behind it, checked, flushed
    /// to the disk and then renamed, so that a file under its own name is whole. While pages are copied
    /// the write-ahead log cannot be cut back, as with every long read.
    ///
    /// # Errors
    ///
    /// See [`BackupError`].
    ///
    /// # Cancellation
    ///
    /// Dropping the future gives the backup up and removes what there is of it, a moment later; so does
    /// closing the store, which waits for that.
    pub async fn backup_with(
        &self,
        to: impl Into<PathBuf>,
        progress: impl FnMut(BackupProgress) -> ControlFlow<()> + Send + 'static,
    ) -> Result<Backup, BackupError> {
        let shared = &self.shared;
        shared.check_poison()?;
        let (config, history) = (shared.config.clone(), Arc::clone(&shared.history));
        let reads = Arc::clone(&shared.open_reads);
        let work = begin(config.path.clone(), to.into(), progress)?;
        let (stop, wanted) = (Arc::clone(&work.stop), Wanted(Arc::clone(&work.stop)));
        let (reply, answer) = oneshot::channel();
        let make = move || {
            let made = history.check_file().map_err(BackupError::from).and_then(|()| {
                let seen = history.seen();
                let source = open_to_read(&config)?;
                work.make(source, &reads, |source| history.check_log(source, seen.as_ref()))
            });
            drop(reply.send(made));
        };
        shared.backups.start(self.path(), stop, || spawn("es-sqlite-backup", make))?;
        let made = answer.await;
        drop(wanted);
        made.map_err(|_| unanswered())?
    }
}

/// Makes a backup of a store that this program need not have open, as
/// [`SqliteStore::backup_with`] does; other programs may read and write it meanwhile. One that an
/// older program made is copied as it is.
///
/// # Errors
///
/// See [`BackupError`].
///
/// # Cancellation
///
/// Dropping the future gives the backup up and removes what there is of it, a moment later.
pub async fn backup(
    from: impl Into<SqliteConfig>,
    to: impl Into<PathBuf>,
    progress: impl FnMut(BackupProgress) -> ControlFlow<()> + Send + 'static,
) -> Result<Backup, BackupError> {
    let config = with_absolute_path(from.into())?;
    let work = begin(config.path.clone(), to.into(), progress)?;
    let wanted = Wanted(Arc::clone(&work.stop));
    let (reply, answer) = oneshot::channel();
    spawn("es-sqlite-backup", move || {
        let made = open_to_copy(&config).map_err(BackupError::from).and_then(|source| {
            let made = work.make(source, &OpenReads::default(), |_| Ok(()));
            // its connection is closed; a log with content stays
            remove_empty_log(&config.path);
            made
        });
        drop(reply.send(made));
    })?;
    let made = answer.await;
    drop(wanted);
    made.map_err(|_| unanswered())?
}

fn begin(
    from: PathBuf,
    to: PathBuf,
    progress: impl FnMut(BackupProgress) -> ControlFlow<()> + Send + 'static,
) -> Result<Copying, BackupError> {
    let to = std::path::absolute(&to).map_err(|source| {
        let what = "the path is empty";
        BackupError::Target { to: to.clone(), what, source }
    })?;
    let stop = Arc::new(AtomicBool::new(false));
    Ok(Copying { from, to, progress: Box::new(progress), stop })
}

fn unanswered() -> StoreError {
    StoreError::new(StoreErrorKind::Other, "the thread of a backup ended without an answer")
}
