//! The calls of snapshots, on the store's threads.

use async_trait::async_trait;
use es_core::backend::{
    PageLimit, Snapshot, SnapshotAndTail, SnapshotStore, SnapshotSummary, StoreError, StreamId,
};
use es_core::execution::StreamVersion;
use rusqlite::Connection;

use super::SqliteStore;
use crate::snapshot;
use crate::writer::Flush;

#[async_trait]
impl SnapshotStore for SqliteStore {
    async fn latest_snapshot(
        &self,
        stream: &StreamId,
        up_to: StreamVersion,
    ) -> Result<Option<Snapshot>, StoreError> {
        let stream = stream.clone();
        self.read_plainly("latest_snapshot", move |connection| {
            snapshot::latest(connection, &stream, up_to)
        })
        .await
    }

    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), StoreError> {
        snapshot.check()?;
        // alone, so that appends are not lost with one for which there is no room
        let save = move |connection: &Connection| snapshot::save(connection, &snapshot);
        self.writes()?.write_alone(Flush::Later, save).await
    }

    async fn delete_snapshots(&self, stream: &StreamId) -> Result<(), StoreError> {
        let stream = stream.clone();
        let delete = move |connection: &Connection| snapshot::delete(connection, &stream);
        // who wants them gone does not want them back
        self.writes()?.write_alone(Flush::Now, delete).await
    }

    async fn prune_snapshots(&self, stream: &StreamId, keep: u64) -> Result<u64, StoreError> {
        let stream = stream.clone();
        let prune = move |connection: &Connection| snapshot::prune(connection, &stream, keep);
        // to keep none is to delete
        let flush = if keep == 0 { Flush::Now } else { Flush::Later };
        self.writes()?.write_alone(flush, prune).await
    }

    async fn list_snapshots(
        &self,
        after: Option<&SnapshotSummary>,
        limit: usize,
    ) -> Result<Vec<SnapshotSummary>, StoreError> {
        let after = after.cloned();
        self.read_as("list_snapshots", move |connection| {
            snapshot::list(connection, after.as_ref(), limit)
        })
        .await
    }

    async fn latest_with_tail(
        &self,
        stream: &StreamId,
        up_to: StreamVersion,
        limit: PageLimit,
    ) -> Result<Option<SnapshotAndTail>, StoreError> {
        let stream = stream.clone();
        self.read_as("latest_with_tail", move |connection| {
            snapshot::latest_with_tail(connection, &stream, up_to, limit).map(Some)
        })
        .await
    }
}
