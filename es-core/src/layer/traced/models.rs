//! The calls of models; their collection is the projection.

use std::sync::Arc;

use async_trait::async_trait;

use super::call::Call;
use crate::layer::SinkLayer;
use crate::projection::{
    Batch, Claim, Definition, Lease, ListParked, ModelRow, Parked, ParkedId, ProjectionSink,
    ProjectionStatus, Renewal, Renewed, SinkError, Slot, SqlValue, TableRead, TableSchema,
};

pub(super) struct Models {
    pub(super) inner: Arc<dyn ProjectionSink>,
    pub(super) system: &'static str,
}

impl Models {
    fn call(&self, operation: &'static str, projection: &str) -> Call {
        Call::new(self.system, operation).on(projection)
    }
}

#[async_trait]
impl SinkLayer for Models {
    fn inner(&self) -> &Arc<dyn ProjectionSink> {
        &self.inner
    }

    async fn acquire(&self, claim: &Claim) -> Result<Lease, SinkError> {
        self.call("acquire", &claim.projection).made(self.inner.acquire(claim)).await
    }

    async fn renew(&self, lease: &Lease, renewal: &Renewal) -> Result<Renewed, SinkError> {
        self.call("renew", &lease.projection).made(self.inner.renew(lease, renewal)).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), SinkError> {
        self.call("release", &lease.projection).made(self.inner.release(lease)).await
    }

    async fn report(&self, lease: &Lease, trouble: Option<&str>) -> Result<(), SinkError> {
        self.call("report", &lease.projection).made(self.inner.report(lease, trouble)).await
    }

    async fn commit(&self, lease: &Lease, batch: &Batch) -> Result<(), SinkError> {
        let call = self.call("commit", &lease.projection).batch(batch.events);
        call.made(self.inner.commit(lease, batch)).await
    }

    async fn switch(&self, lease: &Lease) -> Result<(), SinkError> {
        self.call("switch", &lease.projection).made(self.inner.switch(lease)).await
    }

    async fn abandon(&self, projection: &str) -> Result<(), SinkError> {
        self.call("abandon", projection).made(self.inner.abandon(projection)).await
    }

    async fn keep_inline(&self, definition: Definition) -> Result<(), SinkError> {
        let call = self.call("keep_inline", definition.name());
        call.made(self.inner.keep_inline(definition)).await
    }

    async fn release_inline(&self, projection: &str) -> Result<(), SinkError> {
        let call = self.call("release_inline", projection);
        call.made(self.inner.release_inline(projection)).await
    }

    async fn load(
        &self,
        projection: &str,
        slot: Slot,
        keys: &[String],
    ) -> Result<Vec<ModelRow>, SinkError> {
        let call = self.call("load", projection);
        call.answers(self.inner.load(projection, slot, keys), Vec::len).await
    }

    async fn rows(
        &self,
        projection: &str,
        slot: Slot,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ModelRow>, SinkError> {
        let call = self.call("rows", projection);
        call.answers(self.inner.rows(projection, slot, after, limit), Vec::len).await
    }

    async fn table_rows(
        &self,
        projection: &str,
        slot: Slot,
        table: &TableSchema,
        read: &TableRead,
    ) -> Result<Vec<Vec<SqlValue>>, SinkError> {
        let call = self.call("table_rows", projection);
        call.answers(self.inner.table_rows(projection, slot, table, read), Vec::len).await
    }

    async fn parked(
        &self,
        projection: &str,
        slot: Slot,
        list: &ListParked,
    ) -> Result<Vec<Parked>, SinkError> {
        let call = self.call("parked", projection);
        call.answers(self.inner.parked(projection, slot, list), Vec::len).await
    }

    async fn request_retry(
        &self,
        projection: &str,
        slot: Slot,
        key: &str,
    ) -> Result<(), SinkError> {
        let call = self.call("request_retry", projection);
        call.made(self.inner.request_retry(projection, slot, key)).await
    }

    async fn discard(
        &self,
        projection: &str,
        slot: Slot,
        entry: &ParkedId,
        reason: &str,
    ) -> Result<(), SinkError> {
        let call = self.call("discard", projection);
        call.made(self.inner.discard(projection, slot, entry, reason)).await
    }

    async fn status(&self, projection: Option<&str>) -> Result<Vec<ProjectionStatus>, SinkError> {
        let call = Call::new(self.system, "status").on_one_of(projection.into_iter());
        call.answers(self.inner.status(projection), Vec::len).await
    }
}
