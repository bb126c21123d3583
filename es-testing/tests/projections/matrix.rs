//! Which scenario catches which saboteur.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use es_core::projection::{Definition, ProjectionSink, SinkError, Slot, all_rows};
use es_core::{EventStore, Payload};
use es_memory::MemoryStore;
use es_testing::ManualClock;
use es_testing::contract::{Outcome, TimeLimits};
use es_testing::projections::saboteur::{Sabotaged, Saboteur, all};
use es_testing::projections::{
    HANDLED, ProjectionFixture, SCENARIOS, SuiteHandler, run_all, spoil_through,
};
use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::clauses::clauses;

/// The scenarios that catch no saboteur, and why none can be caught.
const HARMLESS: &[(&str, &str)] = &[];

/// A memory store that outlives its reopening.
struct Kept {
    store: MemoryStore,
    clock: ManualClock,
    handler: Arc<SuiteHandler>,
}

impl Kept {
    fn new() -> Self {
        let clock = ManualClock::new();
        let store = MemoryStore::with_clock(Arc::new(clock.clone()));
        let handler = Arc::new(SuiteHandler::default());
        let (suite, written) = (handler.clone(), Mutex::new(0_u64));
        store.handle(HANDLED, move |rows, events| {
            let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
            for event in events {
                let effect = suite.effect(event)?;
                *written += 1;
                rows.insert(format!("{:09}", *written), Payload::of(&effect)?);
            }
            Ok(())
        });
        Self { store, clock, handler }
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

    fn handler(&self) -> Arc<SuiteHandler> {
        self.handler.clone()
    }

    async fn keep_inline(&self, projection: Definition) -> Result<(), SinkError> {
        self.store.keep_inline(projection)
    }

    async fn effects(&self) -> Vec<(String, u64)> {
        let rows = all_rows(&self.store, HANDLED, Slot::Active).try_collect::<Vec<_>>().await;
        let rows = rows.expect("the model is there").into_iter();
        rows.map(|row| row.value.decode().expect("the handler wrote it")).collect()
    }

    async fn spoil_row(&self, projection: &str, key: &str, value: &str) -> bool {
        spoil_through(&self.store, projection, key, value).await;
        true
    }

    async fn reopen(&self) -> bool {
        true
    }
}

async fn caught_by(saboteur: Saboteur) -> Vec<(String, Outcome)> {
    let factory = move || -> BoxFuture<'static, Box<dyn ProjectionFixture>> {
        Box::pin(async move {
            Box::new(Sabotaged::new(Box::new(Kept::new()), saboteur)) as Box<dyn ProjectionFixture>
        })
    };
    let limits =
        TimeLimits { step: Duration::from_millis(2_500), scenario: Duration::from_secs(10) };
    let verdicts = run_all(&factory, limits).await.into_iter();
    let caught = verdicts.filter(|(_, outcome)| *outcome != Outcome::Kept);
    caught.map(|(scenario, outcome)| (scenario.full_name(), outcome)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_healthy_sink_keeps_every_promise() {
    let factory = || -> BoxFuture<'static, Box<dyn ProjectionFixture>> {
        Box::pin(async { Box::new(Kept::new()) as Box<dyn ProjectionFixture> })
    };
    for (scenario, outcome) in run_all(&factory, TimeLimits::default()).await {
        assert_eq!(outcome, Outcome::Kept, "{}", scenario.full_name());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_saboteur_is_caught_and_every_scenario_catches_one() {
    // the scenarios, which run in the runtime's threads, are meant to fail hundreds of times
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        if !thread.name().is_some_and(|name| name.starts_with("tokio-")) {
            report(panic);
        }
    }));
    let clauses = clauses();
    let (mut catching, mut escaped) = (BTreeSet::new(), Vec::new());
    println!("saboteur (clause): caught by");
    for (saboteur, caught) in matrix().await {
        let named = &clauses[&saboteur.clause];
        println!("\n{saboteur:?}: {} scenarios", caught.len());
        for (name, outcome) in &caught {
            let mark = if named.contains(name) { '*' } else { ' ' };
            let text: String = outcome.to_string().lines().take(1).collect();
            println!("  {mark} {name}: {}", text.chars().take(140).collect::<String>());
        }
        if !caught.iter().any(|(name, _)| named.contains(name)) {
            escaped.push(saboteur);
        }
        catching.extend(caught.into_iter().map(|(name, _)| name));
    }
    assert!(
        escaped.is_empty(),
        "these saboteurs are caught by no scenario that their clause names: {escaped:#?}"
    );
    let idle: BTreeSet<String> = SCENARIOS
        .iter()
        .map(|scenario| scenario.full_name())
        .filter(|name| !catching.contains(name))
        .collect();
    let explained: BTreeSet<String> = HARMLESS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(
        idle, explained,
        "the scenarios that catch no saboteur (left) are explained (right)"
    );
}

async fn matrix() -> Vec<(Saboteur, Vec<(String, Outcome)>)> {
    let places = Arc::new(Semaphore::new(4));
    let mut running = JoinSet::new();
    for (index, saboteur) in all().into_iter().enumerate() {
        let places = places.clone();
        running.spawn(async move {
            let _place = places.acquire().await.expect("the semaphore stays open");
            (index, saboteur, caught_by(saboteur).await)
        });
    }
    let mut matrix = running.join_all().await;
    matrix.sort_by_key(|(index, ..)| *index);
    matrix.into_iter().map(|(_, saboteur, caught)| (saboteur, caught)).collect()
}
