//! The contract suite over connections of the store's own.

use es_postgres::{IdType, PostgresConfig};

use crate::support::fixture::{Store, itself};

async fn own() -> Store {
    let database = crate::support::database(IdType::Text).await;
    Store::open(PostgresConfig::new(database.options()), itself, database).await
}

es_testing::contract_suite!(v1, own);
