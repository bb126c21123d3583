//! The suite of projections over the in-memory store: as it is, through layers, and as one tenant
//! of it.

use std::sync::Arc;

use es_core::layer::traced;
use es_core::projection::ProjectionSink;
use es_core::{EventStore, Store};
use es_memory::MemoryStore;
use es_testing::ManualClock;
use es_testing::contract::{Ability, Outcome, TimeLimits};
use es_testing::fault::Faults;
use es_testing::projections::{ProjectionFixture, SCENARIOS, run_one, spoil_through};
use futures_util::future::BoxFuture;

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

    fn clock(&self) -> ManualClock {
        self.clock.clone()
    }

    fn takes_sql(&self) -> bool {
        false
    }

    async fn spoil_row(&self, projection: &str, key: &str, value: &str) -> bool {
        spoil_through(&*self.sink(), projection, key, value).await;
        true
    }

    async fn reopen(&self) -> bool {
        false
    }
}

es_testing::projection_suite!(memory, lacks: [durability, sql]);

mod through_layers {
    use super::layered;

    es_testing::projection_suite!(layered, lacks: [durability, sql]);
}

#[path = "support/neighbour.rs"]
mod neighbour;

/// What is not asked of a tenant beside what is kept within appends or in tables, and why.
const NOT_A_TENANTS: [(&str, &str); 4] = [
    ("failures::a_panic_is_a_failure", "a tenant has no tables"),
    ("failures::a_refused_batch_is_halved", "a tenant has no tables"),
    ("odd_rows::one_refuses_its_own_appends", "a tenant's projections are not kept within appends"),
    (
        "fidelity::generated_rows_come_back_live_and_rebuilt",
        "the tenant's name takes of the 255 bytes of an id",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_has_models_of_its_own_beside_others() {
    let (mut asked, mut left) = (0, Vec::new());
    for scenario in SCENARIOS {
        let name = scenario.full_name();
        let is_listed = NOT_A_TENANTS.iter().any(|(not_asked, _)| *not_asked == name);
        if is_listed || ["inline", "tables"].contains(&scenario.concern) {
            left.extend(is_listed.then_some(name));
            continue;
        }
        let factory = || -> BoxFuture<'static, Box<dyn ProjectionFixture>> {
            Box::pin(async {
                let acme = seen(|store| neighbour::tenant_of(&store));
                Box::new(acme) as Box<dyn ProjectionFixture>
            })
        };
        let outcome = run_one(&factory, scenario, TimeLimits::default()).await;
        let is_kept = match &outcome {
            Outcome::Kept => true,
            Outcome::Lacking(ability) => [Ability::Durability, Ability::Sql].contains(ability),
            _ => false,
        };
        assert!(is_kept, "{name} is {outcome}");
        asked += 1;
    }
    assert_eq!(left.len(), NOT_A_TENANTS.len(), "each of them is a scenario");
    let others = SCENARIOS.iter().filter(|one| ["inline", "tables"].contains(&one.concern)).count();
    assert_eq!(asked, SCENARIOS.len() - left.len() - others);
}
