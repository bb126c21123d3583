//! The password is nowhere to be seen.

use es_core::backend::EventStore;
use es_pgtest::Server;
use es_postgres::{IdType, Layout, Migrations, PostgresConfig, PostgresStore};

use crate::support::{database, to, told};

const CANARY: &str = "canary-7f3a";

#[tokio::test]
async fn no_password_is_in_any_text() {
    let database = database(IdType::Text).await;
    let config = PostgresConfig::new(database.options().password(CANARY));
    let store = PostgresStore::open(config.clone()).await.unwrap();
    let mut texts = vec![format!("{config:?} {config:#?} {store:?} {store:#?}"), config.place()];
    let server = Server::shared();
    let bad = [
        database.options().password(CANARY).database("nowhere"),
        database.options().password(CANARY).username("nobody_here"),
        server.connect_options("x").password(CANARY).host("127.0.0.1").port(1),
        database.options().password(CANARY).options([("no_such_setting", "1")]),
    ];
    for options in bad {
        let config = PostgresConfig::new(options);
        let error = PostgresStore::open(config.clone()).await.unwrap_err();
        texts.push(format!("{error} {error:?} {}", told(&error)));
        let migrated = Migrations::of_store(&Layout::default()).apply(&config).await;
        let error = migrated.unwrap_err();
        texts.push(format!("{error} {error:?} {}", told(&error)));
    }
    let addresses = [
        format!("postgres://u:{CANARY}@h:nine/d"),
        format!("postgres://u:{CANARY}@/d?sslmode=bad"),
        format!("postgres://u:{CANARY}@h/d?pasword={CANARY}"),
        format!("postgres://u:{CANARY}@[::1/d"),
        format!("mysql://u:{CANARY}@h/d"),
    ];
    for address in addresses {
        let error = address.parse::<PostgresConfig>().unwrap_err();
        texts.push(format!("{error} {error:?} {}", told(&error)));
    }
    store.append(to("account/a")).await.unwrap();
    let error = store.append(to(&format!("account/{}", "a".repeat(200)))).await;
    texts.push(format!("{error:?}"));
    for text in texts {
        assert!(!text.contains(CANARY), "{text}");
    }
}

/// What a server says of a refused row or value repeats it; the errors of the store do not.
#[tokio::test]
async fn no_value_of_the_data_is_in_any_error() {
    let database = database(IdType::Text).await;
    crate::support::run(
        &database,
        "CREATE TABLE people (name TEXT PRIMARY KEY CHECK (length(name) < 99), age INT NOT NULL DEFAULT 0)",
    )
    .await;
    let long = CANARY.repeat(20);
    let statements = [
        format!("INSERT INTO people SELECT '{CANARY}' FROM generate_series(1, 2)"),
        format!("INSERT INTO people VALUES ('{long}')"),
        format!("INSERT INTO people VALUES ('{CANARY}', NULL)"),
        format!("INSERT INTO people (age) VALUES ('{CANARY}')"),
        format!("SELECT '{CANARY}'::jsonb"),
        format!("SELECT '{CANARY}'::uuid"),
        format!("SELECT '{CANARY}'::timestamptz"),
        format!("DO $$ BEGIN EXECUTE 'SELECT ''{CANARY}''::text, no_such_column'; END $$"),
        format!(
            "INSERT INTO execution_events (aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
             VALUES ('account', 'a', NULL, 'x', '\"{CANARY}\"')"
        ),
    ];
    for statement in statements {
        let error = crate::support::try_run(&database, &statement).await.unwrap_err();
        let shown = format!("{error:?}");
        assert!(shown.contains("canary"), "the server repeats it: {statement}: {shown}");
        let error = es_postgres::store_error("writing", "a database", error);
        let shown = format!("{error} {error:?} {error:#?} {}", told(&error));
        assert!(!shown.contains("canary"), "{statement}: {shown}");
        assert!(shown.contains("SQLSTATE"), "{shown}");
    }
    // by way of the store, with a constraint of the application's
    crate::support::run(
        &database,
        "ALTER TABLE execution_events ADD CHECK (NOT event_data ? 'output')",
    )
    .await;
    let store = crate::support::open(&database).await;
    let error = format!("{:?}", store.append(to("account/a")).await.unwrap_err());
    assert!(error.contains("23514") && !error.contains("Berlin"), "{error}");
}
