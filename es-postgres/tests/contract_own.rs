//! The contract suite over connections of the store's own.

mod support;

use es_postgres::{IdType, PostgresConfig};
use support::fixture::{Store, itself};

async fn own() -> Store {
    let database = support::database(IdType::Text).await;
    Store::open(PostgresConfig::new(database.options()), itself, database).await
}

es_testing::contract_suite!(v1, own);
