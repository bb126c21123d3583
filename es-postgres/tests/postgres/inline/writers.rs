//! Writers who keep no projection, and whose positions may be lower than an append's.

use std::pin::pin;
use std::time::Duration;

use es_core::backend::{EventStore, SinkError, StoreErrorKind};
use es_core::projection::Rebuild;
use es_postgres::IdType;

use super::*;
use crate::support::sessions::{execute, insert, pid, session};
use crate::support::waiting::{is_pending, soon, until};
use crate::support::{database, empty_store, open, to, told, value};

fn hasty(config: PostgresConfig) -> PostgresConfig {
    config.lock_timeout(Duration::from_millis(200))
}

#[tokio::test]
async fn an_append_does_not_pass_an_open_writer() {
    let database = database(IdType::Text).await;
    let (store, hasty) = (open(&database).await, another(&database, hasty).await);
    for keeps in [&store, &hasty] {
        keeps.keep_inline(Definition::of::<Order>()).await.unwrap();
    }
    let mut writer = session(&database).await;
    execute(&mut writer, "BEGIN; SET LOCAL application_name = 'a foreign writer'").await;
    insert(&mut writer, "slow", 1..=1).await;
    // nothing is written when patience ends
    let error = store_error(hasty.append(to("account/fast")).await);
    assert_eq!(error.kind(), StoreErrorKind::Busy);
    let name = format!("session {} (a foreign writer)", pid(&mut writer).await);
    assert!(error.to_string().contains(&name), "{error}");
    let Err(SinkError::Store(error)) = hasty.keep_inline(Definition::of::<Again>()).await else {
        panic!("the end of the log cannot be told");
    };
    assert_eq!(error.kind(), StoreErrorKind::Busy);
    assert!(taken(&store).await.is_empty());
    // who is more patient is served when the writer has ended, in the order of the log
    {
        let mut append = pin!(store.append(to("account/fast")));
        assert!(is_pending(append.as_mut()).await);
        execute(&mut writer, "COMMIT").await;
        soon("the append goes on", append).await.unwrap();
    }
    assert_eq!(taken(&store).await, ["account/slow@1", "account/fast@1"]);
    // one that is rolled back holds nothing up either
    execute(&mut writer, "BEGIN").await;
    insert(&mut writer, "slow", 2..=2).await;
    {
        let mut append = pin!(store.append(to("account/fast")));
        assert!(is_pending(append.as_mut()).await);
        execute(&mut writer, "ROLLBACK").await;
        soon("the append goes on", append).await.unwrap();
    }
    assert_eq!(taken(&store).await.len(), 3);
    assert_is_fold::<Order>(&store).await;
}

#[tokio::test]
async fn who_waits_for_the_append_is_let_go_first() {
    let (database, store) = empty_store().await;
    store.keep_inline(Definition::of::<Order>()).await.unwrap();
    let mut writer = session(&database).await;
    execute(&mut writer, "BEGIN").await;
    insert(&mut writer, "a", 1..=1).await;
    // it has a lower position, and will want the version that the append has written
    let appending = tokio::spawn({
        let store = store.clone();
        async move { store.append(to("account/b")).await }
    });
    let drawn = "SELECT last_value FROM execution_events_position_seq";
    until("the append has written", async || value::<i64>(&database, drawn).await > 1).await;
    insert(&mut writer, "b", 1..=1).await;
    execute(&mut writer, "COMMIT").await;
    soon("the append goes on", appending).await.unwrap().unwrap();
    assert_eq!(taken(&store).await, ["account/a@1", "account/b@1", "account/b@2"]);
    assert_is_fold::<Order>(&store).await;
}

#[tokio::test]
async fn a_prepared_transaction_is_not_passed() {
    let database = database(IdType::Text).await;
    let (store, hasty) = (open(&database).await, another(&database, hasty).await);
    for keeps in [&store, &hasty] {
        keeps.keep_inline(Definition::of::<Order>()).await.unwrap();
    }
    let mut writer = session(&database).await;
    execute(&mut writer, "BEGIN").await;
    insert(&mut writer, "slow", 1..=1).await;
    {
        // it was seen under its first name
        let mut append = pin!(store.append(to("account/fast")));
        assert!(is_pending(append.as_mut()).await);
        execute(&mut writer, "PREPARE TRANSACTION 'slow'").await;
        let error = store_error(hasty.append(to("account/other")).await);
        assert!(error.to_string().contains("prepared transaction "), "{error}");
        execute(&mut writer, "COMMIT PREPARED 'slow'").await;
        soon("the append goes on", append).await.unwrap();
    }
    assert_eq!(taken(&store).await, ["account/slow@1", "account/fast@1"]);
}

#[tokio::test]
async fn what_others_write_is_taken_with_the_next_append_or_refuses_it() {
    let database = database(IdType::Text).await;
    let (store, other) = (open(&database).await, open(&database).await);
    store.keep_inline(Definition::of::<Order>()).await.unwrap();
    other.append(to("account/1")).await.unwrap();
    let mut writer = session(&database).await;
    insert(&mut writer, "2", 1..=3).await;
    store.append(to("account/3")).await.unwrap();
    assert_eq!(taken(&store).await.len(), 5);
    assert_is_fold::<Order>(&store).await;
    // both may keep it
    other.keep_inline(Definition::of::<Order>()).await.unwrap();
    for _ in 0..3 {
        other.append(to("account/1")).await.unwrap();
        store.append(to("account/1")).await.unwrap();
    }
    assert_is_fold::<Order>(&store).await;
    insert(&mut writer, "poison", 1..=1).await;
    let error = store_error(store.append(to("account/1")).await);
    assert!(told(&error).contains("this is poison"), "{error:?}");
}

#[tokio::test]
async fn an_append_waits_for_who_holds_the_model() {
    let database = database(IdType::Text).await;
    let (store, hasty) = (open(&database).await, another(&database, hasty).await);
    for keeps in [&store, &hasty] {
        keeps.keep_inline(Definition::of::<Order>()).await.unwrap();
    }
    let mut holder = session(&database).await;
    let hold = "BEGIN; SELECT FROM execution_events_projection_models FOR UPDATE";
    execute(&mut holder, hold).await;
    let error = store_error(hasty.append(to("account/1")).await);
    assert_eq!(error.kind(), StoreErrorKind::Busy, "{error:?}");
    let mut append = pin!(store.append(to("account/1")));
    assert!(is_pending(append.as_mut()).await);
    let waiting = "SELECT count(*) FROM pg_stat_activity
                   WHERE wait_event_type = 'Lock' AND datname = current_database()";
    let is_waiting = async || value::<i64>(&database, waiting).await == 1;
    tokio::select! {
        answer = append.as_mut() => panic!("the model is held, but: {answer:?}"),
        () = until("the append waits", is_waiting) => {}
    }
    let written: i64 = value(&database, "SELECT count(*) FROM execution_events").await;
    assert_eq!(written, 0);
    execute(&mut holder, "COMMIT").await;
    soon("the append goes on", append).await.unwrap();
    assert_is_fold::<Order>(&store).await;
}

#[tokio::test]
async fn a_switch_by_another_process_goes_on_with_the_next_append() {
    let database = database(IdType::Text).await;
    let (store, other) = (open(&database).await, open(&database).await);
    store.keep_inline(Definition::of::<Order>()).await.unwrap();
    store.append(to("account/1")).await.unwrap();
    let mut rebuild = Rebuild::projection::<Order>(other);
    rebuild.fill().await.unwrap();
    store.append(to("account/1")).await.unwrap();
    rebuild.switch().await.unwrap();
    store.append(to("account/1")).await.unwrap();
    assert_is_fold::<Order>(&store).await;
    let status = store.status(Some("order")).await.unwrap().remove(0).active.unwrap();
    assert_eq!(status.holder.unwrap().name, "the append");
}
