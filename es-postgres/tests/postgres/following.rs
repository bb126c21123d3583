//! Following the log across sessions, processes and restarts.

use std::time::{Duration, Instant};

use es_core::backend::{EventStore, Position, ReadLog};
use es_core::event::EventFilter;
use es_pgtest::{Proxy, Server};
use es_postgres::sqlx::{self, ConnectOptions, Connection, PgConnection};
use es_postgres::{IdType, PostgresConfig, PostgresStore};

use crate::support::{database, database_on, empty_store, open, run, to, value};

async fn step(connection: &mut PgConnection, statement: &'static str) {
    sqlx::raw_sql(statement).execute(connection).await.unwrap();
}

/// The streams of the log as it can be read now.
async fn shown(store: &PostgresStore) -> Vec<String> {
    let page = store.read_log(&ReadLog::from_start()).await.unwrap();
    assert!(page.at_end);
    page.events.iter().map(|event| event.stream.aggregate_id().to_owned()).collect()
}

#[tokio::test]
async fn an_open_transaction_holds_back_what_stands_behind_it_and_nothing_else() {
    let (database, store) = empty_store().await;
    store.append(to("account/before")).await.unwrap();
    assert_eq!(shown(&store).await, ["before"]);
    for (end, shows) in [("COMMIT", true), ("ROLLBACK", false), ("", false)] {
        let before = shown(&store).await;
        let mut connection = database.options().connect().await.unwrap();
        step(&mut connection, "BEGIN").await;
        let mut transaction = connection;
        store.append_in(&mut transaction, to("account/slow")).await.unwrap();
        store.append(to("account/behind")).await.unwrap();
        assert_eq!(shown(&store).await, before);
        // what is written to a stream is there to be read in it
        let stream = es_core::backend::ReadStream::new("account/behind".parse().unwrap());
        assert!(!store.read_stream(&stream).await.unwrap().events.is_empty());
        let position = store.end_of_log().await.unwrap();
        let waiting = tokio::spawn({
            let store = store.clone();
            async move { store.wait_past(position).await }
        });
        match end {
            "COMMIT" => step(&mut transaction, "COMMIT").await,
            "ROLLBACK" => step(&mut transaction, "ROLLBACK").await,
            // the connection is lost
            _ => transaction.close_hard().await.unwrap(),
        }
        waiting.await.unwrap().unwrap();
        let mut expected = before;
        if shows {
            expected.push("slow".to_owned());
        }
        expected.push("behind".to_owned());
        assert_eq!(shown(&store).await, expected, "{end}");
    }
}

#[tokio::test]
async fn a_prepared_transaction_holds_back_over_a_restart_of_the_server() {
    let server = Server::private(&[("max_prepared_transactions", "5")]);
    let database = database_on(&server, IdType::Text).await;
    let store = open(&database).await;
    store.append(to("account/before")).await.unwrap();
    assert_eq!(shown(&store).await, ["before"]);
    let mut connection = database.options().connect().await.unwrap();
    step(&mut connection, "BEGIN").await;
    store.append_in(&mut connection, to("account/prepared")).await.unwrap();
    step(&mut connection, "PREPARE TRANSACTION 'p'").await;
    store.append(to("account/behind")).await.unwrap();
    assert_eq!(shown(&store).await, ["before"]);
    server.kill();
    server.start();
    let again = open(&database).await;
    // each connection of before notices that it was lost
    let shown_by_old = loop {
        match store.read_log(&ReadLog::from_start()).await {
            Ok(page) => break page.events.len(),
            Err(error) => assert!(error.is_transient(), "{error:?}"),
        }
    };
    assert_eq!(shown_by_old, 1);
    assert!(shown(&again).await.len() <= 1);
    again.append(to("account/after")).await.unwrap();
    run(&database, "COMMIT PREPARED 'p'").await;
    for store in [store, again] {
        assert_eq!(shown(&store).await, ["before", "prepared", "behind", "after"]);
    }
}

#[tokio::test]
async fn another_store_is_told_of_appends_without_polling() {
    let database = database(IdType::Text).await;
    let hour = Duration::from_secs(3_600);
    let config = PostgresConfig::new(database.options()).poll_interval(hour);
    let follower = PostgresStore::open(config.clone()).await.unwrap();
    let writer = PostgresStore::open(config).await.unwrap();
    for number in 1..=5 {
        let end = follower.end_of_log().await.unwrap();
        let waiting = tokio::spawn({
            let follower = follower.clone();
            async move { follower.wait_past(end).await }
        });
        writer.append(to("account/a")).await.unwrap();
        waiting.await.unwrap().unwrap();
        assert_eq!(shown(&follower).await.len(), number);
    }
}

#[tokio::test]
async fn raw_sql_is_noticed_by_polling() {
    let (database, store) = empty_store().await;
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.wait_past(Position::START).await }
    });
    run(
        &database,
        "INSERT INTO execution_events (aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
         VALUES ('account', 'by hand', 1, 'x', '{}')",
    )
    .await;
    waiting.await.unwrap().unwrap();
    assert_eq!(shown(&store).await, ["by hand"]);
}

#[tokio::test]
async fn an_append_itself_notifies_nobody() {
    let database = database(IdType::Text).await;
    let oid: i64 = value(&database, "SELECT 'execution_events'::regclass::oid::bigint").await;
    let mut listener = sqlx::postgres::PgListener::connect(&database.url()).await.unwrap();
    listener.listen(&format!("es_events_{oid}")).await.unwrap();
    let store = open(&database).await;
    // of the same session as the append would be a notification in it
    let mut connection = database.options().connect().await.unwrap();
    step(&mut connection, "BEGIN").await;
    store.append_in(&mut connection, to("account/a")).await.unwrap();
    step(&mut connection, "COMMIT").await;
    store.append(to("account/b")).await.unwrap();
    let told = listener.recv().await.unwrap();
    let writers = "SELECT count(*) FROM pg_stat_activity
        WHERE pid = $1 AND query LIKE '%pg_notify%' AND query NOT LIKE '%INSERT%'";
    let announcers: i64 = sqlx::query_scalar(writers)
        .bind(i32::try_from(told.process_id()).unwrap())
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(announcers, 1, "a session of its own tells of appends");
}

#[tokio::test]
async fn a_follower_that_starts_begins_where_others_have_been() {
    let database = database(IdType::Text).await;
    let first = open(&database).await;
    for number in 0..5 {
        first.append(to(&format!("account/{number}"))).await.unwrap();
    }
    assert_eq!(shown(&first).await.len(), 5);
    let watermark = "SELECT position FROM execution_events_watermark";
    while value::<i64>(&database, watermark).await < 5 {
        first.end_of_log().await.unwrap();
    }
    let mut slow = database.options().connect().await.unwrap();
    step(&mut slow, "BEGIN").await;
    first.append_in(&mut slow, to("account/slow")).await.unwrap();
    first.append(to("account/behind")).await.unwrap();
    // it cannot know since when the slow one is there, but that it is behind the watermark
    assert_eq!(shown(&open(&database).await).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_that_wait_cost_less_than_ten_statements_a_second() {
    const LOOKS: u64 = 12;
    let database = database(IdType::Text).await;
    let proxy = Proxy::start(Server::shared()).await;
    let config = PostgresConfig::new(proxy.options(database.name()).application_name("idle"));
    let store = PostgresStore::open(config).await.unwrap();
    let end = store.end_of_log().await.unwrap();
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.wait_past(end).await })
        })
        .collect();
    // the first looks come quickly one after the other, and the rest from time to time
    let looked = async |count: u64| {
        proxy.reset();
        while proxy.syncs() < count {
            tokio::task::yield_now().await;
        }
    };
    looked(10).await;
    let began = Instant::now();
    looked(LOOKS).await;
    let rate = LOOKS as f64 / began.elapsed().as_secs_f64();
    assert!(rate < 10.0, "{rate} statements a second");
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'idle'";
    assert_eq!(value::<i64>(&database, sessions).await, 1, "one connection for all who wait");
    store.append(to("account/a")).await.unwrap();
    for waited in waiting {
        waited.await.unwrap().unwrap();
    }
}

/// Positions of no event are passed at once, however many there are, and a page ends at an event.
#[tokio::test]
async fn a_page_with_a_filter_passes_a_gap_at_once() {
    let (database, store) = empty_store().await;
    store.append(to("account/a")).await.unwrap();
    for (drawn, stream) in [(1_000_000_000_000_u64, "account/b"), (1_000_000_100_000, "order/c")] {
        let jump = format!("SELECT setval('execution_events_position_seq', {drawn})");
        run(&database, &jump).await;
        store.append(to(stream)).await.unwrap();
    }
    let filter = EventFilter::all().stored_aggregate_type("account");
    let mut read = ReadLog::from_start().filter(filter);
    let mut pages = Vec::new();
    for _ in 0..3 {
        let page = store.read_log(&read).await.unwrap();
        assert_eq!(page.last.unwrap().position, page.next);
        pages.push((page.events.len(), page.next.to_sequence()));
        read.after = page.next;
    }
    assert_eq!(pages, [(1, 1), (1, 1_000_000_000_001), (0, 1_000_000_100_001)]);
}
