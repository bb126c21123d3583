//! Removing retired models, a part at a time.

use es_core::StoreError;
use sqlx::Row;

use super::Projections;
use super::model::CHANGING;
use crate::connection::Bound;

/// How many rows one statement removes.
const PART: i64 = 10_000;

impl Projections {
    /// Removes what is left of retired models. Whatever fails is left to the next who comes: nobody
    /// reads these rows.
    pub(super) async fn remove_retired(&self) {
        if let Err(error) = self.try_remove_retired().await {
            tracing::debug!(%error, "a retired model was not removed altogether");
        }
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
