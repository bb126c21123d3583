//! Everybody writes at once.

use std::pin::pin;
use std::sync::Arc;

use es_core::backend::EventStore;
use es_postgres::IdType;
use es_postgres::sqlx;
use tokio::task::JoinSet;

use super::*;
use crate::support::sessions::{execute, session};
use crate::support::waiting::{is_pending, soon};
use crate::support::{database, open, to};

const INSERT: &str = "INSERT INTO execution_events \
    (aggregate_type, aggregate_id, aggregate_version, event_type, event_data) \
    SELECT 'account', $1, coalesce(max(aggregate_version), 0) + 1, 'amount_paid_in', '{}' \
    FROM execution_events WHERE aggregate_type = 'account' AND aggregate_id = $1";

fn rounds(quick: u64) -> u64 {
    let is_full = std::env::var("ES_CAMPAIGN").is_ok_and(|value| value == "full");
    if is_full { quick * 3 } else { quick }
}

/// Raw INSERTs, alone and several in a transaction, some of which are rolled back.
async fn write_raw(database: Arc<TestDatabase>, id: u64) -> u64 {
    let mut session = session(&database).await;
    let mut written = 0;
    for round in 0..rounds(60) {
        // a transaction is open long enough for appends to overtake it
        let count = if round % 3 == 0 { 20 } else { 1 };
        let is_several = count > 1;
        if is_several {
            execute(&mut session, "BEGIN").await;
        }
        let mut done = Ok(());
        for number in 0..count {
            // streams of its own, and at the end one that everybody writes to
            let is_shared = number + 1 == count && round % 2 == 0;
            let stream = if is_shared { "0".to_owned() } else { format!("raw-{id}") };
            let inserted = sqlx::query(INSERT).bind(stream).execute(&mut session).await;
            done = done.and(inserted.map(|_| ()));
        }
        let end = if done.is_ok() && round % 6 != 0 { "COMMIT" } else { "ROLLBACK" };
        if is_several {
            execute(&mut session, end).await;
        }
        written += u64::from(done.is_ok() && (!is_several || end == "COMMIT"));
    }
    written
}

/// Appends by several tasks, some of whose callers go.
fn append_by_tasks(tasks: &mut JoinSet<()>, store: &PostgresStore, each: u64) {
    for task in 0..3_u64 {
        let store = store.clone();
        tasks.spawn(async move {
            for number in 0..each {
                let stream = format!("account/{}", (task + number) % 3);
                if number % 5 == 4 {
                    let _ = is_pending(pin!(store.append(to(&stream)))).await;
                    continue;
                }
                // raw writers who want the same versions all the time go first all the time
                while let Err(error) = store.append(to(&stream)).await {
                    let AppendError::Store(error) = error else { panic!("{error:?}") };
                    assert!(error.is_transient(), "nothing is wrong with it, but: {error:?}");
                }
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_model_is_the_fold_of_the_log_whoever_writes() {
    let database = Arc::new(database(IdType::Text).await);
    let (one, two, stranger) =
        (open(&database).await, open(&database).await, open(&database).await);
    for store in [&one, &two] {
        store.keep_inline(Definition::of::<Order>()).await.unwrap();
    }
    let raw: Vec<_> = (0..2).map(|id| tokio::spawn(write_raw(database.clone(), id))).collect();
    let mut tasks = JoinSet::new();
    for store in [&one, &two, &stranger] {
        append_by_tasks(&mut tasks, store, rounds(20));
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    let mut written = 0;
    for writer in raw {
        written += soon("a raw writer ends", writer).await.unwrap();
    }
    assert!(written > 0, "raw events were among them");
    // appends whose callers have gone are finished first
    for store in [one, two, stranger] {
        store.close().await;
    }
    let judge = open(&database).await;
    judge.keep_inline(Definition::of::<Order>()).await.unwrap();
    judge.append(to("account/last")).await.unwrap();
    assert_is_fold::<Order>(&judge).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_keep_different_projections_do_not_hinder_one_another() {
    let database = database(IdType::Text).await;
    let (one, two) = (open(&database).await, open(&database).await);
    one.keep_inline(Definition::of::<Order>()).await.unwrap();
    two.keep_inline(Definition::of::<Again>()).await.unwrap();
    let mut tasks = JoinSet::new();
    for store in [&one, &two] {
        append_by_tasks(&mut tasks, store, rounds(20));
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    // appends whose callers have gone are finished first
    one.close().await;
    two.close().await;
    let judge = open(&database).await;
    judge.keep_inline(Definition::of::<Again>()).await.unwrap();
    judge.append(to("account/last")).await.unwrap();
    assert_is_fold::<Again>(&judge).await;
    judge.keep_inline(Definition::of::<Order>()).await.unwrap();
    assert_is_fold::<Order>(&judge).await;
}
