//! The store as a place for the models of projections.

use std::ops::Bound;
use std::sync::MutexGuard;

use async_trait::async_trait;
use es_core::backend::{
    Batch, Claim, Definition, Lease, ListParked, ModelRow, Position, ProjectionSink, Renewal,
    Renewed, SinkError, Slot, TableRead,
};
use es_core::environment::SystemRuntime;
use es_core::projection::{Parked, ParkedId, ProjectionStatus, SqlValue, TableSchema};

use crate::projections::Projections;
use crate::store::MemoryStore;

impl MemoryStore {
    /// Changes the projections, then wakes who waits for one.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut Projections) -> Result<T, SinkError>,
    ) -> Result<T, SinkError> {
        let answer = change(&mut self.projections())?;
        self.commits().give();
        Ok(answer)
    }

    pub(crate) fn projections(&self) -> MutexGuard<'_, Projections> {
        // the only writes under this lock cannot panic half-way: all checks precede them, and changes
        // of tables are made to a copy
        self.shared().projections.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[async_trait]
impl ProjectionSink for MemoryStore {
    async fn acquire(&self, claim: &Claim) -> Result<Lease, SinkError> {
        self.change(|projections| projections.acquire(claim, self.now()))
    }

    async fn renew(&self, lease: &Lease, renewal: &Renewal) -> Result<Renewed, SinkError> {
        let due = self.projections().renew(lease, renewal, self.now())?;
        Ok(Renewed { due })
    }

    async fn release(&self, lease: &Lease) -> Result<(), SinkError> {
        self.projections().release(lease);
        Ok(())
    }

    async fn report(&self, lease: &Lease, trouble: Option<&str>) -> Result<(), SinkError> {
        self.projections().report(lease, trouble, self.now())
    }

    async fn commit(&self, lease: &Lease, batch: &Batch) -> Result<(), SinkError> {
        self.change(|projections| projections.commit(lease, batch, self.now()))
    }

    async fn may_condense(&self, _lease: &Lease) -> Result<bool, SinkError> {
        Ok(true)
    }

    async fn switch(&self, lease: &Lease) -> Result<(), SinkError> {
        self.change(|projections| {
            projections.switch(lease)?;
            projections.adopt(&lease.projection, self.now());
            Ok(())
        })
    }

    async fn abandon(&self, projection: &str) -> Result<(), SinkError> {
        self.projections().abandon(projection, self.now())
    }

    async fn keep_inline(&self, definition: Definition) -> Result<(), SinkError> {
        self.keep_within_appends(definition).await
    }

    async fn release_inline(&self, projection: &str) -> Result<(), SinkError> {
        self.projections().release_inline(projection)
    }

    async fn load(
        &self,
        projection: &str,
        slot: Slot,
        keys: &[String],
    ) -> Result<Vec<ModelRow>, SinkError> {
        let mut projections = self.projections();
        let rows = &projections.model(projection, slot)?.rows;
        let mut keys: Vec<_> = keys.iter().collect();
        keys.sort_unstable();
        keys.dedup();
        let found = keys.into_iter().filter_map(|key| rows.get_key_value(key));
        Ok(found.map(row).collect())
    }

    async fn rows(
        &self,
        projection: &str,
        slot: Slot,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ModelRow>, SinkError> {
        let mut projections = self.projections();
        let rows = &projections.model(projection, slot)?.rows;
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = rows.range::<str, _>((start, Bound::Unbounded));
        Ok(rest.take(limit.max(1)).map(row).collect())
    }

    async fn table_rows(
        &self,
        projection: &str,
        slot: Slot,
        table: &TableSchema,
        read: &TableRead,
    ) -> Result<Vec<Vec<SqlValue>>, SinkError> {
        let mut projections = self.projections();
        projections.model(projection, slot)?.tables.rows(projection, table, read)
    }

    async fn parked(
        &self,
        projection: &str,
        slot: Slot,
        list: &ListParked,
    ) -> Result<Vec<Parked>, SinkError> {
        let mut projections = self.projections();
        let parked = projections.model(projection, slot)?.parked.values();
        let wanted = parked.filter(|entry| list.accepts(entry)).take(list.limit.max(1));
        Ok(wanted.cloned().collect())
    }

    async fn request_retry(
        &self,
        projection: &str,
        slot: Slot,
        key: &str,
    ) -> Result<(), SinkError> {
        self.projections().request_retry(projection, slot, key)
    }

    async fn discard(
        &self,
        projection: &str,
        slot: Slot,
        entry: &ParkedId,
        reason: &str,
    ) -> Result<(), SinkError> {
        self.projections().discard(projection, slot, entry, reason, self.now())
    }

    async fn status(&self, projection: Option<&str>) -> Result<Vec<ProjectionStatus>, SinkError> {
        Ok(self.projections().status(projection, self.now()))
    }

    async fn wait_reached(&self, projection: &str, position: Position) -> Result<(), SinkError> {
        let is_reached = || {
            let reached = self.projections().has_reached(projection, position);
            std::future::ready(Ok(reached))
        };
        self.commits().until(&SystemRuntime, None, is_reached).await
    }
}

fn row((key, value): (&String, &es_core::event::Payload)) -> ModelRow {
    ModelRow { key: key.clone(), value: value.clone() }
}
