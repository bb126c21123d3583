//! The store: a handle to its threads.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use async_trait::async_trait;
use es_core::backend::{
    AppendError, AppendRequest, Appended, Capabilities, EventStore, LogPage, Position, ReadLog,
    ReadStream, StoreError, StoreErrorKind, StoreIdentity, StreamId, StreamPage,
};
use es_core::environment::Clock;
use es_core::execution::IdempotencyKey;
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::append::{CheckedAppend, append};
use crate::backup::Backups;
use crate::config::SqliteConfig;
use crate::history::{History, Newest, newest};
use crate::open_reads::OpenReads;
use crate::projection::Inline;
use crate::queue::Queue;
use crate::read;
use crate::reader::{Read, in_transaction};
use crate::transaction::SqliteTransaction;
use crate::wait::Wake;
use crate::writer::{Flush, Job};

mod care;
mod snapshots;
mod start;

use start::{open, spawn};

pub use care::backup;

/// An event store in one SQLite file; cloning gives another handle to the same store.
///
/// The store works on threads of its own and needs no async runtime. When the last handle is
/// dropped the threads finish what waits and end by themselves; [`close`](Self::close) waits for
/// that.
#[derive(Clone)]
pub struct SqliteStore {
    shared: Arc<Shared>,
}

struct Shared {
    identity: StoreIdentity,
    config: SqliteConfig,
    /// `None` if the store is read-only.
    writes: Option<Queue<Job>>,
    reads: Queue<Read>,
    open_reads: Arc<OpenReads>,
    backups: Arc<Backups>,
    wake: Arc<Wake>,
    poison: Arc<OnceLock<StoreError>>,
    history: Arc<History>,
    inline: Arc<Inline>,
    /// The thread that ends after all others; `None` when it was waited for.
    last: tokio::sync::Mutex<Option<Thread>>,
}

/// A thread, and the sign that it has let go of its connections.
struct Thread {
    ended: oneshot::Receiver<()>,
    handle: JoinHandle<()>,
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("path", &self.shared.config.path)
            .finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the store, and makes it if there is no such file.
    ///
    /// # Errors
    ///
    /// With the kind [`NotAStore`](StoreErrorKind::NotAStore) if something else is at the path,
    /// [`OlderSchema`](StoreErrorKind::OlderSchema) if an older program made it and it is opened
    /// read-only, [`NewerSchema`](StoreErrorKind::NewerSchema) if a newer program made it; nothing is changed
    /// then.
    pub async fn open(config: impl Into<SqliteConfig>) -> Result<Self, StoreError> {
        let config = config.into();
        let (reply, answer) = oneshot::channel();
        spawn("es-sqlite-open", move || {
            let _ = reply.send(open(config));
        })?;
        let shared = answer.await.map_err(|_| {
            StoreError::new(StoreErrorKind::Other, "opening a store ended without answer")
        })??;
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.shared.config.path
    }

    /// Runs a closure in one writing transaction, so that the application's rows and its events are
    /// written together or not at all.
    ///
    /// The closure runs on the writing thread: whatever else it waits for, every append waits for
    /// too. When it answers `Err` or panics, everything is rolled back; a panic goes on in the
    /// caller. What stands in double quotes is a name there, and never a text.
    ///
    /// ```
    /// # use es_core::ExpectedVersion;
    /// # use es_core::backend::{AppendRequest, NewEvent};
    /// # use es_core::event::{EventId, Payload};
    /// # use es_sqlite::{SqliteStore, TransactionError};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let store = SqliteStore::open(folder.path().join("turing.db")).await?;
    /// # let event = NewEvent::new(
    /// #     "0193a1d4-0000-7000-8000-000000000001".parse::<EventId>()?,
    /// #     "posting_terminal",
    /// #     Payload::parse("{}".to_owned())?,
    /// # );
    /// let request = AppendRequest::to("posting/1".parse()?, ExpectedVersion::Any, vec![event]);
    /// let appended = store
    ///     .write(move |tx| {
    ///         tx.execute("CREATE TABLE IF NOT EXISTS mail (text TEXT)", [])?;
    ///         tx.execute("INSERT INTO mail VALUES (?1)", ["posting 1 is done"])?;
    ///         Ok::<_, TransactionError>(tx.append(request)?)
    ///     })
    ///     .await?;
    /// # assert_eq!(appended.position().to_sequence(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What the closure answers, or the store's own error.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the outcome unknown: the closure may still run, whole.
    pub async fn write<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        W: FnOnce(&mut SqliteTransaction<'_>) -> Result<T, E> + Send + 'static,
    {
        let (limits, clock) = (self.shared.config.limits, self.shared.config.clock.clone());
        let (identity, inline) = (self.shared.identity.clone(), Arc::clone(self.inline()));
        self.writes()?
            .write_alone(Flush::Now, move |connection| {
                work(&mut SqliteTransaction::new(connection, identity, limits, clock, inline))
            })
            .await
    }

    /// Runs a closure on a reading thread, in one transaction: all its statements see the same
    /// state. The connection refuses to write.
    ///
    /// Long reads are better made of several calls: for as long as one lasts, the write-ahead log
    /// cannot be cut back ([`write_ahead_log`](Self::write_ahead_log)).
    ///
    /// # Errors
    ///
    /// What the closure answers, or the store's own error.
    pub async fn read<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        W: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        self.read_as("read", work).await
    }

    /// [`read`](Self::read), as the call of this name.
    pub(crate) async fn read_as<T, E, W>(&self, call: &'static str, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        W: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        self.read_plainly(call, move |connection| in_transaction(connection, work)).await
    }

    /// The same without a transaction, for work that is one statement, or needs no one state for
    /// several.
    async fn read_plainly<T, E, W>(&self, call: &'static str, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        W: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        self.shared.check_poison()?;
        let history = Arc::clone(&self.shared.history);
        let open_reads = Arc::clone(&self.shared.open_reads);
        self.shared
            .reads
            .read(open_reads, call, move |connection| {
                history.check_file_sometimes()?;
                work(connection)
            })
            .await
    }

    /// Finishes what is in the queues, gives up backups, moves the write-ahead log into the file and
    /// ends the threads.
    /// Every other call is refused from now on, on every handle, also one that waits for a place in
    /// a queue.
    pub async fn close(&self) {
        let shared = &self.shared;
        shared.stop();
        let mut last = shared.last.lock().await;
        if let Some(thread) = last.as_mut() {
            // the sender is dropped when the thread is about to end
            let _ = (&mut thread.ended).await;
        }
        if let Some(thread) = last.take() {
            let _ = thread.handle.join();
        }
    }

    /// [`write`](Self::write) for work that needs nothing of a transaction but its connection.
    pub(crate) async fn write_plainly<T, E, W>(&self, flush: Flush, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        W: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        self.writes()?.write_alone(flush, work).await
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.shared.config.clock)
    }

    pub(crate) fn inline(&self) -> &Arc<Inline> {
        &self.shared.inline
    }

    pub(crate) fn wake(&self) -> &Wake {
        &self.shared.wake
    }

    fn writes(&self) -> Result<&Queue<Job>, StoreError> {
        self.shared.check_poison()?;
        self.shared.writes.as_ref().ok_or_else(|| {
            StoreError::new(
                StoreErrorKind::ReadOnly,
                format!("the store {} was opened read-only", self.shared.config.path.display()),
            )
        })
    }
}

impl Shared {
    fn check_poison(&self) -> Result<(), StoreError> {
        match self.poison.get() {
            Some(reason) => Err(reason.clone()),
            None => Ok(()),
        }
    }

    fn stop(&self) {
        if let Some(writes) = &self.writes {
            writes.close();
        }
        self.reads.close();
        self.backups.stop();
        self.wake.stop(self.reads.closed());
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop();
    }
}

#[async_trait]
impl EventStore for SqliteStore {
    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let writes = self.writes()?;
        let checked = CheckedAppend::new(request, &self.shared.config.limits)?;
        let clock = Arc::clone(&self.shared.config.clock);
        let inline = Arc::clone(self.inline());
        writes
            .append(checked.bytes(), move |connection, is_only| {
                append(connection, &checked, clock.now(), &inline, is_only)
            })
            .await
    }

    async fn find_append(
        &self,
        stream: &StreamId,
        key: &IdempotencyKey,
    ) -> Result<Option<Appended>, StoreError> {
        let (stream, key) = (stream.clone(), key.clone());
        // what a key names was there before it
        self.read_plainly("find_append", move |connection| {
            read::find_append(connection, &stream, &key)
        })
        .await
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        let read = read.clone();
        self.read_plainly("read_stream", move |connection| {
            if read::goes_to_the_end(&read) {
                return read::read_stream(connection, &read);
            }
            in_transaction(connection, |connection| read::read_stream(connection, &read))
        })
        .await
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        let read = read.clone();
        let history = Arc::clone(&self.shared.history);
        let seen = history.seen();
        self.read_as("read_log", move |connection| {
            history.check_log(connection, seen.as_ref())?;
            let page = read::read_log(connection, &read)?;
            history.advance_to(&page);
            Ok(page)
        })
        .await
    }

    async fn end_of_log(&self) -> Result<Position, StoreError> {
        let history = Arc::clone(&self.shared.history);
        let seen = history.seen();
        self.read_as("end_of_log", move |connection| {
            history.check_log(connection, seen.as_ref())?;
            let newest = newest(connection)?;
            let end = Newest::end(newest.as_ref());
            history.advance(newest);
            Ok(end)
        })
        .await
    }

    /// Appends of other processes are noticed within
    /// [`poll_interval`](SqliteConfig::poll_interval).
    async fn wait_past(&self, position: Position) -> Result<(), StoreError> {
        let wake = &self.shared.wake;
        if wake.is_past(position)? {
            return Ok(());
        }
        let mut waiting = wake.waiting();
        let end = self.end_of_log().await?;
        read::check_cursor(position, end)?;
        wake.advance(end);
        waiting.past(position).await
    }

    fn capabilities(self: Arc<Self>) -> Capabilities {
        let identity = self.shared.identity.clone();
        Capabilities::of(identity, "sqlite").snapshots(self.clone()).models(self)
    }
}
