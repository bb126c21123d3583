//! A database that a program of the past made, as `pg_dump` wrote it.

use es_pgtest::Server;
use es_postgres::sqlx::{self, Connection, PgConnection};
use es_postgres::{IdType, Migrations, PostgresConfig, PostgresStore};
use es_testing::old_store;

use crate::support::layout;

#[tokio::test]
async fn a_database_of_an_older_program_is_migrated_and_gone_on_with() {
    let database = Server::shared().database().await;
    // in a session of its own, which the dump changes
    let mut restoring = PgConnection::connect_with(&database.options()).await.unwrap();
    let dump = include_str!("../fixtures/old_store.sql");
    sqlx::raw_sql(dump).execute(&mut restoring).await.unwrap();
    restoring.close().await.unwrap();
    let layout = layout(IdType::Text);
    let config = PostgresConfig::new(database.options()).layout(layout.clone());
    Migrations::of_store(&layout).apply(&config).await.unwrap();
    let store = PostgresStore::open(config).await.unwrap();
    old_store::check(store.clone()).await;
    store.close().await;
}
