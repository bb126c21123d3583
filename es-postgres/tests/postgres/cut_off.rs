//! What a program held that was cut off from the server within a transaction is free soon: the
//! server ends it. `config::session` says how soon by default.

use std::time::Duration;

use es_core::backend::{
    Batch, Checkpoint, Claim, Content, Definition, EventStore, Position, ProjectionSink, RowChange,
};
use es_core::event::Payload;
use es_pgtest::{Proxy, Server, TestDatabase};
use es_postgres::sqlx::ConnectOptions;
use es_postgres::{IdType, PostgresConfig, PostgresStore, Session};

use crate::notes::{Note, noting};
use crate::support::sessions::{execute, log_after};
use crate::support::waiting::{soon, until};
use crate::support::{database, open, run, to, value};

async fn behind(database: &TestDatabase, kind: Session) -> (Proxy, PostgresStore) {
    let proxy = Proxy::start(Server::shared()).await;
    let config = PostgresConfig::new(proxy.options(database.name()))
        .session(kind)
        .idle_timeout(Duration::from_millis(500))
        .statement_timeout(Duration::from_secs(60));
    (proxy, PostgresStore::open(config).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_keeps_a_model_lets_the_log_go() {
    for kind in [Session::Own, Session::Pooled] {
        let database = database(IdType::Text).await;
        let (proxy, stops) = behind(&database, kind).await;
        stops.keep_inline(Definition::table::<Note>()).await.unwrap();
        stops.append(to("account/first")).await.unwrap();
        run(&database, &gated("notes_models")).await;
        let stopped = tokio::spawn({
            let stops = stops.clone();
            async move { stops.append(to("account/last")).await }
        });
        cut_off_within_a_statement(&database, &proxy).await;
        the_log_goes_on(&database, 1).await;
        stopped.abort();
    }
}

/// Whether a session stands in its transaction.
const STANDS: &str = "SELECT EXISTS (SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND state = 'idle in transaction')";

/// Somebody who was cut off holds the log after so many events, and then no longer.
async fn the_log_goes_on(database: &TestDatabase, after: u64) {
    let others = open(database).await;
    until("it stands in its transaction", async || value::<bool>(database, STANDS).await).await;
    others.append(to("account/other")).await.unwrap();
    until("the log goes on", async || log_after(&others, after).await.unwrap().len() == 1).await;
    assert!(!value::<bool>(database, STANDS).await);
}

/// A statement that writes to the table stays in the server until the gate is open.
fn gated(table: &str) -> String {
    format!(
        "CREATE TABLE gate (is_open BOOLEAN);
         CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             WHILE NOT EXISTS (SELECT FROM public.gate) LOOP PERFORM pg_sleep(0.01); END LOOP;
             RETURN NULL;
         END $$;
         CREATE TRIGGER pass AFTER INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION pass();"
    )
}

/// Cuts the program off while its statement is in the server, and then has that go on.
async fn cut_off_within_a_statement(database: &TestDatabase, proxy: &Proxy) {
    let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event = 'PgSleep')";
    until("the statement is in the server", async || value::<bool>(database, waits).await).await;
    proxy.black_hole();
    run(database, "INSERT INTO gate VALUES (TRUE)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_behind_a_pooling_proxy_lets_the_log_go() {
    let database = database(IdType::Text).await;
    run(&database, &gated("execution_events")).await;
    let (proxy, stops) = behind(&database, Session::Pooled).await;
    let stopped = tokio::spawn(async move { stops.append(to("account/last")).await });
    cut_off_within_a_statement(&database, &proxy).await;
    the_log_goes_on(&database, 0).await;
    stopped.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_the_applications_own_lets_the_log_go_when_it_says_so() {
    let database = database(IdType::Text).await;
    let (proxy, store) = behind(&database, Session::Own).await;
    let mut own = proxy.options(database.name()).connect().await.unwrap();
    execute(&mut own, "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '500ms'").await;
    store.append_in(&mut own, to("account/last")).await.unwrap();
    proxy.black_hole();
    the_log_goes_on(&database, 0).await;
}

fn claim() -> Claim {
    let mut claim = Claim::of_appends(&Definition::table::<Note>());
    claim.holder = "one".to_owned();
    claim
}

/// Whoever takes the lease waits for the row of the model.
async fn the_model_is_free(database: &TestDatabase) {
    let others = open(database).await;
    until("it stands in its transaction", async || value::<bool>(database, STANDS).await).await;
    let lease = soon("the model is free", others.acquire(&claim())).await.unwrap();
    assert_eq!(lease.checkpoints, [Checkpoint::START], "nothing of the commit was written");
    assert!(!value::<bool>(database, STANDS).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_lets_the_model_go() {
    let row = RowChange { key: "a".to_owned(), value: Some(Payload::of(&1).unwrap()) };
    let (rows, tables) = (Content::Rows(vec![row]), Content::Tables(vec![noting(1)]));
    for (kind, table, content) in [
        // without a pooling proxy rows are written by one statement, and no transaction stands
        (Session::Pooled, "execution_events_projection_rows", rows),
        (Session::Pooled, "notes_models", tables.clone()),
        (Session::Own, "notes_models", tables),
    ] {
        let database = database(IdType::Text).await;
        let (proxy, stops) = behind(&database, kind).await;
        let lease = stops.acquire(&claim()).await.unwrap();
        run(&database, &gated(table)).await;
        let stopped = tokio::spawn(async move {
            let to = Checkpoint { position: Position::from_sequence(1), event: None };
            let batch = Batch::moving(0, Checkpoint::START, to).content(content);
            stops.commit(&lease, &batch).await
        });
        cut_off_within_a_statement(&database, &proxy).await;
        the_model_is_free(&database).await;
        stopped.abort();
    }
}
