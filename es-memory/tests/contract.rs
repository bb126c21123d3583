//! The contract suite over the in-memory store.

use std::sync::Arc;

use es_core::{EventStore, Limits, SnapshotStore};
use es_memory::MemoryStore;
use es_testing::checker::WriteOrder;
use es_testing::{Fixture, ManualClock};

struct Memory {
    store: Arc<MemoryStore>,
    clock: ManualClock,
}

async fn memory() -> Memory {
    let clock = ManualClock::new();
    let store = Arc::new(MemoryStore::with_clock(Arc::new(clock.clone())));
    Memory { store, clock }
}

#[async_trait::async_trait]
impl Fixture for Memory {
    fn store(&self) -> Arc<dyn EventStore> {
        self.store.clone()
    }

    fn snapshots(&self) -> Option<Arc<dyn SnapshotStore>> {
        Some(self.store.clone())
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
