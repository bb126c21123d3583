//! The functions that the migrations make: whose they are to execute, and what they can be led to.

use es_pgtest::{Server, TestDatabase};
use es_postgres::{IdType, Layout, Migrations, PostgresConfig};

use crate::support::{run, try_run, value};

/// Migrates a fresh database for a layout.
async fn migrated(database: &TestDatabase, schema: &str, ids: IdType) -> Layout {
    let events = "happenings".parse().unwrap();
    let layout = Layout { schema: schema.parse().unwrap(), events, ids, snapshots: None };
    let config = PostgresConfig::new(database.options()).layout(layout.clone());
    Migrations::of_store(&layout).apply(&config).await.unwrap();
    layout
}

#[tokio::test]
async fn nobody_executes_a_function_who_was_not_granted_it() {
    let database = Server::shared().database().await;
    // the application's own keep what they have
    run(&database, "CREATE FUNCTION public.theirs() RETURNS int LANGUAGE sql AS 'SELECT 1'").await;
    for (schema, ids) in [("public", IdType::Text), ("jobs", IdType::Int)] {
        let layout = migrated(&database, schema, ids).await;
        let made = Migrations::of_store(&layout).functions();
        let found: Vec<String> = value(
            &database,
            &format!(
                "SELECT array_agg(DISTINCT proname::text ORDER BY proname::text) FROM pg_proc
                 WHERE pronamespace = '{schema}'::regnamespace AND proname <> 'theirs'"
            ),
        )
        .await;
        assert_eq!(made, found, "what the steps make is what is there");
        let open: Vec<String> = value(
            &database,
            &format!(
                "SELECT coalesce(array_agg(p.oid::regprocedure::text), '{{}}') FROM pg_proc p
                 WHERE pronamespace = '{schema}'::regnamespace
                   AND EXISTS (
                       SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                       WHERE a.grantee = 0
                   )"
            ),
        )
        .await;
        let theirs: &[&str] = if schema == "public" { &["theirs()"] } else { &[] };
        assert_eq!(open, theirs, "REVOKE ALL ON FUNCTION … FROM PUBLIC in the step that makes it");
    }
}

#[tokio::test]
async fn every_function_looks_where_it_was_told_to() {
    let database = Server::shared().database().await;
    migrated(&database, "jobs", IdType::Text).await;
    let led: Vec<String> = value(
        &database,
        "SELECT coalesce(array_agg(oid::regprocedure::text), '{}') FROM pg_proc
         WHERE pronamespace = 'jobs'::regnamespace
           AND prosqlbody IS NULL
           AND NOT 'search_path=pg_catalog, pg_temp' = ANY (coalesce(proconfig, '{}'))",
    )
    .await;
    assert!(led.is_empty(), "no search_path: {led:?}");
}

/// Somebody who may create in a schema of the migrator's path must not get what a step means.
#[tokio::test]
async fn what_stands_in_the_path_of_who_migrates_is_not_meant() {
    let database = Server::shared().database().await;
    let steps =
        [("path", "CREATE TABLE \"{schema}\".path AS SELECT current_setting('search_path')")];
    let layout = Layout { schema: "jobs".parse().unwrap(), ..Layout::default() };
    let options = database.options().options([("search_path", "public, pg_catalog")]);
    let config = PostgresConfig::new(options).layout(layout.clone());
    let table = "application_migrations".parse().unwrap();
    let migrations = Migrations::new(&layout, &table, &steps);
    migrations.apply(&config).await.unwrap();
    let path: String = value(&database, "SELECT current_setting FROM jobs.path").await;
    assert_eq!(path, "pg_catalog");
    assert!(migrations.script().contains("SET LOCAL search_path = pg_catalog;"));
}

#[tokio::test]
async fn the_append_only_trigger_is_of_the_events_alone_and_fires_for_those_who_replicate() {
    let database = Server::shared().database().await;
    migrated(&database, "jobs", IdType::Text).await;
    for statement in [
        "SET session_replication_role = replica; DELETE FROM jobs.happenings",
        "SET session_replication_role = replica; TRUNCATE jobs.happenings",
        "SET session_replication_role = replica; UPDATE jobs.happenings SET event_type = 'x'",
        "DELETE FROM jobs.happenings",
    ] {
        assert_eq!(code(&database, statement).await, "ES002", "{statement}");
    }
    let bait = "CREATE TABLE bait (x int);
        CREATE TRIGGER t BEFORE DELETE ON bait FOR EACH STATEMENT EXECUTE FUNCTION jobs.happenings_refuse();
        DELETE FROM bait";
    assert_eq!(code(&database, bait).await, "ES005");
}

async fn code(database: &TestDatabase, statements: &str) -> String {
    let error = try_run(database, statements).await.expect_err(statements);
    error.as_database_error().unwrap().code().unwrap().into_owned()
}
