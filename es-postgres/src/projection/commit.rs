//! Writing one batch.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use es_core::backend::{Batch, Content, Lease, RowChange, SinkError, StoreError, StoreErrorKind};
use es_core::projection::{Parked, ParkedState};
use sqlx::postgres::{PgBindIterExt, PgRow};
use sqlx::types::Json;
use sqlx::{Connection, PgConnection, Row};

use super::Projections;
use crate::connection::{Bound, Doing, Wanted};
use crate::error::{is_lost, is_of_the_change, sql_state, unknown_unless_refused};

pub(super) const WRITING: Doing<'static> = Doing("writing a projection", None);

/// A number as PostgreSQL keeps it.
pub(super) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Text as PostgreSQL keeps it, for what only people read.
pub(super) fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

pub(super) fn lost(lease: &Lease) -> SinkError {
    SinkError::LeaseLost { projection: lease.projection.clone() }
}

impl Projections {
    /// Writes rows: one statement.
    pub(super) async fn commit_rows(&self, lease: &Lease, batch: &Batch) -> Result<(), SinkError> {
        let rows = self.connections.once(WRITING, self.bind(lease, batch)).await?;
        self.judge(lease, &rows)
    }

    /// Carries changes of tables out within a transaction that they share with the statement that writes
    /// the rest.
    pub(super) async fn commit_within(
        self: &Arc<Self>,
        lease: &Lease,
        batch: &Batch,
    ) -> Result<(), SinkError> {
        let (this, lease, batch) = (Arc::clone(self), lease.clone(), batch.clone());
        let commit = async move { this.commit_together(&lease, &batch).await };
        self.connections.own(WRITING, commit).await?
    }

    async fn commit_together(&self, lease: &Lease, batch: &Batch) -> Result<(), SinkError> {
        let mut loan = self.connections.loan(WRITING).await?;
        let mut connection = loan.take().await?;
        let connector = self.connections.connector();
        let unsent = |error| SinkError::from(connector.failure(WRITING, error));
        let mut transaction =
            connector.in_time(connection.begin_with(connector.begin())).await.map_err(unsent)?;
        if let Err(error) = self.write_within(&mut transaction, lease, batch).await {
            if connector.in_time(transaction.rollback()).await.is_err() {
                return Err(match error {
                    // no event is to blame for a connection that was lost
                    SinkError::Refused { .. } => {
                        let place = &connector.place;
                        let text = format!("{WRITING} in {place}: the connection was lost");
                        let lost = StoreError::new(StoreErrorKind::Unavailable, text);
                        lost.caused_by(error).into()
                    }
                    error => error,
                });
            }
            let error = if is_held_up(&error) {
                let by = connector.lock_holder(&mut connection, Wanted::ToWrite).await;
                connector.held_up(WRITING, by.as_ref()).into()
            } else {
                self.with_rights(&mut connection, lease, error).await
            };
            loan.keep(connection);
            return Err(error);
        }
        match connector.in_time(transaction.commit()).await {
            Ok(()) => {
                loan.keep(connection);
                Ok(())
            }
            Err(error) => {
                if !is_lost(&error) {
                    loan.keep(connection);
                }
                Err(self.spoiled_by_constraint(lease, error))
            }
        }
    }

    /// Writes a batch within a transaction: first the checkpoint, whose statement judges the lease, and
    /// then changes of tables.
    pub(super) async fn write_within(
        &self,
        connection: &mut PgConnection,
        lease: &Lease,
        batch: &Batch,
    ) -> Result<(), SinkError> {
        let connector = self.connections.connector();
        let statement = self.bind(lease, batch).persistent(self.is_persistent);
        let rows = connector.in_time(statement.fetch_all(&mut *connection)).await;
        self.judge(lease, &rows.map_err(|error| connector.failure(WRITING, error))?)?;
        match &batch.content {
            Content::Tables(changes) => self.apply(connection, lease, changes).await,
            _ => Ok(()),
        }
    }

    /// A right that is missing is the change's affair only where the tables may be written.
    async fn with_rights(
        &self,
        connection: &mut PgConnection,
        lease: &Lease,
        error: SinkError,
    ) -> SinkError {
        let is_about_rights = matches!(
            &error,
            SinkError::Refused { source, .. } if sql_state(&**source) == Some("42501")
        );
        if !is_about_rights {
            return error;
        }
        match self.missing_within(connection, &lease.projection, &lease.tables).await {
            Ok(missing) if missing.is_empty() => error,
            _ => {
                let place = &self.connections.connector().place;
                let text = format!("{WRITING} in {place}: the user may not write its tables");
                StoreError::new(StoreErrorKind::ReadOnly, text).caused_by(error).into()
            }
        }
    }

    /// A constraint that is checked at the end is a table's: the store has none.
    fn spoiled_by_constraint(&self, lease: &Lease, error: sqlx::Error) -> SinkError {
        if is_of_the_change(&error) {
            let source = Arc::new(self.connections.failure(WRITING, error));
            return SinkError::Refused { projection: lease.projection.clone(), source };
        }
        unknown_unless_refused(WRITING, &self.connections.connector().place, error).into()
    }

    fn judge(&self, lease: &Lease, rows: &[PgRow]) -> Result<(), SinkError> {
        let outcome = rows.first().ok_or(sqlx::Error::RowNotFound);
        let outcome = outcome.and_then(|row| row.try_get::<i32, _>(0));
        match outcome.map_err(|error| self.connections.failure(WRITING, error))? {
            0 => Ok(()),
            2 => Err(SinkError::ParkedChanged { projection: lease.projection.clone() }),
            _ => Err(lost(lease)),
        }
    }

    /// The statement with all arguments.
    fn bind(&self, lease: &Lease, batch: &Batch) -> Bound<'static> {
        let event = batch.to.event.as_ref();
        let stream = event.map(|event| &event.stream);
        let mut changes: Vec<&RowChange> = match &batch.content {
            Content::Rows(changes) => changes.iter().collect(),
            _ => Vec::new(),
        };
        // in one order for all, so that two slices which share a row against the rule do not wait
        // for one another
        changes.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        let set = || changes.iter().filter_map(|row| row.value.as_ref().map(|it| (&row.key, it)));
        let removed = changes.iter().filter(|row| row.value.is_none());
        let query = sqlx::query(self.statements.projection_commit.sql())
            .bind(number(lease.generation))
            .bind(number(lease.epoch))
            .bind(lease.slot.as_str())
            .bind(slice(batch))
            .bind(number(batch.from.position.to_sequence()))
            .bind(number(batch.to.position.to_sequence()))
            .bind(event.map(|event| number(event.position.to_sequence())))
            .bind(event.map(|event| event.event_id.as_uuid()))
            .bind(stream.map(|stream| stream.aggregate_type().to_owned()))
            .bind(stream.map(|stream| stream.aggregate_id().to_owned()))
            .bind(event.map(|event| event.version.as_i64()))
            .bind(number(batch.events))
            .bind(set().map(|(key, _)| key.as_str()).bind_iter())
            .bind(set().map(|(_, value)| Json(value.as_raw())).bind_iter())
            .bind(removed.map(|row| row.key.as_str()).bind_iter())
            .bind(batch.unpark.iter().map(|id| number(id.position.to_sequence())).bind_iter())
            .bind(batch.unpark.iter().map(|id| id.key.as_str()).bind_iter());
        bind_parked(query, &batch.park)
    }
}

/// True if another session has held what was needed for too long.
pub(super) fn is_held_up(error: &SinkError) -> bool {
    matches!(error, SinkError::Store(error) if sql_state(error) == Some("55P03"))
}

fn slice(batch: &Batch) -> i32 {
    i32::try_from(batch.slice).unwrap_or(i32::MAX)
}

fn bind_parked<'q>(query: Bound<'q>, parked: &[Parked]) -> Bound<'q> {
    let events = || parked.iter().map(|entry| &entry.event);
    let state = |entry: &Parked| match &entry.state {
        ParkedState::Waiting { is_due: true } => "due",
        ParkedState::Waiting { is_due: false } => "waiting",
        ParkedState::Discarded { .. } => "discarded",
    };
    let discarded = |entry: &Parked| match &entry.state {
        ParkedState::Discarded { reason, at } => Some((text(reason), DateTime::<Utc>::from(*at))),
        ParkedState::Waiting { .. } => None,
    };
    let (reasons, times): (Vec<_>, Vec<_>) =
        parked.iter().map(discarded).map(Option::unzip).unzip();
    query
        .bind(events().map(|event| number(event.position.to_sequence())).bind_iter())
        .bind(parked.iter().map(|entry| entry.key.as_str()).bind_iter())
        .bind(events().map(|event| event.event_id.as_uuid()).bind_iter())
        .bind(events().map(|event| event.stream.aggregate_type()).bind_iter())
        .bind(events().map(|event| event.stream.aggregate_id()).bind_iter())
        .bind(events().map(|event| event.version.as_i64()).bind_iter())
        .bind(parked.iter().map(|entry| text(&entry.reason)).bind_iter())
        .bind(parked.iter().map(|entry| i64::from(entry.attempts)).bind_iter())
        .bind(parked.iter().map(|entry| DateTime::<Utc>::from(entry.parked_at)).bind_iter())
        .bind(parked.iter().map(state).bind_iter())
        .bind(reasons)
        .bind(times)
}
