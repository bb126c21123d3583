//! Rows whose text is more than the server can send: refused, and passed where an old store has one.

use std::sync::Arc;

use es_core::backend::{
    Direction, EventStore, PageLimit, ReadLog, ReadStream, SnapshotStore, StreamId,
};
use es_core::event::EventFilter;
use es_core::execution::StreamVersion;
use es_postgres::IdType;

use crate::support::{database, empty_store, run, to, try_run};

/// Few bytes, of which each number is 131,072 as text.
fn insert(version: usize, column: &str, numbers: usize) -> String {
    let other = if column == "metadata" { "event_data" } else { "metadata" };
    format!(
        "INSERT INTO execution_events
             (aggregate_type, aggregate_id, aggregate_version, event_type, {column}, {other})
         SELECT 'account', 'huge', {version}, 'noted',
             jsonb_build_object('n', jsonb_agg('1e131071'::numeric)), '{{}}'
         FROM generate_series(1, {numbers})"
    )
}

#[tokio::test]
async fn what_no_reader_could_be_sent_is_refused() {
    let database = database(IdType::Text).await;
    for column in ["event_data", "metadata"] {
        let refused = try_run(&database, &insert(1, column, 1_000)).await.unwrap_err();
        let told = refused.as_database_error().unwrap();
        let name = format!("{column}_has_64_mib_of_text_at_most");
        assert_eq!(told.constraint(), Some(name.as_str()), "{told}");
    }
    // as little as it is where it was compressed, and is copied so
    let kept = "CREATE TABLE kept AS
        SELECT jsonb_build_object('n', jsonb_agg('1e131071'::numeric)) AS n FROM generate_series(1, 1000)";
    run(&database, kept).await;
    let copied = "INSERT INTO execution_events
            (aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
        SELECT 'account', 'huge', 1, 'noted', n FROM kept WHERE pg_column_size(n) < 8192";
    let refused = try_run(&database, copied).await.unwrap_err();
    let told = refused.as_database_error().unwrap();
    assert_eq!(told.constraint(), Some("event_data_has_64_mib_of_text_at_most"), "{told}");
    run(&database, &insert(1, "event_data", 400)).await;
}

/// As in a store from before the rule.
#[tokio::test]
async fn an_event_that_cannot_be_sent_costs_only_itself() {
    let (database, store) = empty_store().await;
    let store = Arc::new(store);
    store.append(to("account/huge")).await.unwrap();
    run(&database, "ALTER TABLE execution_events DISABLE TRIGGER execution_events_check_row").await;
    run(&database, &insert(2, "event_data", 8_300)).await;
    for _ in 0..2 {
        store.append(to("account/huge")).await.unwrap();
    }
    let stream: StreamId = "account/huge".parse().unwrap();
    let mut pages = Vec::new();
    let filters = [EventFilter::all(), EventFilter::all().stored_aggregate_type("account")];
    for filter in filters {
        let mut read = ReadLog::from_start().filter(filter);
        let mut events = Vec::new();
        loop {
            let page = store.read_log(&read).await.unwrap();
            events.extend(page.events);
            read.after = page.next;
            if page.at_end {
                break;
            }
        }
        pages.push(events);
    }
    for direction in [Direction::Forwards, Direction::Backwards] {
        let mut read = ReadStream::new(stream.clone());
        read.direction = direction;
        let mut events = Vec::new();
        loop {
            let page = store.read_stream(&read).await.unwrap();
            assert_eq!(page.stream_version, StreamVersion::new(4));
            events.extend(page.events);
            if !page.has_more {
                break;
            }
            let last = events.last().map(|event| event.version.as_u64()).unwrap();
            match direction {
                Direction::Forwards => read.from = StreamVersion::new(last + 1),
                Direction::Backwards => read.to = StreamVersion::new(last - 1),
            }
        }
        if direction == Direction::Backwards {
            events.reverse();
        }
        pages.push(events);
    }
    for events in pages {
        let versions: Vec<_> = events.iter().map(|event| event.version.as_u64()).collect();
        assert_eq!(versions, [1, 2, 3, 4]);
        for event in events {
            let reason = event.payload.unreadable_because().unwrap_or_default();
            let is_huge = event.version == StreamVersion::new(2);
            assert_eq!(reason.contains("too large for the server to send"), is_huge, "{reason}");
            assert_eq!(event.event_type == "noted", is_huge);
        }
    }
    let limit = PageLimit::default();
    let tail = store.latest_with_tail(&stream, StreamVersion::MAX, limit).await.unwrap().unwrap();
    assert_eq!(tail.tail.events[0].version, StreamVersion::new(1));
    assert!(tail.tail.has_more);
    // where the tail begins with it, the state that ends there is done without
    let kept = "INSERT INTO execution_events_snapshots
            (aggregate_type, aggregate_id, aggregate_version, schema, created_at, state, last_event_id)
        SELECT aggregate_type, aggregate_id, aggregate_version, 'x', now(), '{}', event_id
        FROM execution_events WHERE aggregate_id = 'huge' AND aggregate_version = 2";
    run(&database, kept).await;
    let tail = store.latest_with_tail(&stream, StreamVersion::MAX, limit).await.unwrap().unwrap();
    assert!(tail.snapshot.is_none());
    assert_eq!(tail.tail.events[0].version, StreamVersion::new(1));
}
