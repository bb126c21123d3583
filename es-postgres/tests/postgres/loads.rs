//! Loads that share a statement: how many statements that saves, and that each answers what it would alone.

mod others;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use es_core::ExpectedVersion;
use es_core::backend::{
    AppendRequest, EventStore, PageLimit, ReadStream, Snapshot, SnapshotAndTail, SnapshotStore,
    StoreError, StreamId, StreamPage, Timestamp,
};
use es_core::event::Payload;
use es_core::execution::StreamVersion;
use es_postgres::{IdType, PostgresConfig, PostgresStore};
use futures_util::future::join_all;
use tokio::task::JoinSet;

use crate::round_trips::counted;
use crate::support::waiting::soon;
use crate::support::{
    database, empty_store, events, exactly, layout, layout_with_table, make_table,
};

fn stream(number: usize) -> StreamId {
    format!("account/{number}").parse().unwrap()
}

/// Streams of these lengths.
async fn fill(store: &PostgresStore, lengths: impl IntoIterator<Item = usize>) {
    for (number, length) in lengths.into_iter().enumerate() {
        if length > 0 {
            let (to, expected) = (stream(number), ExpectedVersion::NoStream);
            store.append(AppendRequest::to(to, expected, events(length))).await.unwrap();
        }
    }
}

fn of_each(streams: usize) -> Vec<ReadStream> {
    (0..streams).map(|number| ReadStream::new(stream(number))).collect()
}

async fn at_once(
    store: &PostgresStore,
    reads: &[ReadStream],
) -> Vec<Result<StreamPage, StoreError>> {
    join_all(reads.iter().map(|read| store.read_stream(read))).await
}

#[tokio::test]
async fn loads_that_wait_together_share_a_round_trip() {
    const CALLERS: usize = 200;
    let (_database, proxy, store) = counted().await;
    fill(&store, (0..CALLERS).map(|number| number % 7)).await;
    let reads = of_each(CALLERS);
    // prepares the statement
    at_once(&store, &reads).await;
    // now and then the frontier is written down meanwhile, which is counted, too
    let mut least = u64::MAX;
    for _ in 0..5 {
        proxy.reset();
        let pages = at_once(&store, &reads).await;
        least = least.min(proxy.syncs());
        for (number, page) in pages.into_iter().enumerate() {
            let page = page.unwrap();
            assert_eq!(page.events.len(), number % 7);
            assert_eq!(page.stream_version.as_u64(), page.events.len() as u64);
            assert!(!page.has_more);
        }
    }
    assert!(least <= 5, "{CALLERS} loads took {least} round trips");
    // who comes alone afterwards has one for himself
    let mut least = u64::MAX;
    for _ in 0..5 {
        proxy.reset();
        store.read_stream(&reads[6]).await.unwrap();
        least = least.min(proxy.syncs());
    }
    assert_eq!(least, 1);
}

#[tokio::test]
async fn a_long_stream_among_short_ones_is_read_on_alone() {
    const CALLERS: usize = 50;
    let (_database, proxy, store) = counted().await;
    fill(&store, (0..CALLERS).map(|number| if number == 20 { 900 } else { 3 })).await;
    let reads = of_each(CALLERS);
    at_once(&store, &reads).await;
    let mut least = u64::MAX;
    for _ in 0..5 {
        proxy.reset();
        let pages = at_once(&store, &reads).await;
        least = least.min(proxy.syncs());
        for (number, page) in pages.into_iter().enumerate() {
            let page = page.unwrap();
            let is_long = number == 20;
            assert_eq!(page.has_more, is_long);
            let wanted = if is_long { 1..=500 } else { 1..=3 };
            let versions = page.events.iter().map(|event| event.version.as_u64());
            assert!(versions.eq(wanted), "{number}");
        }
    }
    assert!(least <= 3, "{least} round trips");
}

/// Ranges and limits around all bounds of a shared statement.
fn all_kinds(streams: usize) -> Vec<ReadStream> {
    let limits = [
        PageLimit::default(),
        PageLimit::events(1),
        PageLimit::events(64),
        PageLimit::events(65),
        PageLimit::events(100),
        // before and after what is shared
        PageLimit::default().bytes(2_000),
        PageLimit::default().bytes(3_000),
    ];
    let mut reads = Vec::new();
    for number in 0..streams {
        for from in [1, 2, 64, 65, 1_000] {
            for to in [u64::MAX, 1, 64, 70] {
                for limit in limits {
                    let read = ReadStream::new(stream(number)).limit(limit);
                    let read = read.from_version(StreamVersion::new(from));
                    reads.push(match to {
                        u64::MAX => read,
                        to => read.to_version(StreamVersion::new(to)),
                    });
                }
            }
        }
    }
    reads
}

const LENGTHS: [usize; 9] = [0, 1, 2, 63, 64, 65, 66, 130, 300];

#[tokio::test]
async fn whatever_is_read_together_is_what_is_read_alone() {
    for ids in [IdType::Text, IdType::Int] {
        let database = database(ids).await;
        let config = PostgresConfig::new(database.options()).layout(layout(ids));
        let store = PostgresStore::open(config).await.unwrap();
        fill(&store, LENGTHS).await;
        // the last one is not there
        let reads = all_kinds(LENGTHS.len() + 1);
        let mut alone = Vec::new();
        for read in &reads {
            alone.push(store.read_stream(read).await.unwrap());
        }
        for (together, (alone, read)) in
            at_once(&store, &reads).await.into_iter().zip(alone.into_iter().zip(&reads))
        {
            assert_eq!(together.unwrap(), alone, "{read:?}");
        }
    }
}

#[tokio::test]
async fn whatever_is_read_together_with_its_snapshots_is_what_is_read_alone() {
    for (ids, has_table) in
        [(IdType::Text, false), (IdType::Int, false), (IdType::Text, true), (IdType::Int, true)]
    {
        let database = database(ids).await;
        let of_table = layout_with_table(ids, "account");
        let config = PostgresConfig::new(database.options());
        let config = config.layout(if has_table { of_table } else { layout(ids) });
        if has_table {
            make_table(&config).await;
        }
        let store = PostgresStore::open(config).await.unwrap();
        fill(&store, LENGTHS).await;
        for (number, length) in LENGTHS.into_iter().enumerate() {
            for version in [1, 2, 60, 130].into_iter().filter(|version| *version <= length) {
                let read = ReadStream::new(stream(number));
                let read = read.from_version(StreamVersion::new(version as u64));
                let page = store.read_stream(&read).await.unwrap();
                let last = &page.events[0];
                let state = Payload::parse(format!(r#"{{"seen": {version}}}"#)).unwrap();
                let (schema, at) = ("r1".to_owned(), Timestamp::EPOCH);
                let (stream, version) = (stream(number), last.version);
                let kept = Snapshot::new(stream, version, last.event_id, schema, state, at);
                store.save_snapshot(kept).await.unwrap();
            }
        }
        let limits = [PageLimit::default(), PageLimit::events(10), PageLimit::events(80)];
        let mut wanted = Vec::new();
        for number in 0..=LENGTHS.len() {
            for up_to in [u64::MAX, 1, 59, 64, 129] {
                for limit in limits {
                    let up_to = match up_to {
                        u64::MAX => StreamVersion::MAX,
                        version => StreamVersion::new(version),
                    };
                    wanted.push((stream(number), up_to, limit));
                }
            }
        }
        let mut alone: Vec<Option<SnapshotAndTail>> = Vec::new();
        for (stream, up_to, limit) in &wanted {
            alone.push(store.latest_with_tail(stream, *up_to, *limit).await.unwrap());
        }
        let kept = alone.iter().flatten().filter(|one| one.snapshot.is_some()).count();
        assert!(kept > wanted.len() / 2, "{kept} of {}", wanted.len());
        let loads = wanted
            .iter()
            .map(|(stream, up_to, limit)| store.latest_with_tail(stream, *up_to, *limit));
        for ((together, alone), wanted) in join_all(loads).await.into_iter().zip(alone).zip(&wanted)
        {
            assert_eq!(together.unwrap(), alone, "{wanted:?} with a table: {has_table}");
        }
    }
}

#[tokio::test]
async fn loads_with_snapshots_share_a_round_trip_too() {
    const CALLERS: usize = 100;
    let (_database, proxy, store) = counted().await;
    fill(&store, (0..CALLERS).map(|number| number % 7)).await;
    let streams: Vec<_> = (0..CALLERS).map(stream).collect();
    let (up_to, limit) = (StreamVersion::MAX, PageLimit::default());
    let mut least = u64::MAX;
    for _ in 0..5 {
        proxy.reset();
        let loads = streams.iter().map(|stream| store.latest_with_tail(stream, up_to, limit));
        for (number, found) in join_all(loads).await.into_iter().enumerate() {
            assert_eq!(found.unwrap().unwrap().tail.events.len(), number % 7);
        }
        least = least.min(proxy.syncs());
    }
    assert!(least <= 3, "{CALLERS} loads took {least} round trips");
}

/// Each task writes to a stream of its own and reads it back; others read all of them.
#[tokio::test(flavor = "multi_thread")]
async fn each_load_sees_what_was_acknowledged_before_it_and_exactly_a_prefix() {
    const WRITERS: usize = 48;
    const WATCHERS: usize = 8;
    const ROUNDS: u64 = 40;
    let (_database, store) = empty_store().await;
    let is_over = Arc::new(AtomicBool::new(false));
    let mut watchers = JoinSet::new();
    for _ in 0..WATCHERS {
        let (store, is_over) = (store.clone(), Arc::clone(&is_over));
        watchers.spawn(async move {
            let mut seen = HashMap::new();
            while !is_over.load(Ordering::Relaxed) {
                let number = fastrand::usize(..WRITERS);
                let page = store.read_stream(&ReadStream::new(stream(number))).await.unwrap();
                let versions = page.events.iter().map(|event| event.version.as_u64());
                assert!(versions.eq(1..=page.stream_version.as_u64()), "{page:?}");
                let before = seen.insert(number, page.events.len()).unwrap_or(0);
                assert!(page.events.len() >= before, "{number} went back");
            }
        });
    }
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let store = store.clone();
        writers.spawn(async move {
            let mut written = Vec::new();
            for round in 0..ROUNDS {
                // some grow beyond what is read of a stream together with others
                let count = if round == 0 && number % 8 == 0 { 50 } else { 1 };
                let expected = exactly(written.len() as u64);
                let request = AppendRequest::to(stream(number), expected, events(count));
                let appended = store.append(request).await.unwrap();
                written.extend(appended.streams[0].events.iter().map(|event| event.event_id));
                let page = store.read_stream(&ReadStream::new(stream(number))).await.unwrap();
                let read: Vec<_> = page.events.iter().map(|event| event.event_id).collect();
                assert_eq!(read, written);
                assert_eq!(page.stream_version.as_u64(), written.len() as u64);
            }
        });
    }
    while let Some(written) = soon("a writer", writers.join_next()).await {
        written.unwrap();
    }
    is_over.store(true, Ordering::Relaxed);
    while let Some(watched) = soon("a watcher", watchers.join_next()).await {
        watched.unwrap();
    }
    soon("it is closed", store.close()).await;
}
