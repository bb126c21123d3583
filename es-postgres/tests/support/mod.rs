//! A database with an empty store, and the store in it.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

pub(crate) mod fixture;
pub(crate) mod kills;
pub(crate) mod projections;
pub(crate) mod sessions;
pub(crate) mod waiting;

use std::hash::{DefaultHasher, Hash, Hasher};

use es_core::ExpectedVersion;
use es_core::backend::{AppendRequest, NewEvent};
use es_core::environment::{EventIds, UuidV7Ids};
use es_core::event::Payload;
use es_core::execution::{IdempotencyKey, StreamVersion};
use es_pgtest::{Proxy, Server, TestDatabase};
use es_postgres::sqlx::postgres::PgConnectOptions;
use es_postgres::sqlx::{self, AssertSqlSafe, ConnectOptions, Connection};
use es_postgres::{IdType, Layout, Migrations, PostgresConfig, PostgresStore, SnapshotTable};
use tokio::runtime::Handle;

/// A layout with ids of this type.
pub(crate) fn layout(ids: IdType) -> Layout {
    Layout { ids, ..Layout::default() }
}

/// A layout whose snapshots of this type are in a table of the application's.
pub(crate) fn layout_with_table(ids: IdType, aggregate_type: &str) -> Layout {
    let [table, id, version, event, schema, state, taken_at] =
        ["kept", "of_stream", "event_sequence", "last_event", "made_by", "state", "taken"]
            .map(|name| name.parse().unwrap());
    let aggregate_type = aggregate_type.to_owned();
    let table =
        SnapshotTable { aggregate_type, table, id, version, event, schema, state, taken_at };
    Layout { snapshots: Some(table), ..layout(ids) }
}

/// Makes the table of snapshots that the layout of this store names.
pub(crate) async fn make_table(config: &PostgresConfig) {
    let steps = [("snapshot table", include_str!("snapshot_table.sql"))];
    let table = "application_migrations".parse().unwrap();
    let migrations = Migrations::new(config.names(), &table, &steps);
    migrations.apply(config).await.unwrap();
}

/// A fresh database on the shared server that holds an empty store.
pub(crate) async fn database(ids: IdType) -> TestDatabase {
    // on a thread of its own, because the making of a template cannot move between threads
    let runtime = Handle::current();
    let made = move || runtime.block_on(database_on(Server::shared(), ids));
    tokio::task::spawn_blocking(made).await.unwrap()
}

/// A fresh database that holds an empty store.
pub(crate) async fn database_on(server: &Server, ids: IdType) -> TestDatabase {
    let mut digest = DefaultHasher::new();
    Migrations::of_store(&layout(ids)).script().hash(&mut digest);
    let template = format!("es_template_{:016x}", digest.finish());
    server
        .database_from(&template, async |options: PgConnectOptions| {
            let config = PostgresConfig::new(options).layout(layout(ids));
            Migrations::of_store(&layout(ids)).apply(&config).await.unwrap();
        })
        .await
}

/// A store with ids of any kind in this database.
pub(crate) async fn open(database: &TestDatabase) -> PostgresStore {
    PostgresStore::open(PostgresConfig::new(database.options())).await.unwrap()
}

/// A fresh database with an empty store, and the store.
pub(crate) async fn empty_store() -> (TestDatabase, PostgresStore) {
    let database = database(IdType::Text).await;
    let store = open(&database).await;
    (database, store)
}

/// A fresh database with an empty store, and a store that is led there by a proxy.
pub(crate) async fn proxied(
    change: impl FnOnce(PostgresConfig) -> PostgresConfig,
) -> (TestDatabase, Proxy, PostgresStore) {
    let database = database(IdType::Text).await;
    let proxy = Proxy::start(Server::shared()).await;
    let config = change(PostgresConfig::new(proxy.options(database.name())));
    let store = PostgresStore::open(config).await.unwrap();
    (database, proxy, store)
}

/// An event with some content.
pub(crate) fn event() -> NewEvent {
    let payload = Payload::parse(r#"{"output":"Berlin","status":"SUCCESS"}"#.to_owned()).unwrap();
    NewEvent::new(UuidV7Ids.next_id(), "script_execution_completed", payload)
}

pub(crate) fn events(count: usize) -> Vec<NewEvent> {
    (0..count).map(|_| event()).collect()
}

/// An append of one event, whatever the version.
pub(crate) fn to(stream: &str) -> AppendRequest {
    AppendRequest::to(stream.parse().unwrap(), ExpectedVersion::Any, vec![event()])
}

pub(crate) fn exactly(version: u64) -> ExpectedVersion {
    ExpectedVersion::Exact(StreamVersion::new(version))
}

pub(crate) fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::new(text).unwrap()
}

/// Runs statements that answer nothing of interest.
pub(crate) async fn run(database: &TestDatabase, statements: &str) {
    try_run(database, statements).await.unwrap();
}

pub(crate) async fn try_run(
    database: &TestDatabase,
    statements: &str,
) -> Result<(), es_postgres::sqlx::Error> {
    let mut connection = database.options().connect().await.unwrap();
    let done = sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut connection).await;
    connection.close().await.unwrap();
    done.map(drop)
}

/// The one value that a statement answers.
pub(crate) async fn value<T>(database: &TestDatabase, statement: &str) -> T
where
    T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
{
    let mut connection = database.options().connect().await.unwrap();
    let value =
        sqlx::query_scalar::<_, T>(AssertSqlSafe(statement)).fetch_one(&mut connection).await;
    connection.close().await.unwrap();
    value.unwrap()
}

/// An error with all its causes.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
