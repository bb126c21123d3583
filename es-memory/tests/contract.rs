//! The contract suite over the in-memory store, as it is and through layers.

use std::sync::Arc;

use es_core::layer::traced;
use es_core::{EventStore, Limits, SnapshotStore, Store};
use es_memory::MemoryStore;
use es_testing::checker::{Recorder, WriteOrder};
use es_testing::fault::Faults;
use es_testing::{Fixture, ManualClock};

struct Memory {
    store: Store,
    clock: ManualClock,
}

impl Memory {
    fn seen(through: impl FnOnce(MemoryStore) -> Store) -> Self {
        let clock = ManualClock::new();
        let store = through(MemoryStore::with_clock(Arc::new(clock.clone())));
        Self { store, clock }
    }
}

async fn memory() -> Memory {
    Memory::seen(Store::from)
}

/// Through layers that change nothing.
async fn layered() -> Memory {
    Memory::seen(|store| traced(Faults::new().over(Recorder::new().over(store))))
}

#[async_trait::async_trait]
impl Fixture for Memory {
    fn store(&self) -> Arc<dyn EventStore> {
        self.store.event_store().clone()
    }

    fn snapshots(&self) -> Option<Arc<dyn SnapshotStore>> {
        self.store.capabilities().snapshots.clone()
    }

    fn clock(&self) -> ManualClock {
        self.clock.clone()
    }

    fn limits(&self) -> Limits {
        Limits::default()
    }

    fn write_order(&self) -> WriteOrder {
        WriteOrder::Serial
    }

    async fn reopen(&self) -> bool {
        false
    }
}

es_testing::contract_suite!(memory, lacks: [durability]);

mod through_layers {
    use super::layered;

    es_testing::contract_suite!(layered, lacks: [durability]);
}
