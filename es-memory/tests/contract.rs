//! The contract suite over the in-memory store: as it is, through layers, and as one tenant of it.

use std::sync::Arc;

use es_core::layer::{Layered, StoreLayer, traced};
use es_core::{EventStore, Limits, Position, ReadLog, SnapshotStore, Store, StoreError};
use es_memory::MemoryStore;
use es_testing::checker::{Recorder, WriteOrder};
use es_testing::contract::{Ability, Outcome, SCENARIOS, TimeLimits, run_one};
use es_testing::fault::Faults;
use es_testing::{Fixture, ManualClock};
use futures_util::future::BoxFuture;

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

#[path = "support/neighbour.rs"]
mod neighbour;

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
        let acme = neighbour::tenant_of(&store);
        match is_judged {
            true => Layered(OwnEnd(acme.event_store().clone())).into(),
            false => acme,
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_has_a_store_of_its_own_beside_others() {
    let (mut asked, mut left) = (0, Vec::new());
    for scenario in SCENARIOS {
        let name = scenario.full_name();
        if NOT_A_TENANTS.iter().any(|(not_asked, _)| *not_asked == name) {
            left.push(name);
            continue;
        }
        let is_judged = scenario.concern == "storms";
        let factory = move || -> BoxFuture<'static, Box<dyn Fixture>> {
            Box::pin(async move { Box::new(tenant(is_judged)) as Box<dyn Fixture> })
        };
        let outcome = run_one(&factory, scenario, TimeLimits::default()).await;
        let is_kept = matches!(outcome, Outcome::Kept | Outcome::Lacking(Ability::Durability));
        assert!(is_kept, "{name} is {outcome}");
        asked += 1;
    }
    assert_eq!(left.len(), NOT_A_TENANTS.len(), "each of them is a scenario");
    assert_eq!(asked, SCENARIOS.len() - left.len());
}
