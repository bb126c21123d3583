//! Making a database into a store.

use es_core::{EventStore, ReadLog, StoreErrorKind};
use es_pgtest::Server;
use es_postgres::{IdType, Layout, Migrations, PostgresConfig, PostgresStore, Session};

use crate::support::{run, to, try_run, value};

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
}

#[tokio::test]
async fn migrations_that_do_not_fit_are_refused_and_change_nothing() {
    let migrations = Migrations::of_store(&Layout::default());
    let newer = "INSERT INTO execution_events_migrations VALUES (99, 'x', now(), TRUE, '', 0)";
    let changed = "UPDATE execution_events_migrations SET checksum = '\\x00' WHERE version = 2";
    let table = [
        (newer, true, StoreErrorKind::NewerSchema, "migration 99"),
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
