//! The contract suite behind a proxy that gives each transaction another connection, and forgets
//! what was prepared or set on the one before.

use es_pgtest::{Server, TransactionPooler};
use es_postgres::{IdType, PostgresConfig, Session};

use crate::support::fixture::{Store, itself};

async fn pooled() -> Store {
    let database = crate::support::database(IdType::Text).await;
    let pooler = TransactionPooler::start(Server::shared()).await;
    let config = PostgresConfig::new(pooler.options(database.name())).session(Session::Pooled);
    Store::smaller(config, itself, (database, pooler)).await
}

es_testing::contract_suite!(v1, pooled);
