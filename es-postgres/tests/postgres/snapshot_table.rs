//! Snapshots of one aggregate type in a table of the application's.

use es_core::backend::{
    EventStore, PageLimit, Snapshot, SnapshotStore, SnapshotSummary, StoreErrorKind, StreamId,
    Timestamp,
};
use es_core::event::Payload;
use es_core::execution::StreamVersion;
use es_pgtest::{Proxy, Server, TestDatabase};
use es_postgres::sqlx::postgres::PgConnectOptions;
use es_postgres::{IdType, PostgresConfig, PostgresStore};

use crate::support::{
    database, events, exactly, layout_with_table, make_table, run, to, told, value,
};

/// A store whose snapshots of the type `meter` are in a table of their own.
async fn store_at(options: PgConnectOptions, ids: IdType) -> PostgresStore {
    let layout = layout_with_table(ids, "meter");
    let config = PostgresConfig::new(options).layout(layout).notifications(false).readers(1);
    make_table(&config).await;
    PostgresStore::open(config).await.unwrap()
}

async fn meters(ids: IdType) -> (TestDatabase, PostgresStore) {
    let database = database(ids).await;
    let store = store_at(database.options(), ids).await;
    (database, store)
}

fn snapshot(stream: &str, version: u64) -> Snapshot {
    Snapshot::new(
        stream.parse().unwrap(),
        StreamVersion::new(version),
        format!("0193a1d4-0000-7000-8000-{version:012}").parse().unwrap(),
        "meter r1",
        Payload::parse(format!(r#"{{"units":{version}}}"#)).unwrap(),
        Timestamp::from_micros(1_763_546_400_123_456),
    )
}

async fn listed(store: &PostgresStore, limit: usize) -> Vec<String> {
    let mut all: Vec<SnapshotSummary> = Vec::new();
    loop {
        let page = store.list_snapshots(all.last(), limit).await.unwrap();
        let is_last = page.len() < limit;
        all.extend(page);
        if is_last {
            return all.iter().map(|one| format!("{} {}", one.stream, one.version)).collect();
        }
        assert!(all.len() < 100, "the list has no end");
    }
}

#[tokio::test]
async fn each_type_is_kept_in_its_table_and_all_are_listed_in_order() {
    for ids in [IdType::Text, IdType::Int] {
        let (database, store) = meters(ids).await;
        // before, in and behind the type that has the table; the last two would change places in
        // the order of a language
        let streams = ["a/1", "metera/1", "meter/2", "meter/10", "meter_x/1"];
        for stream in streams {
            for version in [20, 10] {
                store.save_snapshot(snapshot(stream, version)).await.unwrap();
            }
        }
        let own: i64 = value(&database, "SELECT count(*) FROM kept").await;
        let general: i64 = value(
            &database,
            "SELECT count(*) FROM execution_events_snapshots WHERE aggregate_type <> 'meter'",
        )
        .await;
        assert_eq!((own, general), (4, 6));
        let meters = match ids {
            IdType::Text => ["meter/10", "meter/2"],
            IdType::Int => ["meter/2", "meter/10"],
        };
        let order = ["a/1", meters[0], meters[1], "meter_x/1", "metera/1"];
        let expected: Vec<_> =
            order.iter().flat_map(|one| [format!("{one} 10"), format!("{one} 20")]).collect();
        for limit in [1, 2, 3, 4, 7, 10, 100] {
            assert_eq!(listed(&store, limit).await, expected, "{ids:?}, {limit} at once");
        }
        let pruned = es_core::backend::prune_all(&store, 1).await.unwrap();
        assert_eq!((pruned.streams, pruned.removed), (5, 5));
        let meter: StreamId = "meter/2".parse().unwrap();
        let left = store.latest_snapshot(&meter, StreamVersion::MAX).await.unwrap();
        assert_eq!(left, Some(snapshot("meter/2", 20)));
        store.delete_snapshots(&meter).await.unwrap();
        assert_eq!(value::<i64>(&database, "SELECT count(*) FROM kept").await, 1);
    }
}

#[tokio::test]
async fn a_snapshot_of_the_table_comes_with_its_tail_in_one_round_trip() {
    let database = database(IdType::Text).await;
    let proxy = Proxy::start(Server::shared()).await;
    let store = store_at(proxy.options(database.name()), IdType::Text).await;
    let mut request = to("meter/1");
    let stream = request.streams()[0].stream.clone();
    request = es_core::backend::AppendRequest::to(stream.clone(), exactly(0), events(25));
    store.append(request).await.unwrap();
    store.save_snapshot(snapshot("meter/1", 20)).await.unwrap();
    let mut least = u64::MAX;
    // now and then the frontier is written down meanwhile, which is counted, too; and the first
    // time prepares the statement
    for _ in 0..6 {
        proxy.reset();
        let limit = PageLimit::default();
        let found = store.latest_with_tail(&stream, StreamVersion::MAX, limit).await.unwrap();
        least = least.min(proxy.syncs());
        let found = found.unwrap();
        assert_eq!(found.snapshot, Some(snapshot("meter/1", 20)));
        assert_eq!((found.tail.events.len(), found.tail.stream_version.as_u64()), (6, 25));
    }
    assert_eq!(least, 1);
}

#[tokio::test]
async fn a_row_without_schema_and_time_is_listed_and_of_no_schema() {
    let (database, store) = meters(IdType::Text).await;
    run(
        &database,
        "INSERT INTO kept (of_stream, event_sequence, last_event, state, taken)
         VALUES ('1', 7, gen_random_uuid(), '{}', NULL)",
    )
    .await;
    let stream: StreamId = "meter/1".parse().unwrap();
    let latest = store.latest_snapshot(&stream, StreamVersion::MAX).await.unwrap().unwrap();
    let limit = PageLimit::default();
    let together = store.latest_with_tail(&stream, StreamVersion::MAX, limit).await.unwrap();
    assert_eq!(together.unwrap().snapshot.as_ref(), Some(&latest));
    assert_eq!((latest.schema.as_str(), latest.taken_at), ("", Timestamp::EPOCH));
    let listed = store.list_snapshots(None, 10).await.unwrap();
    assert_eq!(
        (listed.len(), &listed[0].schema, listed[0].taken_at),
        (1, &latest.schema, latest.taken_at)
    );
    store.save_snapshot(snapshot("meter/1", 7)).await.unwrap();
    let replaced = store.latest_snapshot(&stream, StreamVersion::MAX).await.unwrap();
    assert_eq!(replaced, Some(snapshot("meter/1", 7)));
}

#[tokio::test]
async fn a_table_that_refuses_or_is_not_there_fails_saving_and_nothing_else() {
    let (database, store) = meters(IdType::Text).await;
    run(&database, "ALTER TABLE kept ADD CHECK (of_stream <> '13')").await;
    let refused = store.save_snapshot(snapshot("meter/13", 1)).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Other);
    assert!(told(&refused).contains("meter/13"), "{}", told(&refused));
    store.save_snapshot(snapshot("meter/14", 1)).await.unwrap();
    run(&database, "DROP TABLE kept").await;
    let missing = store.save_snapshot(snapshot("meter/14", 2)).await.unwrap_err();
    assert_eq!(missing.kind(), StoreErrorKind::NotAStore, "{}", told(&missing));
    store.append(to("meter/13")).await.unwrap();
    store.save_snapshot(snapshot("zone/1", 1)).await.unwrap();
    let stream: StreamId = "zone/1".parse().unwrap();
    assert!(store.latest_snapshot(&stream, StreamVersion::MAX).await.unwrap().is_some());
}
