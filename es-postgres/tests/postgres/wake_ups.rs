//! What wakes who waits for the log.

use std::pin::pin;
use std::time::Duration;

use es_core::backend::EventStore;
use es_pgtest::{Server, TransactionPooler};
use es_postgres::sqlx::Connection;
use es_postgres::sqlx::postgres::PgConnectOptions;
use es_postgres::{IdType, PostgresConfig, PostgresStore, Session};

use crate::support::sessions::{insert, session};
use crate::support::waiting::{is_pending, soon};
use crate::support::{database, open, run, to};

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(3_600);

async fn opened(
    options: PgConnectOptions,
    mode: Session,
    poll_interval: Duration,
) -> PostgresStore {
    let config = PostgresConfig::new(options).session(mode).poll_interval(poll_interval);
    PostgresStore::open(config).await.unwrap()
}

/// Comes back when the tracker has nothing to do but to wait for a reason to look.
async fn at_rest(store: &PostgresStore) {
    // each of these is a look; a reason that it has not taken yet is taken before one of them
    for _ in 0..20 {
        store.end_of_log().await.unwrap();
    }
}

#[tokio::test]
async fn raw_sql_is_noticed_by_polling_behind_a_pooling_proxy_too() {
    for mode in [Session::Own, Session::Pooled] {
        let database = database(IdType::Text).await;
        let pooler = TransactionPooler::start(Server::shared()).await;
        let options = match mode {
            Session::Own => database.options(),
            Session::Pooled => pooler.options(database.name()),
        };
        let store = opened(options, mode, Duration::from_millis(125)).await;
        let mut raw = session(&database).await;
        for version in 1..=3 {
            let end = store.end_of_log().await.unwrap();
            let mut waiting = pin!(store.wait_past(end));
            assert!(is_pending(waiting.as_mut()).await);
            at_rest(&store).await;
            insert(&mut raw, "raw", version..=version).await;
            soon("the look", waiting).await.unwrap();
        }
    }
}

#[tokio::test]
async fn another_process_is_told_again_after_its_connections_were_ended() {
    let database = database(IdType::Text).await;
    let store = opened(database.options(), Session::Own, NEVER).await;
    let another = open(&database).await;
    for _ in 0..5 {
        let end = store.end_of_log().await.unwrap();
        let mut waiting = pin!(store.wait_past(end));
        assert!(is_pending(waiting.as_mut()).await);
        at_rest(&store).await;
        // the one that listens among them
        let others = "FROM pg_stat_activity \
                      WHERE datname = current_database() AND pid <> pg_backend_pid()";
        run(&database, &format!("SELECT pg_terminate_backend(pid, 10000) {others}")).await;
        // the connection that appends is lost as well, which it finds out by appending
        while another.append(to("account/a")).await.is_err() {}
        soon("the notification", waiting).await.unwrap();
    }
}

#[tokio::test]
async fn an_append_of_this_process_wakes_without_polling_or_being_told() {
    let database = database(IdType::Text).await;
    let store = opened(database.options(), Session::Pooled, NEVER).await;
    for _ in 0..5 {
        let end = store.end_of_log().await.unwrap();
        let mut waiting = pin!(store.wait_past(end));
        assert!(is_pending(waiting.as_mut()).await);
        at_rest(&store).await;
        store.append(to("account/a")).await.unwrap();
        soon("the append", waiting).await.unwrap();
    }
}

#[tokio::test]
async fn a_commit_of_this_process_wakes_without_polling_or_being_told() {
    let database = database(IdType::Text).await;
    let store = opened(database.options(), Session::Own, NEVER).await;
    let end = store.end_of_log().await.unwrap();
    let mut waiting = pin!(store.wait_past(end));
    assert!(is_pending(waiting.as_mut()).await);
    at_rest(&store).await;
    let mut application = session(&database).await;
    let mut transaction = application.begin().await.unwrap();
    store.append_in(&mut transaction, to("account/a")).await.unwrap();
    // it is looked at, and looked at again, as long as it is open
    assert!(is_pending(waiting.as_mut()).await);
    transaction.commit().await.unwrap();
    soon("the commit", waiting).await.unwrap();
}
