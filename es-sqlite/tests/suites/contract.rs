//! The contract suite over the SQLite store.

use std::sync::{Arc, Mutex};

use es_core::backend::{EventStore, SnapshotStore};
use es_sqlite::{SqliteConfig, SqliteStore, Synchronous};
use es_testing::{Fixture, ManualClock};
use tempfile::TempDir;

struct Sqlite {
    store: Mutex<Arc<SqliteStore>>,
    config: SqliteConfig,
    clock: ManualClock,
    _folder: TempDir,
}

async fn sqlite() -> Sqlite {
    opened(|config| config).await
}

async fn opened(with: fn(SqliteConfig) -> SqliteConfig) -> Sqlite {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    // nothing in a temporary folder must survive a loss of power
    let config = SqliteConfig::new(folder.path().join("store.db"))
        .synchronous(Synchronous::Off)
        .clock(Arc::new(clock.clone()));
    let config = with(config);
    Sqlite {
        store: Mutex::new(Arc::new(SqliteStore::open(config.clone()).await.unwrap())),
        config,
        clock,
        _folder: folder,
    }
}

impl Sqlite {
    fn open_now(&self) -> Arc<SqliteStore> {
        self.store.lock().unwrap().clone()
    }
}

#[async_trait::async_trait]
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

    async fn reopen(&self) -> bool {
        self.open_now().close().await;
        let reopened = SqliteStore::open(self.config.clone()).await.unwrap();
        *self.store.lock().unwrap() = Arc::new(reopened);
        true
    }
}

es_testing::contract_suite!(v1, sqlite);

/// With the least of everything that calls could keep from each other.
mod narrow {
    use super::{Sqlite, opened};

    async fn narrow() -> Sqlite {
        opened(|config| config.queue(1).readers(1)).await
    }

    es_testing::contract_suite!(v1, narrow);
}

/// As stores that must survive a loss of power: each commit is flushed.
mod full {
    use super::{Sqlite, opened};
    use es_sqlite::Synchronous;

    async fn full() -> Sqlite {
        opened(|config| config.synchronous(Synchronous::Full)).await
    }

    es_testing::contract_suite!(v1, full);
}

/// Only checkpoints are flushed.
mod normal {
    use super::{Sqlite, opened};
    use es_sqlite::Synchronous;

    async fn normal() -> Sqlite {
        opened(|config| config.synchronous(Synchronous::Normal)).await
    }

    es_testing::contract_suite!(v1, normal);
}
