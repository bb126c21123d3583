//! The suite against saboteurs of a memory store.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use es_core::EventStore;
use es_core::projection::ProjectionSink;
use es_memory::MemoryStore;
use es_testing::ManualClock;
use es_testing::contract::{Ability, Outcome, TimeLimits};
use es_testing::projections::saboteur::{Sabotaged, Saboteur, all};
use es_testing::projections::{
    ProjectionFixture, SCENARIOS, Scenario, run_all, run_one, spoil_through,
};
use futures_util::future::BoxFuture;

use super::clauses::clauses;
use crate::support::Matrix;

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

    fn sink(&self) -> Arc<dyn ProjectionSink> {
        Arc::new(self.store.clone())
    }

    fn clock(&self) -> ManualClock {
        self.clock.clone()
    }

    fn takes_sql(&self) -> bool {
        false
    }

    async fn spoil_row(&self, projection: &str, key: &str, value: &str) -> bool {
        spoil_through(&self.store, projection, key, value).await;
        true
    }

    async fn reopen(&self) -> bool {
        true
    }
}

/// What a scenario finds in a saboteur, if it catches it.
async fn caught_by(saboteur: Saboteur, scenario: &'static Scenario) -> Option<Outcome> {
    let factory = move || -> BoxFuture<'static, Box<dyn ProjectionFixture>> {
        Box::pin(async move {
            Box::new(Sabotaged::new(Box::new(Kept::new()), saboteur)) as Box<dyn ProjectionFixture>
        })
    };
    let limits =
        TimeLimits { step: Duration::from_millis(2_500), scenario: Duration::from_secs(10) };
    let outcome = run_one(&factory, scenario, limits).await;
    (outcome != Outcome::Kept).then_some(outcome)
}

/// What needs SQL catches saboteurs of a file, in the tests of es-sqlite.
fn is_tried(scenario: &Scenario) -> bool {
    scenario.ability != Some(Ability::Sql)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_healthy_sink_keeps_every_promise() {
    let factory = || -> BoxFuture<'static, Box<dyn ProjectionFixture>> {
        Box::pin(async { Box::new(Kept::new()) as Box<dyn ProjectionFixture> })
    };
    for (scenario, outcome) in run_all(&factory, TimeLimits::default()).await {
        let expected = match scenario.ability {
            Some(Ability::Sql) => Outcome::Lacking(Ability::Sql),
            _ => Outcome::Kept,
        };
        assert_eq!(outcome, expected, "{}", scenario.full_name());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_saboteur_is_caught_and_every_scenario_catches_one() {
    let clauses = clauses();
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
        name: Scenario::full_name,
        harmless: HARMLESS,
    };
    matrix.check(caught_by).await;
}
