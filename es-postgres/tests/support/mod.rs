//! A database with an empty store, and the store in it.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

pub(crate) mod fixture;

use std::hash::{DefaultHasher, Hash, Hasher};

use es_pgtest::{Server, TestDatabase};
use es_postgres::sqlx::postgres::PgConnectOptions;
use es_postgres::{IdType, Layout, Migrations, PostgresConfig, PostgresStore};
use tokio::runtime::Handle;

/// A layout with ids of this type.
pub(crate) fn layout(ids: IdType) -> Layout {
    Layout { ids, ..Layout::default() }
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
