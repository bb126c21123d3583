//! What loads that share a statement may not do to one another: go, fail, be large or be closed.

use std::time::{Duration, Instant};

use es_core::ExpectedVersion;
use es_core::backend::{AppendRequest, EventStore, ReadStream, StoreErrorKind};
use es_postgres::{IdType, PostgresConfig, PostgresStore};
use futures_util::future::{join, join_all};
use tokio::task::JoinSet;

use super::{at_once, fill, of_each, stream};
use crate::round_trips::counted;
use crate::support::sessions::{execute, pid, session};
use crate::support::waiting::{is_pending, soon, until};
use crate::support::{database, empty_store, events, proxied, run, told};

#[tokio::test]
async fn who_goes_takes_nobody_along() {
    const CALLERS: usize = 100;
    let (_database, proxy, store) = counted().await;
    fill(&store, (0..CALLERS).map(|number| number % 7)).await;
    let reads = of_each(CALLERS);
    // before anything is sent, and while the first of them are under way
    for turns in [0, 20] {
        for is_crowded in [false, true] {
            match is_crowded {
                true => drop(at_once(&store, &reads).await),
                false => drop(store.read_stream(&reads[0]).await.unwrap()),
            }
            proxy.black_hole();
            let mut loads: Vec<_> = reads.iter().map(|read| store.read_stream(read)).collect();
            for load in &mut loads {
                assert!(is_pending(load.as_mut()).await);
            }
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            let mut left = Vec::new();
            for (number, load) in loads.into_iter().enumerate() {
                // the first among those that go
                if number % 3 != 0 {
                    left.push((number, load));
                }
            }
            proxy.heal();
            for (number, load) in left {
                let page = soon("a load", load).await.unwrap();
                assert_eq!(page.events.len(), number % 7);
            }
        }
    }
    soon("it is closed", store.close()).await;
}

/// The table as a view of it that fails for one stream.
const SPOIL_ONE: &str = "
    ALTER TABLE execution_events RENAME TO kept_events;
    CREATE FUNCTION spoilt(id TEXT, data JSONB) RETURNS JSONB LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN
        IF id = '7' THEN RAISE 'spoilt'; END IF;
        RETURN data;
    END $$;
    CREATE VIEW execution_events AS
    SELECT event_id, aggregate_type, aggregate_id, aggregate_version, event_type,
        spoilt(aggregate_id, event_data) AS event_data, metadata, created_at, position
    FROM kept_events";

#[tokio::test]
async fn a_stream_that_cannot_be_read_is_the_error_of_its_own_caller_alone() {
    const CALLERS: usize = 40;
    let (database, store) = empty_store().await;
    fill(&store, [3; CALLERS]).await;
    run(&database, SPOIL_ONE).await;
    let reads = of_each(CALLERS);
    for _ in 0..2 {
        for (number, answer) in at_once(&store, &reads).await.into_iter().enumerate() {
            match answer {
                Err(error) => {
                    let told = told(&error);
                    assert!(number == 7 && told.contains("spoilt"), "{number}: {told}");
                    assert!(told.starts_with("reading account/7 in"), "{told}");
                }
                Ok(page) => assert!(number != 7 && page.events.len() == 3, "{page:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_held_holds_up_all_together_and_not_one_after_the_other() {
    const CALLERS: usize = 100;
    let database = database(IdType::Text).await;
    let lock_timeout = Duration::from_millis(200);
    let config = PostgresConfig::new(database.options()).lock_timeout(lock_timeout).readers(1);
    let store = PostgresStore::open(config).await.unwrap();
    let mut others = session(&database).await;
    let holder = pid(&mut others).await;
    execute(&mut others, "BEGIN; LOCK TABLE execution_events").await;
    let began = Instant::now();
    for answer in at_once(&store, &of_each(CALLERS)).await {
        let error = answer.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Busy);
        assert!(error.to_string().contains(&format!("the session pid {holder} (")), "{error}");
    }
    assert!(began.elapsed() < lock_timeout * 40, "{:?}", began.elapsed());
    execute(&mut others, "ROLLBACK").await;
    assert!(at_once(&store, &of_each(CALLERS)).await.iter().all(Result::is_ok));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_came_later_waits_as_long_for_a_connection() {
    const CALLERS: u32 = 10;
    let patience = Duration::from_secs(1);
    let database = database(IdType::Text).await;
    let config = PostgresConfig::new(database.options()).connect_timeout(patience).readers(1);
    let store = PostgresStore::open(config).await.unwrap();
    let mut others = session(&database).await;
    execute(&mut others, "BEGIN; LOCK TABLE execution_events").await;
    let read = ReadStream::new(stream(0));
    // it has the connection
    let mut first = store.read_stream(&read);
    assert!(is_pending(first.as_mut()).await);
    let began = Instant::now();
    let mut waiting = JoinSet::new();
    let mut refused = Vec::new();
    until("one is refused", async || {
        let count = u32::try_from(waiting.len()).unwrap();
        if count < CALLERS && began.elapsed() >= patience * count / CALLERS {
            let (store, read) = (store.clone(), read.clone());
            waiting.spawn(async move {
                let came = Instant::now();
                (store.read_stream(&read).await, came.elapsed())
            });
        }
        refused.extend(waiting.try_join_next());
        !refused.is_empty()
    })
    .await;
    while let Some(answer) = soon("a refusal", waiting.join_next()).await {
        refused.push(answer);
    }
    assert!(refused.len() > 1);
    for answer in refused {
        let (answer, waited) = answer.unwrap();
        let error = answer.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Busy);
        assert!(error.to_string().starts_with("reading account/0 in"), "{error}");
        assert!(waited >= patience, "{waited:?}: {error}");
    }
    execute(&mut others, "ROLLBACK").await;
    soon("the first", first).await.unwrap();
}

/// Together they have more than a statement sends.
#[tokio::test]
async fn large_streams_are_read_whole_and_small_ones_beside_them() {
    const LARGE: usize = 20;
    let (database, store) = empty_store().await;
    run(
        &database,
        "INSERT INTO execution_events
             (aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
         SELECT 'account', number::text, version, 'noted', jsonb_build_object('n', repeat('x', 60000))
         FROM generate_series(0, 19) number, generate_series(1, 30) version",
    )
    .await;
    let small = AppendRequest::to(stream(LARGE), ExpectedVersion::NoStream, events(2));
    store.append(small).await.unwrap();
    for _ in 0..3 {
        for (number, page) in at_once(&store, &of_each(LARGE + 1)).await.into_iter().enumerate() {
            let page = page.unwrap();
            assert_eq!(page.events.len(), if number < LARGE { 30 } else { 2 });
            assert!(!page.has_more);
        }
    }
}

#[tokio::test]
async fn closing_answers_all_who_wait() {
    const CALLERS: usize = 100;
    let (_database, proxy, store) = proxied(|config| {
        config.connect_timeout(Duration::from_millis(500)).notifications(false).readers(1)
    })
    .await;
    fill(&store, [1; CALLERS]).await;
    let reads = of_each(CALLERS);
    at_once(&store, &reads).await;
    proxy.black_hole();
    let mut loads: Vec<_> = reads.iter().map(|read| store.read_stream(read)).collect();
    for load in &mut loads {
        assert!(is_pending(load.as_mut()).await);
    }
    soon("close", store.close()).await;
    for load in loads {
        soon("an answer", load).await.unwrap_err();
    }
    proxy.cut_all();
    let error = store.read_stream(&reads[0]).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Closed, "{error}");
}

#[tokio::test]
async fn what_waits_is_read_before_it_is_closed() {
    const CALLERS: usize = 1_000;
    let (_database, proxy, store) = counted().await;
    fill(&store, [1]).await;
    let reads = vec![ReadStream::new(stream(0)); CALLERS];
    at_once(&store, &reads).await;
    proxy.black_hole();
    let mut loads: Vec<_> = reads.iter().map(|read| store.read_stream(read)).collect();
    for load in &mut loads {
        assert!(is_pending(load.as_mut()).await);
    }
    // the first of them get the connection
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    let mut close = Box::pin(store.close());
    assert!(is_pending(close.as_mut()).await);
    proxy.heal();
    let (pages, ()) = soon("it is closed", join(join_all(loads), close)).await;
    for page in pages {
        assert_eq!(page.unwrap().events.len(), 1);
    }
    let error = store.read_stream(&reads[0]).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Closed, "{error}");
}
