//! Every saboteur against every scenario.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use es_core::{EventStore, Limits, SnapshotStore};
use es_memory::MemoryStore;
use es_testing::checker::WriteOrder;
use es_testing::contract::{Ability, Outcome, SCENARIOS, TimeLimits, Verdict, run_all, run_one};
use es_testing::saboteur::{Clause, Sabotaged, Saboteur, all};
use es_testing::{Fixture, ManualClock};
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::clauses::clauses;

/// Scenarios that catch no saboteur, and why none can be made.
const HARMLESS: &[(&str, &str)] = &[];

/// The memory store, as if it were on a disk: what was written outlives its opening.
pub(crate) struct Kept {
    store: MemoryStore,
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
        Self { store: MemoryStore::with(Arc::new(clock.clone()), limits), clock, limits }
    }
}

#[async_trait]
impl Fixture for Kept {
    fn store(&self) -> Arc<dyn EventStore> {
        Arc::new(self.store.clone())
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
        true
    }
}

fn failures(verdicts: &[Verdict]) -> Vec<(String, Outcome)> {
    let failed = verdicts.iter().filter(|verdict| verdict.is_failure());
    failed.map(|verdict| (verdict.scenario.full_name(), verdict.outcome.clone())).collect()
}

async fn caught_by(saboteur: Arc<Saboteur>) -> Vec<(String, Outcome)> {
    let sinner = saboteur.clone();
    let factory = move || -> BoxFuture<'static, Box<dyn Fixture>> {
        let saboteur = sinner.clone();
        Box::pin(async move {
            Box::new(Sabotaged::new(Box::new(Kept::new()), saboteur)) as Box<dyn Fixture>
        })
    };
    // short, because some saboteurs hang in many scenarios; what is then overdue counts as caught,
    // but a saboteur must be caught by what its own clause names
    let limits =
        TimeLimits { step: Duration::from_millis(1_500), scenario: Duration::from_secs(20) };
    let Clause::SnapshotStore(_) = saboteur.clause else {
        return failures(&run_all(&factory, limits).await);
    };
    // the events are those of the healthy store as long as nobody asks for snapshots
    let mut verdicts = Vec::new();
    for scenario in SCENARIOS.iter().filter(|one| one.ability == Some(Ability::Snapshots)) {
        verdicts.push(Verdict { scenario, outcome: run_one(&factory, scenario, limits).await });
    }
    failures(&verdicts)
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
    // the scenarios, which run in the runtime's threads, are meant to fail hundreds of times
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        if !thread.name().is_some_and(|name| name.starts_with("tokio-")) {
            report(panic);
        }
    }));
    let matrix = matrix().await;

    let named: BTreeMap<_, _> =
        clauses().into_iter().map(|(clause, names)| (format!("{clause:?}"), names)).collect();
    let mut catching: BTreeSet<String> = BTreeSet::new();
    let mut escaped = Vec::new();
    println!("saboteur (clause): caught by");
    for (saboteur, caught) in &matrix {
        let clause = format!("{:?}", saboteur.clause);
        let by_clause: Vec<_> =
            caught.iter().filter(|(name, _)| named[&clause].contains(name)).collect();
        println!("\n{} ({clause}): {} scenarios", saboteur.name, caught.len());
        for (name, outcome) in caught {
            let mark = if named[&clause].contains(name) { '*' } else { ' ' };
            let text: String = outcome.to_string().lines().take(1).collect();
            println!("  {mark} {name}: {}", text.chars().take(140).collect::<String>());
        }
        if by_clause.is_empty() {
            escaped.push(format!("{} breaks {clause}", saboteur.name));
        }
        catching.extend(caught.iter().map(|(name, _)| name.clone()));
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
        "the scenarios that catch no saboteur (left) are those with a reason (right)"
    );
}

async fn matrix() -> Vec<(Arc<Saboteur>, Vec<(String, Outcome)>)> {
    let places = Arc::new(Semaphore::new(8));
    let mut running = JoinSet::new();
    for (index, saboteur) in all().into_iter().enumerate() {
        let (places, saboteur) = (places.clone(), Arc::new(saboteur));
        running.spawn(async move {
            let _place = places.acquire().await.expect("the semaphore stays open");
            (index, saboteur.clone(), caught_by(saboteur).await)
        });
    }
    let mut matrix = running.join_all().await;
    matrix.sort_by_key(|(index, ..)| *index);
    matrix.into_iter().map(|(_, saboteur, caught)| (saboteur, caught)).collect()
}
