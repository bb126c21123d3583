//! Whatever the database is set to, the same values come back.

use std::fmt::Write;

use es_pgtest::{SETTINGS, Server};
use es_postgres::{IdType, Migrations, PostgresConfig};
use es_testing::Fixture;
use es_testing::contract::{self, Outcome, TimeLimits};
use es_testing::projections::{self, ProjectionFixture};
use fastrand::Rng;
use futures_util::future::BoxFuture;

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

/// The fidelity campaign under settings that are chosen by chance, all of them now and then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_campaign() {
    let is_full = std::env::var("ES_CAMPAIGN").is_ok_and(|campaign| campaign == "full");
    let seed =
        std::env::var("ES_SEED").map_or_else(|_| fastrand::u64(..), |it| it.parse().unwrap());
    let mut rng = Rng::with_seed(seed);
    // at full counts each round writes hundreds of thousands of documents
    for _ in 0..if is_full { 1 } else { 3 } {
        let settings = chosen(&mut rng);
        let set = settings.clone();
        let store = move || {
            let set = set.clone();
            Box::pin(async move {
                let database = database(IdType::Text).await;
                run(&database, &set).await;
                let config = PostgresConfig::new(database.options());
                Box::new(Store::open(config, itself, database).await) as Box<dyn Fixture>
            }) as BoxFuture<'static, _>
        };
        let is_of_values =
            |name: &str| name.starts_with("fidelity::") || name.contains("generated");
        for scenario in contract::SCENARIOS.iter().filter(|it| is_of_values(&it.full_name())) {
            let outcome = contract::run_one(&store, scenario, TimeLimits::default()).await;
            let name = scenario.full_name();
            assert_eq!(outcome, Outcome::Kept, "{name}, ES_SEED={seed}, {settings}");
        }
        let set = settings.clone();
        let projected = move || {
            let set = set.clone();
            Box::pin(async move {
                let database = database(IdType::Text).await;
                run(&database, &set).await;
                let config = PostgresConfig::new(database.options());
                Box::new(Projected::open(database, config, ()).await) as Box<dyn ProjectionFixture>
            }) as BoxFuture<'static, _>
        };
        for scenario in projections::SCENARIOS.iter().filter(|it| is_of_values(&it.full_name())) {
            let outcome = projections::run_one(&projected, scenario, TimeLimits::default()).await;
            let name = scenario.full_name();
            assert_eq!(outcome, Outcome::Kept, "{name}, ES_SEED={seed}, {settings}");
        }
    }
}
