//! The suite of projections over the SQLite store.
#![allow(clippy::unwrap_used, reason = "a fixture that cannot be made fails its test")]

#[path = "../../es-testing/tests/support/crash.rs"]
mod crash;
mod fixture;
#[path = "../../es-testing/tests/suites/projections/saboteur/mod.rs"]
mod saboteur;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use es_sqlite::{SqliteConfig, SqliteStore, Synchronous};
use es_testing::projections::SCENARIOS;
use es_testing::suite::{Outcome, TimeLimits, run_one};
use fixture::Sqlite;
use saboteur::{Sabotaged, all};

async fn sqlite() -> Sqlite {
    Sqlite::open(|config| config).await
}

es_testing::projection_suite!(v1, sqlite);

/// Those of the other scenarios are caught in memory, which takes no SQL.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_scenario_of_sql_catches_a_saboteur() {
    let limits =
        TimeLimits { step: Duration::from_millis(2_500), scenario: Duration::from_secs(20) };
    for scenario in SCENARIOS.iter().filter(|one| one.needs.contains(&"sql")) {
        let mut caught = Vec::new();
        // the clause of changes of tables
        for saboteur in all().into_iter().filter(|saboteur| saboteur.clause == 7) {
            let sabotaged = async { Sabotaged::new(sqlite().await, saboteur) };
            if run_one(sabotaged, scenario, limits).await != Outcome::Kept {
                caught.push(saboteur);
            }
        }
        assert!(!caught.is_empty(), "{} catches nobody", scenario.full_name());
    }
}

/// Names the file to this program, when it runs as a child that is killed.
const CHILD: &str = "ES_SQLITE_PROJECTOR";

/// What the child does; nothing unless it was started by the campaign.
#[tokio::test]
async fn projector_that_is_killed() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let config = SqliteConfig::new(PathBuf::from(path)).synchronous(Synchronous::Off);
    let store = SqliteStore::open(config).await.unwrap();
    crash::project_until_killed(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn projector_kills_campaign() {
    let fixture = sqlite().await;
    // the child's time is the system's
    let config = SqliteConfig::new(fixture.path()).synchronous(Synchronous::Off);
    let store = SqliteStore::open(config).await.unwrap();
    let child = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "projector_that_is_killed", "--nocapture"]);
        command.env(CHILD, fixture.path());
        command
    };
    crash::campaign(store, child).await;
}
