//! More callers of a locked stream than are looked at for a statement, or than may wait, beside others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use es_core::backend::{AppendError, Appended, EventStore, StoreErrorKind};
use es_postgres::{IdType, PostgresConfig, PostgresStore};
use tokio::task::JoinSet;

use crate::support::sessions::{execute, insert, session};
use crate::support::waiting::{is_pending, soon, until};
use crate::support::{database, to, value};

/// Only a caller that waits for others' locks waits for so long.
const LOCK_TIMEOUT: Duration = Duration::from_secs(120);

type Callers = JoinSet<Result<Appended, AppendError>>;

/// So many callers of one stream, all of whom have called.
async fn crowd(store: &PostgresStore, callers: usize) -> Callers {
    let called = Arc::new(AtomicUsize::new(0));
    let mut crowd = JoinSet::new();
    for _ in 0..callers {
        let (store, called) = (store.clone(), Arc::clone(&called));
        crowd.spawn(async move {
            called.fetch_add(1, Ordering::Relaxed);
            store.append(to("account/locked")).await
        });
    }
    until("all have called", async || called.load(Ordering::Relaxed) == callers).await;
    crowd
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_callers_a_locked_stream_has_others_do_not_wait_for_them() {
    let database = database(IdType::Text).await;
    let config = PostgresConfig::new(database.options()).lock_timeout(LOCK_TIMEOUT);
    for (callers, config) in [(200, config.clone().queue(50)), (5_000, config)] {
        let store = PostgresStore::open(config).await.unwrap();
        store.append(to("account/free")).await.unwrap();
        let mut others = session(&database).await;
        execute(&mut others, "BEGIN").await;
        let written = "SELECT count(*)::int FROM execution_events WHERE aggregate_id = 'locked'";
        let next = value::<i32>(&database, written).await + 1;
        insert(&mut others, "locked", next..=next).await;
        let mut crowd = crowd(&store, callers).await;
        let mut worst = Duration::ZERO;
        for free in 0..10 {
            let began = Instant::now();
            soon("it is free", store.append(to(&format!("account/free{free}")))).await.unwrap();
            worst = worst.max(began.elapsed());
        }
        println!("{callers} callers of a locked stream: another waits {worst:?} at worst");
        if std::env::var("ES_CAMPAIGN").is_ok_and(|campaign| campaign == "full") {
            assert!(worst < Duration::from_millis(500), "{worst:?}");
        }
        assert!(crowd.try_join_next().is_none(), "they are held still");
        execute(&mut others, "ROLLBACK").await;
        while let Some(answer) = soon("what was held", crowd.join_next()).await {
            answer.unwrap().unwrap();
        }
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_may_wait_for_locked_streams_are_refused_and_told_so() {
    const MOST: usize = 16_384;
    const TOO_MANY: usize = 200;
    let database = database(IdType::Text).await;
    let config = PostgresConfig::new(database.options()).lock_timeout(LOCK_TIMEOUT);
    let store = PostgresStore::open(config).await.unwrap();
    let mut others = session(&database).await;
    execute(&mut others, "BEGIN").await;
    insert(&mut others, "locked", 1..=1).await;
    let mut crowd = crowd(&store, MOST + TOO_MANY).await;
    for _ in 0..TOO_MANY {
        let answer = soon("one too many", crowd.join_next()).await.unwrap().unwrap();
        let Err(AppendError::Store(error)) = answer else { panic!("{answer:?}") };
        assert_eq!(error.kind(), StoreErrorKind::Busy);
        let text = error.to_string();
        assert!(text.contains("appending to account/locked in database"), "{text}");
        assert!(text.contains("as many appends as may wait for such already (16384, "), "{text}");
    }
    soon("another stream", store.append(to("account/free"))).await.unwrap();
    assert!(crowd.try_join_next().is_none(), "no more are refused");
    // who gives up makes room
    crowd.shutdown().await;
    until("there is room", async || {
        is_pending(std::pin::pin!(store.append(to("account/locked")))).await
    })
    .await;
    execute(&mut others, "ROLLBACK").await;
    soon("it goes on", store.append(to("account/locked"))).await.unwrap();
    store.close().await;
}
