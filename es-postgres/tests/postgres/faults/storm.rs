//! Writers, readers and a follower over a store that fails now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use es_core::ExpectedVersion;
use es_core::backend::{
    AppendError, AppendRequest, EventStore, EventStoreExt, ReadLog, ReadStream, StoreError,
};
use es_core::execution::{IdempotencyKey, StreamVersion};
use es_postgres::PostgresStore;
use es_testing::checker::{Recorder, Summary, WriteOrder};
use futures_util::TryStreamExt;
use tokio::task::JoinSet;

use crate::support::{events, key};

/// What the storm met, beside its history.
#[derive(Debug, Default)]
pub(crate) struct Met {
    pub(crate) unknown: AtomicU64,
    /// Appends with unknown outcome that their repetition found written.
    pub(crate) found: AtomicU64,
    pub(crate) unavailable: AtomicU64,
    pub(crate) follower_restarts: AtomicU64,
}

pub(crate) struct Storm {
    recorder: Recorder,
    stores: Vec<Arc<dyn EventStore>>,
    plain: Arc<dyn EventStore>,
    tasks: JoinSet<()>,
    follower: tokio::task::JoinHandle<u64>,
    is_over: Arc<AtomicBool>,
    pub(crate) met: Arc<Met>,
}

impl Storm {
    /// Begins to write through these stores, which are in the same database.
    pub(crate) fn begin(stores: &[PostgresStore], seed: u64) -> Self {
        let recorder = Recorder::with_order(WriteOrder::Overlapping);
        let watched: Vec<Arc<dyn EventStore>> =
            stores.iter().map(|store| recorder.over(store.clone()).event_store().clone()).collect();
        let (is_over, met) = (Arc::new(AtomicBool::new(false)), Arc::new(Met::default()));
        let mut tasks = JoinSet::new();
        for number in 0..8 {
            let store = Arc::clone(&watched[number % watched.len()]);
            let writer = Writer {
                number,
                chance: fastrand::Rng::with_seed(seed.wrapping_add(number as u64)),
                store,
                met: Arc::clone(&met),
            };
            tasks.spawn(writer.write(Arc::clone(&is_over)));
        }
        let plain: Arc<dyn EventStore> = Arc::new(stores[0].clone());
        let follower =
            tokio::spawn(follow(Arc::clone(&plain), Arc::clone(&is_over), Arc::clone(&met)));
        Self { recorder, stores: watched, plain, tasks, follower, is_over, met }
    }

    /// Ends the writers, and judges everything that they did.
    pub(crate) async fn end(mut self) -> Summary {
        self.is_over.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        // one more, so that the follower wakes up
        let last = crate::support::to("account/last");
        while self.stores[0].append(last.clone().with_key(key("last"))).await.is_err() {}
        let history = loop {
            match self.recorder.finish(self.plain.clone()).await {
                Ok(history) => break history,
                // its connections are those of before the last fault
                Err(error) => println!("reading the log once more after: {error}"),
            }
        };
        let followed = self.follower.await.unwrap();
        let summary = history.check().unwrap_or_else(|violations| panic!("{violations}"));
        assert_eq!(followed as usize, summary.events, "the follower");
        summary
    }
}

/// Follows the log from its checkpoint on, whatever happens to its connection; answers how many
/// events it saw, each once and in order.
async fn follow(store: Arc<dyn EventStore>, is_over: Arc<AtomicBool>, met: Arc<Met>) -> u64 {
    let (mut read, mut count) = (ReadLog::from_start(), 0);
    loop {
        let mut pages = store.tail_pages(read.clone());
        while let Ok(Some(page)) = pages.try_next().await {
            for event in &page.events {
                assert!(event.position > read.after, "{} came twice", event.event_id);
                read.after = event.position;
                count += 1;
            }
            read.after = page.next;
            let is_last =
                page.events.iter().any(|event| event.stream.to_string() == "account/last");
            if is_last && is_over.load(Ordering::Relaxed) {
                return count;
            }
        }
        met.follower_restarts.fetch_add(1, Ordering::Relaxed);
    }
}

struct Writer {
    number: usize,
    chance: fastrand::Rng,
    store: Arc<dyn EventStore>,
    met: Arc<Met>,
}

fn lost(error: &AppendError) -> Option<&StoreError> {
    match error {
        AppendError::Store(error) => Some(error),
        _ => None,
    }
}

impl Writer {
    async fn write(mut self, is_over: Arc<AtomicBool>) {
        let mut number = 0;
        while !is_over.load(Ordering::Relaxed) {
            number += 1;
            let key = key(&format!("{}-{number}", self.number));
            let request = self.request().await;
            match self.chance.u8(..3) {
                0 => self.once(request).await,
                _ => self.until_answered(request, key).await,
            }
            if self.chance.u8(..4) == 0 {
                let stream = format!("account/{}", self.chance.u8(..6)).parse().unwrap();
                let _ = self.store.read_stream(&ReadStream::new(stream)).await;
            }
        }
    }

    /// Of any shape, to streams that all writers share.
    async fn request(&mut self) -> AppendRequest {
        let stream: es_core::backend::StreamId =
            format!("account/{}", self.chance.u8(..6)).parse().unwrap();
        let expected = match self.chance.u8(..3) {
            0 => match self.store.read_stream(&ReadStream::new(stream.clone())).await {
                Ok(page) => ExpectedVersion::Exact(page.stream_version),
                Err(_) => ExpectedVersion::Exact(StreamVersion::EMPTY),
            },
            _ => ExpectedVersion::Any,
        };
        let request = AppendRequest::to(stream.clone(), expected, events(self.chance.usize(1..4)));
        let other = format!("account/{}", self.chance.u8(..6)).parse().unwrap();
        match self.chance.u8(..4) {
            0 if other != stream => request.and(other, ExpectedVersion::Any, events(2)),
            _ => request,
        }
    }

    async fn once(&self, request: AppendRequest) {
        if let Err(error) = self.store.append(request).await
            && let Some(error) = lost(&error)
        {
            self.note(error);
        }
    }

    /// Sends a request with its key again and again until the answer is known.
    async fn until_answered(&self, request: AppendRequest, key: IdempotencyKey) {
        let request = request.with_key(key);
        let mut was_unknown = false;
        loop {
            match self.store.append(request.clone()).await {
                Ok(appended) => {
                    if was_unknown && appended.repeated {
                        self.met.found.fetch_add(1, Ordering::Relaxed);
                    }
                    return;
                }
                Err(error) => match lost(&error) {
                    Some(error) => {
                        was_unknown |= error.is_outcome_unknown();
                        self.note(error);
                        tokio::task::yield_now().await;
                    }
                    None => return,
                },
            }
        }
    }

    fn note(&self, error: &StoreError) {
        let what = match error.is_outcome_unknown() {
            true => &self.met.unknown,
            false => &self.met.unavailable,
        };
        what.fetch_add(1, Ordering::Relaxed);
    }
}
