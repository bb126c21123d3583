//! What PostgreSQL finds out by itself.

use es_core::execution::{StoreError, StoreErrorKind};
use es_postgres::PostgresConfig;
use es_postgres::sqlx::postgres::{PgArguments, PgRow};
use es_postgres::sqlx::query::Query;
use es_postgres::sqlx::{self, AssertSqlSafe, Postgres, Row};

use crate::store::postgres;

use super::{FindingSeverity, StoreFinding};

const WHAT: &str = "validating";

/// Compares projection and kept states with a replay of all events, in the database: the function
/// `validate_event_store`. It takes as long as reading and folding everything, and blocks nobody.
///
/// # Errors
///
/// When the database cannot be reached, or is not migrated.
pub async fn validate_postgres(config: &PostgresConfig) -> Result<Vec<StoreFinding>, StoreError> {
    // a name of the layout is an identifier, which cannot change a statement
    let statement =
        include_str!("findings.sql").replace("{schema}", config.names().schema.as_str());
    let statement = sqlx::query(AssertSqlSafe(statement));
    let mut findings = found(config, statement).await?;
    findings.extend(rights_of_others(config).await?);
    Ok(findings)
}

/// What the server's catalogues say of rights on the store's objects that are neither their owner's
/// nor those of the roles that `turing migrate --roles` makes: whoever has them came by them some
/// other way. Without these roles only the rights of PUBLIC are told.
///
/// # Errors
///
/// When the database cannot be reached.
pub async fn rights_of_others(config: &PostgresConfig) -> Result<Vec<StoreFinding>, StoreError> {
    let layout = config.names();
    let statement = sqlx::query(include_str!("rights.sql"))
        .bind(layout.schema.as_str())
        .bind(layout.events.as_str())
        .bind(postgres::tables(layout))
        .bind(postgres::functions(layout));
    found(config, statement).await
}

async fn found(
    config: &PostgresConfig,
    statement: Query<'_, Postgres, PgArguments>,
) -> Result<Vec<StoreFinding>, StoreError> {
    let rows = postgres::answers(config, statement, WHAT).await?;
    rows.iter().map(|row| finding(row, &config.place())).collect()
}

fn finding(row: &PgRow, place: &str) -> Result<StoreFinding, StoreError> {
    let read = || -> Result<_, sqlx::Error> {
        Ok(StoreFinding {
            kind: row.try_get(0)?,
            severity: match row.try_get(1)? {
                "warning" => FindingSeverity::Warning,
                _ => FindingSeverity::Error,
            },
            aggregate_type: row.try_get(2)?,
            aggregate_id: row.try_get::<Option<i32>, _>(3)?.map(|id| id.to_string()),
            detail: row.try_get(4)?,
            repair: row.try_get(5)?,
        })
    };
    read().map_err(|error| {
        let text = format!("{WHAT} in {place}: a finding cannot be read");
        StoreError::new(StoreErrorKind::Corrupt, text).caused_by(error)
    })
}
