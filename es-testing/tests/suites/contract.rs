//! The contract suite against saboteurs of a memory store.

mod overlapping;
mod respelled;
pub(crate) mod saboteur;
mod slow;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use es_core::backend::{Capabilities, EventStore, Limits, SnapshotStore, StoreIdentity};
use es_core::layer::{Layered, StoreLayer};
use es_memory::MemoryStore;
use es_testing::contract::SCENARIOS;
use es_testing::suite::{Outcome, Scenario, TimeLimits, failures, run_one};
use es_testing::{Fixture, ManualClock};

use self::saboteur::{Clause, Sabotaged, Saboteur, all};
use crate::clauses::of_stores;
use crate::matrix::Matrix;

/// Scenarios that catch no saboteur, and why none can be made.
const HARMLESS: &[(&str, &str)] = &[];

/// The memory store, as if it were on a disk: what was written outlives its opening.
pub(crate) struct Kept {
    store: MemoryStore,
    /// Of this opening.
    identity: Mutex<StoreIdentity>,
    clock: ManualClock,
    limits: Limits,
}

impl Kept {
    pub(crate) fn new() -> Self {
        const KIB: usize = 1024;
        let clock = ManualClock::new();
        let mut limits = Limits::default();
        limits.events = 64;
        limits.payload_bytes = 32 * KIB;
        limits.metadata_bytes = 4 * KIB;
        limits.append_bytes = 80 * KIB;
        limits.depth = 16;
        let store = MemoryStore::with(Arc::new(clock.clone()), limits);
        Self { store, identity: Mutex::new(StoreIdentity::new()), clock, limits }
    }

    fn identity(&self) -> MutexGuard<'_, StoreIdentity> {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Fixture for Kept {
    fn store(&self) -> Arc<dyn EventStore> {
        let identity = self.identity().clone();
        Arc::new(Layered(Opened { inner: Arc::new(self.store.clone()), identity }))
    }

    fn snapshots(&self) -> Option<Arc<dyn SnapshotStore>> {
        Some(Arc::new(self.store.clone()))
    }

    fn manual_clock(&self) -> Option<ManualClock> {
        Some(self.clock.clone())
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    async fn reopen(&self) -> bool {
        *self.identity() = StoreIdentity::new();
        true
    }
}

/// The store as it is open.
struct Opened {
    inner: Arc<dyn EventStore>,
    identity: StoreIdentity,
}

impl StoreLayer for Opened {
    fn inner(&self) -> &Arc<dyn EventStore> {
        &self.inner
    }

    fn capabilities(&self, mut inner: Capabilities) -> Capabilities {
        inner.identity = self.identity.clone();
        inner
    }
}

/// What a scenario finds in a saboteur, if it catches it.
async fn caught_by(
    saboteur: Arc<Saboteur>,
    scenario: &'static Scenario<dyn Fixture>,
) -> Option<Outcome> {
    let is_of_snapshots = matches!(saboteur.clause, Clause::SnapshotStore(_));
    // the events are those of the healthy store as long as nobody asks for snapshots
    if is_of_snapshots && !scenario.needs.contains(&"snapshots") {
        return None;
    }
    // short, because some saboteurs hang in many scenarios; what is then overdue counts as caught,
    // but a saboteur must be caught by what its own clause names
    let limits =
        TimeLimits { step: Duration::from_millis(1_500), scenario: Duration::from_secs(20) };
    let sabotaged = async { Sabotaged::new(Kept::new(), saboteur) };
    let outcome = run_one(sabotaged, scenario, limits).await;
    (outcome != Outcome::Kept).then_some(outcome)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_healthy_store_keeps_every_promise() {
    let failures = failures::<dyn Fixture, _>(|_| async { Kept::new() }, |_| true).await;
    assert_eq!(failures, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_saboteur_is_caught_and_every_scenario_catches_one() {
    let clauses: HashMap<_, _> = of_stores().into_iter().collect();
    let saboteurs = all().into_iter().map(|saboteur| {
        let named = &clauses[&saboteur.clause];
        let scenarios = SCENARIOS.iter().filter(|one| named.contains(&one.full_name()));
        (Arc::new(saboteur), scenarios.collect())
    });
    let matrix = Matrix {
        saboteurs: saboteurs.collect(),
        describe: |saboteur| format!("{} breaks {:?}", saboteur.name, saboteur.clause),
        scenarios: SCENARIOS.iter().collect(),
        harmless: HARMLESS,
    };
    matrix.check(caught_by).await;
}
