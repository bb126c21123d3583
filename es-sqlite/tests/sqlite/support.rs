//! What the tests share: folders, events, plain connections and second processes.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use es_core::ExpectedVersion;
use es_core::backend::{AppendRequest, Appended, EventStore, NewEvent, StreamId};
use es_core::event::{EventId, Payload};
use es_sqlite::rusqlite::Connection;
use es_sqlite::rusqlite::types::FromSql;
use es_sqlite::{SqliteConfig, SqliteStore, Synchronous};
use tempfile::TempDir;

/// A folder for one store, which dies with its test.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A folder with an empty store, and the store.
    pub(crate) async fn with_store() -> (Self, SqliteStore) {
        let folder = Self::new();
        let store = folder.store().await;
        (folder, store)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("store.db")
    }

    /// Nothing here survives a loss of power anyway.
    pub(crate) fn config(&self) -> SqliteConfig {
        SqliteConfig::new(self.path()).synchronous(Synchronous::Off)
    }

    pub(crate) async fn store(&self) -> SqliteStore {
        SqliteStore::open(self.config()).await.unwrap()
    }

    /// A connection as another program opens it.
    pub(crate) fn connection(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    /// Runs statements as another program does.
    pub(crate) fn run(&self, statements: &str) {
        self.connection().execute_batch(statements).unwrap();
    }

    /// The one value that a query answers.
    pub(crate) fn value<T: FromSql>(&self, query: &str) -> T {
        self.connection().query_row(query, [], |row| row.get(0)).unwrap()
    }

    /// The values that a query answers, one a row.
    pub(crate) fn values<T: FromSql>(&self, query: &str) -> Vec<T> {
        let connection = self.connection();
        let mut statement = connection.prepare(query).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// Takes away all that keeps the log as it was written.
    pub(crate) fn drop_triggers(&self) {
        let names = self.values::<String>("SELECT name FROM sqlite_schema WHERE type = 'trigger'");
        names.iter().for_each(|name| self.run(&format!("DROP TRIGGER {name}")));
    }

    /// Makes a store and overwrites a page in the middle of its file.
    pub(crate) async fn damaged_store(&self) -> SqliteStore {
        let store = self.store().await;
        for _ in 0..200 {
            append_one(&store, "posting/1", event(&"x".repeat(1000))).await;
        }
        store.close().await;
        let mut bytes = std::fs::read(self.path()).unwrap();
        let from = bytes.len() / 2 / 4096 * 4096;
        bytes[from..from + 4096].fill(0xA5);
        std::fs::write(self.path(), bytes).unwrap();
        self.store().await
    }

    /// The names of the files in the folder.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub(crate) fn write_ahead_log(&self) -> Vec<u8> {
        std::fs::read(self.0.path().join("store.db-wal")).unwrap_or_default()
    }

    pub(crate) fn write_ahead_log_length(&self) -> u64 {
        std::fs::metadata(self.0.path().join("store.db-wal")).map_or(0, |log| log.len())
    }

    /// How many transactions stand in the write-ahead log.
    pub(crate) fn commits(&self) -> usize {
        // a header of 32 bytes; then frames, whose header says at 4 whether they end a transaction
        const HEADER: usize = 32;
        const FRAME: usize = 24 + 4096;
        let log = self.write_ahead_log();
        log[HEADER.min(log.len())..]
            .chunks_exact(FRAME)
            .filter(|frame| frame[4..8] != [0; 4])
            .count()
    }
}

pub(crate) fn stream(name: &str) -> StreamId {
    name.parse().unwrap()
}

/// An event with an id of its own.
pub(crate) fn event(output: &str) -> NewEvent {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let id: EventId = format!("{process:08x}-0000-4000-8000-{number:012x}").parse().unwrap();
    let payload = Payload::of(&serde_json::json!({ "output": output })).unwrap();
    NewEvent::new(id, "script_execution_completed", payload)
}

pub(crate) async fn append_one(store: &SqliteStore, name: &str, event: NewEvent) -> Appended {
    let request = AppendRequest::to(stream(name), ExpectedVersion::Any, vec![event]);
    store.append(request).await.unwrap()
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Names the file to a test that runs again as a second process.
pub(crate) const CHILD: &str = "ES_SQLITE_CHILD";

/// The file, in a second process; `None` in the first.
pub(crate) fn child_path() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

/// The test of this name, to be run again as a second process on the file.
pub(crate) fn child(name: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--nocapture"]).env(CHILD, path);
    command
}

/// Runs a second process to its end and answers what it printed.
pub(crate) fn succeeds(mut command: Command) -> String {
    let output = command.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && printed.contains("1 passed"),
        "{printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    printed
}

/// Polls a future once; true if it waits.
pub(crate) async fn waits(future: &mut (impl Future + Unpin)) -> bool {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(Pin::new(&mut *future).poll(context).is_pending())
    })
    .await
}
