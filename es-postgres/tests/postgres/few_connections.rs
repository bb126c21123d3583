//! Servers and proxies that give the store one connection only.

use std::time::Duration;

use es_core::backend::{AppendError, EventStore, ReadLog, ReadStream, StoreErrorKind};
use es_pgtest::{Server, TestDatabase, TransactionPooler};
use es_postgres::{IdType, PostgresConfig, PostgresStore, Session};
use futures_util::future::join_all;
use tokio::task::JoinSet;

use crate::support::sessions::{execute, insert, pid, session};
use crate::support::waiting::{soon, until};
use crate::support::{database, database_on, run, to, value};

const CALLERS: usize = 200;
const HELD: usize = 20;
/// Only who waits for others' locks waits for so long.
const LONG: Duration = Duration::from_secs(120);

/// A database on a server of its own, and a role that may have one connection to it.
async fn limited() -> (TestDatabase, PostgresConfig) {
    let database = database_on(&Server::private(&[]), IdType::Text).await;
    run(
        &database,
        "CREATE ROLE few LOGIN CONNECTION LIMIT 1;
         GRANT ALL ON ALL TABLES IN SCHEMA public TO few;
         GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO few;
         GRANT ALL ON ALL FUNCTIONS IN SCHEMA public TO few;",
    )
    .await;
    let config = PostgresConfig::new(database.options().username("few")).notifications(false);
    (database, config)
}

/// Waits until the role has no connection: the server takes its time to let one go.
async fn nobody(database: &TestDatabase) {
    let gone = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE usename = 'few')";
    until("the connection has gone", async || value::<bool>(database, gone).await).await;
}

/// The first append of a store: the server still counts a session for a moment that it does not list any
/// more.
async fn first(store: &PostgresStore) {
    until("the connection is free", async || store.append(to("account/first")).await.is_ok()).await;
}

fn at_once(store: &PostgresStore, streams: impl Iterator<Item = String>) -> Appends {
    let mut appends = JoinSet::new();
    for stream in streams {
        let store = store.clone();
        appends.spawn(async move { store.append(to(&stream)).await.map(drop) });
    }
    appends
}

type Appends = JoinSet<Result<(), AppendError>>;

async fn all_are_written(mut appends: Appends) {
    while let Some(answer) = soon("an append", appends.join_next()).await {
        answer.unwrap().unwrap();
    }
}

/// Appends to streams that others hold and to others, and then lets go.
async fn beside_locks(database: &TestDatabase, store: &PostgresStore) {
    let mut others = session(database).await;
    execute(&mut others, "BEGIN").await;
    for number in 0..HELD {
        insert(&mut others, &format!("held{number}"), 1..=1).await;
    }
    let mut held = at_once(store, (0..HELD).map(|number| format!("account/held{number}")));
    for round in 0..10 {
        let free = (0..CALLERS / 10).map(|number| format!("account/{number}x{round}"));
        all_are_written(at_once(store, free)).await;
    }
    assert!(held.try_join_next().is_none(), "they are held still");
    execute(&mut others, "ROLLBACK").await;
    all_are_written(held).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_serves_all_appends_also_beside_locked_streams() {
    let (database, config) = limited().await;
    let store = PostgresStore::open(config.lock_timeout(LONG)).await.unwrap();
    nobody(&database).await;
    first(&store).await;
    all_are_written(at_once(&store, (0..CALLERS).map(|it| format!("account/{it}")))).await;
    beside_locks(&database, &store).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_serves_all_loads() {
    let (database, config) = limited().await;
    run(
        &database,
        "INSERT INTO execution_events
             (aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
         VALUES ('account', 'first', 1, 'noted', '{}')",
    )
    .await;
    let store = PostgresStore::open(config.readers(3)).await.unwrap();
    nobody(&database).await;
    let read = ReadStream::new("account/first".parse().unwrap());
    until("the connection is free", async || store.read_stream(&read).await.is_ok()).await;
    for _ in 0..5 {
        let loads = (0..CALLERS).map(|_| store.read_stream(&read));
        for page in soon("the loads", join_all(loads)).await {
            assert_eq!(page.unwrap().events.len(), 1);
        }
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_held_up_is_told_by_whom_over_the_one_connection() {
    let (database, config) = limited().await;
    let store = PostgresStore::open(config.lock_timeout(Duration::from_secs(1))).await.unwrap();
    nobody(&database).await;
    first(&store).await;
    let mut others = session(&database).await;
    let holder = pid(&mut others).await;
    execute(&mut others, "GRANT pg_read_all_stats TO few; BEGIN").await;
    insert(&mut others, "held", 1..=1).await;
    let answer = soon("the refusal", store.append(to("account/held"))).await;
    let Err(AppendError::Store(error)) = answer else { panic!("{answer:?}") };
    assert_eq!(error.kind(), StoreErrorKind::Busy);
    assert!(error.to_string().contains(&format!("the session pid {holder} (")), "{error}");
    execute(&mut others, "ROLLBACK").await;
    soon("it goes on", store.append(to("account/held"))).await.unwrap();
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_none_at_all_each_append_is_told_the_cure() {
    let (database, config) = limited().await;
    let store = PostgresStore::open(config).await.unwrap();
    nobody(&database).await;
    let few = PostgresConfig::new(database.options().username("few"));
    let mut hog = None;
    let connected = async || {
        hog = few.connect().await.ok();
        hog.is_some()
    };
    until("the connection is free", connected).await;
    let mut appends = at_once(&store, (0..CALLERS).map(|it| format!("account/{it}")));
    while let Some(answer) = soon("the refusal", appends.join_next()).await {
        let Err(AppendError::Store(error)) = answer.unwrap() else { panic!("it was written") };
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(error.to_string().contains("raise the role's CONNECTION LIMIT"), "{error}");
    }
    drop(hog);
    nobody(&database).await;
    first(&store).await;
    all_are_written(at_once(&store, (0..CALLERS).map(|it| format!("account/{it}")))).await;
    store.close().await;
}

/// What `default_pool_size = 1` gives: each transaction of the store waits for the one before it.
#[tokio::test(flavor = "multi_thread")]
async fn a_pool_of_one_session_is_enough() {
    let database = database(IdType::Text).await;
    let pooler = TransactionPooler::with_sessions(Server::shared(), 1).await;
    let config = PostgresConfig::new(pooler.options(database.name())).session(Session::Pooled);
    let store = PostgresStore::open(config.lock_timeout(LONG)).await.unwrap();
    let first = soon("an append", store.append(to("account/first"))).await.unwrap();
    let follower = tokio::spawn({
        let (store, position) = (store.clone(), first.streams[0].events[0].position);
        async move { store.wait_past(position).await }
    });
    all_are_written(at_once(&store, (0..CALLERS).map(|it| format!("account/{it}")))).await;
    soon("it follows", follower).await.unwrap().unwrap();
    let stream = ReadStream::new("account/first".parse().unwrap());
    assert_eq!(soon("a read", store.read_stream(&stream)).await.unwrap().events.len(), 1);
    let log = soon("the log", store.read_log(&ReadLog::from_start())).await.unwrap();
    assert!(!log.events.is_empty());
    beside_locks(&database, &store).await;
    store.close().await;
}
