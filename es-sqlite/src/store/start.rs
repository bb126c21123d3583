//! Opening a store: its connections, and the threads that have them.

use std::cell::Cell;
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread::{self, JoinHandle};

use es_core::backend::{StoreError, StoreErrorKind, StoreIdentity};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{Shared, Thread};
use crate::backup::Backups;
use crate::checkpoint::Checkpoints;
use crate::config::SqliteConfig;
use crate::history::{History, newest};
use crate::network::warn_of_network;
use crate::open::{WriteConnections, open_to_read, open_to_write};
use crate::open_reads::OpenReads;
use crate::queue::{Queue, Waiting};
use crate::read;
use crate::reader::{self, Read, do_reads};
use crate::wait::{Wake, watch_file};
use crate::write_ahead_log::{remove_empty_log, write_ahead_log};
use crate::writer::Writer;

/// Opens all connections and starts the threads; if that fails, no empty log is left that
/// it has made.
pub(super) fn open(config: SqliteConfig) -> Result<Shared, StoreError> {
    let config = with_absolute_path(config)?;
    let connections = open_to_write(&config)?;
    warn_of_network(&config.path);
    let path = config.path.clone();
    start(config, connections).inspect_err(|_| remove_empty_log(&path))
}

/// The rest of it; when it fails all connections are closed.
fn start(
    config: SqliteConfig,
    connections: Option<WriteConnections>,
) -> Result<Shared, StoreError> {
    let watcher = open_to_read(&config)?;
    let readers =
        (0..config.readers).map(|_| open_to_read(&config)).collect::<Result<Vec<_>, _>>()?;

    let wake = Arc::new(Wake::new(read::end_of_log(&watcher)?));
    let poison = Arc::new(OnceLock::new());
    let history = Arc::new(History::new(
        config.path.clone(),
        newest(&watcher)?,
        Arc::clone(&poison),
        Arc::clone(&wake),
        &watcher,
    )?);
    let (reads, waiting) = Queue::new(reader::QUEUE.min(config.queue), config.path.clone());
    let mut shared = Shared {
        identity: StoreIdentity::new(),
        config,
        writes: None,
        reads,
        open_reads: Arc::<OpenReads>::default(),
        backups: Arc::<Backups>::default(),
        wake,
        poison,
        history,
        inline: Arc::default(),
        last: Default::default(),
    };
    let path = shared.config.path.clone();
    let checkpoints = Checkpoints::new(
        write_ahead_log(&path),
        shared.config.busy_timeout,
        shared.config.long_read,
        Arc::clone(&shared.open_reads),
    );
    let (queue, jobs) = Queue::new(shared.config.queue, path.clone());
    let writer = connections.map(|connections| Writer {
        connections,
        path,
        synchronous: shared.config.synchronous,
        flushes: Cell::new(None),
        busy_timeout: shared.config.busy_timeout,
        wake: Arc::clone(&shared.wake),
        inline: Arc::clone(&shared.inline),
        poison: Arc::clone(&shared.poison),
        history: Arc::clone(&shared.history),
        triggers: Cell::new(None),
        checkpoints,
    });
    let is_writing = writer.is_some();
    let (backups, file) = (Arc::clone(&shared.backups), shared.config.path.clone());
    let (begun, others) = mpsc::channel::<JoinHandle<()>>();
    let (end, ended) = oneshot::channel();
    let handle = spawn("es-sqlite-write", move || {
        if let Some(writer) = &writer {
            // nothing refuses the store any more
            writer.connections.leave_log(false);
            writer.do_jobs(jobs);
        }
        for thread in others {
            // one that panicked has let go of its connection, too
            let _ = thread.join();
        }
        backups.join();
        // the last connection moves the write-ahead log into the file and removes it, if that is still
        // the store's
        if let Some(writer) = &writer
            && writer.history.check_file().is_err()
        {
            writer.leave_log();
        }
        drop(writer);
        if !is_writing {
            remove_empty_log(&file);
        }
        drop(end);
    })?;
    shared.writes = is_writing.then_some(queue);
    match start_to_read(begun, &shared, watcher, readers, waiting) {
        Ok(()) => {
            shared.last = tokio::sync::Mutex::new(Some(Thread { ended, handle }));
            Ok(shared)
        }
        Err(error) => {
            shared.stop();
            let _ = handle.join();
            Err(error)
        }
    }
}

/// Starts the threads that read, and tells of each that has `begun`; they end when the store stops. When
/// that is dropped, which it is last, no connection is open but theirs.
fn start_to_read(
    begun: mpsc::Sender<JoinHandle<()>>,
    shared: &Shared,
    watcher: Connection,
    readers: Vec<Connection>,
    waiting: Waiting<Read>,
) -> Result<(), StoreError> {
    let waiting = Arc::new(Mutex::new(waiting));
    // to who waits for them, as long as the store lives
    let tell = |thread| drop(begun.send(thread));
    for connection in readers {
        let waiting = Arc::clone(&waiting);
        tell(spawn("es-sqlite-read", move || do_reads(&waiting, &connection))?);
    }
    let interval = shared.config.poll_interval;
    let (wake, history) = (Arc::clone(&shared.wake), Arc::clone(&shared.history));
    tell(spawn("es-sqlite-wait", move || watch_file(&watcher, &wake, &history, interval))?);
    Ok(())
}

/// The configuration with a path that no change of the working folder concerns.
pub(super) fn with_absolute_path(mut config: SqliteConfig) -> Result<SqliteConfig, StoreError> {
    // SQLite's other names for databases: here they would be names of files
    let name = config.path.to_string_lossy();
    if name.starts_with(':') || name.starts_with("file:") {
        let text = format!(
            "`{name}` is no path of a file; give the path of one, or use the memory store for what \
             need not last"
        );
        return Err(StoreError::new(StoreErrorKind::NotAStore, text));
    }
    config.path = std::path::absolute(&config.path).map_err(|error| {
        let text = match config.path.as_os_str().is_empty() {
            true => "the path of the store is empty".to_owned(),
            false => format!(
                "the working folder was deleted or cannot be found, and the store is to be in it as \
                 `{name}`; change to a folder that exists, or give the whole path"
            ),
        };
        StoreError::new(StoreErrorKind::NotAStore, text).caused_by(error)
    })?;
    Ok(config)
}

pub(super) fn spawn(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, StoreError> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|error| {
        let text = "a thread of the store cannot be started; the user, or the container, may have as \
                    many processes and threads as it is allowed (`ulimit -u`), or memory is short: \
                    raise the limit, or end others, and try again";
        StoreError::new(StoreErrorKind::Other, text).caused_by(error)
    })
}
