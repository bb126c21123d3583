//! The suite of projections over the in-memory store: as it is, through layers, and as one tenant
//! of it.

use std::sync::Arc;

use es_core::Store;
use es_core::backend::{EventStore, ProjectionSink};
use es_core::layer::traced;
use es_memory::MemoryStore;
use es_testing::ManualClock;
use es_testing::fault::Faults;
use es_testing::projections::{ProjectionFixture, SCENARIOS, spoil_through};
use es_testing::suite::{Scenario, failures};

struct Memory {
    /// What the suite is given.
    seen: Store,
    clock: ManualClock,
}

fn seen(through: impl FnOnce(MemoryStore) -> Store) -> Memory {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(Arc::new(clock.clone()));
    Memory { seen: through(store), clock }
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

    fn manual_clock(&self) -> Option<ManualClock> {
        Some(self.clock.clone())
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
    let acme = |_| async { seen(|store| crate::neighbour::tenant_of(&store)) };
    assert_eq!(failures::<dyn ProjectionFixture, _>(acme, is_asked).await, [""; 0]);
    assert!(SCENARIOS.iter().any(|one| one.full_name() == NOT_A_TENANTS));
}
