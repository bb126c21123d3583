//! The stores that are measured.

use std::sync::Arc;

use es_core::backend::{AppendRequest, ReadStream, Snapshot, SnapshotStore, Timestamp};
use es_core::event::Payload;
use es_core::execution::{Snapshotted, StreamVersion};
use es_core::{ExpectedVersion, Repository, Store};
use es_memory::MemoryStore;
use es_pgtest::{Proxy, Server, TestDatabase};
use es_postgres::sqlx::postgres::PgConnectOptions;
use es_postgres::{Migrations, PostgresConfig, PostgresStore};
use es_sqlite::{SqliteConfig, SqliteStore, Synchronous};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use crate::posting::Posting;
use crate::workload::Workload;

/// A backend that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// es-memory.
    Memory,
    /// es-sqlite with `Synchronous::Full`, in the system's temporary folder.
    Sqlite,
    /// es-postgres on a server of its own, with every safety switched on, as production has it.
    Postgres,
}

impl Backend {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Memory, Self::Sqlite, Self::Postgres];

    /// Those within the process.
    pub const EMBEDDED: [Self; 2] = [Self::Memory, Self::Sqlite];

    /// Its name in the names of benches.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }

    /// A new, empty store.
    pub async fn open(self) -> Opened {
        match self {
            Self::Memory => Opened::of(MemoryStore::new(), Kept::Nothing),
            Self::Sqlite => {
                let folder = tempfile::tempdir().expect("there is a temporary folder");
                let config = SqliteConfig::new(folder.path().join("bench.db"))
                    .synchronous(Synchronous::Full);
                let store = SqliteStore::open(config).await.expect("a store can be made there");
                Opened::of(store.clone(), Kept::Sqlite(store, folder))
            }
            Self::Postgres => {
                let database = Box::pin(database()).await;
                let options = database.options();
                Box::pin(on_postgres(database, options)).await
            }
        }
    }
}

/// A new database for a store, on a server of its own.
async fn database() -> TestDatabase {
    let safe = [("fsync", "on"), ("full_page_writes", "on"), ("synchronous_commit", "on")];
    // starting it blocks a thread for seconds
    let server = spawn_blocking(move || Server::private(&safe)).await.expect("a server starts");
    let database = server.database().await;
    let config = PostgresConfig::new(database.options());
    let migrated = Migrations::of_store(config.names()).apply(&config).await;
    migrated.expect("the database is new");
    database
}

async fn on_postgres(database: TestDatabase, options: PgConnectOptions) -> Opened {
    let store = PostgresStore::open(PostgresConfig::new(options)).await;
    let store = store.expect("the database holds a store");
    Opened::of(store.clone(), Kept::Postgres(store, database))
}

/// A server with every safety switched on, as production has it, and room for much. It also listens
/// at a port of 127.0.0.1.
pub fn server() -> Server {
    Server::private_with_port(&[
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
        ("shared_buffers", "1GB"),
        ("max_wal_size", "8GB"),
        ("checkpoint_timeout", "15min"),
    ])
}

/// A store, and what must be kept or closed with it.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    kept: Kept,
}

/// What goes when a store is closed.
#[derive(Debug)]
enum Kept {
    Nothing,
    Sqlite(SqliteStore, TempDir),
    Postgres(PostgresStore, TestDatabase),
}

impl Opened {
    fn of(store: impl Into<Store>, kept: Kept) -> Self {
        Self { store: store.into(), kept }
    }

    /// A new, empty store as [`Backend::Postgres`] is one, behind a proxy that counts what goes to the
    /// server, and takes time for it.
    pub async fn behind_proxy() -> (Self, Proxy) {
        let database = Box::pin(database()).await;
        let proxy = Proxy::start(database.server()).await;
        let options = proxy.options(database.name());
        (Box::pin(on_postgres(database, options)).await, proxy)
    }

    /// Ends the store's threads or connections, and removes its file or server, so that the next bench
    /// runs alone.
    pub async fn close(self) {
        match self.kept {
            Kept::Nothing => {}
            Kept::Sqlite(store, _folder) => store.close().await,
            Kept::Postgres(store, _database) => store.close().await,
        }
    }

    /// Keeps the state of `posting` after its first `version` events as a snapshot.
    pub async fn keep_snapshot(&self, posting: i64, version: StreamVersion) {
        let repository = Repository::<Posting>::new(&self.store);
        let loaded = repository.load_at(&posting, version).await.expect("it can be read");
        let read = ReadStream::new(loaded.stream.clone()).from_version(version).to_version(version);
        let page = self.store.read_stream(&read).await.expect("it can be read");
        let snapshot = Snapshot::new(
            loaded.stream,
            loaded.version,
            page.events[0].event_id,
            Posting::fingerprint(),
            Payload::of(&loaded.state).expect("a map of texts is JSON"),
            Timestamp::EPOCH,
        );
        self.snapshots().save_snapshot(snapshot).await.expect("it can be saved");
    }

    /// Where states are kept.
    pub fn snapshots(&self) -> &Arc<dyn SnapshotStore> {
        self.store.capabilities().snapshots.as_ref().expect("each of these stores keeps states")
    }
}

/// Fills a store with `postings` postings of `events` events each, whose streams lie interleaved in
/// the log, as they do in life.
pub async fn filled(backend: Backend, postings: i64, events: usize) -> Opened {
    const AT_ONCE: usize = 10;
    let opened = backend.open().await;
    let mut workload = Workload::seeded(events as u64);
    let mut left = events;
    while left > 0 {
        let count = left.min(AT_ONCE);
        left -= count;
        let mut parts = (0..postings).map(|posting| (posting, workload.events(count)));
        while let Some((posting, first)) = parts.next() {
            let request = AppendRequest::to(Workload::stream(posting), ExpectedVersion::Any, first);
            let request = parts.by_ref().take(49).fold(request, |request, (posting, events)| {
                request.and(Workload::stream(posting), ExpectedVersion::Any, events)
            });
            opened.store.append(request).await.expect("nothing conflicts with Any");
        }
    }
    opened
}
