//! The suite of projections over the in-memory store: as it is, through layers, and as one tenant
//! of it.

use std::sync::{Arc, Mutex, PoisonError};

use es_core::layer::traced;
use es_core::projection::{ProjectionSink, Slot};
use es_core::{EventStore, Payload, Store};
use es_memory::MemoryStore;
use es_testing::ManualClock;
use es_testing::fault::Faults;
use es_testing::projections::{HANDLED, ProjectionFixture, SCENARIOS, SuiteHandler, spoil_through};
use es_testing::suite::{Scenario, failures};

struct Memory {
    /// What the suite is given.
    seen: Store,
    /// With what the names of its projections begin in the store.
    prefix: &'static str,
    clock: ManualClock,
    handler: Arc<SuiteHandler>,
}

fn seen(prefix: &'static str, through: impl FnOnce(MemoryStore) -> Store) -> Memory {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(Arc::new(clock.clone()));
    let handler = Arc::new(SuiteHandler::default());
    let suite = handler.clone();
    let written = Mutex::new(0_u64);
    store.handle(&format!("{prefix}{HANDLED}"), move |rows, events| {
        let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            let effect = suite.effect(event)?;
            // what a failed call counted stays counted: the numbers grow, and may have gaps
            *written += 1;
            rows.insert(format!("{:09}", *written), Payload::of(&effect)?);
        }
        Ok(())
    });
    Memory { seen: through(store), prefix, clock, handler }
}

async fn memory() -> Memory {
    seen("", Store::from)
}

/// Through layers that change nothing.
async fn layered() -> Memory {
    seen("", |store| traced(Faults::new().over(store)))
}

#[async_trait::async_trait]
impl ProjectionFixture for Memory {
    fn store(&self) -> Arc<dyn EventStore> {
        self.seen.event_store().clone()
    }

    fn sink(&self) -> Arc<dyn ProjectionSink> {
        self.seen.capabilities().models.clone().expect("the store keeps models")
    }

    fn manual_clock(&self) -> Option<ManualClock> {
        Some(self.clock.clone())
    }

    fn handler(&self) -> Arc<SuiteHandler> {
        self.handler.clone()
    }

    async fn effects(&self) -> Vec<(String, u64)> {
        let rows = self.sink().rows(HANDLED, Slot::Active, None, usize::MAX).await;
        let rows = rows.expect("the model is there").into_iter();
        let effects = rows.map(|row| row.value.decode().expect("the handler wrote it"));
        // a handler is given the names of the store
        let named = |(stream, number): (String, u64)| (stream.replacen(self.prefix, "", 1), number);
        effects.map(named).collect()
    }

    async fn spoil_row(&self, projection: &str, key: &str, value: &str) -> bool {
        spoil_through(&*self.sink(), projection, key, value).await;
        true
    }
}

es_testing::projection_suite!(v1, memory, lacks: ["durability", "sql"]);

mod through_layers {
    use super::layered;

    es_testing::projection_suite!(v1, layered, lacks: ["durability", "sql"]);
}

#[path = "support/neighbour.rs"]
mod neighbour;

/// What a tenant has not: its rows would stand in the tables of all, and what is kept within appends
/// is kept for all.
const NO_TENANT_HAS: [&str; 4] = ["durability", "inline", "sql", "tables"];

/// What is not asked of a tenant beside that: its name takes of the 255 bytes of an id.
const NOT_A_TENANTS: &str = "fidelity::generated_rows_come_back_live_and_rebuilt";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_has_models_of_its_own_beside_others() {
    let is_asked = |one: &Scenario<dyn ProjectionFixture>| {
        one.full_name() != NOT_A_TENANTS
            && !one.needs.iter().any(|name| NO_TENANT_HAS.contains(name))
    };
    let acme = |_| async { seen("acme/", |store| neighbour::tenant_of(&store)) };
    assert_eq!(failures::<dyn ProjectionFixture, _>(acme, is_asked).await, [""; 0]);
    assert!(SCENARIOS.iter().any(|one| one.full_name() == NOT_A_TENANTS));
}
