//! The calls of snapshots.

use std::sync::Arc;

use async_trait::async_trait;

use super::call::Call;
use crate::error::StoreError;
use crate::layer::SnapshotLayer;
use crate::read::PageLimit;
use crate::snapshot::{Snapshot, SnapshotAndTail, SnapshotStore, SnapshotSummary};
use crate::stream::StreamId;
use crate::version::StreamVersion;

pub(super) struct Snapshots {
    pub(super) inner: Arc<dyn SnapshotStore>,
    pub(super) system: &'static str,
}

impl Snapshots {
    fn call(&self, operation: &'static str, stream: &StreamId) -> Call {
        Call::new(self.system, operation).on(stream.aggregate_type())
    }
}

#[async_trait]
impl SnapshotLayer for Snapshots {
    fn inner(&self) -> &Arc<dyn SnapshotStore> {
        &self.inner
    }

    async fn latest_snapshot(
        &self,
        stream: &StreamId,
        up_to: StreamVersion,
    ) -> Result<Option<Snapshot>, StoreError> {
        let found = |found: &Option<_>| usize::from(found.is_some());
        let call = self.call("latest_snapshot", stream);
        call.answers(self.inner.latest_snapshot(stream, up_to), found).await
    }

    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), StoreError> {
        let call = self.call("save_snapshot", &snapshot.stream);
        call.made(self.inner.save_snapshot(snapshot)).await
    }

    async fn delete_snapshots(&self, stream: &StreamId) -> Result<(), StoreError> {
        self.call("delete_snapshots", stream).made(self.inner.delete_snapshots(stream)).await
    }

    async fn prune_snapshots(&self, stream: &StreamId, keep: u64) -> Result<u64, StoreError> {
        self.call("prune_snapshots", stream).made(self.inner.prune_snapshots(stream, keep)).await
    }

    async fn list_snapshots(
        &self,
        after: Option<&SnapshotSummary>,
        limit: usize,
    ) -> Result<Vec<SnapshotSummary>, StoreError> {
        let call = Call::new(self.system, "list_snapshots");
        call.answers(self.inner.list_snapshots(after, limit), Vec::len).await
    }

    async fn latest_with_tail(
        &self,
        stream: &StreamId,
        up_to: StreamVersion,
        limit: PageLimit,
    ) -> Result<Option<SnapshotAndTail>, StoreError> {
        let rows = |found: &Option<SnapshotAndTail>| {
            let rows = found.as_ref();
            rows.map_or(0, |it| usize::from(it.snapshot.is_some()) + it.tail.events.len())
        };
        let call = self.call("latest_with_tail", stream);
        call.answers(self.inner.latest_with_tail(stream, up_to, limit), rows).await
    }
}
