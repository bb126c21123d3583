//! The suite of projections against saboteurs of a memory store.

mod reactors;
pub(crate) mod saboteur;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use es_core::backend::EventStore;
use es_memory::MemoryStore;
use es_testing::ManualClock;
use es_testing::projections::{ProjectionFixture, SCENARIOS, spoil_through};
use es_testing::suite::{Outcome, Scenario, TimeLimits, failures, run_one};

use self::saboteur::{Sabotaged, Saboteur, all};
use crate::clauses::of_sinks;
use crate::matrix::Matrix;

/// The scenarios that catch no saboteur, and why none can be caught.
const HARMLESS: &[(&str, &str)] = &[];

/// A memory store that outlives its reopening.
pub(crate) struct Kept {
    store: MemoryStore,
    clock: ManualClock,
}

impl Kept {
    pub(crate) fn new() -> Self {
        let clock = ManualClock::new();
        let store = MemoryStore::with_clock(Arc::new(clock.clone()));
        Self { store, clock }
    }
}

#[async_trait]
impl ProjectionFixture for Kept {
    fn store(&self) -> Arc<dyn EventStore> {
        Arc::new(self.store.clone())
    }

    fn manual_clock(&self) -> Option<ManualClock> {
        Some(self.clock.clone())
    }

    async fn spoil_row(&self, projection: &str, key: &str, value: &str) -> bool {
        spoil_through(&self.store, projection, key, value).await;
        true
    }

    async fn reopen(&self) -> bool {
        true
    }
}

type OfSinks = Scenario<dyn ProjectionFixture>;

/// What a scenario finds in a saboteur, if it catches it.
async fn caught_by(saboteur: Saboteur, scenario: &'static OfSinks) -> Option<Outcome> {
    let limits =
        TimeLimits { step: Duration::from_millis(2_500), scenario: Duration::from_secs(10) };
    let sabotaged = async { Sabotaged::new(Kept::new(), saboteur) };
    let outcome = run_one(sabotaged, scenario, limits).await;
    (outcome != Outcome::Kept).then_some(outcome)
}

/// What needs SQL catches saboteurs of a file, in the tests of es-sqlite.
fn is_tried(scenario: &OfSinks) -> bool {
    !scenario.needs.contains(&"sql")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_healthy_sink_keeps_every_promise() {
    let failures = failures::<dyn ProjectionFixture, _>(|_| async { Kept::new() }, is_tried).await;
    assert_eq!(failures, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_saboteur_is_caught_and_every_scenario_catches_one() {
    let clauses = of_sinks();
    let saboteurs = all().into_iter().map(|saboteur| {
        let named = &clauses[&saboteur.clause];
        let named = SCENARIOS.iter().filter(|one| named.contains(&one.full_name()));
        (saboteur, named.filter(|one| is_tried(one)).collect())
    });
    let matrix = Matrix {
        saboteurs: saboteurs.collect(),
        describe: |saboteur| format!("{saboteur:?}"),
        // those of reactions catch whoever has them called wrongly
        scenarios: SCENARIOS
            .iter()
            .filter(|one| one.concern != "reactions" && is_tried(one))
            .collect(),
        harmless: HARMLESS,
    };
    matrix.check(caught_by).await;
}
