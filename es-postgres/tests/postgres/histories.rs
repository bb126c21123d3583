//! Logs that went back or are others than those that were read.

use std::time::{Duration, Instant};

use es_core::backend::{
    AppendError, EventStore, LogPage, PageLimit, Position, ReadLog, ReadStream, StoreError,
    StoreErrorKind,
};
use es_pgtest::{Server, TestDatabase, TransactionPooler};
use es_postgres::{IdType, PostgresConfig, PostgresStore, Session};

use crate::support::sessions::{execute, insert, log_after, past, positions_after, session};
use crate::support::waiting::{soon, until};
use crate::support::{database, empty_store, open, run, to, value};

/// Appends by one store, one event each.
pub(crate) async fn grow(store: &PostgresStore, events: usize) {
    for _ in 0..events {
        store.append(to("account/a")).await.unwrap();
    }
}

/// As after the restoring of a backup that was made when the log ended at `position`.
async fn restore(database: &TestDatabase, position: u64) {
    let watermark = format!(
        "UPDATE execution_events_watermark SET position = least(position, {position}), \
         visible = least(visible, {position}), holders = '{{}}', lows = '{{}}'"
    );
    fail_over(database, position, &watermark).await;
}

/// Every call of a store that has read another history says so, now and later.
async fn is_final(store: &PostgresStore, seen: u64) {
    for _ in 0..2 {
        let appended = match store.append(to("account/b")).await {
            Err(AppendError::Store(error)) => error,
            other => panic!("{other:?}"),
        };
        let stream = "account/a".parse().unwrap();
        for error in [
            log_after(store, 0).await.unwrap_err(),
            store.end_of_log().await.unwrap_err(),
            soon("who waits is told", past(store, 0)).await.unwrap_err(),
            soon("who waits is told", past(store, seen)).await.unwrap_err(),
            store.read_stream(&ReadStream::new(stream)).await.unwrap_err(),
            appended,
        ] {
            assert_eq!(error.kind(), StoreErrorKind::Diverged, "{error}");
            assert!(error.to_string().contains(&format!("log-{seen}")), "{error}");
        }
    }
}

#[tokio::test]
async fn a_log_that_went_back_and_has_grown_since_is_noticed_for_good() {
    let database = database(IdType::Text).await;
    let (store, other) = (open(&database).await, open(&database).await);
    grow(&store, 10).await;
    assert_eq!(positions_after(&store, 0).await.len(), 10);
    restore(&database, 5).await;
    // nobody looks in between
    grow(&other, 7).await;
    let error = log_after(&store, 10).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Diverged, "{error}");
    grow(&other, 20).await;
    is_final(&store, 10).await;
    // who opens it again follows the log that is there
    assert_eq!(positions_after(&open(&database).await, 0).await.len(), 32);
}

/// Who only appends has never looked, and may have nothing but a new connection to notice it by.
#[tokio::test]
async fn nothing_is_written_into_another_history_after_a_lost_connection() {
    let (database, store) = empty_store().await;
    grow(&store, 10).await;
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    // the same history: it goes on
    run(&database, cut).await;
    until("it has connected anew", async || store.append(to("account/a")).await.is_ok()).await;
    let seen = value::<i64>(&database, "SELECT max(position) FROM execution_events").await;
    run(&database, cut).await;
    restore(&database, 5).await;
    let mut session = session(&database).await;
    insert(&mut session, "other", 1..=20).await;
    until("it has connected anew", async || match store.append(to("account/b")).await {
        Err(AppendError::Store(error)) => error.kind() == StoreErrorKind::Diverged,
        written => panic!("{written:?}"),
    })
    .await;
    is_final(&store, seen.unsigned_abs()).await;
    let written = "SELECT count(*) FROM execution_events WHERE aggregate_id = 'b'";
    assert_eq!(value::<i64>(&database, written).await, 0);
}

/// Who only appends behind a proxy that keeps its connections may have nothing to notice it by.
#[tokio::test]
async fn nothing_is_written_into_another_history_behind_a_proxy_that_keeps_connections() {
    let database = database(IdType::Text).await;
    let pooler = TransactionPooler::start(Server::shared()).await;
    let config = PostgresConfig::new(pooler.options(database.name()));
    let config = config.session(Session::Pooled).notifications(false);
    let store = PostgresStore::open(config).await.unwrap();
    grow(&store, 10).await;
    restore(&database, 5).await;
    let mut others = session(&database).await;
    insert(&mut others, "other", 1..=20).await;
    let began = Instant::now();
    let rest = Duration::from_secs(1);
    until("connections are not relied on any more", async || began.elapsed() > rest).await;
    is_final(&store, 10).await;
    let written = "SELECT count(*) FROM execution_events WHERE aggregate_id = 'b'";
    assert_eq!(value::<i64>(&database, written).await, 0);
}

#[tokio::test]
async fn who_waits_is_told_that_the_log_is_another() {
    let database = database(IdType::Text).await;
    let (store, other) = (open(&database).await, open(&database).await);
    grow(&store, 10).await;
    assert_eq!(positions_after(&store, 0).await.len(), 10);
    let waiting = past(&store, 10);
    let restored = async {
        restore(&database, 5).await;
        grow(&other, 7).await;
    };
    let (waited, ()) = soon("it is told", async { tokio::join!(waiting, restored) }).await;
    assert_eq!(waited.unwrap_err().kind(), StoreErrorKind::Diverged);
    is_final(&store, 10).await;
}

#[tokio::test]
async fn a_page_far_from_the_end_answers_no_place_that_is_not_there() {
    let (database, store) = empty_store().await;
    grow(&store, 40).await;
    assert_eq!(positions_after(&store, 0).await.len(), 40);
    restore(&database, 12).await;
    let mut read = ReadLog::from_start().limit(PageLimit::events(5));
    let refused: StoreError = loop {
        let LogPage { events, next, .. } = match store.read_log(&read).await {
            Ok(page) => page,
            Err(error) => break error,
        };
        assert_eq!(events.last().map(|last| last.position), Some(next), "an event is there");
        assert!(next.to_sequence() <= 12);
        read.after = next;
    };
    assert_eq!(refused.kind(), StoreErrorKind::Diverged, "{refused}");
}

#[tokio::test]
async fn a_sequence_that_was_set_back_is_noticed_by_those_who_follow() {
    let (database, store) = empty_store().await;
    grow(&store, 9).await;
    // a gap, which the sequence could fill later
    let mut session = session(&database).await;
    execute(&mut session, "BEGIN").await;
    assert_eq!(insert(&mut session, "gone", 1..=1).await, [10]);
    execute(&mut session, "ROLLBACK").await;
    grow(&store, 5).await;
    assert_eq!(positions_after(&store, 0).await.len(), 14);
    let back = "SELECT setval(pg_get_serial_sequence('execution_events', 'position'), 9)";
    execute(&mut session, back).await;
    let error = log_after(&store, 15).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Diverged, "{error}");
    assert!(error.to_string().contains("setval"), "{error}");
    is_final(&store, 15).await;
}

#[tokio::test]
async fn a_watermark_that_was_written_by_hand_blinds_nobody() {
    for lie in [9_000_000_000_000_000_i64, 24, 1_000] {
        let (database, store) = empty_store().await;
        grow(&store, 21).await;
        assert_eq!(positions_after(&store, 0).await.len(), 21);
        let mut slow = session(&database).await;
        execute(&mut slow, "BEGIN").await;
        assert_eq!(insert(&mut slow, "slow", 1..=1).await, [22]);
        grow(&store, 1).await;
        run(&database, &format!("UPDATE execution_events_watermark SET position = {lie}")).await;
        let fresh = open(&database).await;
        for store in [&store, &fresh] {
            let end = store.end_of_log().await.unwrap().to_sequence();
            assert!(end <= 21, "{end}");
        }
        execute(&mut slow, "COMMIT").await;
        let mut seen = positions_after(&store, 21).await;
        assert_eq!(seen, [22, 23]);
        seen = positions_after(&open(&database).await, 0).await;
        assert_eq!(seen.len(), 23);
        let mended = "SELECT position <= 23 FROM execution_events_watermark";
        run(&database, "SELECT execution_events_raise_watermark()").await;
        assert!(value::<bool>(&database, mended).await);
        assert_eq!(positions_after(&fresh, 0).await.len(), 23);
    }
}

/// As a failover leaves it that lost all transactions whose events are behind `position`: those who
/// wrote them are gone, too.
async fn fail_over(database: &TestDatabase, position: u64, watermark: &str) {
    let statements = format!(
        "ALTER TABLE execution_events DISABLE TRIGGER ALL; \
         DELETE FROM execution_events WHERE position > {position}; \
         ALTER TABLE execution_events ENABLE TRIGGER ALL; \
         SELECT setval(pg_get_serial_sequence('execution_events', 'position'), {position}); \
         {watermark}"
    );
    run(database, &statements).await;
}

/// What was visible and not to be read yet, behind a writer that is open, is of a history, too: in
/// another one the positions below it are given to others, who may be open now.
#[tokio::test]
async fn nothing_is_skipped_below_what_a_lost_history_had_shown() {
    for grown in [5, 60] {
        let database = database(IdType::Text).await;
        let (store, other) = (open(&database).await, open(&database).await);
        grow(&store, 8).await;
        assert_eq!(positions_after(&store, 0).await.len(), 8);
        let mut lost = session(&database).await;
        execute(&mut lost, "BEGIN").await;
        assert_eq!(insert(&mut lost, "lost", 1..=1).await, [9]);
        grow(&other, 20).await;
        assert_eq!(positions_after(&store, 8).await, [0; 0], "9 holds the others back");
        execute(&mut lost, "ROLLBACK").await;
        fail_over(&database, 8, "").await;
        let mut slow = session(&database).await;
        execute(&mut slow, "BEGIN").await;
        assert_eq!(insert(&mut slow, "slow", 1..=1).await, [9]);
        let other = open(&database).await;
        grow(&other, grown).await;
        let read = log_after(&store, 8).await;
        assert!(
            read.as_ref().is_err_and(|error| error.kind() == StoreErrorKind::Diverged),
            "9 is open, but {read:?} was shown, with {grown} new events"
        );
        execute(&mut slow, "COMMIT").await;
    }
}

#[tokio::test]
async fn a_watermark_of_another_history_is_not_believed() {
    let (database, store) = empty_store().await;
    grow(&store, 100).await;
    assert_eq!(positions_after(&store, 0).await.len(), 100);
    store.close().await;
    run(&database, "SELECT execution_events_raise_watermark()").await;
    let watermark = "SELECT position FROM execution_events_watermark";
    assert_eq!(value::<i64>(&database, watermark).await, 100);
    // the events alone come from a backup
    fail_over(&database, 50, "").await;
    let mut slow = session(&database).await;
    execute(&mut slow, "BEGIN").await;
    assert_eq!(insert(&mut slow, "slow", 1..=1).await, [51]);
    grow(&open(&database).await, 60).await;
    let follower = open(&database).await;
    let mut seen = positions_after(&follower, 0).await;
    execute(&mut slow, "COMMIT").await;
    let last = seen.last().copied().unwrap_or(0);
    until("all is decided", async || {
        follower.end_of_log().await.unwrap() == Position::from_sequence(111)
    })
    .await;
    seen.extend(positions_after(&follower, last).await);
    assert_eq!(seen, Vec::from_iter(1..=111));
}

/// A process that starts while a writer is open reads what was there before, also where those who
/// wrote it have never read the log.
#[tokio::test]
async fn who_only_appends_writes_the_frontier_down_too() {
    let database = database(IdType::Text).await;
    let watermark = "SELECT position FROM execution_events_watermark";
    let store = open(&database).await;
    grow(&store, 3).await;
    until("it is written down", async || value::<i64>(&database, watermark).await == 3).await;
    grow(&store, 2).await;
    store.close().await;
    assert_eq!(value::<i64>(&database, watermark).await, 5, "at the latest when it is closed");
    let mut slow = session(&database).await;
    execute(&mut slow, "BEGIN").await;
    assert_eq!(insert(&mut slow, "slow", 1..=1).await, [6]);
    assert_eq!(positions_after(&open(&database).await, 0).await.len(), 5);
}

#[tokio::test]
async fn the_watermark_passes_no_writer_whoever_raises_it() {
    let database = database(IdType::Text).await;
    let raise = "SELECT execution_events_raise_watermark()";
    let watermark = "SELECT position FROM execution_events_watermark";
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(session(&database).await);
    }
    let [a, b, c] = &mut sessions[..] else { unreachable!() };
    execute(a, "BEGIN").await;
    assert_eq!(insert(a, "a", 1..=1).await, [1]);
    assert_eq!(insert(b, "b", 1..=1).await, [2]);
    for _ in 0..3 {
        run(&database, raise).await;
        assert_eq!(value::<i64>(&database, watermark).await, 0);
    }
    execute(c, "BEGIN").await;
    assert_eq!(insert(c, "c", 1..=1).await, [3]);
    execute(a, "COMMIT").await;
    run(&database, raise).await;
    assert_eq!(value::<i64>(&database, watermark).await, 2, "3 is not decided");
    execute(c, "ROLLBACK").await;
    run(&database, raise).await;
    assert_eq!(value::<i64>(&database, watermark).await, 2, "nothing more is there");
}

#[tokio::test]
async fn a_look_costs_the_same_while_a_transaction_inserts_many() {
    let (database, store) = empty_store().await;
    grow(&store, 3).await;
    assert_eq!(positions_after(&store, 0).await.len(), 3);
    let mut bulk = session(&database).await;
    execute(&mut bulk, "BEGIN").await;
    insert(&mut bulk, "bulk", 1..=20_000).await;
    grow(&store, 1).await;
    let third = "(SELECT event_id FROM execution_events WHERE position = 3)";
    let open = format!(
        "SELECT holders FROM execution_events_next_look(0, NULL, 3, {third}, '{{}}', '{{}}')"
    );
    let open: Vec<String> = value(&database, &open).await;
    run(&database, "SELECT execution_events_raise_watermark()").await;
    let look = format!(
        "SELECT execution_events_next_look(0, NULL, 3, {third}, ARRAY['{}'], '{{3}}'),
             execution_events_raise_watermark()",
        open[0]
    );
    let count = "
        SELECT sum(pg_stat_get_xact_tuples_returned(indexrelid)
                   + pg_stat_get_xact_tuples_fetched(indexrelid))::bigint
        FROM pg_index WHERE indrelid = 'execution_events'::regclass";
    let passed_over = async || {
        let mut looking = session(&database).await;
        execute(&mut looking, "BEGIN").await;
        execute(&mut looking, &look).await;
        es_postgres::sqlx::query_scalar::<_, i64>(count).fetch_one(&mut looking).await.unwrap()
    };
    let count = passed_over().await;
    assert!(count < 40, "{count} entries of indexes");
    // where nothing is visible among the newest, the thousand that both look at
    insert(&mut bulk, "bulk", 20_001..=22_000).await;
    let count = passed_over().await;
    assert!(count < 2_040, "{count} entries of indexes");
    assert_eq!(store.end_of_log().await.unwrap(), Position::from_sequence(3));
    execute(&mut bulk, "ROLLBACK").await;
    assert_eq!(positions_after(&store, 3).await, [20_004]);
}

#[tokio::test]
async fn a_store_that_does_nothing_takes_in_what_it_is_told() {
    let database = database(IdType::Text).await;
    let config = PostgresConfig::new(database.options()).application_name("idle");
    let store = PostgresStore::open(config).await.unwrap();
    store.end_of_log().await.unwrap();
    // what one that is told much does not take in stays with the server, which waits
    run(
        &database,
        "DO $$ BEGIN FOR i IN 1..20000 LOOP
             PERFORM pg_notify('es_events_' || 'execution_events'::regclass::oid, i || repeat('x', 200));
         END LOOP; END $$",
    )
    .await;
    let waits = "SELECT count(*) FROM pg_stat_activity
                 WHERE application_name = 'idle' AND wait_event = 'ClientWrite'";
    let queue = "SELECT pg_notification_queue_usage() < 0.00001";
    until("everything was taken in", async || {
        value::<i64>(&database, waits).await == 0 && value::<bool>(&database, queue).await
    })
    .await;
    drop(store);
}
