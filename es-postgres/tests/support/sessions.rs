//! Sessions of people who write SQL themselves.

use std::ops::RangeInclusive;

use es_core::backend::{EventStore, Position, ReadLog, StoreError};
use es_core::event::RecordedEvent;
use es_pgtest::TestDatabase;
use es_postgres::sqlx::{self, AssertSqlSafe, ConnectOptions, PgConnection};

/// A session of its own.
pub(crate) async fn session(database: &TestDatabase) -> PgConnection {
    database.options().connect().await.unwrap()
}

/// Runs statements in a session.
pub(crate) async fn execute(session: &mut PgConnection, statements: &str) {
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(session).await.unwrap();
}

/// Inserts events of a stream by plain SQL and answers their positions.
pub(crate) async fn insert(
    session: &mut PgConnection,
    stream: &str,
    versions: RangeInclusive<i32>,
) -> Vec<i64> {
    sqlx::query_scalar(
        "INSERT INTO execution_events \
         (aggregate_type, aggregate_id, aggregate_version, event_type, event_data) \
         SELECT 'account', $1, v, 'amount_paid_in', '{}' FROM generate_series($2, $3) v \
         RETURNING position",
    )
    .bind(stream)
    .bind(*versions.start())
    .bind(*versions.end())
    .fetch_all(session)
    .await
    .unwrap()
}

/// The number by which the server knows a session.
pub(crate) async fn pid(session: &mut PgConnection) -> i32 {
    sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(session).await.unwrap()
}

/// The log after a position, as far as it can be read now.
pub(crate) async fn log_after(
    store: &dyn EventStore,
    position: u64,
) -> Result<Vec<RecordedEvent>, StoreError> {
    let mut events = Vec::new();
    let mut read = ReadLog::after(Position::from_sequence(position));
    loop {
        let page = store.read_log(&read).await?;
        events.extend(page.events);
        if page.at_end {
            return Ok(events);
        }
        read.after = page.next;
    }
}

/// The positions of the log after a position, as far as it can be read now.
pub(crate) async fn positions_after(store: &dyn EventStore, position: u64) -> Vec<u64> {
    let events = log_after(store, position).await.unwrap();
    events.iter().map(|event| event.position.to_sequence()).collect()
}

/// Waits until the log can be read past a position.
pub(crate) async fn past(store: &dyn EventStore, position: u64) -> Result<(), StoreError> {
    store.wait_past(Position::from_sequence(position)).await
}
