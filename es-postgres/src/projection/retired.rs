//! Removing retired models, a part at a time.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use es_core::backend::{Lease, StoreError};
use es_core::projection::{SqlValue, TableSchema};
use sqlx::Row;
use tokio::time::Instant;

use super::Projections;
use super::model::CHANGING;
use crate::connection::Bound;

/// How many rows one statement removes.
const PART: i64 = 10_000;

/// The projections of whose tables something is left that no model has.
#[derive(Default)]
pub(super) struct LeftOver(Mutex<BTreeSet<String>>);

impl LeftOver {
    fn projections(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Projections {
    /// Removes what is left of retired models, also in these tables. Whatever fails is left to the next
    /// who comes: nobody reads these rows.
    pub(super) async fn remove_retired(&self, tables: &[TableSchema]) {
        let removed = async {
            self.try_remove_retired().await?;
            self.try_remove_rows(tables, Duration::MAX).await
        };
        tell(removed.await);
    }

    /// Removes what no model has of the rows of a lease's tables, for so long at most; what is left then
    /// is [left over](Self::remove_left_over).
    pub(super) async fn remove_rows(&self, lease: &Lease, time: Duration) {
        let removed = self.try_remove_rows(&lease.tables, time).await;
        {
            let mut left_over = self.left_over.projections();
            match removed {
                Ok(false) => left_over.insert(lease.projection.clone()),
                _ => left_over.remove(&lease.projection),
            };
        }
        tell(removed);
    }

    /// Goes on with that.
    pub(super) async fn remove_left_over(&self, lease: &Lease, time: Duration) {
        let is_left = self.left_over.projections().contains(&lease.projection);
        if is_left {
            self.remove_rows(lease, time).await;
        }
    }

    /// Answers whether nothing is left.
    async fn try_remove_rows(
        &self,
        tables: &[TableSchema],
        time: Duration,
    ) -> Result<bool, StoreError> {
        let began = Instant::now();
        for table in tables {
            let mut after = 0_i64;
            while let Some((generation, has_model)) = self.next_generation(table, after).await? {
                after = generation;
                if has_model {
                    continue;
                }
                let mut last: Option<Vec<SqlValue>> = None;
                loop {
                    last = self.remove_part(table, generation, last.as_deref(), PART).await?;
                    if last.is_none() {
                        break;
                    }
                    if began.elapsed() >= time {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    async fn try_remove_retired(&self) -> Result<(), StoreError> {
        let statements = &self.statements;
        while let Some(generation) =
            self.number(|| sqlx::query(statements.projection_retired.sql())).await?
        {
            let mut after = String::new();
            loop {
                let part = || {
                    let statement = sqlx::query(statements.projection_remove_rows.sql());
                    statement.bind(generation).bind(after.clone()).bind(PART)
                };
                let rows = self.connections.rows(CHANGING, part).await?;
                let row = rows.first().ok_or(sqlx::Error::RowNotFound);
                let read = row.and_then(|row| Ok((row.try_get(0)?, row.try_get::<i64, _>(1)?)));
                let (last, count) = self.read(CHANGING, || read)?;
                if count == 0 {
                    break;
                }
                after = last;
            }
            let parked = || {
                let statement = sqlx::query(statements.projection_remove_parked.sql());
                statement.bind(generation).bind(PART)
            };
            while self.number(parked).await?.is_some_and(|count| count > 0) {}
            let model = || sqlx::query(statements.projection_remove_model.sql()).bind(generation);
            if self.number(model).await? != Some(1) {
                // somebody else is at it
                return Ok(());
            }
        }
        Ok(())
    }

    /// The number that a statement answers, if it has a row.
    async fn number(
        &self,
        statement: impl FnMut() -> Bound<'static>,
    ) -> Result<Option<i64>, StoreError> {
        let rows = self.connections.rows(CHANGING, statement).await?;
        self.read(CHANGING, || rows.first().map(|row| row.try_get(0)).transpose())
    }
}

fn tell<T>(removed: Result<T, StoreError>) {
    if let Err(error) = removed {
        tracing::debug!(%error, "a retired model was not removed altogether");
    }
}
