//! The suite of projections over the SQLite store.
#![allow(clippy::unwrap_used, reason = "a fixture that cannot be made fails its test")]

#[path = "../../es-testing/tests/support/crash.rs"]
mod crash;
#[path = "../../es-testing/tests/suites/projections/saboteur/mod.rs"]
mod saboteur;

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use es_core::{EventStore, StoreError};
use es_sqlite::rusqlite::Connection;
use es_sqlite::{SqliteConfig, SqliteStore, Synchronous};
use es_testing::ManualClock;
use es_testing::projections::{HANDLED, ProjectionFixture, SCENARIOS, SuiteHandler};
use es_testing::suite::{Outcome, TimeLimits, run_one};
use saboteur::{Sabotaged, all};
use tempfile::TempDir;

struct Sqlite {
    store: Mutex<SqliteStore>,
    config: SqliteConfig,
    clock: ManualClock,
    handler: Arc<SuiteHandler>,
    folder: TempDir,
}

async fn opened(config: &SqliteConfig, suite: &Arc<SuiteHandler>) -> SqliteStore {
    let (store, suite) = (SqliteStore::open(config.clone()).await.unwrap(), suite.clone());
    store.handle(HANDLED, move |model, events| {
        let mut insert = model.connection().prepare_cached(
            "INSERT INTO effects (generation, stream, number) VALUES (?1, ?2, ?3)",
        )?;
        for event in events {
            let (stream, number) = suite.effect(event)?;
            insert.execute((model.generation(), stream, i64::try_from(number)?))?;
        }
        Ok(())
    });
    store
}

async fn sqlite() -> Sqlite {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    // nothing in a temporary folder must survive a loss of power
    let config = SqliteConfig::new(folder.path().join("store.db"))
        .synchronous(Synchronous::Off)
        .clock(Arc::new(clock.clone()));
    let handler = Arc::new(SuiteHandler::default());
    let store = opened(&config, &handler).await;
    let table = "CREATE TABLE effects (
                     place INTEGER PRIMARY KEY AUTOINCREMENT,
                     generation INTEGER NOT NULL
                         REFERENCES projection_models (generation) ON DELETE CASCADE,
                     stream TEXT NOT NULL,
                     number INTEGER NOT NULL
                 );
                 CREATE INDEX effects_generation ON effects (generation)";
    store
        .write(move |tx| {
            tx.connection().execute_batch(table).unwrap();
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap();
    Sqlite { store: Mutex::new(store), config, clock, handler, folder }
}

impl Sqlite {
    fn path(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    fn open_now(&self) -> SqliteStore {
        self.store.lock().unwrap().clone()
    }
}

#[async_trait::async_trait]
impl ProjectionFixture for Sqlite {
    fn store(&self) -> Arc<dyn EventStore> {
        Arc::new(self.open_now())
    }

    fn manual_clock(&self) -> Option<ManualClock> {
        Some(self.clock.clone())
    }

    fn handler(&self) -> Arc<SuiteHandler> {
        self.handler.clone()
    }

    async fn effects(&self) -> Vec<(String, u64)> {
        let connection = Connection::open(self.path()).unwrap();
        let mut select = connection
            .prepare(
                "SELECT stream, number FROM effects JOIN projection_models USING (generation)
                 WHERE projection = 'handled' AND slot = 'active' ORDER BY place",
            )
            .unwrap();
        let effects = select.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)));
        effects.unwrap().map(Result::unwrap).map(|(s, n)| (s, n.unsigned_abs())).collect()
    }

    fn takes_sql(&self) -> bool {
        true
    }

    async fn spoil_row(&self, projection: &str, key: &str, value: &str) -> bool {
        let connection = Connection::open(self.path()).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        let update = "UPDATE projection_rows SET value = ?3 WHERE key = ?2 AND generation =
            (SELECT generation FROM projection_models WHERE projection = ?1 AND slot = 'active')";
        connection.execute(update, (projection, key, value)).unwrap() == 1
    }

    async fn reopen(&self) -> bool {
        self.open_now().close().await;
        *self.store.lock().unwrap() = opened(&self.config, &self.handler).await;
        true
    }
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
    let store = opened(&config, &Arc::new(SuiteHandler::default())).await;
    crash::project_until_killed(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn projector_kills_campaign() {
    let fixture = sqlite().await;
    // the child's time is the system's
    let config = SqliteConfig::new(fixture.path()).synchronous(Synchronous::Off);
    let store = opened(&config, &fixture.handler).await;
    let child = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "projector_that_is_killed", "--nocapture"]);
        command.env(CHILD, fixture.path());
        command
    };
    let effects = async || fixture.effects().await;
    crash::campaign(store, child, effects).await;
}
