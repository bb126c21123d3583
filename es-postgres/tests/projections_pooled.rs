//! The suite of projections behind a proxy that gives each transaction another connection, and
//! forgets what was prepared or set on the one before.

mod support;

use es_pgtest::{Server, TransactionPooler};
use es_postgres::{IdType, PostgresConfig, Session};
use support::projections::Projected;

async fn pooled() -> Projected {
    let database = support::database(IdType::Text).await;
    let pooler = TransactionPooler::start(Server::shared()).await;
    let config = PostgresConfig::new(pooler.options(database.name())).session(Session::Pooled);
    Projected::open(database, config, pooler).await
}

es_testing::projection_suite!(pooled);
