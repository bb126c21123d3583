//! What a backend supplies so that the contract suite can run over it.

use std::sync::Arc;

use async_trait::async_trait;
use es_core::{EventStore, Limits, SnapshotStore};

use crate::checker::WriteOrder;
use crate::clock::ManualClock;

/// One freshly made, empty store, and what a scenario must know about it.
///
/// A fixture is made for one scenario and dropped after it: what it owns (a temporary directory, a
/// schema) goes with it. A scenario uses it from several tasks.
#[async_trait]
pub trait Fixture: Send + Sync + 'static {
    /// The store as it is open now.
    fn store(&self) -> Arc<dyn EventStore>;

    /// The snapshots of the store, or `None` if the backend has no such ability.
    fn snapshots(&self) -> Option<Arc<dyn SnapshotStore>>;

    /// The clock that the store takes `recorded_at` from.
    fn clock(&self) -> ManualClock;

    /// The limits that the store was opened with.
    ///
    /// Small ones make the suite faster, but it needs 64 events, 4 KiB in a payload and in metadata,
    /// 64 KiB in an append, and 16 levels.
    fn limits(&self) -> Limits;

    /// What the store promises of its positions. Say `Serial` unless writers overlap: it is judged
    /// more strictly.
    fn write_order(&self) -> WriteOrder;

    /// Closes the store and opens the same data again, as a restarted process would; afterwards
    /// [`store`](Self::store) answers the new one. False if the backend is not durable: then
    /// nothing was done.
    async fn reopen(&self) -> bool;
}
