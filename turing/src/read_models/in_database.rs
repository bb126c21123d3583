//! The states of postings that a PostgreSQL database keeps by itself.

use es_core::execution::StoreError;
use es_postgres::sqlx::{self, AssertSqlSafe, Row};
use es_postgres::{PostgresConfig, store_error};
use turing_domain::PostingId;

use crate::store::postgres::answers;

const WHAT: &str = "rebuilding the states of postings";

/// Folds all postings anew in the database, and answers how many rows were wrong, missing or too
/// many. Rows that are right are left alone; appends to the others wait meanwhile.
///
/// # Errors
///
/// When the database cannot be reached, is not migrated, or does not let this user.
pub async fn rebuild_in_database(config: &PostgresConfig) -> Result<u64, StoreError> {
    let statement = filled(include_str!("rebuild_all_posting_states.sql"), config);
    let wrong: i64 = run(config, statement, None).await?;
    Ok(wrong.max(0).unsigned_abs())
}

/// Folds one posting anew in the database.
///
/// # Errors
///
/// As [`rebuild_in_database`].
pub async fn rebuild_one_in_database(
    config: &PostgresConfig,
    posting: PostingId,
) -> Result<(), StoreError> {
    let statement = filled(include_str!("rebuild_posting_state.sql"), config);
    run(config, statement, Some(posting)).await
}

/// A name of the layout is an identifier, which cannot change a statement.
fn filled(statement: &str, config: &PostgresConfig) -> String {
    statement.replace("{schema}", config.names().schema.as_str())
}

async fn run<T>(
    config: &PostgresConfig,
    statement: String,
    posting: Option<PostingId>,
) -> Result<T, StoreError>
where
    T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    let mut statement = sqlx::query(AssertSqlSafe(statement));
    if let Some(posting) = posting {
        statement = statement.bind(posting.0);
    }
    let rows = answers(config, statement, WHAT).await?;
    let row = rows.first().ok_or(sqlx::Error::RowNotFound);
    row.and_then(|row| row.try_get(0)).map_err(|error| store_error(WHAT, &config.place(), error))
}
