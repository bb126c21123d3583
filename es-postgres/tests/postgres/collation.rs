//! Ids are compared by their bytes, whatever the language of the database and whatever becomes of it.

use es_core::backend::{EventStore, ReadStream};
use es_core::execution::StreamVersion;
use es_pgtest::Server;
use es_postgres::sqlx::ConnectOptions;
use es_postgres::{IdType, Layout, Migrations, PostgresConfig, PostgresStore};

use crate::support::sessions::execute;
use crate::support::{database, run, to, try_run, value};

#[tokio::test]
async fn ids_are_compared_by_their_bytes_in_stores_made_before_too() {
    const COLLATED: &str = "
        SELECT count(*) FROM pg_index i
        JOIN pg_class c ON c.oid = i.indexrelid
        CROSS JOIN unnest(i.indcollation) AS k (oid)
        WHERE c.relnamespace = 'public'::regnamespace
            AND k.oid = 'pg_catalog.default'::regcollation
            -- no answer of the store rests on this one, and the specified query would not use another
            AND c.relname <> 'idx_execution_events_conversation'
            AND c.relname NOT LIKE '%migrations%'";
    let before = Server::shared().database().await;
    let migrations = Migrations::of_store(&Layout::default());
    let script = migrations.script();
    let (old, _) = script.split_once("\n-- 12 ").unwrap();
    run(&before, old).await;
    run(
        &before,
        "INSERT INTO execution_events
             (aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
         SELECT 'account', id, 1, 'amount_paid_in', '{}' FROM unnest(ARRAY['ab-7', 'AB7', 'Ab77']) id",
    )
    .await;
    assert!(value::<i64>(&before, COLLATED).await > 0);
    let config = PostgresConfig::new(before.options());
    assert!(migrations.apply(&config).await.unwrap() > 0);
    for database in [before, database(IdType::Text).await, database(IdType::Int).await] {
        assert_eq!(value::<i64>(&database, COLLATED).await, 0);
    }
    drop(config);
}

/// Whether the server can make databases in ICU's languages.
const HAS_ICU: &str = "SELECT current_setting('server_version_num')::int >= 150000
    AND EXISTS (SELECT FROM pg_collation WHERE collprovider = 'i')";

/// As an update of the system's ICU that orders otherwise.
const ORDERS_OTHERWISE: &str = "DO $$ BEGIN
    EXECUTE format(
        'UPDATE pg_database SET %I = ''en-US-u-ka-shifted-kf-upper'' WHERE datname = current_database()',
        (SELECT attname FROM pg_attribute
         WHERE attrelid = 'pg_database'::regclass AND attname IN ('daticulocale', 'datlocale'))
    );
END $$";

#[tokio::test]
async fn an_update_of_the_language_loses_no_stream() {
    let database = Server::shared().database().await;
    let name = format!("{}_icu", database.name());
    let create = format!(
        "CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu
         ICU_LOCALE 'de-DE' LOCALE 'C'"
    );
    if !value::<bool>(&database, HAS_ICU).await {
        // a server that was built without it, or is too old, says so itself
        let locale = std::env::var("ES_PGTEST_LOCALE").unwrap_or_default();
        assert!(!locale.starts_with("icu:"), "{locale} was asked for");
        let refused = try_run(&database, &create).await.unwrap_err();
        let code = refused.as_database_error().unwrap().code().unwrap().into_owned();
        assert!(["0A000", "42601"].contains(&&*code), "{refused}");
        println!("no database with ICU here: {refused}");
        return;
    }
    run(&database, &create).await;
    let config = PostgresConfig::new(Server::shared().connect_options(&name));
    Migrations::of_store(&Layout::default()).apply(&config).await.unwrap();
    let streams =
        ["account/ab-7", "account/AB7", "account/Ab77", "account/ab7", "account/a\u{e4}b"];
    let store = PostgresStore::open(config.clone()).await.unwrap();
    for stream in streams {
        store.append(to(stream)).await.unwrap();
    }
    store.close().await;
    let mut connection = config.connect_options().connect().await.unwrap();
    execute(&mut connection, ORDERS_OTHERWISE).await;
    // what is connected already keeps the order of before
    drop(connection);
    let store = PostgresStore::open(config).await.unwrap();
    for stream in streams {
        let read = ReadStream::new(stream.parse().unwrap());
        assert_eq!(store.read_stream(&read).await.unwrap().events.len(), 1, "{stream}");
        let appended = store.append(to(stream)).await.unwrap();
        assert_eq!(appended.streams[0].version(), StreamVersion::new(2), "{stream}");
    }
    store.close().await;
    run(&database, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
}
