//! What PostgreSQL finds out by itself.

use es_core::{StoreError, StoreErrorKind};
use es_postgres::sqlx::postgres::PgRow;
use es_postgres::sqlx::{self, AssertSqlSafe, ConnectOptions, Connection, Row};
use es_postgres::{PostgresConfig, store_error};

use super::{FindingSeverity, StoreFinding};

const WHAT: &str = "validating";

/// Compares projection and kept states with a replay of all events, in the database: the function
/// `validate_event_store`. It takes as long as reading and folding everything, and blocks nobody.
///
/// # Errors
///
/// When the database cannot be reached, or is not migrated.
pub async fn validate_postgres(config: &PostgresConfig) -> Result<Vec<StoreFinding>, StoreError> {
    let place = config.place();
    let failed = |error| store_error(WHAT, &place, error);
    // a name of the layout is an identifier, which cannot change a statement
    let statement =
        include_str!("findings.sql").replace("{schema}", config.names().schema.as_str());
    let mut connection = config.connect_options().connect().await.map_err(failed)?;
    let statement = sqlx::query(AssertSqlSafe(statement)).persistent(false);
    let rows = statement.fetch_all(&mut connection).await.map_err(failed)?;
    // the server notices in any case
    let _ = connection.close().await;
    rows.iter().map(|row| finding(row, &place)).collect()
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
