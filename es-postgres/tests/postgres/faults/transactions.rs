//! Commits that fail, transactions that are in one another's way, and callers that go.

use std::pin::pin;

use es_core::ExpectedVersion;
use es_core::backend::{AppendError, AppendRequest, EventStore, ReadLog, StoreErrorKind};
use es_pgtest::TestDatabase;
use es_postgres::sqlx::{self, ConnectOptions, Connection};
use es_postgres::{IdType, PostgresConfig, PostgresStore};
use futures_util::FutureExt;

use crate::support::sessions::{execute, insert, session};
use crate::support::{database, empty_store, events, key, open, run, to, told, value};

#[tokio::test]
async fn an_append_whose_commit_fails_is_not_acknowledged() {
    let database = database(IdType::Text).await;
    run(
        &database,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN RAISE EXCEPTION 'not this one' USING ERRCODE = '23514'; END $$;
         CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON execution_events
         DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.aggregate_id = 'bad')
         EXECUTE FUNCTION refuse();",
    )
    .await;
    let store = open(&database).await;
    let unit = to("account/bad").and("account/b".parse().unwrap(), ExpectedVersion::Any, events(1));
    for request in [to("account/bad"), to("account/bad").with_key(key("k")), unit] {
        // the rows were answered before the commit was tried
        let AppendError::Store(error) = store.append(request).await.unwrap_err() else { panic!() };
        assert!(!error.is_outcome_unknown() && told(&error).contains("not this one"), "{error:?}");
    }
    store.append(to("account/good")).await.unwrap();
    assert_eq!(store.read_log(&ReadLog::from_start()).await.unwrap().events.len(), 1);
}

#[tokio::test]
async fn a_race_in_a_repeatable_read_transaction_passes() {
    let (database, store) = empty_store().await;
    let mut connection = database.options().connect().await.unwrap();
    for is_raced in [true, false] {
        sqlx::raw_sql(
            "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM execution_events",
        )
        .execute(&mut connection)
        .await
        .unwrap();
        if is_raced {
            store.append(to("account/a")).await.unwrap();
        }
        let answer = store.append_in(&mut connection, to("account/a")).await;
        match (is_raced, answer) {
            (true, Err(AppendError::Store(error))) => {
                assert_eq!(error.kind(), StoreErrorKind::Busy, "{error:?}");
                sqlx::raw_sql("ROLLBACK").execute(&mut connection).await.unwrap();
            }
            (false, Ok(_)) => {
                sqlx::raw_sql("COMMIT").execute(&mut connection).await.unwrap();
            }
            (_, answer) => panic!("{answer:?}"),
        }
    }
    assert_eq!(store.read_log(&ReadLog::from_start()).await.unwrap().events.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_in_opposite_orders_come_to_an_end() {
    let (database, store) = empty_store().await;
    let mut first = database.options().connect().await.unwrap();
    let mut second = database.options().connect().await.unwrap();
    let mut one = first.begin().await.unwrap();
    let mut other = second.begin().await.unwrap();
    store.append_in(&mut one, to("account/a")).await.unwrap();
    store.append_in(&mut other, to("account/b")).await.unwrap();
    let (a, b) = tokio::join!(
        async {
            let answer = store.append_in(&mut one, to("account/b")).await;
            match &answer {
                Ok(_) => one.commit().await.unwrap(),
                Err(_) => one.rollback().await.unwrap(),
            }
            answer
        },
        async {
            let answer = store.append_in(&mut other, to("account/a")).await;
            match &answer {
                Ok(_) => other.commit().await.unwrap(),
                Err(_) => other.rollback().await.unwrap(),
            }
            answer
        }
    );
    let failed = [a, b].into_iter().filter_map(Result::err).collect::<Vec<_>>();
    assert_eq!(failed.len(), 1, "{failed:?}");
    let AppendError::Store(error) = &failed[0] else { panic!("{failed:?}") };
    assert!(error.is_transient(), "{error:?}");
    assert_eq!(store.read_log(&ReadLog::from_start()).await.unwrap().events.len(), 2);
}

/// The sessions of the store below, and how many it may have: one that looks, one that tells of
/// appends, and those for writing.
const SESSIONS: &str = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'goes'";
const BUDGET: i64 = 4;

/// A store whose sessions can be counted.
async fn counted(database: &TestDatabase) -> PostgresStore {
    let options = database.options().application_name("goes");
    PostgresStore::open(PostgresConfig::new(options).writers(2)).await.unwrap()
}

#[tokio::test]
async fn callers_that_go_while_the_server_waits_leave_no_session_behind() {
    let database = database(IdType::Text).await;
    let store = counted(&database).await;
    let mut slow = session(&database).await;
    execute(&mut slow, "BEGIN").await;
    insert(&mut slow, "a", 1..=1).await;
    let blocked = "SELECT count(*) FROM pg_stat_activity
        WHERE application_name = 'goes' AND wait_event_type = 'Lock'";
    for number in 0..20 {
        let mut appending = pin!(store.append(to("account/a")));
        assert!(appending.as_mut().now_or_never().is_none());
        while number == 0 && value::<i64>(&database, blocked).await == 0 {
            assert!(appending.as_mut().now_or_never().is_none());
        }
        tokio::task::yield_now().await;
    }
    store.append(to("account/b")).await.unwrap();
    // at most: whoever waits for long tries now and then
    assert!(value::<i64>(&database, blocked).await <= 1);
    assert!(value::<i64>(&database, SESSIONS).await <= BUDGET);
    execute(&mut slow, "COMMIT").await;
    // of those that went, the one that was under way may have been written in its last try
    let last = store.append(to("account/a")).await.unwrap();
    let version = last.streams[0].version().as_u64();
    assert!((2..=3).contains(&version), "{version}");
    store.close().await;
}

#[tokio::test]
async fn a_caller_that_goes_leaves_no_session_behind() {
    let database = database(IdType::Text).await;
    let store = counted(&database).await;
    for polls in 0..60 {
        let request = match polls % 3 {
            0 => to("account/a"),
            1 => AppendRequest::to("account/b".parse().unwrap(), ExpectedVersion::Any, events(3)),
            _ => to("account/c").and("account/d".parse().unwrap(), ExpectedVersion::Any, events(1)),
        };
        let mut appending = pin!(store.append(request));
        for _ in 0..polls {
            if appending.as_mut().now_or_never().is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    for stream in ["a", "b", "c", "d"] {
        store.append(to(&format!("account/{stream}"))).await.unwrap();
    }
    let open = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'goes' AND state = 'idle in transaction'";
    assert_eq!(value::<i64>(&database, open).await, 0);
    assert!(value::<i64>(&database, SESSIONS).await <= BUDGET);
    let torn = "SELECT count(*) FROM (
        SELECT 1 FROM execution_events GROUP BY aggregate_id
        HAVING max(aggregate_version) <> count(*)) s";
    assert_eq!(value::<i64>(&database, torn).await, 0);
    let units = "SELECT count(*) FILTER (WHERE aggregate_id = 'c') - count(*) FILTER (WHERE aggregate_id = 'd') FROM execution_events";
    assert_eq!(value::<i64>(&database, units).await, 0);
}
