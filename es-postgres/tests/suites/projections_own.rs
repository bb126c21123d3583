//! The suite of projections over connections of the store's own.

#[path = "../../../es-testing/tests/support/reactors/mod.rs"]
mod reactors;

use es_postgres::{IdType, PostgresConfig};

use crate::support::projections::Projected;

async fn own() -> Projected {
    let database = crate::support::database(IdType::Text).await;
    let config = PostgresConfig::new(database.options());
    Projected::open(database, config, ()).await
}

es_testing::projection_suite!(v1, own);

const CHILD: &str = "projections_own::projector_that_is_killed";
const REACTOR: &str = "projections_own::reactor_that_is_killed";

/// What a child of the campaign does; nothing unless it was started by it.
#[tokio::test]
async fn projector_that_is_killed() {
    crate::support::kills::project_as_child(|config| config).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn projector_kills_campaign() {
    let fixture = own().await;
    let options = fixture.database().options();
    crate::support::kills::campaign(CHILD, options, |config| config).await;
}

/// What a child of the campaign of reactions does; nothing unless it was started by that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reactor_that_is_killed() {
    if let Some(store) = crate::support::kills::store_of_child(|config| config).await {
        reactors::react_until_killed(store).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reactor_kills_campaign() {
    // its clock is the server's, by which leases end
    let database = crate::support::database(IdType::Text).await;
    let child = crate::support::kills::child(&database.options(), REACTOR);
    reactors::campaign(crate::support::open(&database).await, child).await;
}
