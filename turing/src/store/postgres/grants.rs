//! Which grant would let a login do what the server does not let it do.

use es_postgres::PostgresConfig;
use es_postgres::sqlx::{self, Connection, Row};

/// The statement that makes this login a member of the role whose name ends so; `None` if it is one,
/// if there is no such role, or if the server does not say.
pub(crate) async fn missing_grant(config: &PostgresConfig, role: &str) -> Option<String> {
    let mut connection = config.connect().await.ok()?;
    let begin = sqlx::raw_sql(config.begin_pinned());
    begin.execute(&mut connection).await.ok()?;
    let layout = config.names();
    let asked = sqlx::query(include_str!("grant.sql")).persistent(false);
    let asked = asked.bind(layout.schema.as_str()).bind(layout.events.as_str()).bind(role);
    let row = asked.fetch_optional(&mut connection).await.ok()?;
    // the server notices in any case
    let _ = connection.close().await;
    row?.try_get(0).ok()
}
