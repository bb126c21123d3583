//! Making a database into a store.

use std::time::Duration;

use es_core::backend::{EventStore, ReadLog, StoreErrorKind};
use es_pgtest::{Proxy, Server, TestDatabase};
use es_postgres::sqlx;
use es_postgres::{IdType, Layout, Migrations, PostgresConfig, PostgresStore, Session};

use crate::support::sessions::{execute, pid, session};
use crate::support::waiting::{soon, until};
use crate::support::{run, to, told, try_run, value};

/// Everything that the migrations make, in words.
const DUMP: &str = "
    SELECT string_agg(line, E'\\n' ORDER BY line) FROM (
        SELECT format('%s.%s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid)) AS line
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0
        UNION ALL SELECT pg_get_indexdef(c.oid) FROM pg_class c WHERE c.relkind = 'i' AND c.relnamespace = 'public'::regnamespace
        UNION ALL SELECT conname || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL SELECT version || description || success || encode(checksum, 'hex') FROM execution_events_migrations
    ) lines";

#[tokio::test]
async fn migrating_twice_does_it_once() {
    let database = Server::shared().database().await;
    let config = PostgresConfig::new(database.options());
    let migrations = Migrations::of_store(&Layout::default());
    assert_eq!(migrations.apply(&config).await.unwrap(), migrations.count());
    assert_eq!(migrations.apply(&config).await.unwrap(), 0);
    migrations.check(&config).await.unwrap();
}

#[tokio::test]
async fn of_many_migrators_at_once_one_does_it() {
    let database = Server::shared().database().await;
    let layout = Layout { schema: "fresh".parse().unwrap(), ..Layout::default() };
    let config = PostgresConfig::new(database.options()).layout(layout.clone());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (config, layout) = (config.clone(), layout.clone());
        tasks.spawn(async move { Migrations::of_store(&layout).apply(&config).await });
    }
    let mut applied = 0;
    while let Some(migrated) = tasks.join_next().await {
        applied += migrated.unwrap().unwrap();
    }
    assert_eq!(applied, Migrations::of_store(&layout).count(), "each step was made by one");
    PostgresStore::open(config).await.unwrap().append(to("account/a")).await.unwrap();
}

/// A database that lacks the newest step.
async fn one_step_behind() -> (TestDatabase, Migrations) {
    let database = Server::shared().database().await;
    let migrations = Migrations::of_store(&Layout::default());
    let script = migrations.script();
    let (old, _) = script.split_once("\n-- 12 ").unwrap();
    run(&database, old).await;
    (database, migrations)
}

/// A store with rows that its constraints would refuse, and a session from before.
#[tokio::test]
async fn who_is_connected_while_the_constraints_become_a_trigger_goes_on_under_the_same_rules() {
    const STEP: &str = " what an insert costs (";
    let database = Server::shared().database().await;
    let migrations = Migrations::of_store(&Layout::default());
    let script = migrations.script();
    let (before, _) = script.split_once(STEP).unwrap();
    let (before, _) = before.rsplit_once("\n-- ").unwrap();
    run(&database, before).await;
    let rules = "SELECT count(*) FROM pg_constraint
                 WHERE conrelid = 'execution_events'::regclass AND contype = 'c'";
    assert_eq!(value::<i64>(&database, rules).await, 10);
    let odd = "ALTER TABLE execution_events DROP CONSTRAINT created_at_is_finite;
        INSERT INTO execution_events
            (aggregate_type, aggregate_id, aggregate_version, event_type, event_data, created_at)
        VALUES ('account', 'odd', 1, 'noted', '{}', 'infinity')";
    run(&database, odd).await;
    let mut old = session(&database).await;
    let prepare = "PREPARE noted (INT) AS INSERT INTO execution_events
            (aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
        VALUES ('account', 'a', $1, 'noted', '{}')";
    execute(&mut old, prepare).await;
    execute(&mut old, "EXECUTE noted(1)").await;
    let config = PostgresConfig::new(database.options());
    migrations.apply(&config).await.unwrap();
    assert_eq!(value::<i64>(&database, rules).await, 0);
    execute(&mut old, "EXECUTE noted(2)").await;
    let refused = sqlx::raw_sql("EXECUTE noted(0)").execute(&mut old).await.unwrap_err();
    let refused = refused.as_database_error().unwrap();
    assert_eq!(refused.constraint(), Some("aggregate_version_is_positive"), "{refused}");
    let store = PostgresStore::open(config).await.unwrap();
    store.append(to("account/a")).await.unwrap();
    assert_eq!(store.read_log(&ReadLog::from_start()).await.unwrap().events.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_somebody_is_in_the_way_of_lets_others_pass_and_names_them() {
    let (database, migrations) = one_step_behind().await;
    let mut reader = session(&database).await;
    let holder = pid(&mut reader).await;
    execute(&mut reader, "BEGIN; SELECT FROM execution_events").await;
    let patience = Duration::from_secs(2);
    let config = PostgresConfig::new(database.options()).lock_timeout(patience);
    let migrating = tokio::spawn({
        let (config, migrations) = (config.clone(), migrations.clone());
        async move { migrations.apply(&config).await }
    });
    let waits =
        "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock')";
    until("it waits", async || value::<bool>(&database, waits).await).await;
    // who comes after it would wait for as long as the reader stays
    let count: i64 =
        soon("a read ends", value(&database, "SELECT count(*) FROM execution_events")).await;
    assert_eq!(count, 0);
    let error = soon("it is refused", migrating).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Busy);
    let text = error.to_string();
    assert!(text.contains(&format!("the session pid {holder} (")), "{text}");
    assert!(text.contains("on execution_events"), "{text}");
    // one that has to wait for a while only goes on
    let migrating = tokio::spawn({
        let config = config.lock_timeout(Duration::from_secs(60));
        async move { migrations.apply(&config).await }
    });
    until("it waits", async || value::<bool>(&database, waits).await).await;
    execute(&mut reader, "ROLLBACK").await;
    assert!(soon("it migrates", migrating).await.unwrap().unwrap() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_waits_for_no_session_that_does_nothing() {
    let (database, migrations) = one_step_behind().await;
    let name = database.name();
    let mut other = session(&database).await;
    let holder = pid(&mut other).await;
    sqlx::migrate::Migrate::lock(&mut other).await.unwrap();
    let patience = Duration::from_secs(1);
    let config = PostgresConfig::new(database.options()).lock_timeout(patience);
    let error = soon("it is refused", migrations.apply(&config)).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Busy, "{name}");
    let text = error.to_string();
    assert!(text.contains(&format!("the session pid {holder} (")), "{text}");
    assert!(text.contains("on the migrations"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_stops_in_a_step_lets_go() {
    let (database, _) = one_step_behind().await;
    let migrations = Migrations::new(
        &Layout::default(),
        &"slow_migrations".parse().unwrap(),
        &[("slow", "LOCK TABLE \"{schema}\".\"{events}\"; SELECT pg_sleep(1)")],
    );
    let proxy = Proxy::start(Server::shared()).await;
    let config = PostgresConfig::new(proxy.options(database.name()))
        .idle_timeout(Duration::from_millis(200));
    let stopped = tokio::spawn(async move { migrations.apply(&config).await });
    let holds = "SELECT EXISTS (SELECT FROM pg_locks WHERE mode = 'AccessExclusiveLock'
                 AND granted AND relation = 'execution_events'::regclass)";
    until("it is in its step", async || value::<bool>(&database, holds).await).await;
    proxy.black_hole();
    until("it lets go", async || !value::<bool>(&database, holds).await).await;
    stopped.abort();
}

#[tokio::test]
async fn migrating_needs_nothing_of_the_databases_settings() {
    for setting in [
        "statement_timeout = 1",
        "lock_timeout = 1",
        "idle_in_transaction_session_timeout = 1",
        "idle_session_timeout = 1",
        "default_transaction_isolation = serializable",
        "standard_conforming_strings = off",
        "exit_on_error = on",
        "quote_all_identifiers = on",
        "search_path = nowhere",
    ] {
        let database = Server::shared().database().await;
        run(&database, &format!("ALTER DATABASE \"{}\" SET {setting}", database.name())).await;
        let config = PostgresConfig::new(database.options());
        let migrated = Migrations::of_store(&Layout::default()).apply(&config).await;
        assert!(migrated.is_ok(), "{setting}: {}", told(&migrated.unwrap_err()));
        let store = PostgresStore::open(config).await.unwrap();
        for _ in 0..2 {
            let appended = store.append(to("account/a")).await;
            assert!(appended.is_ok(), "{setting}: {}", told(&appended.unwrap_err()));
        }
    }
}

#[tokio::test]
async fn a_database_that_takes_no_writes_is_told_apart_from_a_standby() {
    let database = Server::shared().database().await;
    let set =
        format!("ALTER DATABASE \"{}\" SET default_transaction_read_only = on", database.name());
    run(&database, &set).await;
    let config = PostgresConfig::new(database.options());
    let error = Migrations::of_store(&Layout::default()).apply(&config).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::ReadOnly);
    assert!(error.to_string().contains("default_transaction_read_only is on"), "{error}");
}

#[tokio::test]
async fn the_printed_script_makes_the_same_store() {
    let migrations = Migrations::of_store(&Layout::default());
    let (applied, printed) = (Server::shared().database().await, Server::shared().database().await);
    migrations.apply(&PostgresConfig::new(applied.options())).await.unwrap();
    run(&printed, &migrations.script()).await;
    let (applied, by_script): (String, String) =
        (value(&applied, DUMP).await, value(&printed, DUMP).await);
    assert_eq!(applied, by_script);
    let config = PostgresConfig::new(printed.options());
    assert_eq!(migrations.apply(&config).await.unwrap(), 0);
    PostgresStore::open(config).await.unwrap().append(to("account/a")).await.unwrap();
}

#[tokio::test]
async fn stores_of_several_schemas_do_not_mix() {
    let database = Server::shared().database().await;
    let mut stores = Vec::new();
    for (schema, events) in [("one", "events"), ("two", "events"), ("user", "order")] {
        let (schema, events) = (schema.parse().unwrap(), events.parse().unwrap());
        let layout = Layout { schema, events, ..Layout::default() };
        let config = PostgresConfig::new(database.options()).layout(layout.clone());
        Migrations::of_store(&layout).apply(&config).await.unwrap();
        stores.push(PostgresStore::open(config).await.unwrap());
    }
    for (number, store) in stores.iter().enumerate() {
        for _ in 0..=number {
            store.append(to("account/a")).await.unwrap();
        }
    }
    for (number, store) in stores.iter().enumerate() {
        let page = store.read_log(&ReadLog::from_start()).await.unwrap();
        assert_eq!(page.events.len(), number + 1);
    }
}

/// Opens what a statement made of a database with a store, or without if it was to be fresh.
async fn opened(statements: &str, is_migrated: bool) -> (StoreErrorKind, String) {
    let database = Server::shared().database().await;
    let config = PostgresConfig::new(database.options());
    if is_migrated {
        Migrations::of_store(&Layout::default()).apply(&config).await.unwrap();
    }
    run(&database, statements).await;
    let error = PostgresStore::open(config).await.unwrap_err();
    (error.kind(), error.to_string())
}

#[tokio::test]
async fn a_database_that_is_no_such_store_is_refused_with_what_to_do() {
    use StoreErrorKind::{NewerSchema, NotAStore};
    let newer = "INSERT INTO execution_events_migrations VALUES (99, 'x', now(), TRUE, '', 0)";
    let table = [
        ("SELECT 1", false, NotAStore, "migrate it first"),
        ("CREATE TABLE execution_events (x INT)", false, NotAStore, "migrate it first"),
        (
            "DELETE FROM execution_events_migrations WHERE version > 2",
            true,
            NotAStore,
            "has 2 of the ",
        ),
        (newer, true, NewerSchema, "use a newer program"),
        // a newer step may change whatever an older program knows
        (
            "INSERT INTO execution_events_migrations VALUES (99, 'x', now(), TRUE, '', 0);
             DELETE FROM execution_events_migrations WHERE version = 3",
            true,
            NewerSchema,
            "use a newer program",
        ),
        (
            "INSERT INTO execution_events_migrations VALUES (99, 'x', now(), TRUE, '', 0);
             UPDATE execution_events_migrations SET checksum = '' WHERE version = 3",
            true,
            NewerSchema,
            "use a newer program",
        ),
        (
            "DELETE FROM execution_events_migrations WHERE version = 3",
            true,
            NotAStore,
            "no row for step 3",
        ),
        (
            "UPDATE execution_events_migrations SET success = FALSE WHERE version = 3",
            true,
            NotAStore,
            "step 3 is marked as failed",
        ),
        ("DROP TABLE execution_events", true, NotAStore, "missing"),
        ("ALTER SEQUENCE execution_events_position_seq CACHE 20", true, NotAStore, "CACHE 1"),
        (
            "ALTER SEQUENCE execution_events_position_seq INCREMENT 2",
            true,
            NotAStore,
            "INCREMENT 1",
        ),
        ("ALTER SEQUENCE execution_events_position_seq CYCLE", true, NotAStore, "NO CYCLE"),
        (
            "ALTER TABLE execution_events ALTER position SET GENERATED BY DEFAULT",
            true,
            NotAStore,
            "GENERATED ALWAYS",
        ),
        (
            "ALTER TABLE execution_events ALTER position DROP IDENTITY",
            true,
            NotAStore,
            "GENERATED ALWAYS",
        ),
    ];
    for (statements, is_migrated, kind, words) in table {
        let (found, text) = opened(statements, is_migrated).await;
        assert_eq!(found, kind, "{statements}: {text}");
        assert!(text.contains(words) && text.contains("database es_test"), "{statements}: {text}");
    }
    let database = crate::support::database(IdType::Int).await;
    let error = PostgresStore::open(PostgresConfig::new(database.options())).await.unwrap_err();
    assert!(error.to_string().contains("of type integer, not text"), "{error}");
    run(&database, newer).await;
    let error = PostgresStore::open(PostgresConfig::new(database.options())).await.unwrap_err();
    assert_eq!(error.kind(), NewerSchema, "{error}");
}

#[tokio::test]
async fn migrations_that_do_not_fit_are_refused_and_change_nothing() {
    let migrations = Migrations::of_store(&Layout::default());
    let newer = "INSERT INTO execution_events_migrations VALUES (99, 'x', now(), TRUE, '', 0)";
    let changed = "UPDATE execution_events_migrations SET checksum = '\\x00' WHERE version = 2";
    let newer_and_changed = format!("{newer}; {changed}");
    let table = [
        (newer, true, StoreErrorKind::NewerSchema, "migration 99"),
        // a newer step may change whatever an older program knows
        (newer_and_changed.as_str(), true, StoreErrorKind::NewerSchema, "migration 99"),
        (changed, true, StoreErrorKind::NotAStore, "step 2"),
        (
            "CREATE TABLE execution_events (x INT)",
            false,
            StoreErrorKind::NotAStore,
            "did not make it",
        ),
    ];
    for (statements, is_migrated, kind, words) in table {
        let database = Server::shared().database().await;
        let config = PostgresConfig::new(database.options());
        if is_migrated {
            migrations.apply(&config).await.unwrap();
        }
        run(&database, statements).await;
        let error = migrations.apply(&config).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{statements}: {error}");
        assert!(error.to_string().contains(words), "{statements}: {error}");
        // what was there is there
        let table = if is_migrated { "execution_events_snapshots" } else { "execution_events" };
        try_run(&database, &format!("SELECT * FROM {table}")).await.unwrap();
    }
    let database = Server::shared().database().await;
    let config = PostgresConfig::new(database.options()).session(Session::Pooled);
    let error = migrations.apply(&config).await.unwrap_err();
    assert!(error.to_string().contains("proxy"), "{error}");
}

#[tokio::test]
async fn another_encoding_is_refused() {
    let server = Server::shared();
    let database = server.database().await;
    run(&database, "CREATE DATABASE es_latin1 TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
        .await;
    let config = PostgresConfig::new(server.connect_options("es_latin1"));
    let error = Migrations::of_store(&Layout::default()).apply(&config).await.unwrap_err();
    run(&database, "DROP DATABASE es_latin1 WITH (FORCE)").await;
    assert!(error.to_string().contains("LATIN1"), "{error}");
}

#[tokio::test]
async fn a_program_goes_on_beside_newer_steps_that_allow_it() {
    let database = Server::shared().database().await;
    let config = PostgresConfig::new(database.options());
    let migrations = Migrations::of_store(&Layout::default());
    migrations.apply(&config).await.unwrap();
    let known = migrations.count();
    let newer = async |step: usize, name: String| {
        let entry = format!(
            "INSERT INTO execution_events_migrations
                 (version, description, success, checksum, execution_time)
             VALUES ({step}, '{name}', TRUE, '', 0)"
        );
        run(&database, &entry).await;
    };
    newer(known + 1, format!("more (from {known} on)")).await;
    newer(known + 2, format!("yet more (from {} on)", known - 1)).await;
    migrations.check(&config).await.unwrap();
    assert_eq!(migrations.apply(&config).await.unwrap(), 0);
    PostgresStore::open(config.clone()).await.unwrap().append(to("account/a")).await.unwrap();
    newer(known + 3, format!("other (from {} on)", known + 1)).await;
    for refused in [
        migrations.check(&config).await.unwrap_err(),
        migrations.apply(&config).await.unwrap_err(),
        PostgresStore::open(config).await.unwrap_err(),
    ] {
        assert_eq!(refused.kind(), StoreErrorKind::NewerSchema, "{refused}");
    }
}

#[tokio::test]
async fn a_running_program_beside_a_step_that_does_not_allow_it_is_told() {
    let database = crate::support::database(IdType::Text).await;
    let config = PostgresConfig::new(database.options());
    let store = PostgresStore::open(config.clone()).await.unwrap();
    store.append(to("account/a")).await.unwrap();
    run(
        &database,
        "ALTER FUNCTION execution_events_next_look(BIGINT, UUID, BIGINT, UUID, TEXT[], BIGINT[])
             RENAME TO looked;
         INSERT INTO execution_events_migrations VALUES (99, 'x', now(), TRUE, '', 0)",
    )
    .await;
    let error = store.end_of_log().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::NotAStore, "{error}");
    assert!(error.to_string().contains("the newer program that did"), "{error}");
    let error = PostgresStore::open(config).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::NewerSchema, "{error}");
}

/// Its functions name the schema that they were made in: what they read and write is there.
#[tokio::test]
async fn a_store_under_another_name_of_its_schema_is_refused_until_it_has_its_own_again() {
    let database = Server::shared().database().await;
    let config = |schema: &str| {
        let layout = Layout { schema: schema.parse().unwrap(), ..Layout::default() };
        (PostgresConfig::new(database.options()).layout(layout.clone()), layout)
    };
    let (live, layout) = config("live");
    Migrations::of_store(&layout).apply(&live).await.unwrap();
    run(&database, "ALTER SCHEMA live RENAME TO old").await;
    let (old, layout) = config("old");
    for refused in [
        PostgresStore::open(old.clone()).await.unwrap_err(),
        Migrations::of_store(&layout).check(&old).await.unwrap_err(),
        Migrations::of_store(&layout).apply(&old).await.unwrap_err(),
    ] {
        assert_eq!(refused.kind(), StoreErrorKind::NotAStore, "{refused}");
        assert!(refused.to_string().contains("give the schema its name back"), "{refused}");
    }
    run(&database, "ALTER SCHEMA old RENAME TO live").await;
    PostgresStore::open(live).await.unwrap().append(to("account/a")).await.unwrap();
}
