//! A transaction of somebody who carries a cutover on, and how patiently it is tried.

use std::sync::Arc;
use std::time::Duration;

use es_core::execution::StoreError;
use es_postgres::sqlx::postgres::{PgArguments, PgDatabaseError, PgRow};
use es_postgres::sqlx::query::Query;
use es_postgres::sqlx::{
    self, AssertSqlSafe, Connection, Decode, PgConnection, Postgres, Row, Type,
};
use es_postgres::{PostgresConfig, store_error};
use tokio::time::sleep;

use super::error::CutoverError;
use super::statements::{Statements, query};

/// How long a statement may wait for a lock: who writes to a table waits behind it for as long.
pub(super) const LOCK: Duration = Duration::from_millis(20);

/// How often what met a lock is tried again, and how long is waited before.
const AGAIN: u32 = 500;
const PAUSE: Duration = Duration::from_millis(20);

/// Does something, again after a moment where it met something that passes.
pub(super) async fn patiently<T>(
    mut attempt: impl AsyncFnMut() -> Result<T, CutoverError>,
) -> Result<T, CutoverError> {
    for _ in 0..AGAIN {
        match Box::pin(attempt()).await {
            Err(error) if error.passes() => sleep(PAUSE).await,
            done => return done,
        }
    }
    Box::pin(attempt()).await
}

/// What the functions of cutovers refuse, with its cure; `None` of whatever else failed.
pub(super) fn told(error: &sqlx::Error) -> Option<String> {
    let told: &PgDatabaseError = error.as_database_error()?.try_downcast_ref()?;
    // a value that the server itself cannot keep has the same code as an old row that cannot be read
    let is_raised = told.code() == "22000" && told.routine() == Some("exec_stmt_raise");
    let is_ours = told.code().starts_with("ES0") || told.code() == "2BP01" || is_raised;
    let hint = told.hint().filter(|_| is_ours)?;
    Some(format!("{}; {hint}", told.message()))
}

/// A connection that one transaction after the other has.
#[derive(Debug, Default)]
pub(super) struct Line(Option<PgConnection>);

/// An open transaction on a connection of its own; what is not committed is rolled back.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) connection: PgConnection,
    pub(super) statements: Arc<Statements>,
    what: &'static str,
    place: String,
}

impl Work {
    /// Begins one, which does `what`.
    pub(super) async fn begin(
        config: &PostgresConfig,
        statements: &Arc<Statements>,
        what: &'static str,
    ) -> Result<Self, StoreError> {
        Self::begin_on(&mut Line::default(), config, statements, what).await
    }

    /// The same on the connection that the one before had, if there is one.
    pub(super) async fn begin_on(
        line: &mut Line,
        config: &PostgresConfig,
        statements: &Arc<Statements>,
        what: &'static str,
    ) -> Result<Self, StoreError> {
        let connection = match line.0.take() {
            Some(connection) => connection,
            None => config.connect().await?,
        };
        let (statements, place) = (Arc::clone(statements), config.place());
        let mut work = Self { connection, statements, what, place };
        let begin = sqlx::raw_sql(config.begin_pinned());
        let begun = begin.execute(&mut work.connection).await;
        begun.map_err(|error| work.failed(error))?;
        Ok(work)
    }

    /// A failure of the database, with what was being done; what the functions of cutovers refuse has its
    /// cure.
    pub(super) fn failed(&self, error: sqlx::Error) -> StoreError {
        let told = told(&error);
        let failure = store_error(self.what, &self.place, error);
        match told {
            Some(told) => {
                let text = format!("{} in {}: {told}", self.what, self.place);
                StoreError::new(failure.kind(), text)
            }
            None => failure,
        }
    }

    /// All rows of a statement.
    pub(super) async fn rows(
        &mut self,
        statement: Query<'_, Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>, StoreError> {
        let rows = statement.fetch_all(&mut self.connection).await;
        rows.map_err(|error| self.failed(error))
    }

    /// How many rows a statement has written.
    pub(super) async fn write(
        &mut self,
        statement: Query<'_, Postgres, PgArguments>,
    ) -> Result<u64, StoreError> {
        let done = statement.execute(&mut self.connection).await;
        Ok(done.map_err(|error| self.failed(error))?.rows_affected())
    }

    /// The first value of the only row.
    pub(super) async fn value<T>(
        &mut self,
        statement: Query<'_, Postgres, PgArguments>,
    ) -> Result<T, StoreError>
    where
        T: for<'r> Decode<'r, Postgres> + Type<Postgres>,
    {
        let row = statement.fetch_one(&mut self.connection).await;
        let value = row.and_then(|row| row.try_get(0));
        value.map_err(|error| self.failed(error))
    }

    /// How many there are of something.
    pub(super) async fn count(
        &mut self,
        statement: Query<'_, Postgres, PgArguments>,
    ) -> Result<u64, StoreError> {
        let count: i64 = self.value(statement).await?;
        Ok(count.max(0).unsigned_abs())
    }

    /// The values of a row, read by a function.
    pub(super) fn read<T>(
        &self,
        row: &PgRow,
        read: impl FnOnce(&PgRow) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        read(row).map_err(|error| self.failed(error))
    }

    /// The statements by which the database does something, in their order.
    pub(super) async fn statements_of(&mut self, action: &str) -> Result<Vec<String>, StoreError> {
        let statements = Arc::clone(&self.statements);
        let rows = self.rows(query(&statements.statements).bind(action.to_owned())).await?;
        rows.iter().map(|row| self.read(row, |row| row.try_get(0))).collect()
    }

    /// Does it.
    pub(super) async fn carry_out(&mut self, action: &str) -> Result<(), StoreError> {
        for statement in self.statements_of(action).await? {
            self.send(statement).await?;
        }
        Ok(())
    }

    /// Sends one of [`statements_of`](Self::statements_of).
    pub(super) async fn send(&mut self, statement: String) -> Result<(), StoreError> {
        // the database has written it, with every name as an identifier
        let done = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut self.connection).await;
        done.map_err(|error| self.failed(error))?;
        Ok(())
    }

    /// Commits it.
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        let done = sqlx::raw_sql("COMMIT").execute(&mut self.connection).await;
        done.map_err(|error| self.failed(error))?;
        // the server notices in any case
        let _ = self.connection.close().await;
        Ok(())
    }

    /// Commits it, and leaves its connection to the next one.
    pub(super) async fn commit_on(mut self, line: &mut Line) -> Result<(), StoreError> {
        let done = sqlx::raw_sql("COMMIT").execute(&mut self.connection).await;
        done.map_err(|error| self.failed(error))?;
        line.0 = Some(self.connection);
        Ok(())
    }

    /// Undoes all of it.
    pub(super) async fn undo(mut self) -> Result<(), StoreError> {
        let done = sqlx::raw_sql("ROLLBACK").execute(&mut self.connection).await;
        done.map_err(|error| self.failed(error))?;
        // the server notices in any case
        let _ = self.connection.close().await;
        Ok(())
    }
}
