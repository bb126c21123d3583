//! The suite of projections behind a proxy that gives each transaction another connection, and
//! forgets what was prepared or set on the one before.

use es_pgtest::{Server, TransactionPooler};
use es_postgres::{IdType, PostgresConfig, Session};

use crate::support::projections::Projected;

async fn pooled() -> Projected {
    let database = crate::support::database(IdType::Text).await;
    let pooler = TransactionPooler::start(Server::shared()).await;
    let config = PostgresConfig::new(pooler.options(database.name())).session(Session::Pooled);
    Projected::open(database, config, pooler).await
}

es_testing::projection_suite!(v1, pooled);

const CHILD: &str = "projections_pooled::projector_that_is_killed";

/// What a child of the campaign does; nothing unless it was started by it.
#[tokio::test]
async fn projector_that_is_killed() {
    crate::support::kills::project_as_child(|config| config.session(Session::Pooled)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn projector_kills_campaign() {
    let database = crate::support::database(IdType::Text).await;
    let pooler = TransactionPooler::start(Server::shared()).await;
    let options = pooler.options(database.name());
    let config = PostgresConfig::new(options.clone()).session(Session::Pooled);
    let _fixture = Projected::open(database, config, pooler).await;
    crate::support::kills::campaign(CHILD, options, |config| config.session(Session::Pooled)).await;
}
