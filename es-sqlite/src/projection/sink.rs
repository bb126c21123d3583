//! The calls of the sink, on the store's threads.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use es_core::backend::{
    Batch, Claim, Definition, Lease, ListParked, ModelRow, Position, ProjectionSink, Renewal,
    Renewed, SinkError, Slot, TableRead, Timestamp,
};
use es_core::environment::SystemRuntime;
use es_core::projection::{Parked, ParkedId, ProjectionStatus, SqlValue, TableSchema};
use rusqlite::Connection;

use super::{commit, model, read, tables};
use crate::store::SqliteStore;
use crate::writer::Flush;

impl SqliteStore {
    /// Changes projections in a transaction of its own, with the time.
    pub(super) async fn change<T, W>(&self, flush: Flush, work: W) -> Result<T, SinkError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection, Timestamp) -> Result<T, SinkError> + Send + 'static,
    {
        let clock = self.clock();
        self.write_plainly(flush, move |connection| work(connection, clock.now())).await
    }

    /// The same where it can end somebody's wait.
    pub(super) async fn advance<T, W>(&self, flush: Flush, work: W) -> Result<T, SinkError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection, Timestamp) -> Result<T, SinkError> + Send + 'static,
    {
        let done = self.change(flush, work).await?;
        self.wake().commits().give();
        Ok(done)
    }
}

/// Leases expire by the store's clock, and by no other process's: processes that share a file are on
/// one machine.
///
/// What a runner does all the time is flushed with the next append: if it is lost with the power, all
/// who had leases are gone, too, and the next one goes on from what is left. What somebody decided is
/// flushed at once, with all that came before it: a switch with the model that it serves.
#[async_trait]
impl ProjectionSink for SqliteStore {
    async fn acquire(&self, claim: &Claim) -> Result<Lease, SinkError> {
        let claimed = claim.clone();
        let lease = self.advance(Flush::Now, move |connection, now| {
            let lease = model::acquire(connection, &claimed, now)?;
            tables::make(connection, &lease.projection, &lease.tables)?;
            Ok(lease)
        });
        let lease = lease.await?;
        if !lease.tables.is_empty() {
            // a large model leaves most of the lease's time to who has it
            self.remove_retired(&lease.tables, claim.lasts_for() / 4).await;
        }
        Ok(lease)
    }

    async fn renew(&self, lease: &Lease, renewal: &Renewal) -> Result<Renewed, SinkError> {
        let (held, renewal) = (lease.clone(), *renewal);
        let renewed = self.change(Flush::Later, move |connection, now| {
            model::renew(connection, &held, renewal, now)
        });
        let renewed = renewed.await?;
        if !lease.tables.is_empty() {
            // what the claim had no time for
            self.remove_retired(&lease.tables, renewal.lasts_for() / 10).await;
        }
        Ok(renewed)
    }

    async fn release(&self, lease: &Lease) -> Result<(), SinkError> {
        let lease = lease.clone();
        self.change(Flush::Later, move |connection, _| model::release(connection, &lease)).await
    }

    async fn report(&self, lease: &Lease, trouble: Option<&str>) -> Result<(), SinkError> {
        let (lease, trouble) = (lease.clone(), trouble.map(str::to_owned));
        self.change(Flush::Later, move |connection, now| {
            model::report(connection, &lease, trouble.as_deref(), now)
        })
        .await
    }

    async fn commit(&self, lease: &Lease, batch: &Batch) -> Result<(), SinkError> {
        let (lease, batch) = (lease.clone(), batch.clone());
        self.advance(Flush::Later, move |connection, now| {
            commit::commit(connection, &lease, &batch, now)
        })
        .await
    }

    async fn switch(&self, lease: &Lease) -> Result<(), SinkError> {
        let (held, inline) = (lease.clone(), Arc::clone(self.inline()));
        self.advance(Flush::Now, move |connection, now| {
            model::switch(connection, &held)?;
            inline.adopt(connection, &held.projection, now)
        })
        .await?;
        self.remove_retired(&lease.tables, Duration::MAX).await;
        Ok(())
    }

    async fn abandon(&self, projection: &str) -> Result<(), SinkError> {
        let projection = projection.to_owned();
        self.change(Flush::Now, move |connection, now| {
            model::abandon(connection, &projection, now)
        })
        .await?;
        // rows of tables are left to the next claim, which knows them
        self.remove_retired(&[], Duration::MAX).await;
        Ok(())
    }

    /// What processes append that do not keep it is in the model with the next append of one that does,
    /// and refuses that one if it cannot be taken.
    ///
    /// Dropping the future leaves the projection with what it has taken, held by the appends.
    async fn keep_inline(&self, definition: Definition) -> Result<(), SinkError> {
        self.keep_within_appends(definition).await
    }

    async fn release_inline(&self, projection: &str) -> Result<(), SinkError> {
        let (projection, inline) = (projection.to_owned(), Arc::clone(self.inline()));
        self.change(Flush::Now, move |connection, _| {
            model::release_inline(connection, &projection)?;
            inline.forget(&projection);
            Ok(())
        })
        .await
    }

    async fn load(
        &self,
        projection: &str,
        slot: Slot,
        keys: &[String],
    ) -> Result<Vec<ModelRow>, SinkError> {
        let (projection, keys) = (projection.to_owned(), keys.to_vec());
        self.read_as("load", move |connection| read::load(connection, &projection, slot, keys))
            .await
    }

    async fn rows(
        &self,
        projection: &str,
        slot: Slot,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ModelRow>, SinkError> {
        let (projection, after) = (projection.to_owned(), after.unwrap_or_default().to_owned());
        self.read_as("rows", move |connection| {
            read::rows(connection, &projection, slot, &after, limit)
        })
        .await
    }

    async fn table_rows(
        &self,
        projection: &str,
        slot: Slot,
        table: &TableSchema,
        read: &TableRead,
    ) -> Result<Vec<Vec<SqlValue>>, SinkError> {
        let (projection, table, read) = (projection.to_owned(), table.clone(), read.clone());
        self.read_as("table_rows", move |connection| {
            tables::rows(connection, &projection, slot, &table, &read)
        })
        .await
    }

    async fn parked(
        &self,
        projection: &str,
        slot: Slot,
        list: &ListParked,
    ) -> Result<Vec<Parked>, SinkError> {
        let (projection, list) = (projection.to_owned(), list.clone());
        self.read_as("parked", move |connection| read::parked(connection, &projection, slot, &list))
            .await
    }

    async fn request_retry(
        &self,
        projection: &str,
        slot: Slot,
        key: &str,
    ) -> Result<(), SinkError> {
        let (projection, key) = (projection.to_owned(), key.to_owned());
        self.change(Flush::Now, move |connection, _| {
            model::request_retry(connection, &projection, slot, &key)
        })
        .await
    }

    async fn discard(
        &self,
        projection: &str,
        slot: Slot,
        entry: &ParkedId,
        reason: &str,
    ) -> Result<(), SinkError> {
        let (projection, entry, reason) = (projection.to_owned(), entry.clone(), reason.to_owned());
        self.change(Flush::Now, move |connection, now| {
            model::discard(connection, &projection, slot, &entry, &reason, now)
        })
        .await
    }

    async fn status(&self, projection: Option<&str>) -> Result<Vec<ProjectionStatus>, SinkError> {
        let (projection, now) = (projection.map(str::to_owned), self.clock().now());
        self.read_as("status", move |connection| {
            read::status(connection, projection.as_deref(), now)
        })
        .await
    }

    /// Commits of other processes are noticed within
    /// [`poll_interval`](crate::SqliteConfig::poll_interval).
    async fn wait_reached(&self, projection: &str, position: Position) -> Result<(), SinkError> {
        // the file is watched for as long as somebody waits
        let _waiting = self.wake().waiting();
        let is_reached = || {
            let projection = projection.to_owned();
            self.read_as("wait_reached", move |connection| {
                Ok(read::has_reached(connection, &projection, position)?)
            })
        };
        self.wake().commits().until(&SystemRuntime, None, is_reached).await
    }
}
