//! What the contract suite runs over, for each mode of the store.

use std::any::Any;
use std::sync::{Arc, Mutex};

use es_core::{EventStore, Limits, SnapshotStore};
use es_postgres::{PostgresConfig, PostgresStore};
use es_testing::checker::WriteOrder;
use es_testing::{Fixture, ManualClock};

/// A store and its snapshots as a scenario sees them.
pub(crate) type View = (Arc<dyn EventStore>, Arc<dyn SnapshotStore>);

/// A store in a database of its own.
pub(crate) struct Store {
    open: Mutex<PostgresStore>,
    config: PostgresConfig,
    clock: ManualClock,
    view: Box<dyn Fn(PostgresStore) -> View + Send + Sync>,
    /// What must live as long as the store, such as its database.
    _kept: Box<dyn Any + Send + Sync>,
}

impl Store {
    pub(crate) async fn open(
        config: PostgresConfig,
        view: impl Fn(PostgresStore) -> View + Send + Sync + 'static,
        kept: impl Any + Send + Sync,
    ) -> Self {
        let clock = ManualClock::new();
        let config = config.clock(Arc::new(clock.clone()));
        let open = Mutex::new(PostgresStore::open(config.clone()).await.unwrap());
        Self { open, config, clock, view: Box::new(view), _kept: Box::new(kept) }
    }

    fn open_now(&self) -> PostgresStore {
        self.open.lock().unwrap().clone()
    }
}

/// The store itself.
pub(crate) fn itself(store: PostgresStore) -> View {
    (Arc::new(store.clone()), Arc::new(store))
}

#[async_trait::async_trait]
impl Fixture for Store {
    fn store(&self) -> Arc<dyn EventStore> {
        (self.view)(self.open_now()).0
    }

    fn snapshots(&self) -> Option<Arc<dyn SnapshotStore>> {
        Some((self.view)(self.open_now()).1)
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
        *self.open.lock().unwrap() = reopened;
        true
    }
}
