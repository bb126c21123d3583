//! Snapshots around other snapshots, of which only what differs is written down.

use std::sync::Arc;

use async_trait::async_trait;

use crate::error::StoreError;
use crate::read::PageLimit;
use crate::snapshot::{Snapshot, SnapshotAndTail, SnapshotStore, SnapshotSummary};
use crate::stream::StreamId;
use crate::version::StreamVersion;

/// The methods of [`SnapshotStore`], each as the inner one has it unless the layer says else;
/// [`LayeredSnapshots`] makes a place for snapshots of it.
#[async_trait]
pub trait SnapshotLayer: Send + Sync + 'static {
    /// The snapshots around which this is.
    fn inner(&self) -> &Arc<dyn SnapshotStore>;

    /// See [`SnapshotStore::latest_snapshot`].
    async fn latest_snapshot(
        &self,
        stream: &StreamId,
        up_to: StreamVersion,
    ) -> Result<Option<Snapshot>, StoreError> {
        self.inner().latest_snapshot(stream, up_to).await
    }

    /// See [`SnapshotStore::save_snapshot`].
    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), StoreError> {
        self.inner().save_snapshot(snapshot).await
    }

    /// See [`SnapshotStore::delete_snapshots`].
    async fn delete_snapshots(&self, stream: &StreamId) -> Result<(), StoreError> {
        self.inner().delete_snapshots(stream).await
    }

    /// See [`SnapshotStore::prune_snapshots`].
    async fn prune_snapshots(&self, stream: &StreamId, keep: u64) -> Result<u64, StoreError> {
        self.inner().prune_snapshots(stream, keep).await
    }

    /// See [`SnapshotStore::list_snapshots`].
    async fn list_snapshots(
        &self,
        after: Option<&SnapshotSummary>,
        limit: usize,
    ) -> Result<Vec<SnapshotSummary>, StoreError> {
        self.inner().list_snapshots(after, limit).await
    }

    /// See [`SnapshotStore::latest_with_tail`].
    async fn latest_with_tail(
        &self,
        stream: &StreamId,
        up_to: StreamVersion,
        limit: PageLimit,
    ) -> Result<Option<SnapshotAndTail>, StoreError> {
        self.inner().latest_with_tail(stream, up_to, limit).await
    }
}

/// A [`SnapshotLayer`] as a place for snapshots.
#[derive(Debug)]
pub struct LayeredSnapshots<L>(pub L);

#[async_trait]
impl<L: SnapshotLayer> SnapshotStore for LayeredSnapshots<L> {
    async fn latest_snapshot(
        &self,
        stream: &StreamId,
        up_to: StreamVersion,
    ) -> Result<Option<Snapshot>, StoreError> {
        self.0.latest_snapshot(stream, up_to).await
    }

    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), StoreError> {
        self.0.save_snapshot(snapshot).await
    }

    async fn delete_snapshots(&self, stream: &StreamId) -> Result<(), StoreError> {
        self.0.delete_snapshots(stream).await
    }

    async fn prune_snapshots(&self, stream: &StreamId, keep: u64) -> Result<u64, StoreError> {
        self.0.prune_snapshots(stream, keep).await
    }

    async fn list_snapshots(
        &self,
        after: Option<&SnapshotSummary>,
        limit: usize,
    ) -> Result<Vec<SnapshotSummary>, StoreError> {
        self.0.list_snapshots(after, limit).await
    }

    async fn latest_with_tail(
        &self,
        stream: &StreamId,
        up_to: StreamVersion,
        limit: PageLimit,
    ) -> Result<Option<SnapshotAndTail>, StoreError> {
        self.0.latest_with_tail(stream, up_to, limit).await
    }
}
