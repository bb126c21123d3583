//! What the contract suite runs over, for each mode of the store.

use std::any::Any;
use std::sync::{Arc, Mutex};

use es_core::backend::{EventStore, Limits, SnapshotStore};
use es_postgres::{PostgresConfig, PostgresStore};
use es_testing::checker::WriteOrder;
use es_testing::suite::rounds;
use es_testing::{Fixture, ManualClock};

/// A store and its snapshots as a scenario sees them.
pub(crate) type View = (Arc<dyn EventStore>, Arc<dyn SnapshotStore>);

/// A store, and the one view of it: whether events and snapshots are kept by the same object matters.
#[derive(Clone)]
struct Opened {
    store: PostgresStore,
    view: View,
}

/// A store in a database of its own.
pub(crate) struct Store {
    open: Mutex<Opened>,
    config: PostgresConfig,
    clock: ManualClock,
    limits: Limits,
    view: Box<dyn Fn(PostgresStore) -> View + Send + Sync>,
    /// What must live as long as the store, such as its database.
    _kept: Box<dyn Any + Send + Sync>,
}

impl Store {
    /// Within the limits that stores have by default.
    pub(crate) async fn open(
        config: PostgresConfig,
        view: impl Fn(PostgresStore) -> View + Send + Sync + 'static,
        kept: impl Any + Send + Sync,
    ) -> Self {
        Self::within(Limits::default(), config, view, kept).await
    }

    /// For a mode that differs in how requests reach the server, and not in how large they may be:
    /// unless counts are full, payloads and appends have at most a sixteenth of what is the default,
    /// which is still many packets and many pages.
    pub(crate) async fn smaller(
        config: PostgresConfig,
        view: impl Fn(PostgresStore) -> View + Send + Sync + 'static,
        kept: impl Any + Send + Sync,
    ) -> Self {
        let part = rounds(16, 1) as usize;
        let mut limits = Limits::default();
        limits.payload_bytes /= part;
        limits.append_bytes /= part;
        Self::within(limits, config, view, kept).await
    }

    async fn within(
        limits: Limits,
        config: PostgresConfig,
        view: impl Fn(PostgresStore) -> View + Send + Sync + 'static,
        kept: impl Any + Send + Sync,
    ) -> Self {
        let clock = ManualClock::new();
        let config = config.limits(limits).clock(Arc::new(clock.clone()));
        let store = PostgresStore::open(config.clone()).await.unwrap();
        let open = Mutex::new(Opened { view: view(store.clone()), store });
        Self { open, config, clock, limits, view: Box::new(view), _kept: Box::new(kept) }
    }

    fn open_now(&self) -> Opened {
        self.open.lock().unwrap().clone()
    }
}

/// The store itself.
pub(crate) fn itself(store: PostgresStore) -> View {
    let store = Arc::new(store);
    (store.clone(), store)
}

#[async_trait::async_trait]
impl Fixture for Store {
    fn store(&self) -> Arc<dyn EventStore> {
        self.open_now().view.0
    }

    fn snapshots(&self) -> Option<Arc<dyn SnapshotStore>> {
        Some(self.open_now().view.1)
    }

    fn manual_clock(&self) -> Option<ManualClock> {
        Some(self.clock.clone())
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn write_order(&self) -> WriteOrder {
        WriteOrder::Overlapping
    }

    async fn reopen(&self) -> bool {
        self.open_now().store.close().await;
        let store = PostgresStore::open(self.config.clone()).await.unwrap();
        *self.open.lock().unwrap() = Opened { view: (self.view)(store.clone()), store };
        true
    }
}
