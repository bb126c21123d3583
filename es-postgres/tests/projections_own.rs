//! The suite of projections over connections of the store's own.

mod support;

use es_postgres::{IdType, PostgresConfig};
use support::projections::Projected;

async fn own() -> Projected {
    let database = support::database(IdType::Text).await;
    let config = PostgresConfig::new(database.options());
    Projected::open(database, config, ()).await
}

es_testing::projection_suite!(own);
