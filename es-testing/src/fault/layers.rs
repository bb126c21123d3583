//! A healthy store, its snapshots and its models, with what befalls each call.

use std::sync::Arc;

use async_trait::async_trait;
use es_core::Store;
use es_core::backend::{
    AppendError, AppendRequest, Appended, Batch, Capabilities, Claim, Definition, EventStore,
    Lease, ListParked, LogBlockers, LogPage, ModelRow, PageLimit, Position, ProjectionSink,
    ReadLog, ReadStream, Renewal, Renewed, SinkError, Slot, Snapshot, SnapshotAndTail,
    SnapshotStore, SnapshotSummary, StoreError, StoreErrorKind, StreamId, StreamPage,
};
use es_core::execution::{IdempotencyKey, StreamVersion};
use es_core::layer::{LayeredSink, LayeredSnapshots, SinkLayer, SnapshotLayer, StoreLayer};
use es_core::projection::{Blocker, Parked, ParkedId, ProjectionStatus};

use super::plan::{Fault, befallen};
use super::{Call, Faults};

impl Faults {
    /// Counts a call, and answers it or not.
    async fn with<T, E: From<StoreError>>(
        &self,
        call: Call,
        answer: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let fault = self.plan().next(call);
        befallen(fault, answer).await
    }
}

pub(super) struct Events {
    pub(super) store: Store,
    pub(super) faults: Faults,
}

struct Snapshots {
    inner: Arc<dyn SnapshotStore>,
    faults: Faults,
}

struct Models {
    inner: Arc<dyn ProjectionSink>,
    faults: Faults,
}

struct Blockers {
    inner: Arc<dyn LogBlockers>,
    faults: Faults,
}

#[async_trait]
impl LogBlockers for Blockers {
    async fn blocker(&self) -> Result<Option<Blocker>, StoreError> {
        self.faults.with(Call::Blocker, self.inner.blocker()).await
    }
}

#[async_trait]
impl StoreLayer for Events {
    fn inner(&self) -> &Arc<dyn EventStore> {
        self.store.event_store()
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let fault = self.faults.plan().next(Call::Append);
        if let Some(Fault::IsOvertaken(first)) = &fault {
            self.store.append(first.clone()).await.map_err(|error| {
                let what = "the writer that the test planned to be quicker was refused";
                StoreError::new(StoreErrorKind::Other, what).caused_by(error)
            })?;
        }
        befallen(fault, self.store.append(request)).await
    }

    async fn find_append(
        &self,
        stream: &StreamId,
        key: &IdempotencyKey,
    ) -> Result<Option<Appended>, StoreError> {
        self.faults.with(Call::FindAppend, self.store.find_append(stream, key)).await
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        self.faults.with(Call::ReadStream, self.store.read_stream(read)).await
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        self.faults.with(Call::ReadLog, self.store.read_log(read)).await
    }

    async fn end_of_log(&self) -> Result<Position, StoreError> {
        self.faults.with(Call::EndOfLog, self.store.end_of_log()).await
    }

    async fn wait_past(&self, position: Position) -> Result<(), StoreError> {
        self.faults.with(Call::WaitPast, self.store.wait_past(position)).await
    }

    fn capabilities(&self, _: Capabilities) -> Capabilities {
        // those of the handle, which may name others than its events do
        let mut all = self.store.capabilities().clone();
        let (of_snapshots, of_models) = (self.faults.clone(), self.faults.clone());
        let faults = self.faults.clone();
        all.blockers = all.blockers.map(|inner| Arc::new(Blockers { inner, faults }) as _);
        all.snapshots = all.snapshots.map(|inner| {
            Arc::new(LayeredSnapshots(Snapshots { inner, faults: of_snapshots })) as _
        });
        all.models =
            all.models.map(|inner| Arc::new(LayeredSink(Models { inner, faults: of_models })) as _);
        all
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
        self.faults.with(Call::LatestSnapshot, self.inner.latest_snapshot(stream, up_to)).await
    }

    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), StoreError> {
        self.faults.with(Call::SaveSnapshot, self.inner.save_snapshot(snapshot)).await
    }

    async fn delete_snapshots(&self, stream: &StreamId) -> Result<(), StoreError> {
        self.faults.with(Call::DeleteSnapshots, self.inner.delete_snapshots(stream)).await
    }

    async fn prune_snapshots(&self, stream: &StreamId, keep: u64) -> Result<u64, StoreError> {
        self.faults.with(Call::PruneSnapshots, self.inner.prune_snapshots(stream, keep)).await
    }

    async fn list_snapshots(
        &self,
        after: Option<&SnapshotSummary>,
        limit: usize,
    ) -> Result<Vec<SnapshotSummary>, StoreError> {
        self.faults.with(Call::ListSnapshots, self.inner.list_snapshots(after, limit)).await
    }

    async fn latest_with_tail(
        &self,
        stream: &StreamId,
        up_to: StreamVersion,
        limit: PageLimit,
    ) -> Result<Option<SnapshotAndTail>, StoreError> {
        self.faults
            .with(Call::LatestWithTail, self.inner.latest_with_tail(stream, up_to, limit))
            .await
    }
}

#[async_trait]
impl SinkLayer for Models {
    fn inner(&self) -> &Arc<dyn ProjectionSink> {
        &self.inner
    }

    async fn acquire(&self, claim: &Claim) -> Result<Lease, SinkError> {
        self.faults.with(Call::Acquire, self.inner.acquire(claim)).await
    }

    async fn renew(&self, lease: &Lease, renewal: &Renewal) -> Result<Renewed, SinkError> {
        self.faults.with(Call::Renew, self.inner.renew(lease, renewal)).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), SinkError> {
        self.faults.with(Call::Release, self.inner.release(lease)).await
    }

    async fn report(&self, lease: &Lease, trouble: Option<&str>) -> Result<(), SinkError> {
        self.faults.with(Call::Report, self.inner.report(lease, trouble)).await
    }

    async fn commit(&self, lease: &Lease, batch: &Batch) -> Result<(), SinkError> {
        self.faults.with(Call::Commit, self.inner.commit(lease, batch)).await
    }

    async fn switch(&self, lease: &Lease) -> Result<(), SinkError> {
        self.faults.with(Call::Switch, self.inner.switch(lease)).await
    }

    async fn abandon(&self, projection: &str) -> Result<(), SinkError> {
        self.faults.with(Call::Abandon, self.inner.abandon(projection)).await
    }

    async fn keep_inline(&self, definition: Definition) -> Result<(), SinkError> {
        self.faults.with(Call::KeepInline, self.inner.keep_inline(definition)).await
    }

    async fn release_inline(&self, projection: &str) -> Result<(), SinkError> {
        self.faults.with(Call::ReleaseInline, self.inner.release_inline(projection)).await
    }

    async fn load(
        &self,
        projection: &str,
        slot: Slot,
        keys: &[String],
    ) -> Result<Vec<ModelRow>, SinkError> {
        self.faults.with(Call::Load, self.inner.load(projection, slot, keys)).await
    }

    async fn rows(
        &self,
        projection: &str,
        slot: Slot,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ModelRow>, SinkError> {
        self.faults.with(Call::Rows, self.inner.rows(projection, slot, after, limit)).await
    }

    async fn parked(
        &self,
        projection: &str,
        slot: Slot,
        list: &ListParked,
    ) -> Result<Vec<Parked>, SinkError> {
        self.faults.with(Call::Parked, self.inner.parked(projection, slot, list)).await
    }

    async fn request_retry(
        &self,
        projection: &str,
        slot: Slot,
        key: &str,
    ) -> Result<(), SinkError> {
        self.faults.with(Call::RequestRetry, self.inner.request_retry(projection, slot, key)).await
    }

    async fn discard(
        &self,
        projection: &str,
        slot: Slot,
        entry: &ParkedId,
        reason: &str,
    ) -> Result<(), SinkError> {
        self.faults.with(Call::Discard, self.inner.discard(projection, slot, entry, reason)).await
    }

    async fn status(&self, projection: Option<&str>) -> Result<Vec<ProjectionStatus>, SinkError> {
        self.faults.with(Call::Status, self.inner.status(projection)).await
    }

    async fn wait_reached(&self, projection: &str, position: Position) -> Result<(), SinkError> {
        self.faults.with(Call::WaitReached, self.inner.wait_reached(projection, position)).await
    }
}
