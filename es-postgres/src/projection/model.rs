//! Models: who has them, which is served, and what becomes of them.

use std::sync::Arc;
use std::time::Duration;

use es_core::backend::{Checkpoint, Claim, Lease, SinkError, Slot, StoreError, Timestamp};
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::commit::{lost, number};
use super::{Projections, row};
use crate::connection::{Bound, Doing};
use crate::row::{Instant, position};

pub(super) const CHANGING: Doing<'static> = Doing("changing a projection", None);

pub(super) fn microseconds(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).expect("no lease lasts for 292,000 years")
}

fn held(projection: &str, slot: Slot, holder: String, expires_at: Timestamp) -> SinkError {
    let projection = projection.to_owned();
    match slot {
        Slot::Active => SinkError::Held { projection, holder, expires_at },
        Slot::Shadow => SinkError::RebuildRunning { projection, holder, expires_at },
    }
}

pub(super) fn no_model(projection: &str, slot: Slot) -> SinkError {
    SinkError::NoModel { projection: projection.to_owned(), slot }
}

/// The only row of a statement that always has one.
pub(super) fn only(rows: &[PgRow]) -> Result<&PgRow, sqlx::Error> {
    rows.first().ok_or(sqlx::Error::RowNotFound)
}

impl Projections {
    /// Reads an answer; one of another shape is the store's failure.
    pub(super) fn read<T>(
        &self,
        what: Doing<'_>,
        read: impl FnOnce() -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        read().map_err(|error| self.connections.failure(what, error))
    }

    pub(super) fn bind_claim(&self, claim: &Claim) -> Bound<'static> {
        sqlx::query(self.statements.projection_acquire.sql())
            .bind(claim.projection.clone())
            .bind(claim.slot.as_str())
            .bind(claim.fingerprint.clone())
            .bind(i32::try_from(claim.slices.max(1)).unwrap_or(i32::MAX))
            .bind(claim.holder.clone())
            .bind(microseconds(claim.lasts_for()))
    }

    /// The generation and the epoch that a claim was given.
    pub(super) fn claimed(&self, claim: &Claim, rows: &[PgRow]) -> Result<(i64, i64), SinkError> {
        self.read(CHANGING, || {
            let row = only(rows)?;
            let outcome: i32 = row.try_get(0)?;
            match outcome {
                1 => {
                    let (holder, expires) = (row.try_get(3)?, row.try_get::<Instant, _>(4)?.0);
                    Ok(Err(held(&claim.projection, claim.slot, holder, expires)))
                }
                2 => {
                    let projection = claim.projection.clone();
                    let (stored, offered) = (row.try_get(5)?, claim.fingerprint.clone());
                    Ok(Err(SinkError::Changed { projection, stored, offered }))
                }
                _ => Ok(Ok((row.try_get::<i64, _>(1)?, row.try_get::<i64, _>(2)?))),
            }
        })?
    }

    pub(super) fn bind_checkpoints(&self, (generation, epoch): (i64, i64)) -> Bound<'static> {
        let statement = sqlx::query(self.statements.projection_checkpoints.sql());
        statement.bind(generation).bind(epoch)
    }

    /// The lease that a claim was given, with the rows of its checkpoints.
    pub(super) fn leased(
        &self,
        claim: &Claim,
        (generation, epoch): (i64, i64),
        rows: &[PgRow],
    ) -> Result<Lease, SinkError> {
        let read = || rows.iter().map(row::checkpoint_row).collect();
        let checkpoints: Vec<Checkpoint> = self.read(CHANGING, read)?;
        let (generation, epoch) = (generation.max(0).unsigned_abs(), epoch.max(0).unsigned_abs());
        let lease = Lease::new(claim, generation, epoch, checkpoints);
        // somebody was faster between the two statements
        if lease.checkpoints.is_empty() { Err(lost(&lease)) } else { Ok(lease) }
    }

    pub(super) async fn acquire(self: &Arc<Self>, claim: &Claim) -> Result<Lease, SinkError> {
        if !self.missing(&claim.projection, &claim.tables).await?.is_empty() {
            return self.claim_and_make(claim).await;
        }
        // who takes it twice has it
        let rows = self.connections.rows(CHANGING, || self.bind_claim(claim)).await?;
        let claimed = self.claimed(claim, &rows)?;
        let rows = self.connections.rows(CHANGING, || self.bind_checkpoints(claimed)).await?;
        self.leased(claim, claimed, &rows)
    }

    pub(super) async fn switch(self: &Arc<Self>, lease: &Lease) -> Result<(), SinkError> {
        if lease.slot != Slot::Shadow {
            return Err(lost(lease));
        }
        let statement = sqlx::query(self.statements.projection_switch.sql());
        let statement = statement.bind(number(lease.generation)).bind(number(lease.epoch));
        let rows = match self.inline.of(&lease.projection) {
            None => self.connections.once(CHANGING, statement).await?,
            Some(definition) => self.switch_kept(statement, definition).await?,
        };
        let (outcome, behind, foremost) = self.read(CHANGING, || {
            let row = only(&rows)?;
            let place = |index: usize| row.try_get::<Option<i64>, _>(index);
            Ok((row.try_get::<i32, _>(0)?, place(1)?, place(2)?))
        })?;
        match outcome {
            0 => Ok(()),
            2 => Err(SinkError::NotCaughtUp {
                projection: lease.projection.clone(),
                shadow: position(behind.unwrap_or(0)),
                active: position(foremost.unwrap_or(0)),
            }),
            _ => Err(lost(lease)),
        }
    }

    pub(super) async fn abandon(&self, projection: &str) -> Result<(), SinkError> {
        let statement = sqlx::query(self.statements.projection_abandon.sql());
        let rows = self.connections.once(CHANGING, statement.bind(projection.to_owned())).await?;
        self.read(CHANGING, || {
            let row = only(&rows)?;
            Ok(match row.try_get::<i32, _>(0)? {
                0 => Ok(()),
                1 => {
                    let expires_at = row.try_get::<Instant, _>(2)?.0;
                    Err(held(projection, Slot::Shadow, row.try_get(1)?, expires_at))
                }
                _ => Err(no_model(projection, Slot::Shadow)),
            })
        })?
    }
}
