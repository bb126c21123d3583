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

es_testing::projection_suite!(v1, pooled);

/// What a child of the campaign does; nothing unless it was started by it.
#[tokio::test]
async fn projector_that_is_killed() {
    support::kills::project_as_child(|config| config.session(Session::Pooled)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn projector_kills_campaign() {
    let database = support::database(IdType::Text).await;
    let pooler = TransactionPooler::start(Server::shared()).await;
    let options = pooler.options(database.name());
    let config = PostgresConfig::new(options.clone()).session(Session::Pooled);
    let _fixture = Projected::open(database, config, pooler).await;
    support::kills::campaign(options, |config| config.session(Session::Pooled)).await;
}
