//! The suite against saboteurs of a memory store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use es_core::layer::{Layered, StoreLayer};
use es_core::{Capabilities, EventStore, Limits, SnapshotStore, StoreIdentity};
use es_memory::MemoryStore;
use es_testing::checker::WriteOrder;
use es_testing::contract::{Ability, Outcome, SCENARIOS, Scenario, TimeLimits, run_all, run_one};
use es_testing::saboteur::{Clause, Sabotaged, Saboteur, all};
use es_testing::{Fixture, ManualClock};
use futures_util::future::BoxFuture;

use super::clauses::clauses;
use crate::support::Matrix;

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

    fn clock(&self) -> ManualClock {
        self.clock.clone()
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn write_order(&self) -> WriteOrder {
        WriteOrder::Serial
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
async fn caught_by(saboteur: Arc<Saboteur>, scenario: &'static Scenario) -> Option<Outcome> {
    let is_of_snapshots = matches!(saboteur.clause, Clause::SnapshotStore(_));
    // the events are those of the healthy store as long as nobody asks for snapshots
    if is_of_snapshots && scenario.ability != Some(Ability::Snapshots) {
        return None;
    }
    let factory = move || -> BoxFuture<'static, Box<dyn Fixture>> {
        let saboteur = saboteur.clone();
        Box::pin(async move {
            Box::new(Sabotaged::new(Box::new(Kept::new()), saboteur)) as Box<dyn Fixture>
        })
    };
    // short, because some saboteurs hang in many scenarios; what is then overdue counts as caught,
    // but a saboteur must be caught by what its own clause names
    let limits =
        TimeLimits { step: Duration::from_millis(1_500), scenario: Duration::from_secs(20) };
    let outcome = run_one(&factory, scenario, limits).await;
    matches!(outcome, Outcome::Broken(_) | Outcome::Overdue(_)).then_some(outcome)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_healthy_store_keeps_every_promise() {
    let factory = || -> BoxFuture<'static, Box<dyn Fixture>> {
        Box::pin(async { Box::new(Kept::new()) as Box<dyn Fixture> })
    };
    let verdicts = run_all(&factory, TimeLimits::default()).await;
    assert_eq!(verdicts.len(), SCENARIOS.len());
    for verdict in verdicts {
        let name = verdict.scenario.full_name();
        assert_eq!(verdict.outcome, Outcome::Kept, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_saboteur_is_caught_and_every_scenario_catches_one() {
    let clauses: HashMap<_, _> = clauses().into_iter().collect();
    let saboteurs = all().into_iter().map(|saboteur| {
        let named = &clauses[&saboteur.clause];
        let scenarios = SCENARIOS.iter().filter(|one| named.contains(&one.full_name()));
        (Arc::new(saboteur), scenarios.collect())
    });
    let matrix = Matrix {
        saboteurs: saboteurs.collect(),
        describe: |saboteur| format!("{} breaks {:?}", saboteur.name, saboteur.clause),
        scenarios: SCENARIOS.iter().collect(),
        name: Scenario::full_name,
        harmless: HARMLESS,
    };
    matrix.check(caught_by).await;
}
