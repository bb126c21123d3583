//! The suite over a store whose writers overlap: it asks for no more than the contract.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use es_core::backend::{EventStore, Limits, SnapshotStore};
use es_memory::MemoryStore;
use es_testing::checker::WriteOrder;
use es_testing::contract::SCENARIOS;
use es_testing::suite::{Outcome, TimeLimits, failures, run_one};
use es_testing::{Fixture, ManualClock};

use super::slow::{Draws, SlowStore};
use crate::matrix::side_by_side;

struct Slow {
    store: Mutex<SlowStore>,
    snapshots: MemoryStore,
    clock: ManualClock,
    write_order: WriteOrder,
}

impl Slow {
    fn new(write_order: WriteOrder, draws: Draws) -> Self {
        let clock = ManualClock::new();
        let memory = MemoryStore::with_clock(Arc::new(clock.clone()));
        let store = Mutex::new(SlowStore::new(memory.clone(), Limits::default(), draws));
        Self { store, snapshots: memory, clock, write_order }
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

    fn manual_clock(&self) -> Option<ManualClock> {
        Some(self.clock.clone())
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

/// As a sequence gives positions, between which others may draw.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_whose_writers_overlap_keeps_every_promise() {
    let both = [Draws::AtOnce, Draws::OneByOne].map(|draws| async move {
        let slow = |_: &'static _| async move { Slow::new(WriteOrder::Overlapping, draws) };
        (draws, failures::<dyn Fixture, _>(slow, |_| true).await)
    });
    for (draws, failures) in side_by_side(both.into_iter()).await {
        assert_eq!(failures, [""; 0], "{draws:?}");
    }
}

/// What a storm finds in the end, if it finds something in several tries.
async fn found_by_storms(write_order: WriteOrder, draws: Draws) -> String {
    const TRIES: usize = 20;
    let storm = "storms::many_writers_leave_a_consistent_history";
    let scenario = SCENARIOS.iter().find(|scenario| scenario.full_name() == storm);
    let scenario = scenario.expect("the storm is a scenario");
    for _ in 0..TRIES {
        let made = async { Slow::new(write_order, draws) };
        if let Outcome::Broken(how) = run_one(made, scenario, TimeLimits::default()).await {
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
