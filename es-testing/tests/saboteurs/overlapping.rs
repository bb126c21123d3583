//! The suite over a store whose writers overlap: it asks for no more than the contract.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use es_core::{EventStore, Limits, SnapshotStore};
use es_memory::MemoryStore;
use es_testing::checker::WriteOrder;
use es_testing::contract::{Outcome, SCENARIOS, TimeLimits, run_all, run_one};
use es_testing::{Fixture, ManualClock};
use futures_util::future::BoxFuture;

use super::slow::{Draws, SlowStore};

struct Slow {
    store: Mutex<SlowStore>,
    snapshots: MemoryStore,
    clock: ManualClock,
    write_order: WriteOrder,
}

impl Slow {
    fn made(write_order: WriteOrder, draws: Draws) -> BoxFuture<'static, Box<dyn Fixture>> {
        let clock = ManualClock::new();
        let memory = MemoryStore::with_clock(Arc::new(clock.clone()));
        let store = Mutex::new(SlowStore::new(memory.clone(), Limits::default(), draws));
        Box::pin(async move {
            Box::new(Self { store, snapshots: memory, clock, write_order }) as Box<dyn Fixture>
        })
    }

    fn open_now(&self) -> MutexGuard<'_, SlowStore> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Fixture for Slow {
    fn store(&self) -> Arc<dyn EventStore> {
        Arc::new(self.open_now().clone())
    }

    fn snapshots(&self) -> Option<Arc<dyn SnapshotStore>> {
        Some(Arc::new(self.snapshots.clone()))
    }

    fn clock(&self) -> ManualClock {
        self.clock.clone()
    }

    fn limits(&self) -> Limits {
        Limits::default()
    }

    fn write_order(&self) -> WriteOrder {
        self.write_order
    }

    async fn reopen(&self) -> bool {
        let mut store = self.open_now();
        *store = store.reopened();
        true
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_whose_writers_overlap_keeps_every_promise() {
    // as a sequence gives positions, between which others may draw
    for draws in [Draws::AtOnce, Draws::OneByOne] {
        let made = || Slow::made(WriteOrder::Overlapping, draws);
        let verdicts = run_all(&made, TimeLimits::default()).await;
        assert_eq!(verdicts.len(), SCENARIOS.len());
        for verdict in verdicts {
            let name = verdict.scenario.full_name();
            assert_eq!(verdict.outcome, Outcome::Kept, "{name}, {draws:?}");
        }
    }
}

/// What a storm finds in the end, if it finds something in several tries.
async fn found_by_storms(write_order: WriteOrder, draws: Draws) -> String {
    const TRIES: usize = 20;
    let storm = "storms::many_writers_leave_a_consistent_history";
    let scenario = SCENARIOS.iter().find(|scenario| scenario.full_name() == storm);
    let scenario = scenario.expect("the storm is a scenario");
    let made = || Slow::made(write_order, draws);
    for _ in 0..TRIES {
        if let Outcome::Broken(how) = run_one(&made, scenario, TimeLimits::default()).await {
            return how;
        }
    }
    panic!("{TRIES} storms found nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_strict_judgement_refuses_a_store_whose_writers_overlap() {
    let found = found_by_storms(WriteOrder::Serial, Draws::AtOnce).await;
    assert!(found.contains("OneOrder"), "{found}");
}
