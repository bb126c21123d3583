//! Whatever the database is set to, the same values come back.

use std::fmt::Write;

use es_postgres::{IdType, PostgresConfig};
use es_testing::Fixture;
use es_testing::contract::{self, Outcome, TimeLimits};
use es_testing::projections::{self, ProjectionFixture};
use fastrand::Rng;
use futures_util::future::BoxFuture;

use crate::support::fixture::{Store, itself};
use crate::support::projections::Projected;
use crate::support::{database, run};

/// What an administrator may set a database to, and what touches texts, numbers, times, plans or
/// transactions.
const SETTINGS: &[(&str, &[&str])] = &[
    ("array_nulls", &["off"]),
    ("backslash_quote", &["on", "off"]),
    ("bytea_output", &["escape"]),
    ("check_function_bodies", &["off"]),
    ("client_encoding", &["LATIN1", "SQL_ASCII"]),
    ("DateStyle", &["German, DMY", "SQL, MDY", "Postgres, YMD"]),
    ("default_toast_compression", &["pglz"]),
    ("default_transaction_deferrable", &["on"]),
    ("default_transaction_isolation", &["repeatable read", "serializable"]),
    ("enable_bitmapscan", &["off"]),
    ("enable_hashjoin", &["off"]),
    ("enable_indexscan", &["off"]),
    ("enable_nestloop", &["off"]),
    ("enable_seqscan", &["off"]),
    ("enable_sort", &["off"]),
    ("extra_float_digits", &["-15", "0", "3"]),
    ("from_collapse_limit", &["1"]),
    ("IntervalStyle", &["iso_8601", "sql_standard", "postgres_verbose"]),
    ("jit_above_cost", &["0"]),
    ("join_collapse_limit", &["1"]),
    ("plan_cache_mode", &["force_custom_plan", "force_generic_plan"]),
    ("quote_all_identifiers", &["on"]),
    ("row_security", &["off"]),
    ("search_path", &["nowhere", "pg_catalog", "pg_temp"]),
    ("session_replication_role", &["origin"]),
    ("standard_conforming_strings", &["off"]),
    ("synchronous_commit", &["off", "local"]),
    ("TimeZone", &["America/St_Johns", "Asia/Kathmandu", "<+25>-25"]),
    ("transform_null_equals", &["on"]),
    ("work_mem", &["64kB"]),
    ("xmloption", &["document"]),
];

/// Statements that set the database that is open to some of them.
fn chosen(rng: &mut Rng) -> String {
    let mut statements = String::new();
    for (name, values) in SETTINGS {
        if rng.bool() {
            let value = values[rng.usize(..values.len())];
            writeln!(
                statements,
                "EXECUTE format('ALTER DATABASE %I SET {name} = %L', current_database(), '{value}');"
            )
            .unwrap();
        }
    }
    format!("DO $do$ BEGIN\n{statements}END $do$")
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
