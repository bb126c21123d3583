//! What the suites run over: a store in a folder of its own.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use es_core::backend::{EventStore, Limits, SnapshotStore};
use es_sqlite::rusqlite::Connection;
use es_sqlite::{SqliteConfig, SqliteStore, Synchronous};
use es_testing::projections::ProjectionFixture;
use es_testing::suite::rounds;
use es_testing::{Fixture, ManualClock};
use tempfile::TempDir;

pub(crate) struct Sqlite {
    store: Mutex<Arc<SqliteStore>>,
    config: SqliteConfig,
    clock: ManualClock,
    limits: Limits,
    folder: TempDir,
}

impl Sqlite {
    /// Within the limits that stores have by default.
    pub(crate) async fn open(with: fn(SqliteConfig) -> SqliteConfig) -> Self {
        Self::within(Limits::default(), with).await
    }

    /// For a mode that differs in how calls reach the file, and not in how large they may be: unless
    /// counts are full, payloads and appends have at most a sixteenth of what is the default, which
    /// is still hundreds of pages.
    pub(crate) async fn smaller(with: fn(SqliteConfig) -> SqliteConfig) -> Self {
        let part = rounds(16, 1) as usize;
        let mut limits = Limits::default();
        limits.payload_bytes /= part;
        limits.append_bytes /= part;
        Self::within(limits, with).await
    }

    async fn within(limits: Limits, with: fn(SqliteConfig) -> SqliteConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::new();
        // nothing in a temporary folder must survive a loss of power
        let config = SqliteConfig::new(folder.path().join("store.db"))
            .synchronous(Synchronous::Off)
            .limits(limits)
            .clock(Arc::new(clock.clone()));
        let config = with(config);
        let store = Arc::new(SqliteStore::open(config.clone()).await.unwrap());
        Self { store: Mutex::new(store), config, clock, limits, folder }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    fn open_now(&self) -> Arc<SqliteStore> {
        self.store.lock().unwrap().clone()
    }

    async fn open_again(&self) {
        self.open_now().close().await;
        let reopened = SqliteStore::open(self.config.clone()).await.unwrap();
        *self.store.lock().unwrap() = Arc::new(reopened);
    }
}

#[async_trait]
impl Fixture for Sqlite {
    fn store(&self) -> Arc<dyn EventStore> {
        self.open_now()
    }

    fn snapshots(&self) -> Option<Arc<dyn SnapshotStore>> {
        Some(self.open_now())
    }

    fn manual_clock(&self) -> Option<ManualClock> {
        Some(self.clock.clone())
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    async fn reopen(&self) -> bool {
        self.open_again().await;
        true
    }
}

#[async_trait]
impl ProjectionFixture for Sqlite {
    fn store(&self) -> Arc<dyn EventStore> {
        self.open_now()
    }

    fn manual_clock(&self) -> Option<ManualClock> {
        Some(self.clock.clone())
    }

    fn takes_sql(&self) -> bool {
        true
    }

    async fn spoil_row(&self, projection: &str, key: &str, value: &str) -> bool {
        let connection = Connection::open(self.path()).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        let update = "UPDATE projection_rows SET value = ?3 WHERE key = ?2 AND generation =
            (SELECT generation FROM projection_models WHERE projection = ?1 AND slot = 'active')";
        connection.execute(update, (projection, key, value)).unwrap() == 1
    }

    async fn reopen(&self) -> bool {
        self.open_again().await;
        true
    }
}
