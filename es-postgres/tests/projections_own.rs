//! The suite of projections over connections of the store's own.

#[path = "../../es-testing/tests/support/reactors/mod.rs"]
mod reactors;
mod support;

use es_postgres::{IdType, PostgresConfig};
use support::projections::Projected;

async fn own() -> Projected {
    let database = support::database(IdType::Text).await;
    let config = PostgresConfig::new(database.options());
    Projected::open(database, config, ()).await
}

es_testing::projection_suite!(v1, own);

/// What a child of the campaign does; nothing unless it was started by it.
#[tokio::test]
async fn projector_that_is_killed() {
    support::kills::project_as_child(|config| config).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn projector_kills_campaign() {
    let fixture = own().await;
    let options = fixture.database().options();
    support::kills::campaign(options, |config| config).await;
}

/// What a child of the campaign of reactions does; nothing unless it was started by that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reactor_that_is_killed() {
    if let Some(store) = support::kills::store_of_child(|config| config).await {
        reactors::react_until_killed(store).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reactor_kills_campaign() {
    // its clock is the server's, by which leases end
    let database = support::database(IdType::Text).await;
    let child = support::kills::child(&database.options(), "reactor_that_is_killed");
    reactors::campaign(support::open(&database).await, child).await;
}
