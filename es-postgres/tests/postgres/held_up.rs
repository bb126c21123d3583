//! Appends that others hold up, or that are refused, beside appends of the same process that are not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use es_core::backend::{
    AppendError, EventStore, ProjectionSink, ReadStream, SinkError, Snapshot, SnapshotStore,
    StoreErrorKind, StreamId,
};
use es_core::execution::StreamVersion;
use es_pgtest::{Proxy, TestDatabase};
use es_postgres::sqlx::Connection;
use es_postgres::{IdType, PostgresConfig, PostgresStore};
use tokio::task::JoinSet;

use crate::support::sessions::{execute, insert, pid, session};
use crate::support::waiting::{soon, until};
use crate::support::{database, empty_store, proxied, run, to, value};

const CALLERS: usize = 200;

/// A store that writes with one connection, behind a proxy that counts.
async fn with_one_writer() -> (TestDatabase, Proxy, PostgresStore) {
    proxied(|config| config.notifications(false).writers(1)).await
}

/// Appends to `account/0` and so on at once; answers how each ended and how long it took.
async fn at_once(store: &PostgresStore) -> Vec<(Result<(), AppendError>, Duration)> {
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for number in 0..CALLERS {
        let store = store.clone();
        tasks.spawn(async move {
            let answer = store.append(to(&format!("account/{number}"))).await.map(drop);
            (number, answer, began.elapsed())
        });
    }
    let mut answers: Vec<_> = tasks.join_all().await;
    answers.sort_by_key(|(number, ..)| *number);
    answers.into_iter().map(|(_, answer, time)| (answer, time)).collect()
}

/// Locks some streams; answers the worst latency of the others, and that without locks.
async fn locked(database: &TestDatabase, held: &[usize]) -> (Duration, Duration) {
    let lock_timeout = Duration::from_secs(4);
    let config = PostgresConfig::new(database.options()).lock_timeout(lock_timeout);
    let store = PostgresStore::open(config).await.unwrap();
    at_once(&store).await;
    let worst = |answers: &[(Result<(), AppendError>, Duration)], left_out: &[usize]| {
        let times = answers.iter().enumerate().filter(|(number, _)| !left_out.contains(number));
        times.map(|(_, (_, time))| *time).max().unwrap()
    };
    let alone = worst(&at_once(&store).await, &[]);
    let mut others = session(database).await;
    let holder = pid(&mut others).await;
    execute(&mut others, "BEGIN").await;
    for number in held {
        insert(&mut others, &number.to_string(), 3..=4).await;
    }
    let answers = at_once(&store).await;
    let first_of_held = held.iter().map(|&number| answers[number].1).min().unwrap();
    for (number, (answer, time)) in answers.iter().enumerate() {
        if held.contains(&number) {
            let Err(AppendError::Store(error)) = answer else { panic!("{answer:?}") };
            assert_eq!(error.kind(), StoreErrorKind::Busy);
            assert!(*time >= lock_timeout, "{time:?}");
            // a bound of each, not of each after the other: hundreds of them took many times as long
            assert!(*time < lock_timeout * 2, "account/{number} was refused after {time:?}");
            let text = error.to_string();
            assert!(text.contains(&format!("the session pid {holder} (")), "{text}");
            assert!(text.contains("RowExclusiveLock on execution_events"), "{text}");
        } else {
            answer.as_ref().unwrap();
            // the others do not wait for it: far less than the time that it waits for itself
            assert!(*time < first_of_held / 3, "account/{number} took {time:?} with {held:?}");
        }
    }
    let beside = worst(&answers, held);
    if std::env::var("ES_CAMPAIGN").is_ok_and(|campaign| campaign == "full") {
        assert!(beside < alone + Duration::from_millis(500), "{beside:?}, {alone:?} without");
    }
    execute(&mut others, "ROLLBACK").await;
    // nothing is left busy
    assert!(soon("appends", at_once(&store)).await.iter().all(|(answer, _)| answer.is_ok()));
    store.close().await;
    (beside, alone)
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_streams_delay_nobody_else() {
    let database = database(IdType::Text).await;
    let most: Vec<usize> = (0..CALLERS).filter(|number| number % 10 != 3).collect();
    for held in [&[0][..], &[100], &[50, 100, 150], &[0, 1, 2, 3, 4, 5, 6, 7], &[198, 199], &most] {
        run(
            &database,
            "ALTER TABLE execution_events DISABLE TRIGGER ALL; DELETE FROM execution_events",
        )
        .await;
        let (beside, alone) = locked(&database, held).await;
        println!(
            "{CALLERS} callers, {held:?} locked: the others {beside:?} at worst, else {alone:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_of_one_locked_stream_are_refused_together() {
    let database = database(IdType::Text).await;
    let lock_timeout = Duration::from_secs(2);
    let config = PostgresConfig::new(database.options()).lock_timeout(lock_timeout).queue(50);
    let store = PostgresStore::open(config).await.unwrap();
    let mut others = session(&database).await;
    execute(&mut others, "BEGIN").await;
    insert(&mut others, "locked", 1..=1).await;
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..CALLERS {
        let store = store.clone();
        tasks.spawn(async move { store.append(to("account/locked")).await });
    }
    while let Some(answer) = tasks.join_next().await {
        assert!(
            matches!(answer.unwrap(), Err(AppendError::Store(error)) if error.kind() == StoreErrorKind::Busy)
        );
    }
    // 200 after each other took ten times as long
    assert!(began.elapsed() < lock_timeout * 3, "{:?}", began.elapsed());
    execute(&mut others, "ROLLBACK").await;
    soon("it goes on", store.append(to("account/locked"))).await.unwrap();
}

/// What may be locked, and what is asked then.
#[tokio::test(flavor = "multi_thread")]
async fn who_holds_what_a_statement_waits_for_is_named() {
    let database = database(IdType::Text).await;
    let config = PostgresConfig::new(database.options()).lock_timeout(Duration::from_millis(200));
    let store = PostgresStore::open(config).await.unwrap();
    store.append(to("account/a")).await.unwrap();
    let mut others = session(&database).await;
    let holder = pid(&mut others).await;
    let stream: StreamId = "account/a".parse().unwrap();
    for table in
        ["execution_events", "execution_events_snapshots", "execution_events_projection_models"]
    {
        execute(&mut others, &format!("BEGIN; LOCK TABLE {table}")).await;
        let error = match table {
            "execution_events" => {
                store.read_stream(&ReadStream::new(stream.clone())).await.unwrap_err()
            }
            "execution_events_snapshots" => {
                store.latest_snapshot(&stream, StreamVersion::new(1)).await.unwrap_err()
            }
            _ => match store.status(None).await.unwrap_err() {
                SinkError::Store(error) => error,
                error => panic!("{error}"),
            },
        };
        execute(&mut others, "ROLLBACK").await;
        assert_eq!(error.kind(), StoreErrorKind::Busy);
        let text = error.to_string();
        assert!(text.contains(&format!("the session pid {holder} (")), "{text}");
        assert!(text.contains(&format!("AccessExclusiveLock on {table}")), "{text}");
        assert!(!text.contains("the stream"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_table_of_snapshots_holds_up_no_reader() {
    let (database, store) = empty_store().await;
    let appended = store.append(to("account/a")).await.unwrap();
    let page = store.read_stream(&ReadStream::new("account/a".parse().unwrap())).await.unwrap();
    let newest = &page.events[0];
    let mut others = session(&database).await;
    execute(&mut others, "BEGIN; LOCK TABLE execution_events_snapshots").await;
    let mut saving = JoinSet::new();
    for _ in 0..8 {
        let (store, stream) = (store.clone(), newest.stream.clone());
        let (version, last_event) = (appended.streams[0].version(), newest.event_id);
        let (state, taken_at) = (newest.payload.clone(), newest.recorded_at);
        saving.spawn(async move {
            let schema = "1".to_owned();
            let snapshot = Snapshot::new(stream, version, last_event, schema, state, taken_at);
            store.save_snapshot(snapshot).await
        });
    }
    let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock')";
    until("somebody waits", async || value::<bool>(&database, waits).await).await;
    let read = store.read_stream(&ReadStream::new(newest.stream.clone())).await.unwrap();
    assert_eq!(read.events.len(), 1);
    assert!(value::<bool>(&database, waits).await, "the read was faster than the locks' time-out");
    execute(&mut others, "ROLLBACK").await;
    while let Some(saved) = saving.join_next().await {
        saved.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_up_is_written_when_the_stream_is_free() {
    let (database, store) = empty_store().await;
    let store = Arc::new(store);
    let mut others = session(&database).await;
    let mut transaction = others.begin().await.unwrap();
    store.append_in(&mut transaction, to("account/7")).await.unwrap();
    let appends = tokio::spawn({
        let store = Arc::clone(&store);
        async move { at_once(&store).await }
    });
    let count = "SELECT count(*) FROM execution_events";
    until("the others are written", async || {
        value::<i64>(&database, count).await == CALLERS as i64 - 1
    })
    .await;
    // a second one to the same stream does not overtake the first
    let second = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.append(to("account/7")).await.unwrap().streams[0].version() }
    });
    transaction.rollback().await.unwrap();
    for (answer, _) in soon("the rest", appends).await.unwrap() {
        answer.unwrap();
    }
    assert_eq!(soon("the second", second).await.unwrap().as_u64(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_refused_request_costs_few_statements() {
    let (database, proxy, store) = with_one_writer().await;
    run(
        &database,
        "CREATE FUNCTION refuse_some() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF NEW.aggregate_id = '77' THEN RAISE 'not this one'; END IF;
             IF NEW.aggregate_id = '78' THEN RAISE check_violation; END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER refuse_some BEFORE INSERT ON execution_events
         FOR EACH ROW EXECUTE FUNCTION refuse_some();",
    )
    .await;
    store.append(to("account/first")).await.unwrap();
    proxy.reset();
    let answers = at_once(&store).await;
    for (number, (answer, _)) in answers.iter().enumerate() {
        assert_eq!(answer.is_err(), number == 77 || number == 78, "{number}: {answer:?}");
    }
    // one alone and the batch, then four for each of four levels, twice; one by one it were 200
    assert!(proxy.syncs() <= 40, "{} statements", proxy.syncs());
}

// on one thread all are queued before the first batch is taken
#[tokio::test]
async fn an_id_that_a_trigger_gives_makes_no_other_outcome_unknown() {
    let database = database(IdType::Text).await;
    run(
        &database,
        "CREATE FUNCTION give_id() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF NEW.aggregate_id = '77' THEN NEW.event_id := gen_random_uuid(); END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER give_id BEFORE INSERT ON execution_events
         FOR EACH ROW EXECUTE FUNCTION give_id();",
    )
    .await;
    let config = PostgresConfig::new(database.options()).writers(1);
    let store = PostgresStore::open(config).await.unwrap();
    for (number, (answer, _)) in at_once(&store).await.into_iter().enumerate() {
        match answer {
            Err(AppendError::Store(error)) if number == 77 => {
                assert_eq!(error.kind(), StoreErrorKind::OutcomeUnknown, "{error}");
            }
            answer => assert!(answer.is_ok() && number != 77, "{number}: {answer:?}"),
        }
    }
    let count = "SELECT count(*) FROM execution_events";
    assert_eq!(value::<i64>(&database, count).await, CALLERS as i64, "nothing is written twice");
}

/// One connection, and hundreds of streams that are held: who comes then does not wait for all of their
/// time-outs. Without turns it were several statements for each of them.
#[tokio::test(flavor = "multi_thread")]
async fn an_append_waits_for_few_of_those_that_are_held_up() {
    const HELD: usize = 500;
    let (database, proxy, store) = with_one_writer().await;
    store.append(to("account/first")).await.unwrap();
    let mut others = session(&database).await;
    execute(&mut others, "BEGIN").await;
    for number in 0..HELD {
        insert(&mut others, &number.to_string(), 1..=1).await;
    }
    proxy.reset();
    let mut held = JoinSet::new();
    for number in 0..HELD {
        let store = store.clone();
        held.spawn(async move { store.append(to(&format!("account/{number}"))).await });
    }
    until("the batch is under way", async || proxy.syncs() >= 12).await;
    for free in 0..10 {
        let before = proxy.syncs();
        soon("it is free", store.append(to(&format!("account/free{free}")))).await.unwrap();
        let statements = proxy.syncs() - before;
        assert!(statements <= 300, "the append {free} waited for {statements} statements");
    }
    assert!(held.try_join_next().is_none(), "they are held still");
    execute(&mut others, "ROLLBACK").await;
    while let Some(answer) = soon("what was held", held.join_next()).await {
        answer.unwrap().unwrap();
    }
    store.close().await;
}
