//! The suite of projections over connections of the store's own.

mod support;

use std::process::Command;
use std::sync::Arc;

use es_core::EventStore;
use es_core::projection::ProjectionSink;
use es_postgres::{IdType, PostgresConfig};
use es_testing::projections::{ProjectionFixture, SuiteHandler, crash};
use support::projections::{Projected, opened};

async fn own() -> Projected {
    let database = support::database(IdType::Text).await;
    let config = PostgresConfig::new(database.options());
    Projected::open(database, config, ()).await
}

es_testing::projection_suite!(own);

/// Names the database to this program, when it runs as a child that is killed.
const CHILD: &str = "ES_POSTGRES_PROJECTOR";

/// What the child does; nothing unless it was started by the campaign.
#[tokio::test]
async fn projector_that_is_killed() {
    let Ok(url) = std::env::var(CHILD) else { return };
    let config: PostgresConfig = url.parse().expect("the campaign gave an address");
    let store = Arc::new(opened(&config, &Arc::new(SuiteHandler::default())).await);
    crash::project_until_killed(store.clone(), store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn projector_kills_campaign() {
    let fixture = own().await;
    let child = || {
        let program = std::env::current_exe().expect("this program has a place");
        let mut command = Command::new(program);
        command.args(["--exact", "projector_that_is_killed", "--nocapture"]);
        command.env(CHILD, fixture.database().url());
        command
    };
    let config = PostgresConfig::new(fixture.database().options());
    let store = Arc::new(opened(&config, &fixture.handler()).await);
    let (events, sink): (Arc<dyn EventStore>, Arc<dyn ProjectionSink>) = (store.clone(), store);
    crash::campaign(&events, &sink, child, async || fixture.effects().await).await;
}
