//! What a tracker does not wait for, and what it must not hide.

use std::pin::pin;
use std::time::Duration;

use es_core::backend::{EventStore, Position, StoreErrorKind};
use es_postgres::{IdType, PostgresConfig, PostgresStore};

use crate::support::sessions::{execute, insert, log_after, past, positions_after, session};
use crate::support::waiting::{is_pending, soon, until};
use crate::support::{database, open, proxied, run, to, value};

#[tokio::test]
async fn a_process_that_stands_still_while_it_writes_the_watermark_holds_back_nobody() {
    let database = database(IdType::Text).await;
    let mut still = session(&database).await;
    execute(&mut still, "BEGIN; UPDATE execution_events_watermark SET position = 0").await;
    let config = PostgresConfig::new(database.options()).lock_timeout(Duration::from_secs(3_600));
    let config = config.statement_timeout(Duration::from_secs(3_600));
    let store = PostgresStore::open(config).await.unwrap();
    for end in 0..3 {
        store.append(to("account/a")).await.unwrap();
        soon("the append is seen", past(&store, end)).await.unwrap();
        let seen = soon("it is read", positions_after(&store, end)).await;
        assert_eq!(seen, [end + 1]);
    }
    execute(&mut still, "ROLLBACK").await;
}

#[tokio::test]
async fn a_tracker_gives_up_a_server_that_has_fallen_silent() {
    let limit = Duration::from_millis(500);
    let (database, proxy, store) =
        proxied(|config| config.connect_timeout(limit).statement_timeout(limit)).await;
    store.append(to("account/a")).await.unwrap();
    assert_eq!(positions_after(&store, 0).await, [1]);
    proxy.black_hole();
    let error = soon("the tracker gives up", log_after(&store, 1)).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    let error = soon("the tracker gives up", past(&store, 1)).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    proxy.heal();
    open(&database).await.append(to("account/a")).await.unwrap();
    until("the tracker is back", async || log_after(&store, 1).await.is_ok()).await;
    assert_eq!(positions_after(&store, 1).await, [2]);
}

#[tokio::test]
async fn a_store_that_nobody_follows_is_not_looked_at() {
    let (database, proxy, store) =
        proxied(|config| config.poll_interval(Duration::from_millis(1))).await;
    store.append(to("account/a")).await.unwrap();
    assert_eq!(positions_after(&store, 0).await, [1]);
    // a waiter that has gone leaves nothing behind
    let end = Position::from_sequence(1);
    assert!(is_pending(pin!(store.wait_past(end))).await);
    let written = "SELECT position = 1 FROM execution_events_watermark";
    until("the watermark is written", async || value(&database, written).await).await;
    let mut quiet = 0;
    until("nothing is sent any more", async || {
        proxy.reset();
        let _: bool = value(&database, "SELECT pg_sleep(0.005) IS NULL").await;
        quiet = if proxy.syncs() == 0 { quiet + 1 } else { 0 };
        quiet == 20
    })
    .await;
}

#[tokio::test]
async fn a_tracker_that_may_not_write_the_watermark_does_not_try_again() {
    let database = database(IdType::Text).await;
    let mut writer = session(&database).await;
    // what a sequence counted stays counted though the transaction fails
    run(
        &database,
        "CREATE SEQUENCE tries;
         DROP FUNCTION execution_events_raise_watermark();
         CREATE FUNCTION execution_events_raise_watermark() RETURNS void
         LANGUAGE plpgsql AS $$ BEGIN
            PERFORM nextval('public.tries');
            RAISE insufficient_privilege;
         END $$;",
    )
    .await;
    let tries = async || -> i64 {
        value(&database, "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM tries").await
    };
    let reader = PostgresStore::open(PostgresConfig::new(database.options())).await.unwrap();
    insert(&mut writer, "a", 1..=1).await;
    assert_eq!(positions_after(&reader, 0).await, [1]);
    until("it tries once", async || tries().await == 1).await;
    insert(&mut writer, "a", 2..=2).await;
    assert_eq!(positions_after(&reader, 1).await, [2]);
    // would be the last chance, for which no pause is kept
    reader.close().await;
    assert_eq!(tries().await, 1);
}

#[tokio::test]
async fn no_function_is_compiled_because_its_plans_are_restricted() {
    // a plan that is the last resort has a cost for which the server would compile it, each time; the
    // one statement of the trigger of the sequence always has its index
    let database = database(IdType::Text).await;
    let compiled: Vec<String> = value(
        &database,
        "SELECT coalesce(array_agg(proname::text), '{}') FROM pg_proc
         WHERE proname LIKE 'execution_events%' AND proname <> 'execution_events_check_sequence'
            AND 'enable_seqscan=off' = ANY (proconfig)
            AND NOT 'jit=off' = ANY (proconfig)",
    )
    .await;
    assert_eq!(compiled, [""; 0]);
}
