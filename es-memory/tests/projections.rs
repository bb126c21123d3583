//! The suite of projections over the in-memory store.

use std::sync::{Arc, Mutex, PoisonError};

use es_core::projection::{ProjectionSink, Slot};
use es_core::{EventStore, Payload};
use es_memory::MemoryStore;
use es_testing::ManualClock;
use es_testing::projections::{HANDLED, ProjectionFixture, SuiteHandler, spoil_through};

struct Memory {
    store: MemoryStore,
    clock: ManualClock,
    handler: Arc<SuiteHandler>,
}

async fn memory() -> Memory {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(Arc::new(clock.clone()));
    let handler = Arc::new(SuiteHandler::default());
    let suite = handler.clone();
    let written = Mutex::new(0_u64);
    store.handle(HANDLED, move |rows, events| {
        let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            let effect = suite.effect(event)?;
            // what a failed call counted stays counted: the numbers grow, and may have gaps
            *written += 1;
            rows.insert(format!("{:09}", *written), Payload::of(&effect)?);
        }
        Ok(())
    });
    Memory { store, clock, handler }
}

#[async_trait::async_trait]
impl ProjectionFixture for Memory {
    fn store(&self) -> Arc<dyn EventStore> {
        Arc::new(self.store.clone())
    }

    fn sink(&self) -> Arc<dyn ProjectionSink> {
        Arc::new(self.store.clone())
    }

    fn clock(&self) -> ManualClock {
        self.clock.clone()
    }

    fn handler(&self) -> Arc<SuiteHandler> {
        self.handler.clone()
    }

    async fn effects(&self) -> Vec<(String, u64)> {
        let rows = self.store.rows(HANDLED, Slot::Active, None, usize::MAX).await;
        let rows = rows.expect("the model is there").into_iter();
        rows.map(|row| row.value.decode().expect("the handler wrote it")).collect()
    }

    async fn spoil_row(&self, projection: &str, key: &str, value: &str) -> bool {
        spoil_through(&self.store, projection, key, value).await;
        true
    }

    async fn reopen(&self) -> bool {
        false
    }
}

es_testing::projection_suite!(memory, lacks: [durability]);
