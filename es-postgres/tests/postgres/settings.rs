//! Whatever the database is set to, the same values come back.

use std::fmt::Write;

use es_pgtest::{SETTINGS, Server, TestDatabase};
use es_postgres::{IdType, Migrations, PostgresConfig};
use es_testing::Fixture;
use es_testing::projections::ProjectionFixture;
use es_testing::suite::{Scenario, failures, rounds, seed};
use fastrand::Rng;

use crate::support::fixture::{Store, itself};
use crate::support::projections::Projected;
use crate::support::{database, run, value};

/// Statements that set the database that is open to some of them.
fn chosen(rng: &mut Rng) -> String {
    let mut statements = String::new();
    for (name, values) in SETTINGS {
        if rng.bool() {
            writeln!(statements, "{}", set(name, values[rng.usize(..values.len())])).unwrap();
        }
    }
    within(&statements)
}

/// Sets the database that is open, within a block.
fn set(name: &str, value: &str) -> String {
    format!("EXECUTE format('ALTER DATABASE %I SET {name} = %L', current_database(), '{value}');")
}

fn within(statements: &str) -> String {
    format!("DO $do$ BEGIN\n{statements}END $do$")
}

/// What the migrations of a store make in a database that is set so.
async fn made(settings: &str) -> Vec<String> {
    let database = Server::shared().database().await;
    run(&database, settings).await;
    let config = PostgresConfig::new(database.options());
    Migrations::of_store(config.names()).apply(&config).await.expect(settings);
    // asked without them, so that what differs is what was made
    let name = database.name();
    run(&database, &format!("ALTER DATABASE {name} RESET ALL")).await;
    value(&database, include_str!("settings/made.sql")).await
}

#[tokio::test]
async fn migrations_make_the_same_under_any_settings() {
    let plain = made("SELECT 1").await;
    assert!(plain.len() > 50, "{plain:?}");
    let mut all = String::new();
    for (name, values) in SETTINGS {
        writeln!(all, "{}", set(name, values[0])).unwrap();
    }
    let seed = fastrand::u64(..);
    for settings in [within(&all), chosen(&mut Rng::with_seed(seed))] {
        for (found, expected) in made(&settings).await.iter().zip(&plain) {
            assert_eq!(found, expected, "seed {seed}: {settings}");
        }
    }
}

/// A database that is set so, with an empty store.
async fn set_to(settings: &str) -> TestDatabase {
    let database = database(IdType::Text).await;
    run(&database, settings).await;
    database
}

fn is_of_values<F: ?Sized + 'static>(scenario: &Scenario<F>) -> bool {
    scenario.concern == "fidelity" || scenario.name.contains("generated")
}

/// The fidelity campaign under settings that are chosen by chance, all of them now and then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_campaign() {
    let seed = seed();
    let mut rng = Rng::with_seed(seed);
    // at full counts each round writes hundreds of thousands of documents
    for _ in 0..rounds(3, 1) {
        let settings = chosen(&mut rng);
        let told = format!("ES_SEED={seed}, {settings}");
        let store = |_| async {
            let database = set_to(&settings).await;
            Store::smaller(PostgresConfig::new(database.options()), itself, database).await
        };
        let failed = failures::<dyn Fixture, _>(store, is_of_values).await;
        assert_eq!(failed, [""; 0], "{told}");
        let projected = |_| async {
            let database = set_to(&settings).await;
            let config = PostgresConfig::new(database.options());
            Projected::open(database, config, ()).await
        };
        let failed = failures::<dyn ProjectionFixture, _>(projected, is_of_values).await;
        assert_eq!(failed, [""; 0], "{told}");
    }
}
