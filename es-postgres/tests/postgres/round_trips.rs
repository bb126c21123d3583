//! How often an append and a read go to the server: one `Sync` is one round trip.

use std::sync::Arc;

use es_core::ExpectedVersion;
use es_core::backend::{
    AppendError, AppendRequest, EventStore, ReadLog, ReadStream, StoreErrorKind, Timestamp,
};
use es_pgtest::{Proxy, TestDatabase};
use es_postgres::sqlx::ConnectOptions;
use es_postgres::{IdType, PostgresConfig, PostgresStore, Session};
use tokio::task::JoinSet;

use crate::support::sessions::execute;
use crate::support::{database, events, exactly, key, open, proxied, to};

/// A store behind a proxy that counts; it tells nobody of its appends, which would be counted, too.
pub(crate) async fn counted() -> (TestDatabase, Proxy, PostgresStore) {
    proxied(|config| config.notifications(false).writers(1).readers(1)).await
}

async fn round_trips(proxy: &Proxy, what: impl Future<Output = ()>) -> u64 {
    proxy.reset();
    what.await;
    proxy.syncs()
}

#[tokio::test]
async fn an_append_is_one_round_trip_once_prepared() {
    let (_database, proxy, store) = counted().await;
    let stream = |number: u64| format!("account/{number}");
    let requests: [fn(String) -> AppendRequest; 5] = [
        |stream| to(&stream),
        |stream| AppendRequest::to(stream.parse().unwrap(), ExpectedVersion::NoStream, events(1)),
        |stream| to(&stream).with_key(key("once")),
        |stream| AppendRequest::to(stream.parse().unwrap(), exactly(0), events(1_000)),
        |stream| {
            let other = format!("{stream}-other").parse().unwrap();
            to(&stream).and(other, ExpectedVersion::Any, events(3)).with_key(key("unit"))
        },
    ];
    for (number, request) in (0..).zip(requests) {
        // prepares what the kind of request needs
        store.append(request(stream(number * 10))).await.unwrap();
        for repeat in 1..4 {
            let request = request(stream(number * 10 + repeat));
            let append = async {
                store.append(request).await.unwrap();
            };
            assert_eq!(round_trips(&proxy, append).await, 1, "request {number}");
        }
    }
}

#[tokio::test]
async fn appends_that_wait_together_share_a_round_trip() {
    const CALLERS: u64 = 200;
    let (_database, proxy, store) = counted().await;
    let store = Arc::new(store);
    store
        .append(to("account/a").and("account/b".parse().unwrap(), exactly(0), events(1)))
        .await
        .unwrap();
    store.append(to("account/a")).await.unwrap();
    let together = async {
        let mut tasks = JoinSet::new();
        for number in 0..CALLERS {
            let store = Arc::clone(&store);
            tasks.spawn(async move { store.append(to(&format!("account/{number}"))).await });
        }
        while let Some(answer) = tasks.join_next().await {
            answer.unwrap().unwrap();
        }
    };
    let round_trips = round_trips(&proxy, together).await;
    assert!(round_trips <= CALLERS / 4, "{round_trips} round trips");
}

/// Two groups of callers that take turns would need twice as many.
#[tokio::test]
async fn callers_that_are_answered_together_share_their_next_round_trip() {
    const CALLERS: usize = 8;
    const APPENDS: u64 = 20;
    let (_database, proxy, store) = counted().await;
    let one_after_the_other = async |appends: u64| {
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let store = store.clone();
            callers.spawn(async move {
                for _ in 0..appends {
                    store.append(to(&format!("account/{caller}"))).await.unwrap();
                }
            });
        }
        callers.join_all().await;
    };
    // prepares what each kind of statement needs
    one_after_the_other(3).await;
    let round_trips = round_trips(&proxy, one_after_the_other(APPENDS)).await;
    assert!(round_trips <= APPENDS + APPENDS / 4, "{round_trips} round trips");
}

#[tokio::test]
async fn stale_appends_among_others_cost_one_round_trip_more() {
    const CALLERS: u64 = 200;
    let (_database, proxy, store) = counted().await;
    let is_stale = |number: u64| number % 70 == 7;
    let at_once = async || {
        let mut tasks = JoinSet::new();
        for number in 0..CALLERS {
            let expected = if is_stale(number) { exactly(1_000) } else { ExpectedVersion::Any };
            let stream = format!("account/{number}").parse().unwrap();
            let (store, request) = (store.clone(), AppendRequest::to(stream, expected, events(1)));
            tasks.spawn(async move { (number, store.append(request).await) });
        }
        while let Some(answer) = tasks.join_next().await {
            let (number, answer) = answer.unwrap();
            let is_conflict = matches!(answer, Err(AppendError::Conflict(_)));
            assert_eq!(is_conflict, is_stale(number), "{number}: {answer:?}");
            assert_eq!(answer.is_err(), is_conflict, "{number}: {answer:?}");
        }
    };
    // prepares what it needs
    at_once().await;
    assert_eq!(round_trips(&proxy, at_once()).await, 2);
}

#[tokio::test]
async fn a_lone_caller_keeps_to_one_connection() {
    let database = database(IdType::Text).await;
    let store = PostgresStore::open(PostgresConfig::new(database.options()).writers(4)).await;
    let store = store.unwrap();
    for _ in 0..20 {
        store.append(to("account/a")).await.unwrap();
    }
    let writing = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid()
                       AND query LIKE '%INSERT INTO \"public\".\"execution_events\" (%'";
    assert_eq!(crate::support::value::<i64>(&database, writing).await, 1);
}

#[tokio::test]
async fn an_import_shares_its_round_trip_with_nobody() {
    const CALLERS: i64 = 60;
    let (_database, proxy, store) = counted().await;
    let store = Arc::new(store);
    let is_import = |number: i64| number % 2 == 0;
    let time = |number: i64| Timestamp::from_micros(number * 1_000_000);
    let together = async {
        let mut tasks = JoinSet::new();
        for number in 0..CALLERS {
            let (store, request) = (Arc::clone(&store), to(&format!("account/{number}")));
            let request = match is_import(number) {
                true => request.recorded_at(time(number)),
                false => request,
            };
            tasks.spawn(async move { (number, store.append(request).await) });
        }
        while let Some(answer) = tasks.join_next().await {
            let (number, appended) = answer.unwrap();
            let told = appended.unwrap().streams[0].events[0].recorded_at;
            assert_eq!(told == time(number), is_import(number), "{number} was told {told}");
        }
    };
    let round_trips = round_trips(&proxy, together).await;
    assert!(round_trips >= CALLERS.unsigned_abs() / 2, "{round_trips} round trips");
    for event in store.read_log(&ReadLog::from_start()).await.unwrap().events {
        let number = event.stream.aggregate_id().parse().unwrap();
        assert_eq!(event.recorded_at == time(number), is_import(number), "{event:?}");
    }
}

#[tokio::test]
async fn a_refused_append_is_two_round_trips_and_a_repeat_three() {
    let (_database, proxy, store) = counted().await;
    let request = to("account/a").with_key(key("k"));
    store.append(request.clone()).await.unwrap();
    store.append(request.clone()).await.unwrap();
    let stale = || AppendRequest::to("account/a".parse().unwrap(), exactly(7), events(1));
    store.append(stale()).await.unwrap_err();
    let refused = async {
        store.append(stale()).await.unwrap_err();
    };
    assert_eq!(round_trips(&proxy, refused).await, 2);
    let repeated = async {
        assert!(store.append(request).await.unwrap().repeated);
    };
    assert_eq!(round_trips(&proxy, repeated).await, 3);
}

#[tokio::test]
async fn a_race_that_is_lost_in_a_transaction_that_keeps_its_snapshot_is_told_at_once() {
    let (database, proxy, store) = counted().await;
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        let mut connection = proxy.options(database.name()).connect().await.unwrap();
        let begin = "BEGIN ISOLATION LEVEL";
        execute(&mut connection, &format!("{begin} {level}; SELECT FROM execution_events")).await;
        open(&database).await.append(to("account/a")).await.unwrap();
        let raced = async {
            match store.append_in(&mut connection, to("account/a")).await {
                Err(AppendError::Store(error)) => assert_eq!(error.kind(), StoreErrorKind::Busy),
                other => panic!("{level}: {other:?}"),
            }
        };
        // nothing is prepared yet; trying again and again would take hundreds
        let round_trips = round_trips(&proxy, raced).await;
        assert!(round_trips <= 20, "{level}: {round_trips} round trips");
    }
}

#[tokio::test]
async fn a_page_is_one_round_trip_and_a_look_for_the_end_of_the_log_another() {
    let (_database, proxy, store) = counted().await;
    let stream = ReadStream::new("account/a".parse().unwrap());
    store.append(to("account/a")).await.unwrap();
    store.read_stream(&stream).await.unwrap();
    store.read_log(&ReadLog::from_start()).await.unwrap();
    // now and then the frontier is written down meanwhile, which is counted, too
    let (mut of_stream, mut of_log) = (u64::MAX, u64::MAX);
    for _ in 0..5 {
        let read = async {
            store.read_stream(&stream).await.unwrap();
        };
        of_stream = of_stream.min(round_trips(&proxy, read).await);
        let read = async {
            store.read_log(&ReadLog::from_start()).await.unwrap();
        };
        of_log = of_log.min(round_trips(&proxy, read).await);
    }
    assert_eq!((of_stream, of_log), (1, 2));
}

#[tokio::test]
async fn nothing_is_prepared_behind_a_pooling_proxy_and_an_append_is_four_round_trips() {
    let (_database, proxy, store) = proxied(|config| config.session(Session::Pooled)).await;
    store.append(to("account/a")).await.unwrap();
    for _ in 0..3 {
        let append = async {
            store.append(to("account/a")).await.unwrap();
        };
        // BEGIN, parse, bind and execute, COMMIT
        assert_eq!(round_trips(&proxy, append).await, 4);
    }
}

#[tokio::test]
async fn a_store_keeps_within_its_budget_of_connections() {
    let database = database(IdType::Text).await;
    let config = PostgresConfig::new(database.options().application_name("budget"));
    let store = PostgresStore::open(config.writers(2).readers(3)).await.unwrap();
    let mut tasks = JoinSet::new();
    for number in 0..100 {
        let store = store.clone();
        tasks.spawn(async move {
            let stream = format!("account/{}", number % 10);
            store.append(to(&stream)).await.unwrap();
            store.read_stream(&ReadStream::new(stream.parse().unwrap())).await.unwrap();
            store.read_log(&ReadLog::from_start()).await.unwrap();
            store.wait_past(es_core::backend::Position::START).await.unwrap();
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'budget'";
    let sessions: i64 = crate::support::value(&database, sessions).await;
    assert!((1..=7).contains(&sessions), "{sessions} sessions");
    store.close().await;
}
