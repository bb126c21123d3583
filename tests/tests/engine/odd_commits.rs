//! Commits that fail, are refused, or are written without an answer.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use es_core::backend::{
    AppendRequest, Batch, Definition, EventStore, Lease, ListParked, ModelRow, NewEvent,
    ProjectionSink, RawKeying, SinkError, Slot, StoreError, StoreErrorKind,
};
use es_core::environment::Environment;
use es_core::event::{EventFilter, Payload};
use es_core::layer::{LayeredSink, SinkLayer};
use es_core::projection::{BatchLimit, FailurePolicy, ParkedState};
use es_core::{ExpectedVersion, Runner, Store};
use es_memory::MemoryStore;
use tokio::time::{Instant, timeout};

/// What becomes of a commit.
#[derive(Debug, Clone, Copy)]
enum Odd {
    Failed,
    Refused,
    /// The first one is written, and not answered.
    Unanswered,
    /// Before its rows are read, another process takes the lease and commits all there is.
    Overtaken,
    /// Just before what was parked is parked again, somebody discards it.
    Discarded,
}

/// A memory store of which commits are odd.
struct OddSink {
    store: Arc<MemoryStore>,
    inner: Arc<dyn ProjectionSink>,
    odd: Odd,
    commits: AtomicU64,
    loads: AtomicU64,
}

impl OddSink {
    fn new(store: &Arc<MemoryStore>, odd: Odd) -> Arc<LayeredSink<Self>> {
        Arc::new(LayeredSink(Self {
            store: store.clone(),
            inner: store.clone(),
            odd,
            commits: AtomicU64::new(0),
            loads: AtomicU64::new(0),
        }))
    }

    fn commits(&self) -> u64 {
        self.commits.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl SinkLayer for OddSink {
    fn inner(&self) -> &Arc<dyn ProjectionSink> {
        &self.inner
    }

    async fn commit(&self, lease: &Lease, batch: &Batch) -> Result<(), SinkError> {
        let before = self.commits.fetch_add(1, Ordering::SeqCst);
        match self.odd {
            Odd::Failed => {
                Err(StoreError::new(StoreErrorKind::Unavailable, "the store is away").into())
            }
            Odd::Refused => Err(SinkError::LeaseLost { projection: lease.projection.clone() }),
            Odd::Unanswered => {
                self.inner.commit(lease, batch).await?;
                if before == 0 {
                    pending::<()>().await;
                }
                Ok(())
            }
            Odd::Overtaken => self.inner.commit(lease, batch).await,
            Odd::Discarded => {
                for entry in batch.park.iter().map(|entry| entry.id()) {
                    let (name, slot) = (&lease.projection, lease.slot);
                    // what is new does not wait yet
                    let _ = self.inner.discard(name, slot, &entry, "by hand").await;
                }
                self.inner.commit(lease, batch).await
            }
        }
    }

    async fn load(
        &self,
        projection: &str,
        slot: Slot,
        keys: &[String],
    ) -> Result<Vec<ModelRow>, SinkError> {
        let before = self.loads.fetch_add(1, Ordering::SeqCst);
        if matches!(self.odd, Odd::Overtaken) && before == 0 {
            runner(&self.store, self.store.clone()).catch_up().await.unwrap();
        }
        self.inner.load(projection, slot, keys).await
    }
}

/// The name of the model below.
const LAST: &str = "last";

/// The last place of each account; refuses what it has taken already.
fn last() -> Definition {
    Definition::rows(
        LAST,
        1,
        EventFilter::all(),
        RawKeying::Streams,
        |_, row: Option<u64>, event| {
            let here = event.position.to_sequence();
            match row.filter(|last| *last >= here) {
                Some(_) => Err("it was taken before".into()),
                None => Ok(Some(here)),
            }
        },
    )
}

/// More than a page, so that the first one is gathered without a commit.
const EVENTS: usize = 5_000;

async fn fill(store: &MemoryStore, events: usize) {
    let ids = Environment::default().event_ids;
    let event = |_| NewEvent::new(ids.next_id(), "paid", Payload::of(&()).unwrap());
    for account in 0..5 {
        let events = (0..events / 5).map(event).collect();
        let stream = format!("account/{account}").parse().unwrap();
        store.append(AppendRequest::to(stream, ExpectedVersion::Any, events)).await.unwrap();
    }
}

async fn filled() -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::new());
    fill(&store, EVENTS).await;
    store
}

/// One of the same name takes the lease over at once.
fn runner(store: &Arc<MemoryStore>, sink: Arc<dyn ProjectionSink>) -> Runner {
    let runner = Runner::new(Store::from(store.clone()).with_models(sink)).holder("one");
    runner.batches(BatchLimit::events(100_000)).definition(last())
}

async fn assert_all_taken_once(store: &MemoryStore) {
    let status = store.status(Some(LAST)).await.unwrap();
    let active = status[0].active.as_ref().unwrap();
    assert_eq!(active.checkpoint().position.to_sequence(), EVENTS as u64);
    assert_eq!((active.events, &active.trouble), (EVENTS as u64, &None));
}

#[tokio::test(start_paused = true)]
async fn a_store_whose_commits_fail_is_asked_ever_more_seldom() {
    let store = filled().await;
    let sink = OddSink::new(&store, Odd::Failed);
    let (start, minutes) = (Instant::now(), Duration::from_secs(300));
    let ended = timeout(minutes, runner(&store, sink.clone()).run()).await;
    assert!(ended.is_err(), "a runner never gives up");
    assert!(start.elapsed() >= minutes);
    // ten seconds at most between two, half of it in the mean, and the first ones in quick succession
    assert!((10..200).contains(&sink.0.commits()), "{} commits", sink.0.commits());
}

#[tokio::test(start_paused = true)]
async fn catching_up_ends_though_each_lease_is_lost() {
    let store = filled().await;
    let sink = OddSink::new(&store, Odd::Refused);
    let mut runner = runner(&store, sink.clone());
    let error = timeout(Duration::from_secs(60), runner.catch_up()).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("last"), "{error}");
    assert_eq!(sink.0.commits(), 2, "a lost lease is taken again once");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_was_committed_unheard_stops_nothing() {
    let store = filled().await;
    let sink = OddSink::new(&store, Odd::Unanswered);
    let mut runner = runner(&store, sink.clone());
    {
        let dropped = pin!(runner.catch_up());
        assert!(timeout(Duration::from_secs(1), dropped).await.is_err(), "nobody answers");
    }
    // the same runner last heard that it stands at the beginning, and every row is of the end
    runner.catch_up().await.unwrap();
    assert_all_taken_once(&store).await;
}

#[tokio::test(start_paused = true)]
async fn an_event_that_another_process_took_meanwhile_stops_nothing() {
    // who begins with nothing reads no rows
    const BEFORE: usize = 50;
    let store = Arc::new(MemoryStore::new());
    fill(&store, BEFORE).await;
    runner(&store, store.clone()).once().await.unwrap();
    fill(&store, EVENTS - BEFORE).await;
    let sink = OddSink::new(&store, Odd::Overtaken);
    // it stands near the beginning, and every row that it reads is of the end
    runner(&store, sink.clone()).catch_up().await.unwrap();
    assert!(sink.0.commits() > 0, "it had to ask whether it was believed");
    assert_all_taken_once(&store).await;
}

/// The last place of each account; parks what it cannot take.
fn stubborn() -> Definition {
    let (all, keying) = (EventFilter::all(), RawKeying::Streams);
    let definition = Definition::rows(LAST, 1, all, keying, |_, _: Option<u64>, event| {
        match event.event_type == *"poison" {
            true => Err("it is poison".into()),
            false => Ok(Some(event.position.to_sequence())),
        }
    });
    definition.on_failure(FailurePolicy::park_key())
}

async fn happened(store: &MemoryStore, types: &[&str]) {
    let ids = Environment::default().event_ids;
    let event = |kind: &&str| NewEvent::new(ids.next_id(), kind, Payload::of(&()).unwrap());
    let (stream, events) = ("account/1".parse().unwrap(), types.iter().map(event).collect());
    store.append(AppendRequest::to(stream, ExpectedVersion::Any, events)).await.unwrap();
}

async fn rows(store: &MemoryStore) -> Vec<u64> {
    let rows = store.rows(LAST, Slot::Active, None, 9).await.unwrap();
    rows.iter().map(|row| row.value.decode().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_discarded_while_it_is_tried_again_stays_so() {
    let store = Arc::new(MemoryStore::new());
    happened(&store, &["poison", "paid", "paid"]).await;
    let runner = |sink: Arc<dyn ProjectionSink>| {
        let store = Store::from(store.clone()).with_models(sink);
        Runner::new(store).holder("one").definition(stubborn())
    };
    runner(store.clone()).catch_up().await.unwrap();
    store.request_retry(LAST, Slot::Active, "account/1").await.unwrap();
    runner(OddSink::new(&store, Odd::Discarded)).catch_up().await.unwrap();
    let parked = store.parked(LAST, Slot::Active, &ListParked::default()).await.unwrap();
    let [entry] = &parked[..] else { panic!("all but the first are taken, but: {parked:?}") };
    match &entry.state {
        ParkedState::Discarded { reason, .. } => assert_eq!(reason, "by hand"),
        waiting => panic!("it was discarded, but: {waiting:?}"),
    }
    assert_eq!(rows(&store).await, [3], "what waited behind it is taken");
}

#[tokio::test(start_paused = true)]
async fn catching_up_takes_what_follows_the_only_parked_event_that_was_discarded() {
    let store = Arc::new(MemoryStore::new());
    happened(&store, &["poison"]).await;
    let mut runner = Runner::new(store.clone()).definition(stubborn());
    runner.catch_up().await.unwrap();
    let parked = store.parked(LAST, Slot::Active, &ListParked::default()).await.unwrap();
    store.discard(LAST, Slot::Active, &parked[0].id(), "by hand").await.unwrap();
    happened(&store, &["paid"]).await;
    runner.catch_up().await.unwrap();
    assert_eq!(rows(&store).await, [2]);
}
