//! Streams of events: complete, in order, with the memory of a page, and never spinning.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use es_core::backend::{
    EventStore, EventStoreExt, LogPage, PageLimit, ReadLog, ReadStream, StoreError,
};
use es_core::event::EventFilter;
use es_core::execution::Retry;
use es_core::layer::{Layered, StoreLayer};
use es_memory::MemoryStore;
use futures_util::{FutureExt, StreamExt, TryStreamExt};

use super::account::*;

/// Counts how often the log is read.
struct Counting {
    inner: Arc<dyn EventStore>,
    log_reads: AtomicUsize,
}

#[async_trait]
impl StoreLayer for Counting {
    fn inner(&self) -> &Arc<dyn EventStore> {
        &self.inner
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        self.log_reads.fetch_add(1, Ordering::Relaxed);
        self.inner.read_log(read).await
    }
}

fn filled(events: u64) -> Arc<MemoryStore> {
    let store = store();
    (1..=events)
        .for_each(|cents| slip_in(&store, if cents % 2 == 0 { "even" } else { "odd" }, cents));
    store
}

#[tokio::test]
async fn a_stream_is_read_whole_both_ways_whatever_the_page() {
    let store = filled(21);
    for page in [1, 2, 5, 100] {
        let read = || ReadStream::new(stream("odd")).limit(PageLimit::events(page));
        let versions = |read| async {
            let events: Vec<_> = store.events(read).try_collect().await.unwrap();
            events.iter().map(|event| event.version.as_u64()).collect::<Vec<_>>()
        };
        assert_eq!(versions(read()).await, (1..=11).collect::<Vec<_>>());
        assert_eq!(versions(read().backwards()).await, (1..=11).rev().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn the_log_ends_and_the_tail_goes_on() {
    let store = filled(10);
    let read = || ReadLog::from_start().limit(PageLimit::events(3));
    let log: Vec<_> = store.log(read()).try_collect().await.unwrap();
    assert_eq!(log.len(), 10);

    let mut tail = store.tail(read());
    for event in &log {
        assert_eq!(tail.next().now_or_never().unwrap().unwrap().unwrap(), *event);
    }
    assert!(tail.next().now_or_never().is_none(), "the tail must wait at the end");
    slip_in(&store, "even", 99);
    let event = tail.next().await.unwrap().unwrap();
    assert_eq!(event.position, store.end_of_log().await.unwrap());
}

#[tokio::test]
async fn a_waiting_tail_reads_once_an_append_and_never_without() {
    let inner = filled(2);
    let counting = Layered(Counting { inner: inner.clone(), log_reads: AtomicUsize::new(0) });
    let filter = EventFilter::events([AccountEvent::MONEY_WITHDRAWN]);
    let mut tail = counting.tail(ReadLog::from_start().filter(filter));
    for _ in 0..100 {
        assert!(tail.next().now_or_never().is_none());
    }
    assert_eq!(counting.0.log_reads.load(Ordering::Relaxed), 1);
    for appends in 1..=5 {
        slip_in(&inner, "even", 1);
        for _ in 0..100 {
            assert!(tail.next().now_or_never().is_none(), "nothing matches the filter");
        }
        assert_eq!(counting.0.log_reads.load(Ordering::Relaxed), 1 + appends);
    }
}

#[tokio::test]
async fn pages_of_the_tail_move_the_checkpoint_over_what_the_filter_leaves_out() {
    let store = filled(5);
    let filter = EventFilter::events([AccountEvent::MONEY_WITHDRAWN]);
    let mut pages = store.tail_pages(ReadLog::from_start().filter(filter));
    let page = pages.next().await.unwrap().unwrap();
    assert!(page.events.is_empty() && page.at_end);
    assert_eq!(page.next, store.end_of_log().await.unwrap());
    assert!(pages.next().now_or_never().is_none());
}

#[tokio::test]
async fn a_follower_on_another_task_sees_every_event_once_while_writers_write() {
    const WRITERS: u64 = 8;
    const EACH: u64 = 200;
    let store = store();
    let followed = tokio::spawn({
        let store = store.clone();
        async move {
            let tail = store.tail(ReadLog::from_start().limit(PageLimit::events(7)));
            tail.take((WRITERS * EACH) as usize).try_collect::<Vec<_>>().await.unwrap()
        }
    });
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let accounts = accounts(&store);
            tokio::spawn(async move {
                for cents in 0..EACH {
                    let account = id(&format!("w{}", (writer + cents) % 3));
                    let deposit = accounts.by_id(&account).decide(|a| a.deposit(cents));
                    deposit.retry(Retry::times(1_000)).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let log: Vec<_> = store.log(ReadLog::from_start()).try_collect().await.unwrap();
    assert_eq!(followed.await.unwrap(), log);
}
