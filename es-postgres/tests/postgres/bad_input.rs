//! Servers and privileges that do not fit, each with a clear error.

use std::time::Duration;

use es_core::backend::{AppendError, EventStore, ReadLog, StoreError, StoreErrorKind};
use es_pgtest::Server;
use es_postgres::sqlx::{ConnectOptions, Connection};
use es_postgres::{IdType, Layout, Migrations, PostgresConfig, PostgresStore};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{database, run, to};

async fn refused(config: PostgresConfig) -> StoreError {
    PostgresStore::open(config).await.unwrap_err()
}

fn failure(answer: Result<es_core::backend::Appended, AppendError>) -> StoreError {
    match answer {
        Err(AppendError::Store(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn who_cannot_connect_is_told_why_and_where() {
    let options = || Server::shared().connect_options("nowhere");
    let error = refused(PostgresConfig::new(options())).await;
    assert_eq!(error.kind(), StoreErrorKind::NotAStore);
    assert!(error.to_string().contains("database nowhere on"), "{error}");
    assert!(error.to_string().contains("createdb"), "{error}");

    let database = database(IdType::Text).await;
    let error = refused(PostgresConfig::new(database.options().username("nobody_here"))).await;
    assert!(error.to_string().contains("check user and password"), "{error}");

    let folder = std::env::temp_dir();
    let error = refused(PostgresConfig::new(options().socket(&folder).port(1))).await;
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(error.is_transient() && error.to_string().contains("cannot be reached"), "{error}");

    // a port that takes connections and never answers
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let silent = format!("postgres://u@127.0.0.1:{port}/d?sslmode=disable");
    let config: PostgresConfig = silent.parse().unwrap();
    let error = refused(config.connect_timeout(Duration::from_millis(100))).await;
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(error.to_string().contains("no answer within"), "{error}");
}

/// pgbouncer tells of an unknown database by the code by which it refuses a setting.
#[tokio::test]
async fn what_a_proxy_refuses_is_no_advice_to_say_what_was_said() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let proxy = async {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut startup = [0; 1024];
        let _ = client.read(&mut startup).await.unwrap();
        let fields = b"SFATAL\0VFATAL\0C08P01\0Mno such database: d\0\0";
        let mut answer = vec![b'E', 0, 0, 0, u8::try_from(fields.len() + 4).unwrap()];
        answer.extend(fields);
        client.write_all(&answer).await.unwrap();
    };
    let address = format!("postgres://u@127.0.0.1:{port}/d?sslmode=disable&pooled=true");
    let (error, ()) = tokio::join!(refused(address.parse().unwrap()), proxy);
    assert!(error.to_string().contains("the proxy knows the database"), "{error}");
    assert!(error.to_string().contains("has pooled=true if it"), "{error}");
    assert!(crate::support::told(&error).contains("no such database: d"), "{error:?}");
}

#[tokio::test]
async fn a_user_without_privileges_is_told_which_to_get() {
    let database = database(IdType::Text).await;
    let user = format!("reader_of_{}", database.name());
    run(
        &database,
        &format!(
            "CREATE ROLE {user} LOGIN;
             GRANT SELECT ON execution_events, execution_events_migrations, execution_events_watermark TO {user};
             GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {user};"
        ),
    )
    .await;
    let config = PostgresConfig::new(database.options().username(&user));
    let store = PostgresStore::open(config.clone()).await.unwrap();
    // who may read can follow the log
    assert!(store.read_log(&ReadLog::from_start()).await.unwrap().events.is_empty());
    let error = failure(store.append(to("account/a")).await);
    assert_eq!(error.kind(), StoreErrorKind::ReadOnly);
    assert!(error.to_string().contains("privilege"), "{error}");
    let layout = Layout { schema: "other".parse().unwrap(), ..Layout::default() };
    let migrated = Migrations::of_store(&layout).apply(&config.layout(layout.clone())).await;
    assert!(migrated.unwrap_err().to_string().contains("privilege"));
    store.close().await;
    run(&database, &format!("DROP OWNED BY {user}; DROP ROLE {user}")).await;
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_told() {
    let database = database(IdType::Text).await;
    let options = database.options().options([("default_transaction_read_only", "on")]);
    let store = PostgresStore::open(PostgresConfig::new(options)).await.unwrap();
    let error = failure(store.append(to("account/a")).await);
    assert_eq!(error.kind(), StoreErrorKind::ReadOnly);
    assert!(error.to_string().contains("primary"), "{error}");
    assert!(store.read_log(&ReadLog::from_start()).await.unwrap().events.is_empty());
}

#[tokio::test]
async fn a_server_whose_table_of_locks_is_full_is_told_what_to_raise() {
    let database = database(IdType::Text).await;
    run(
        &database,
        "CREATE FUNCTION full_of_locks() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN RAISE EXCEPTION 'out of shared memory' USING ERRCODE = '53200'; END $$;
         CREATE TRIGGER full_of_locks BEFORE INSERT ON execution_events
         FOR EACH ROW EXECUTE FUNCTION full_of_locks();",
    )
    .await;
    let store = PostgresStore::open(PostgresConfig::new(database.options())).await.unwrap();
    let error = failure(store.append(to("account/a")).await);
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(error.to_string().contains("max_locks_per_transaction"), "{error}");
    assert!(crate::support::told(&error).contains("out of shared memory"), "{error:?}");
}

#[tokio::test]
async fn a_server_without_a_free_connection_is_told_and_waited_for() {
    let server =
        Server::private(&[("max_connections", "6"), ("superuser_reserved_connections", "0")]);
    let database = crate::support::database_on(&server, IdType::Text).await;
    let store = PostgresStore::open(PostgresConfig::new(database.options())).await.unwrap();
    let mut hogs = Vec::new();
    while let Ok(hog) = database.options().connect().await {
        hogs.push(hog);
    }
    let error = failure(store.append(to("account/a")).await);
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(error.is_transient() && error.to_string().contains("max_connections"), "{error}");
    for hog in hogs {
        hog.close().await.unwrap();
    }
    // the server takes its time to let them go
    loop {
        match store.append(to("account/a")).await {
            Ok(_) => break,
            Err(AppendError::Store(error)) if error.is_transient() => {}
            Err(error) => panic!("{error}"),
        }
    }
    // a connection that is being made would hold up the end of the server
    store.close().await;
}

#[tokio::test]
async fn who_waits_for_a_stream_too_long_is_told_and_has_written_nothing() {
    let database = database(IdType::Text).await;
    let config = PostgresConfig::new(database.options()).lock_timeout(Duration::from_millis(50));
    let store = PostgresStore::open(config).await.unwrap();
    let mut connection = database.options().connect().await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    store.append_in(&mut transaction, to("account/a")).await.unwrap();
    let error = failure(store.append(to("account/a")).await);
    assert_eq!(error.kind(), StoreErrorKind::Busy);
    assert!(error.is_transient() && error.to_string().contains("account/a"), "{error}");
    transaction.commit().await.unwrap();
    let appended = store.append(to("account/a")).await.unwrap();
    assert_eq!(appended.streams[0].version().as_u64(), 2);
}

#[tokio::test]
async fn a_closed_store_refuses_everything() {
    let database = database(IdType::Text).await;
    let store = crate::support::open(&database).await;
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.wait_past(es_core::backend::Position::START).await }
    });
    store.append(to("account/b")).await.unwrap();
    waiting.await.unwrap().unwrap();
    let waiting = {
        let end = store.end_of_log().await.unwrap();
        let store = store.clone();
        tokio::spawn(async move { store.wait_past(end).await })
    };
    store.close().await;
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), StoreErrorKind::Closed);
    assert_eq!(failure(store.append(to("account/a")).await).kind(), StoreErrorKind::Closed);
    let error = store.read_log(&ReadLog::from_start()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Closed);
    let error = store.end_of_log().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Closed);
}
