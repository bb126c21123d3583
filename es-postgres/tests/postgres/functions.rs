//! The functions that the migrations make: whose they are to execute, and what they can be led to.

use std::time::Duration;

use es_core::ExpectedVersion;
use es_core::backend::{
    Batch, Checkpoint, Claim, Content, EventStore, ProjectionSink, RowChange, Slot,
};
use es_core::event::Payload;
use es_pgtest::{Server, TestDatabase};
use es_postgres::{IdType, Layout, Migrations, PostgresConfig};

use crate::support::sessions::{execute, positions_after, session};
use crate::support::{events, key, run, to, try_run, value};

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
           -- these name schemas, because a path costs each INSERT more than all else that they do
           AND proname NOT IN ('happenings_check_row', 'happenings_check_sequence')
           AND NOT 'search_path=pg_catalog, pg_temp' = ANY (coalesce(proconfig, '{}'))",
    )
    .await;
    assert!(led.is_empty(), "no search_path: {led:?}");
}

#[tokio::test]
async fn what_stands_in_the_path_of_who_inserts_is_not_meant() {
    const PATH: &str = "SET search_path = hostile, pg_catalog, public;";
    let database = crate::support::database(IdType::Text).await;
    run(&database, include_str!("functions/in_the_path.sql")).await;
    let planted = ["2 > 1", "'a'::pg_catalog.text ~ 'a'", "isfinite(now())", "'a'::text"];
    for planted in planted {
        let meant = format!("{PATH} SELECT {planted}");
        assert_eq!(code(&database, &meant).await, "XXPWN", "{planted}");
    }
    let insert = |version: i32| {
        format!(
            "{PATH} INSERT INTO public.execution_events
                 (aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata)
             VALUES ('account', 'a', {version}, 'noted', '{{}}', '{{}}')"
        )
    };
    run(&database, &insert(1)).await;
    // the long way, which tells what is wrong
    run(&database, &insert(2).replace("'noted', '{}', '{}'", "'noted', '{}', 'null'")).await;
    assert_eq!(code(&database, &insert(0)).await, "23514");
    for drawn in [100, 2] {
        let set = format!("SELECT setval('execution_events_position_seq', {drawn})");
        run(&database, &set).await;
        if drawn == 100 {
            run(&database, &insert(3)).await;
        }
    }
    assert_eq!(code(&database, &insert(4)).await, "ES007");
}

/// Somebody may create in the store's schema, as everybody in `public` of PostgreSQL 14.
#[tokio::test]
async fn what_stands_beside_a_function_is_not_meant() {
    let database = crate::support::database(IdType::Text).await;
    database.plant_overloads("public").await;
    let store = crate::support::open(&database).await;
    let mut slow = session(&database).await;
    execute(&mut slow, "BEGIN").await;
    store.append_in(&mut slow, to("account/slow")).await.unwrap();
    let request =
        to("account/a").and("account/b".parse().unwrap(), ExpectedVersion::Any, events(2));
    store.append(request.with_key(key("once"))).await.unwrap();
    // a look that knows a writer, and one that knows of none any more
    for _ in 0..2 {
        assert_eq!(positions_after(&store, 0).await, [0; 0]);
    }
    execute(&mut slow, "COMMIT").await;
    assert_eq!(positions_after(&store, 0).await.len(), 4);
    run(&database, "SELECT execution_events_raise_watermark()").await;
    let claim = |slot, fingerprint: &str| {
        Claim::new("mail", fingerprint, slot, "one", Duration::from_secs(30))
    };
    let active = store.acquire(&claim(Slot::Active, "old")).await.unwrap();
    let row = RowChange { key: "a".to_owned(), value: Some(Payload::of(&1).unwrap()) };
    let batch = Batch::moving(0, Checkpoint::START, Checkpoint::START);
    store.commit(&active, &batch.content(Content::Rows(vec![row]))).await.unwrap();
    store.acquire(&claim(Slot::Shadow, "wrong")).await.unwrap();
    let shadow = store.acquire(&claim(Slot::Shadow, "new")).await.unwrap();
    store.switch(&shadow).await.unwrap();
    let shadow = store.acquire(&claim(Slot::Shadow, "unwanted")).await.unwrap();
    store.release(&shadow).await.unwrap();
    store.abandon("mail").await.unwrap();
    assert_eq!(store.status(None).await.unwrap().len(), 1);
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

/// A trigger that is merely enabled is left out where `session_replication_role` is `replica`.
#[tokio::test]
async fn every_trigger_fires_in_every_session() {
    let database = Server::shared().database().await;
    migrated(&database, "jobs", IdType::Text).await;
    for (enabled, expected) in [
        (
            "= 'A'",
            &["happenings_are_append_only", "happenings_check_row", "happenings_check_sequence"][..],
        ),
        ("<> 'A'", &[]),
    ] {
        let found: Vec<String> = value(
            &database,
            &format!(
                "SELECT coalesce(array_agg(tgname::text ORDER BY tgname::text), '{{}}')
                 FROM pg_trigger WHERE NOT tgisinternal AND tgenabled {enabled}"
            ),
        )
        .await;
        assert_eq!(found, expected, "ENABLE ALWAYS TRIGGER in the step that makes it");
    }
}

async fn code(database: &TestDatabase, statements: &str) -> String {
    let error = try_run(database, statements).await.expect_err(statements);
    error.as_database_error().unwrap().code().unwrap().into_owned()
}
