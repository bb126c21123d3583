//! What the contract suite asks of snapshots, and of what is there after reopening, where the snapshots
//! of one type are in a table of the application's.
//!
//! Whatever else it asks for is done by the statements of `contract_own`: such a table has a place in
//! none of them, which a test beside them holds.

use es_postgres::{IdType, PostgresConfig};
use es_testing::Fixture;
use es_testing::contract::SCENARIOS;
use es_testing::suite::{Scenario, failures};

use crate::support::fixture::{Store, itself};

async fn table() -> Store {
    let database = crate::support::database(IdType::Text).await;
    // the scenarios' most frequent type; they have others as well
    let layout = crate::support::layout_with_table(IdType::Text, "account");
    let config = PostgresConfig::new(database.options()).layout(layout);
    crate::support::make_table(&config).await;
    Store::smaller(config, itself, database).await
}

fn is_asked(scenario: &Scenario<dyn Fixture>) -> bool {
    ["snapshots", "durability"].iter().any(|it| scenario.needs.contains(it))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_of_the_applications_keeps_every_promise_of_snapshots() {
    assert!(SCENARIOS.iter().filter(|one| is_asked(one)).count() >= 17);
    assert_eq!(failures::<dyn Fixture, _>(|_| table(), is_asked).await, [""; 0]);
}
