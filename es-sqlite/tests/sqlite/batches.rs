//! Many events of one append, and pages of a stream that grows meanwhile.

use std::time::Duration;

use es_core::ExpectedVersion;
use es_core::backend::{
    AppendError, AppendRequest, EventStore, NewEvent, PageLimit, ReadLog, ReadStream,
};
use es_core::execution::StreamVersion;
use es_sqlite::SqliteStore;

use crate::support::{Folder, append_one, event, stream};

fn events(count: usize) -> Vec<NewEvent> {
    (0..count).map(|number| event(&number.to_string())).collect()
}

/// Appends to two streams so that events of each go in one by one and several at a time.
async fn append_to_two(store: &SqliteStore) {
    for (before, count) in [1, 7, 8, 9, 16, 19, 32, 71].into_iter().enumerate() {
        let any = ExpectedVersion::Any;
        let request = AppendRequest::to(stream("posting/1"), any, events(count));
        let request = request.and(stream("posting/2"), any, events(count + before));
        let appended = store.append(request.clone()).await.unwrap();
        for written in &appended.streams {
            let part = request.streams().iter().find(|part| part.stream == written.stream).unwrap();
            let from = written.events[0].version;
            let read = ReadStream::new(part.stream.clone()).from_version(from);
            let page = store.read_stream(&read).await.unwrap();
            let receipts: Vec<_> = page.events.iter().map(|event| event.receipt()).collect();
            assert_eq!(receipts, written.events);
            for (sent, read) in part.events.iter().zip(&page.events) {
                assert_eq!((sent.event_id, &sent.payload), (read.event_id, &read.payload));
            }
            assert_eq!(page.events.len(), part.events.len());
            assert_eq!(page.stream_version, written.version());
        }
    }
    let log = store.read_log(&ReadLog::from_start()).await.unwrap();
    let positions = log.events.iter().map(|event| event.position.to_sequence());
    assert!(positions.eq(1..=log.events.len() as u64), "they follow one another");
}

#[tokio::test]
async fn each_of_many_events_is_told_where_it_stands() {
    let (_folder, store) = Folder::with_store().await;
    append_to_two(&store).await;
}

#[tokio::test]
async fn so_it_is_where_a_trigger_of_the_application_looks_on() {
    let (folder, store) = Folder::with_store().await;
    folder.run("CREATE TRIGGER t AFTER INSERT ON execution_events BEGIN SELECT 1; END");
    append_to_two(&store).await;
}

#[tokio::test]
async fn an_id_that_was_used_is_found_among_many() {
    let (_folder, store) = Folder::with_store().await;
    let used = event("used");
    append_one(&store, "posting/used", used.clone()).await;
    for place in [0, 31, 32, 39, 40, 42] {
        let mut events = events(43);
        events[place] = used.clone();
        let request = AppendRequest::to(stream("posting/1"), ExpectedVersion::Any, events);
        let refused = store.append(request).await;
        assert!(
            matches!(&refused, Err(AppendError::DuplicateEvent { event_id }) if *event_id == used.event_id),
            "{place}: {refused:?}"
        );
    }
    // nothing of them is left, and no position was used
    assert_eq!(append_one(&store, "posting/1", event("x")).await.position().to_sequence(), 2);
}

#[tokio::test]
async fn a_page_is_of_one_moment_while_its_stream_grows() {
    const COUNT: u64 = 300;
    let (_folder, store) = Folder::with_store().await;
    let writer = store.clone();
    let writing = tokio::spawn(async move {
        for _ in 0..COUNT {
            append_one(&writer, "posting/1", event("x")).await;
        }
    });
    let mut seen = StreamVersion::EMPTY;
    let reading = async {
        while seen.as_u64() < COUNT {
            let read = ReadStream::new(stream("posting/1")).from_version(seen.next());
            let page = store.read_stream(&read.limit(PageLimit::events(3))).await.unwrap();
            match page.events.last() {
                // nothing is there, so nothing is known of more
                None => assert_eq!(page.stream_version, seen),
                Some(last) if page.has_more => assert!(page.stream_version > last.version),
                Some(last) => assert_eq!(page.stream_version, last.version),
            }
            seen = page.events.last().map_or(seen, |last| last.version);
        }
    };
    tokio::time::timeout(Duration::from_secs(60), reading).await.unwrap();
    writing.await.unwrap();
    let behind = ReadStream::new(stream("posting/1")).from_version(StreamVersion::new(COUNT + 5));
    assert_eq!(store.read_stream(&behind).await.unwrap().stream_version.as_u64(), COUNT);
}
