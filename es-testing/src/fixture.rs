//! What a backend supplies so that the contract suite can run over it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use es_core::backend::{EventStore, Limits, SnapshotStore};

use crate::checker::WriteOrder;
use crate::clock::ManualClock;
use crate::contract::SCENARIOS;
use crate::suite::{Scenario, Suite};

/// One freshly made, empty store, and what a scenario must know about it.
///
/// A fixture is made for one scenario and dropped after it: what it owns (a temporary directory, a
/// schema) goes with it. A scenario uses it from several tasks.
#[async_trait]
pub trait Fixture: Send + Sync + 'static {
    /// The store as it is open now.
    fn store(&self) -> Arc<dyn EventStore>;

    /// The snapshots of the store, or `None` if the backend has none.
    fn snapshots(&self) -> Option<Arc<dyn SnapshotStore>> {
        None
    }

    /// The clock that the store takes `recorded_at` from, or `None` if a test cannot set it.
    fn manual_clock(&self) -> Option<ManualClock> {
        None
    }

    /// The limits that the store was opened with.
    ///
    /// Small ones make the suite faster, but it needs 64 events, 4 KiB in a payload and in metadata,
    /// 64 KiB in an append, and 16 levels.
    fn limits(&self) -> Limits {
        Limits::default()
    }

    /// What the store promises of its positions. Leave it at `Serial` unless writers overlap: it is
    /// judged more strictly.
    fn write_order(&self) -> WriteOrder {
        WriteOrder::Serial
    }

    /// Closes the store and opens the same data again, as a restarted process would; afterwards
    /// [`store`](Self::store) answers the new one. False if the backend is not durable: then
    /// nothing was done.
    async fn reopen(&self) -> bool {
        false
    }
}

impl dyn Fixture + '_ {
    pub(crate) fn clock(&self) -> ManualClock {
        self.manual_clock().expect("a scenario that needs the clock says so")
    }

    /// Lets time pass where a test can.
    pub(crate) fn let_pass(&self, time: Duration) {
        if let Some(clock) = self.manual_clock() {
            clock.step(time);
        }
    }
}

impl<T: Fixture> From<T> for Box<dyn Fixture> {
    fn from(fixture: T) -> Self {
        Box::new(fixture)
    }
}

#[async_trait]
impl Suite for dyn Fixture {
    fn scenarios() -> &'static [Scenario<Self>] {
        SCENARIOS
    }

    async fn has(&self, capability: &str) -> bool {
        match capability {
            "clock" => self.manual_clock().is_some(),
            "durability" => self.reopen().await,
            "snapshots" => self.snapshots().is_some(),
            other => unreachable!("no scenario needs `{other}`"),
        }
    }
}
