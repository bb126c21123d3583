//! Removing retired models, a part at a time.

use std::time::Duration;

use es_core::backend::StoreError;
use es_core::projection::TableSchema;
use sqlx::Row;
use tokio::time::Instant;

use super::Projections;
use super::model::CHANGING;
use crate::connection::Bound;

/// How many rows one statement removes.
const PART: i64 = 10_000;

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

    /// Removes what no model has of the rows of these tables, for so long at most.
    pub(super) async fn remove_rows(&self, tables: &[TableSchema], time: Duration) {
        tell(self.try_remove_rows(tables, time).await);
    }

    async fn try_remove_rows(
        &self,
        tables: &[TableSchema],
        time: Duration,
    ) -> Result<(), StoreError> {
        let began = Instant::now();
        for table in tables {
            let [next, part] = self.removal(table);
            let mut after = 0_i64;
            loop {
                let rows =
                    self.connections.rows(CHANGING, || sqlx::query(next.sql()).bind(after)).await?;
                let Some(row) = rows.first() else { break };
                let (generation, has_model): (i64, bool) =
                    self.read(CHANGING, || Ok((row.try_get(0)?, row.try_get(1)?)))?;
                let part = || sqlx::query(part.sql()).bind(generation).bind(PART);
                while !has_model && self.number(part).await?.is_some_and(|count| count > 0) {
                    if began.elapsed() >= time {
                        return Ok(());
                    }
                }
                after = generation;
            }
        }
        Ok(())
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

fn tell(removed: Result<(), StoreError>) {
    if let Err(error) = removed {
        tracing::debug!(%error, "a retired model was not removed altogether");
    }
}
