//! The snapshots of a tenant.

use std::sync::Arc;

use async_trait::async_trait;

use super::empty_page;
use super::names::Scope;
use crate::error::{StoreError, StoreErrorKind};
use crate::read::PageLimit;
use crate::snapshot::{Snapshot, SnapshotAndTail, SnapshotStore, SnapshotSummary};
use crate::stream::StreamId;
use crate::version::StreamVersion;

pub(super) struct Snapshots {
    pub(super) inner: Arc<dyn SnapshotStore>,
    pub(super) scope: Scope,
}

impl Snapshots {
    fn own(&self, snapshot: Snapshot) -> Option<Snapshot> {
        let stream = self.scope.own(&snapshot.stream)?;
        Some(Snapshot { stream, ..snapshot })
    }

    fn failure(&self) -> impl Fn(StoreError) -> StoreError {
        move |error| self.scope.failure(&error)
    }
}

#[async_trait]
impl SnapshotStore for Snapshots {
    async fn latest_snapshot(
        &self,
        stream: &StreamId,
        up_to: StreamVersion,
    ) -> Result<Option<Snapshot>, StoreError> {
        let Ok(stored) = self.scope.stored(stream) else {
            return Ok(None);
        };
        let found = self.inner.latest_snapshot(&stored, up_to).await.map_err(self.failure())?;
        Ok(found.and_then(|snapshot| self.own(snapshot)))
    }

    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), StoreError> {
        snapshot.check()?;
        let stream = self.scope.stored(&snapshot.stream).map_err(|error| {
            let text = format!("a snapshot of {} cannot be kept", snapshot.stream);
            StoreError::new(StoreErrorKind::Other, text).caused_by(error)
        })?;
        let stored = Snapshot { stream, ..snapshot };
        self.inner.save_snapshot(stored).await.map_err(self.failure())
    }

    async fn delete_snapshots(&self, stream: &StreamId) -> Result<(), StoreError> {
        let Ok(stored) = self.scope.stored(stream) else {
            return Ok(());
        };
        self.inner.delete_snapshots(&stored).await.map_err(self.failure())
    }

    async fn prune_snapshots(&self, stream: &StreamId, keep: u64) -> Result<u64, StoreError> {
        let Ok(stored) = self.scope.stored(stream) else {
            return Ok(0);
        };
        self.inner.prune_snapshots(&stored, keep).await.map_err(self.failure())
    }

    /// Looks through those of all tenants for its own.
    async fn list_snapshots(
        &self,
        after: Option<&SnapshotSummary>,
        limit: usize,
    ) -> Result<Vec<SnapshotSummary>, StoreError> {
        let mut found = Vec::new();
        let mut after = match after {
            Some(own) => match self.scope.stored(&own.stream) {
                Ok(stream) => Some(SnapshotSummary { stream, ..own.clone() }),
                // none of such a stream was ever listed
                Err(_) => return Ok(found),
            },
            None => None,
        };
        while found.len() < limit {
            let page = self.inner.list_snapshots(after.as_ref(), limit).await;
            let mut page = page.map_err(self.failure())?;
            let is_last = page.len() < limit;
            let own = page.iter().filter_map(|stored| {
                Some(SnapshotSummary { stream: self.scope.own(&stored.stream)?, ..stored.clone() })
            });
            found.extend(own.take(limit - found.len()));
            if is_last {
                break;
            }
            after = page.pop();
        }
        Ok(found)
    }

    async fn latest_with_tail(
        &self,
        stream: &StreamId,
        up_to: StreamVersion,
        limit: PageLimit,
    ) -> Result<Option<SnapshotAndTail>, StoreError> {
        let Ok(stored) = self.scope.stored(stream) else {
            return Ok(Some(SnapshotAndTail { snapshot: None, tail: empty_page() }));
        };
        let found = self.inner.latest_with_tail(&stored, up_to, limit).await;
        let found = found.map_err(self.failure())?;
        Ok(found.map(|SnapshotAndTail { snapshot, tail }| SnapshotAndTail {
            snapshot: snapshot.and_then(|snapshot| self.own(snapshot)),
            tail: self.scope.own_page(tail, stream),
        }))
    }
}
