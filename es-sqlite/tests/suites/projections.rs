//! The suite of projections over the SQLite store.

#[path = "../../../es-testing/tests/support/crash.rs"]
mod crash;
#[path = "../../../es-testing/tests/support/reactors/mod.rs"]
mod reactors;
#[path = "../../../es-testing/tests/suites/projections/saboteur/mod.rs"]
mod saboteur;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use es_sqlite::{SqliteConfig, SqliteStore, Synchronous};
use es_testing::projections::SCENARIOS;
use es_testing::suite::{Outcome, TimeLimits, run_one};
use saboteur::{Sabotaged, all};

use crate::fixture::Sqlite;

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
const CHILD: &str = "ES_SQLITE_CHILD";

/// Starts a test of this program as a child that opens this file.
fn child(path: &Path, test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(CHILD, path);
    command
}

/// A store in a file, whose time is the system's, as that of children is.
async fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(SqliteConfig::new(path).synchronous(Synchronous::Off)).await.unwrap()
}

/// What the child does; nothing unless it was started by the campaign.
#[tokio::test]
async fn projector_that_is_killed() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    crash::project_until_killed(open(path.as_ref()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn projector_kills_campaign() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let child = || child(&path, "projections::projector_that_is_killed");
    crash::campaign(open(&path).await, child).await;
}

/// What the child of the campaign of reactions does; nothing unless it was started by that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reactor_that_is_killed() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    reactors::react_until_killed(open(path.as_ref()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reactor_kills_campaign() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let child = || child(&path, "projections::reactor_that_is_killed");
    reactors::campaign(open(&path).await, child).await;
}
