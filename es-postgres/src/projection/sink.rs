//! The calls of the sink.

use std::time::Duration;

use async_trait::async_trait;
use es_core::backend::{
    Batch, Claim, Content, Definition, Lease, ListParked, ModelRow, Position, ProjectionSink,
    Renewal, Renewed, SinkError, Slot, StoreError, StoreErrorKind, TableRead,
};
use es_core::environment::SystemRuntime;
use es_core::projection::{Parked, ParkedId, ProjectionStatus, SqlValue, TableSchema};
use sqlx::Row;
use sqlx::postgres::PgRow;
use tokio::time::timeout;

use super::commit::{lost, number, text};
use super::model::{CHANGING, microseconds, no_model};
use super::{Projections, row};
use crate::connection::{Bound, Doing};
use crate::sql::Statement;
use crate::store::PostgresStore;

const READING: Doing<'static> = Doing("reading a projection", None);
/// How long giving back a lease may take, which who stops waits for.
const RELEASING: Duration = Duration::from_secs(2);

/// How many rows a page may have.
pub(super) fn limit(limit: usize) -> i64 {
    i64::try_from(limit.max(1)).unwrap_or(i64::MAX)
}

fn bind_lease<'q>(statement: Bound<'q>, lease: &Lease) -> Bound<'q> {
    statement.bind(number(lease.generation)).bind(number(lease.epoch)).bind(lease.slot.as_str())
}

impl Projections {
    /// What a statement answers that has no row if there is no model, and an empty one if there is
    /// nothing in it.
    pub(super) async fn of_model<T>(
        &self,
        projection: &str,
        slot: Slot,
        statement: &Statement,
        bind: impl Fn(Bound<'static>) -> Bound<'static>,
        read: impl Fn(&PgRow) -> Result<Option<T>, sqlx::Error>,
    ) -> Result<Vec<T>, SinkError> {
        let bound = || {
            let statement = sqlx::query(statement.sql());
            bind(statement.bind(projection.to_owned()).bind(slot.as_str()))
        };
        let rows = self.connections.rows(READING, bound).await?;
        if rows.is_empty() {
            return Err(no_model(projection, slot));
        }
        let read = || rows.iter().filter_map(|row| read(row).transpose()).collect();
        Ok(self.read(READING, read)?)
    }

    /// Changes a parked entry: the statement has no row if there is no model.
    async fn change_parked(
        &self,
        (projection, slot): (&str, Slot),
        key: &str,
        statement: Bound<'static>,
    ) -> Result<(), SinkError> {
        let rows = self.connections.once(CHANGING, statement).await?;
        let Some(row) = rows.first() else {
            return Err(no_model(projection, slot));
        };
        if self.read(CHANGING, || row.try_get(0))? {
            return Ok(());
        }
        Err(SinkError::NothingParked { projection: projection.to_owned(), key: key.to_owned() })
    }
}

/// Leases expire by the server's clock.
#[async_trait]
impl ProjectionSink for PostgresStore {
    /// Tables that are not there are made, if the login may; else the answer is
    /// [`Unusable`](SinkError::Unusable) with the script that makes them, which is that of
    /// [`table_script`](Self::table_script).
    async fn acquire(&self, claim: &Claim) -> Result<Lease, SinkError> {
        let lease = self.projections().acquire(claim).await?;
        self.projections().commits.give();
        // a large model leaves most of the lease's time to who has it
        self.projections().remove_rows(&lease, claim.lasts_for() / 4).await;
        Ok(lease)
    }

    async fn renew(&self, lease: &Lease, renewal: &Renewal) -> Result<Renewed, SinkError> {
        let this = self.projections();
        let statement = || {
            let statement = sqlx::query(this.statements.projection_renew.sql());
            let statement = bind_lease(statement, lease);
            let statement = statement.bind(microseconds(renewal.lasts_for())).bind(renewal.rate);
            statement.bind(limit(renewal.limit))
        };
        let rows = this.connections.rows(CHANGING, statement).await?;
        if rows.is_empty() {
            return Err(lost(lease));
        }
        let read = || rows.iter().filter_map(|row| row.try_get(0).transpose()).collect();
        let due = this.read(CHANGING, read)?;
        this.remove_left_over(lease, renewal.lasts_for() / 10).await;
        Ok(Renewed { due })
    }

    async fn release(&self, lease: &Lease) -> Result<(), SinkError> {
        let this = self.projections();
        let statement = || bind_lease(sqlx::query(this.statements.projection_release.sql()), lease);
        match timeout(RELEASING, this.connections.rows(CHANGING, statement)).await {
            Ok(released) => Ok(released.map(drop)?),
            Err(_) => {
                let text = format!(
                    "giving back projection `{}` in {}: no answer within {RELEASING:?}; the lease \
                     ends by itself",
                    lease.projection,
                    this.connections.connector().place
                );
                Err(StoreError::new(StoreErrorKind::Unavailable, text).into())
            }
        }
    }

    async fn report(&self, lease: &Lease, trouble: Option<&str>) -> Result<(), SinkError> {
        let this = self.projections();
        let statement = || {
            let statement = sqlx::query(this.statements.projection_report.sql());
            bind_lease(statement, lease).bind(trouble.map(text))
        };
        match this.connections.rows(CHANGING, statement).await?.as_slice() {
            [] => Err(lost(lease)),
            _ => Ok(()),
        }
    }

    /// Rows are written by one statement, in one round trip once it is prepared; changes of tables in a
    /// transaction with three more than there are changes. Of 16 changes and more those that write rows
    /// are carried out by one statement for up to 4,000 rows of a table, where
    /// [`may_condense`](ProjectionSink::may_condense) is true.
    async fn commit(&self, lease: &Lease, batch: &Batch) -> Result<(), SinkError> {
        let this = self.projections();
        match &batch.content {
            content if content.is_empty() => this.commit_rows(lease, batch).await?,
            Content::Rows(_) => this.commit_rows(lease, batch).await?,
            Content::Tables(_) => this.commit_within(lease, batch).await?,
            _ => {
                let reason = "the store does not know what to do with a batch".to_owned();
                return Err(SinkError::Unusable { projection: lease.projection.clone(), reason });
            }
        }
        this.commits.give();
        Ok(())
    }

    /// False for a table that has a trigger, a rule, row security or a default, or anything but its key
    /// that is checked.
    async fn may_condense(&self, lease: &Lease) -> Result<bool, SinkError> {
        self.projections().may_condense(lease).await
    }

    async fn switch(&self, lease: &Lease) -> Result<(), SinkError> {
        self.projections().switch(lease).await?;
        self.projections().commits.give();
        self.projections().remove_retired(&lease.tables).await;
        Ok(())
    }

    async fn abandon(&self, projection: &str) -> Result<(), SinkError> {
        self.projections().abandon(projection).await?;
        // rows of tables are left to the next claim, which knows them
        self.projections().remove_retired(&[]).await;
        Ok(())
    }

    /// Appends that were to share a transaction with one that is refused are written without it. Several
    /// processes may keep the same projection. A switch by this process to a model that the same code
    /// rebuilt goes on inline at once, one by another process with the next append.
    ///
    /// What others write, raw or by processes that do not keep it, is in the model with the next
    /// append of one that does, and refuses that one if it cannot be taken. An append waits for
    /// transactions of others that have written events and not ended, because they may have lower
    /// positions: up to [`lock_timeout`](crate::PostgresConfig::lock_timeout), then it is refused as
    /// [`Busy`](StoreErrorKind::Busy) with their names, and nothing is written; so is this call. An
    /// append that is under way while this is called may be in the model with the next one only.
    ///
    /// # Cost
    ///
    /// All appends that keep a projection are written one after the other, in all processes: each
    /// transaction holds the models until it is committed. It has five round trips, and for each
    /// projection five more, or four more and one for each change of a table; appends that wait share
    /// a transaction. [`append_in`](Self::append_in) holds the models until the
    /// application commits, and needs the isolation level `READ COMMITTED`. Keep what must be read at
    /// once, and leave the rest to a [`Runner`](es_core::Runner).
    async fn keep_inline(&self, definition: Definition) -> Result<(), SinkError> {
        self.keep_within_appends(definition).await
    }

    async fn release_inline(&self, projection: &str) -> Result<(), SinkError> {
        self.projections().release_inline(projection).await
    }

    async fn load(
        &self,
        projection: &str,
        slot: Slot,
        keys: &[String],
    ) -> Result<Vec<ModelRow>, SinkError> {
        let this = self.projections();
        // each once, and neighbours together
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        keys.dedup();
        let bind = |statement: Bound<'static>| statement.bind(keys.clone());
        let statement = &this.statements.projection_load;
        this.of_model(projection, slot, statement, bind, row::model_row).await
    }

    async fn rows(
        &self,
        projection: &str,
        slot: Slot,
        after: Option<&str>,
        most: usize,
    ) -> Result<Vec<ModelRow>, SinkError> {
        let this = self.projections();
        let after = after.unwrap_or_default();
        let bind = |statement: Bound<'static>| statement.bind(after.to_owned()).bind(limit(most));
        let statement = &this.statements.projection_rows;
        this.of_model(projection, slot, statement, bind, row::model_row).await
    }

    async fn table_rows(
        &self,
        projection: &str,
        slot: Slot,
        table: &TableSchema,
        read: &TableRead,
    ) -> Result<Vec<Vec<SqlValue>>, SinkError> {
        self.projections().table_rows(projection, slot, table, read).await
    }

    async fn parked(
        &self,
        projection: &str,
        slot: Slot,
        list: &ListParked,
    ) -> Result<Vec<Parked>, SinkError> {
        let this = self.projections();
        let (place, after) = match &list.after {
            Some(after) => (number(after.position.to_sequence()), after.key.as_str()),
            None => (-1, ""),
        };
        let (statement, place, key) = match &list.key {
            // the entry before may be of another key
            Some(key) if after < key.as_str() => {
                (&this.statements.projection_parked_of_key, place.saturating_sub(1), key.as_str())
            }
            Some(key) => (&this.statements.projection_parked_of_key, place, key.as_str()),
            None => (&this.statements.projection_parked, place, after),
        };
        let bind = |statement: Bound<'static>| {
            let statement = statement.bind(list.waiting_only).bind(place);
            statement.bind(key.to_owned()).bind(limit(list.limit))
        };
        this.of_model(projection, slot, statement, bind, row::parked).await
    }

    async fn request_retry(
        &self,
        projection: &str,
        slot: Slot,
        key: &str,
    ) -> Result<(), SinkError> {
        let this = self.projections();
        let statement = sqlx::query(this.statements.projection_request_retry.sql())
            .bind(projection.to_owned())
            .bind(slot.as_str())
            .bind(key.to_owned());
        this.change_parked((projection, slot), key, statement).await
    }

    async fn discard(
        &self,
        projection: &str,
        slot: Slot,
        entry: &ParkedId,
        reason: &str,
    ) -> Result<(), SinkError> {
        let this = self.projections();
        let statement = sqlx::query(this.statements.projection_discard.sql())
            .bind(projection.to_owned())
            .bind(slot.as_str())
            .bind(number(entry.position.to_sequence()))
            .bind(entry.key.clone())
            .bind(text(reason));
        this.change_parked((projection, slot), &entry.key, statement).await
    }

    async fn status(&self, projection: Option<&str>) -> Result<Vec<ProjectionStatus>, SinkError> {
        let this = self.projections();
        let statement = || {
            let statement = sqlx::query(this.statements.projection_status.sql());
            statement.bind(projection.map(str::to_owned))
        };
        let rows = this.connections.rows(READING, statement).await?;
        Ok(this.read(READING, || row::status(&rows))?)
    }

    /// Commits of other processes are noticed within
    /// [`poll_interval`](crate::PostgresConfig::poll_interval); however many wait, one statement asks
    /// for all of them.
    async fn wait_reached(&self, projection: &str, position: Position) -> Result<(), SinkError> {
        let this = self.projections();
        let is_reached = || this.has_reached(projection, position);
        let interval = Some(self.config().poll_interval);
        this.commits.until(&SystemRuntime, interval, is_reached).await
    }
}
