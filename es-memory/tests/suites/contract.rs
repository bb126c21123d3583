//! The contract suite over the in-memory store: as it is, through layers, and as one tenant of it.

use std::sync::Arc;

use es_core::Store;
use es_core::backend::{EventStore, Position, ReadLog, SnapshotStore, StoreError};
use es_core::layer::{Layered, StoreLayer, traced};
use es_memory::MemoryStore;
use es_testing::checker::Recorder;
use es_testing::contract::SCENARIOS;
use es_testing::fault::Faults;
use es_testing::suite::{Scenario, failures};
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

    fn manual_clock(&self) -> Option<ManualClock> {
        Some(self.clock.clone())
    }
}

es_testing::contract_suite!(v1, memory, lacks: ["durability"]);

mod through_layers {
    use super::layered;

    es_testing::contract_suite!(v1, layered, lacks: ["durability"]);
}

/// What is not asked of a tenant, and why.
const NOT_A_TENANTS: [(&str, &str); 3] = [
    ("log::the_end_is_told_truly", "the end is that of the one log, in which others wrote before"),
    (
        "cursors::a_cursor_beyond_the_end_is_refused",
        "behind the tenant's last event are places of others",
    ),
    (
        "fidelity::generated_names_come_back_or_are_refused",
        "the tenant's name takes of the 255 bytes of an id",
    ),
];

/// Tells the end by the tenant's own events, for the judge of histories, who knows no others.
struct OwnEnd(Arc<dyn EventStore>);

#[async_trait::async_trait]
impl StoreLayer for OwnEnd {
    fn inner(&self) -> &Arc<dyn EventStore> {
        &self.0
    }

    async fn end_of_log(&self) -> Result<Position, StoreError> {
        let (mut read, mut end) = (ReadLog::from_start(), Position::START);
        loop {
            let page = self.0.read_log(&read).await?;
            end = page.last.map_or(end, |last| last.position);
            if page.at_end {
                return Ok(end);
            }
            read.after = page.next;
        }
    }
}

fn tenant(is_judged: bool) -> Memory {
    Memory::seen(|store| {
        let acme = crate::neighbour::tenant_of(&store);
        match is_judged {
            true => Layered(OwnEnd(acme.event_store().clone())).into(),
            false => acme,
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_has_a_store_of_its_own_beside_others() {
    let is_asked = |one: &Scenario<dyn Fixture>| {
        let name = one.full_name();
        let is_listed = NOT_A_TENANTS.iter().any(|(not_asked, _)| *not_asked == name);
        !is_listed && !one.needs.contains(&"durability")
    };
    let acme = |one: &'static Scenario<_>| async move { tenant(one.concern == "storms") };
    assert_eq!(failures::<dyn Fixture, _>(acme, is_asked).await, [""; 0]);
    for (name, _) in NOT_A_TENANTS {
        assert!(SCENARIOS.iter().any(|one| one.full_name() == name), "{name} is a scenario");
    }
}
