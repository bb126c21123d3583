//! The contract suite over connections of the store's own.
#![allow(clippy::unwrap_used, reason = "a fixture that cannot be made fails its test")]

mod support;

use std::sync::{Arc, Mutex};

use es_core::{EventStore, Limits, SnapshotStore};
use es_pgtest::TestDatabase;
use es_postgres::{IdType, PostgresConfig, PostgresStore};
use es_testing::checker::WriteOrder;
use es_testing::{Fixture, ManualClock};

struct Own {
    store: Mutex<PostgresStore>,
    config: PostgresConfig,
    clock: ManualClock,
    _database: TestDatabase,
}

async fn own() -> Own {
    let database = support::database(IdType::Text).await;
    let clock = ManualClock::new();
    let config = PostgresConfig::new(database.options()).clock(Arc::new(clock.clone()));
    let store = Mutex::new(PostgresStore::open(config.clone()).await.unwrap());
    Own { store, config, clock, _database: database }
}

impl Own {
    fn open_now(&self) -> PostgresStore {
        self.store.lock().unwrap().clone()
    }
}

#[async_trait::async_trait]
impl Fixture for Own {
    fn store(&self) -> Arc<dyn EventStore> {
        Arc::new(self.open_now())
    }

    fn snapshots(&self) -> Option<Arc<dyn SnapshotStore>> {
        Some(Arc::new(self.open_now()))
    }

    fn clock(&self) -> ManualClock {
        self.clock.clone()
    }

    fn limits(&self) -> Limits {
        Limits::default()
    }

    fn write_order(&self) -> WriteOrder {
        WriteOrder::Overlapping
    }

    async fn reopen(&self) -> bool {
        self.open_now().close().await;
        let reopened = PostgresStore::open(self.config.clone()).await.unwrap();
        *self.store.lock().unwrap() = reopened;
        true
    }
}

es_testing::contract_suite!(own);
