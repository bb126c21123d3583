//! The models of a tenant.

use std::sync::Arc;

use async_trait::async_trait;

use super::names::Scope;
use crate::error::{StoreError, StoreErrorKind};
use crate::position::Position;
use crate::projection::{
    Batch, Claim, Definition, GenerationStatus, Lease, ListParked, ModelRow, Parked, ParkedId,
    ProjectionSink, ProjectionStatus, Renewal, Renewed, SinkError, Slot, SqlValue, TableRead,
    TableSchema,
};
use crate::stream::InvalidStreamId;

pub(super) struct Models {
    pub(super) inner: Arc<dyn ProjectionSink>,
    pub(super) scope: Scope,
}

impl Models {
    fn name(&self, own: &str) -> String {
        self.scope.projection(own)
    }

    fn error(&self) -> impl Fn(SinkError) -> SinkError {
        move |error| self.scope.sink_error(error)
    }

    fn own_lease(&self, stored: Lease) -> Lease {
        let projection = self.scope.own_projection(&stored.projection).unwrap_or_default();
        let checkpoints = stored.checkpoints.into_iter();
        let checkpoints = checkpoints.map(|it| self.scope.own_checkpoint(it)).collect();
        Lease { projection, checkpoints, ..stored }
    }

    fn stored_lease(&self, own: &Lease) -> Lease {
        let checkpoints = own.checkpoints.iter();
        let checkpoints = checkpoints.map(|it| self.scope.stored_checkpoint(it)).collect();
        Lease { projection: self.name(&own.projection), checkpoints, ..own.clone() }
    }

    fn stored_batch(&self, own: &Batch) -> Result<Batch, InvalidStreamId> {
        let mut stored = own.clone();
        stored.from = self.scope.stored_checkpoint(&own.from);
        stored.to = self.scope.stored_checkpoint(&own.to);
        for entry in &mut stored.park {
            entry.event = self.scope.stored_reference(&entry.event)?;
        }
        Ok(stored)
    }

    fn own_generation(&self, stored: GenerationStatus) -> GenerationStatus {
        let checkpoints = stored.checkpoints.into_iter();
        let checkpoints = checkpoints.map(|it| self.scope.own_checkpoint(it)).collect();
        GenerationStatus { checkpoints, ..stored }
    }

    fn own_status(&self, stored: ProjectionStatus) -> Option<ProjectionStatus> {
        Some(ProjectionStatus {
            projection: self.scope.own_projection(&stored.projection)?,
            active: stored.active.map(|it| self.own_generation(it)),
            shadow: stored.shadow.map(|it| self.own_generation(it)),
        })
    }
}

fn no_tables(projection: &str) -> SinkError {
    let reason = "a tenant has no tables of its own".to_owned();
    SinkError::Unusable { projection: projection.to_owned(), reason }
}

#[async_trait]
impl ProjectionSink for Models {
    async fn acquire(&self, claim: &Claim) -> Result<Lease, SinkError> {
        if !claim.tables.is_empty() {
            // rows of all tenants would stand under one name
            return Err(no_tables(&claim.projection));
        }
        let stored = Claim { projection: self.name(&claim.projection), ..claim.clone() };
        let lease = self.inner.acquire(&stored).await.map_err(self.error())?;
        Ok(self.own_lease(lease))
    }

    async fn renew(&self, lease: &Lease, renewal: &Renewal) -> Result<Renewed, SinkError> {
        self.inner.renew(&self.stored_lease(lease), renewal).await.map_err(self.error())
    }

    async fn release(&self, lease: &Lease) -> Result<(), SinkError> {
        self.inner.release(&self.stored_lease(lease)).await.map_err(self.error())
    }

    async fn report(&self, lease: &Lease, trouble: Option<&str>) -> Result<(), SinkError> {
        self.inner.report(&self.stored_lease(lease), trouble).await.map_err(self.error())
    }

    async fn commit(&self, lease: &Lease, batch: &Batch) -> Result<(), SinkError> {
        let batch = self.stored_batch(batch).map_err(|error| {
            let text = "an event of the batch is of no stream that can be kept here";
            StoreError::new(StoreErrorKind::Other, text).caused_by(error)
        })?;
        self.inner.commit(&self.stored_lease(lease), &batch).await.map_err(self.error())
    }

    async fn switch(&self, lease: &Lease) -> Result<(), SinkError> {
        self.inner.switch(&self.stored_lease(lease)).await.map_err(self.error())
    }

    async fn abandon(&self, projection: &str) -> Result<(), SinkError> {
        self.inner.abandon(&self.name(projection)).await.map_err(self.error())
    }

    async fn keep_inline(&self, definition: Definition) -> Result<(), SinkError> {
        let reason = "the store keeps it for all within its appends, or not at all".to_owned();
        Err(SinkError::Unusable { projection: definition.name().to_owned(), reason })
    }

    async fn release_inline(&self, projection: &str) -> Result<(), SinkError> {
        self.inner.release_inline(&self.name(projection)).await.map_err(self.error())
    }

    async fn load(
        &self,
        projection: &str,
        slot: Slot,
        keys: &[String],
    ) -> Result<Vec<ModelRow>, SinkError> {
        self.inner.load(&self.name(projection), slot, keys).await.map_err(self.error())
    }

    async fn rows(
        &self,
        projection: &str,
        slot: Slot,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ModelRow>, SinkError> {
        self.inner.rows(&self.name(projection), slot, after, limit).await.map_err(self.error())
    }

    async fn table_rows(
        &self,
        projection: &str,
        _: Slot,
        _: &TableSchema,
        _: &TableRead,
    ) -> Result<Vec<Vec<SqlValue>>, SinkError> {
        Err(no_tables(projection))
    }

    async fn parked(
        &self,
        projection: &str,
        slot: Slot,
        list: &ListParked,
    ) -> Result<Vec<Parked>, SinkError> {
        let found = self.inner.parked(&self.name(projection), slot, list).await;
        let found = found.map_err(self.error())?.into_iter();
        let own = found.filter_map(|entry| {
            let event = self.scope.own_reference(entry.event)?;
            Some(Parked { event, ..entry })
        });
        Ok(own.collect())
    }

    async fn request_retry(
        &self,
        projection: &str,
        slot: Slot,
        key: &str,
    ) -> Result<(), SinkError> {
        self.inner.request_retry(&self.name(projection), slot, key).await.map_err(self.error())
    }

    async fn discard(
        &self,
        projection: &str,
        slot: Slot,
        entry: &ParkedId,
        reason: &str,
    ) -> Result<(), SinkError> {
        let projection = self.name(projection);
        self.inner.discard(&projection, slot, entry, reason).await.map_err(self.error())
    }

    async fn status(&self, projection: Option<&str>) -> Result<Vec<ProjectionStatus>, SinkError> {
        let projection = projection.map(|own| self.name(own));
        let all = self.inner.status(projection.as_deref()).await.map_err(self.error())?;
        Ok(all.into_iter().filter_map(|status| self.own_status(status)).collect())
    }

    async fn wait_reached(&self, projection: &str, position: Position) -> Result<(), SinkError> {
        let projection = self.name(projection);
        self.inner.wait_reached(&projection, position).await.map_err(self.error())
    }
}
