//! The contract suite where the snapshots of one type are in a table of the application's.

use es_postgres::{IdType, PostgresConfig};

use crate::support::fixture::{Store, itself};

async fn table() -> Store {
    let database = crate::support::database(IdType::Text).await;
    // the scenarios' most frequent type; they have others as well
    let layout = crate::support::layout_with_table(IdType::Text, "account");
    let config = PostgresConfig::new(database.options()).layout(layout);
    crate::support::make_table(&config).await;
    Store::smaller(config, itself, database).await
}

es_testing::contract_suite!(v1, table);
