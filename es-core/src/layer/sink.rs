//! A sink around another sink, of which only what differs is written down.

use std::sync::Arc;

use async_trait::async_trait;

use crate::position::Position;
use crate::projection::{
    Batch, Claim, Definition, Lease, ListParked, ModelRow, Parked, ParkedId, ProjectionSink,
    ProjectionStatus, Renewal, Renewed, SinkError, Slot, SqlValue, TableRead, TableSchema,
};

/// The methods of [`ProjectionSink`], each as the inner sink has it unless the layer says else;
/// [`LayeredSink`] makes a sink of it.
#[async_trait]
pub trait SinkLayer: Send + Sync + 'static {
    /// The sink around which this is.
    fn inner(&self) -> &Arc<dyn ProjectionSink>;

    /// See [`ProjectionSink::acquire`].
    async fn acquire(&self, claim: &Claim) -> Result<Lease, SinkError> {
        self.inner().acquire(claim).await
    }

    /// See [`ProjectionSink::renew`].
    async fn renew(&self, lease: &Lease, renewal: &Renewal) -> Result<Renewed, SinkError> {
        self.inner().renew(lease, renewal).await
    }

    /// See [`ProjectionSink::release`].
    async fn release(&self, lease: &Lease) -> Result<(), SinkError> {
        self.inner().release(lease).await
    }

    /// See [`ProjectionSink::report`].
    async fn report(&self, lease: &Lease, trouble: Option<&str>) -> Result<(), SinkError> {
        self.inner().report(lease, trouble).await
    }

    /// See [`ProjectionSink::commit`].
    async fn commit(&self, lease: &Lease, batch: &Batch) -> Result<(), SinkError> {
        self.inner().commit(lease, batch).await
    }

    /// See [`ProjectionSink::may_condense`].
    async fn may_condense(&self, lease: &Lease) -> Result<bool, SinkError> {
        self.inner().may_condense(lease).await
    }

    /// See [`ProjectionSink::switch`].
    async fn switch(&self, lease: &Lease) -> Result<(), SinkError> {
        self.inner().switch(lease).await
    }

    /// See [`ProjectionSink::abandon`].
    async fn abandon(&self, projection: &str) -> Result<(), SinkError> {
        self.inner().abandon(projection).await
    }

    /// See [`ProjectionSink::keep_inline`].
    async fn keep_inline(&self, definition: Definition) -> Result<(), SinkError> {
        self.inner().keep_inline(definition).await
    }

    /// See [`ProjectionSink::release_inline`].
    async fn release_inline(&self, projection: &str) -> Result<(), SinkError> {
        self.inner().release_inline(projection).await
    }

    /// See [`ProjectionSink::load`].
    async fn load(
        &self,
        projection: &str,
        slot: Slot,
        keys: &[String],
    ) -> Result<Vec<ModelRow>, SinkError> {
        self.inner().load(projection, slot, keys).await
    }

    /// See [`ProjectionSink::rows`].
    async fn rows(
        &self,
        projection: &str,
        slot: Slot,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ModelRow>, SinkError> {
        self.inner().rows(projection, slot, after, limit).await
    }

    /// See [`ProjectionSink::table_rows`].
    async fn table_rows(
        &self,
        projection: &str,
        slot: Slot,
        table: &TableSchema,
        read: &TableRead,
    ) -> Result<Vec<Vec<SqlValue>>, SinkError> {
        self.inner().table_rows(projection, slot, table, read).await
    }

    /// See [`ProjectionSink::parked`].
    async fn parked(
        &self,
        projection: &str,
        slot: Slot,
        list: &ListParked,
    ) -> Result<Vec<Parked>, SinkError> {
        self.inner().parked(projection, slot, list).await
    }

    /// See [`ProjectionSink::request_retry`].
    async fn request_retry(
        &self,
        projection: &str,
        slot: Slot,
        key: &str,
    ) -> Result<(), SinkError> {
        self.inner().request_retry(projection, slot, key).await
    }

    /// See [`ProjectionSink::discard`].
    async fn discard(
        &self,
        projection: &str,
        slot: Slot,
        entry: &ParkedId,
        reason: &str,
    ) -> Result<(), SinkError> {
        self.inner().discard(projection, slot, entry, reason).await
    }

    /// See [`ProjectionSink::status`].
    async fn status(&self, projection: Option<&str>) -> Result<Vec<ProjectionStatus>, SinkError> {
        self.inner().status(projection).await
    }

    /// See [`ProjectionSink::wait_reached`].
    async fn wait_reached(&self, projection: &str, position: Position) -> Result<(), SinkError> {
        self.inner().wait_reached(projection, position).await
    }
}

/// A [`SinkLayer`] as a sink.
#[derive(Debug)]
pub struct LayeredSink<L>(pub L);

#[async_trait]
impl<L: SinkLayer> ProjectionSink for LayeredSink<L> {
    async fn acquire(&self, claim: &Claim) -> Result<Lease, SinkError> {
        self.0.acquire(claim).await
    }

    async fn renew(&self, lease: &Lease, renewal: &Renewal) -> Result<Renewed, SinkError> {
        self.0.renew(lease, renewal).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), SinkError> {
        self.0.release(lease).await
    }

    async fn report(&self, lease: &Lease, trouble: Option<&str>) -> Result<(), SinkError> {
        self.0.report(lease, trouble).await
    }

    async fn commit(&self, lease: &Lease, batch: &Batch) -> Result<(), SinkError> {
        self.0.commit(lease, batch).await
    }

    async fn may_condense(&self, lease: &Lease) -> Result<bool, SinkError> {
        self.0.may_condense(lease).await
    }

    async fn switch(&self, lease: &Lease) -> Result<(), SinkError> {
        self.0.switch(lease).await
    }

    async fn abandon(&self, projection: &str) -> Result<(), SinkError> {
        self.0.abandon(projection).await
    }

    async fn keep_inline(&self, definition: Definition) -> Result<(), SinkError> {
        self.0.keep_inline(definition).await
    }

    async fn release_inline(&self, projection: &str) -> Result<(), SinkError> {
        self.0.release_inline(projection).await
    }

    async fn load(
        &self,
        projection: &str,
        slot: Slot,
        keys: &[String],
    ) -> Result<Vec<ModelRow>, SinkError> {
        self.0.load(projection, slot, keys).await
    }

    async fn rows(
        &self,
        projection: &str,
        slot: Slot,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ModelRow>, SinkError> {
        self.0.rows(projection, slot, after, limit).await
    }

    async fn table_rows(
        &self,
        projection: &str,
        slot: Slot,
        table: &TableSchema,
        read: &TableRead,
    ) -> Result<Vec<Vec<SqlValue>>, SinkError> {
        self.0.table_rows(projection, slot, table, read).await
    }

    async fn parked(
        &self,
        projection: &str,
        slot: Slot,
        list: &ListParked,
    ) -> Result<Vec<Parked>, SinkError> {
        self.0.parked(projection, slot, list).await
    }

    async fn request_retry(
        &self,
        projection: &str,
        slot: Slot,
        key: &str,
    ) -> Result<(), SinkError> {
        self.0.request_retry(projection, slot, key).await
    }

    async fn discard(
        &self,
        projection: &str,
        slot: Slot,
        entry: &ParkedId,
        reason: &str,
    ) -> Result<(), SinkError> {
        self.0.discard(projection, slot, entry, reason).await
    }

    async fn status(&self, projection: Option<&str>) -> Result<Vec<ProjectionStatus>, SinkError> {
        self.0.status(projection).await
    }

    async fn wait_reached(&self, projection: &str, position: Position) -> Result<(), SinkError> {
        self.0.wait_reached(projection, position).await
    }
}
