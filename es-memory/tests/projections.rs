//! The suite of projections over the in-memory store, as it is and through layers.

use std::sync::{Arc, Mutex, PoisonError};

use es_core::layer::traced;
use es_core::projection::{Definition, ProjectionSink, SinkError, Slot, all_rows};
use es_core::{EventStore, Payload, Store};
use es_memory::MemoryStore;
use es_testing::ManualClock;
use es_testing::fault::Faults;
use es_testing::projections::{HANDLED, ProjectionFixture, SuiteHandler, spoil_through};
use futures_util::TryStreamExt;

struct Memory {
    store: MemoryStore,
    /// What the suite is given.
    seen: Store,
    clock: ManualClock,
    handler: Arc<SuiteHandler>,
}

fn seen(through: impl FnOnce(MemoryStore) -> Store) -> Memory {
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
    Memory { seen: through(store.clone()), store, clock, handler }
}

async fn memory() -> Memory {
    seen(Store::from)
}

/// Through layers that change nothing.
async fn layered() -> Memory {
    seen(|store| traced(Faults::new().over(store)))
}

#[async_trait::async_trait]
impl ProjectionFixture for Memory {
    fn store(&self) -> Arc<dyn EventStore> {
        self.seen.event_store().clone()
    }

    fn sink(&self) -> Arc<dyn ProjectionSink> {
        self.seen.capabilities().models.clone().expect("the store keeps models")
    }

    fn clock(&self) -> ManualClock {
        self.clock.clone()
    }

    fn handler(&self) -> Arc<SuiteHandler> {
        self.handler.clone()
    }

    async fn keep_inline(&self, projection: Definition) -> Result<(), SinkError> {
        self.store.keep_inline(projection)
    }

    async fn effects(&self) -> Vec<(String, u64)> {
        let rows =
            all_rows(self.store.clone(), HANDLED, Slot::Active).try_collect::<Vec<_>>().await;
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

mod through_layers {
    use super::layered;

    es_testing::projection_suite!(layered, lacks: [durability]);
}
