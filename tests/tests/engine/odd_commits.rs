//! Commits that fail, are refused, or are written without an answer.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use es_core::projection::{
    Batch, BatchLimit, Claim, Definition, Lease, ListParked, ModelRow, Parked, ParkedId,
    ProjectionSink, ProjectionStatus, RawKeying, Renewal, Renewed, Runner, SinkError, Slot,
};
use es_core::{
    AppendRequest, Environment, EventFilter, EventStore, ExpectedVersion, NewEvent, Payload,
    Position, Store, StoreError, StoreErrorKind,
};
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
}

/// A memory store of which commits are odd.
struct OddSink {
    store: Arc<MemoryStore>,
    odd: Odd,
    commits: AtomicU64,
    loads: AtomicU64,
}

impl OddSink {
    fn new(store: &Arc<MemoryStore>, odd: Odd) -> Arc<Self> {
        Arc::new(Self {
            store: store.clone(),
            odd,
            commits: AtomicU64::new(0),
            loads: AtomicU64::new(0),
        })
    }

    fn commits(&self) -> u64 {
        self.commits.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl ProjectionSink for OddSink {
    async fn acquire(&self, claim: &Claim) -> Result<Lease, SinkError> {
        self.store.acquire(claim).await
    }

    async fn renew(&self, lease: &Lease, renewal: &Renewal) -> Result<Renewed, SinkError> {
        self.store.renew(lease, renewal).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), SinkError> {
        self.store.release(lease).await
    }

    async fn report(&self, lease: &Lease, trouble: Option<&str>) -> Result<(), SinkError> {
        self.store.report(lease, trouble).await
    }

    async fn commit(&self, lease: &Lease, batch: &Batch) -> Result<(), SinkError> {
        let before = self.commits.fetch_add(1, Ordering::SeqCst);
        match self.odd {
            Odd::Failed => {
                Err(StoreError::new(StoreErrorKind::Unavailable, "the store is away").into())
            }
            Odd::Refused => Err(SinkError::LeaseLost { projection: lease.projection.clone() }),
            Odd::Unanswered => {
                self.store.commit(lease, batch).await?;
                if before == 0 {
                    pending::<()>().await;
                }
                Ok(())
            }
            Odd::Overtaken => self.store.commit(lease, batch).await,
        }
    }

    async fn switch(&self, lease: &Lease) -> Result<(), SinkError> {
        self.store.switch(lease).await
    }

    async fn abandon(&self, projection: &str) -> Result<(), SinkError> {
        self.store.abandon(projection).await
    }

    async fn keep_inline(&self, definition: Definition) -> Result<(), SinkError> {
        self.store.keep_inline(definition).await
    }

    async fn release_inline(&self, projection: &str) -> Result<(), SinkError> {
        self.store.release_inline(projection).await
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
        self.store.load(projection, slot, keys).await
    }

    async fn rows(
        &self,
        projection: &str,
        slot: Slot,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ModelRow>, SinkError> {
        self.store.rows(projection, slot, after, limit).await
    }

    async fn parked(
        &self,
        projection: &str,
        slot: Slot,
        list: &ListParked,
    ) -> Result<Vec<Parked>, SinkError> {
        self.store.parked(projection, slot, list).await
    }

    async fn request_retry(
        &self,
        projection: &str,
        slot: Slot,
        key: &str,
    ) -> Result<(), SinkError> {
        self.store.request_retry(projection, slot, key).await
    }

    async fn discard(
        &self,
        projection: &str,
        slot: Slot,
        entry: &ParkedId,
        reason: &str,
    ) -> Result<(), SinkError> {
        self.store.discard(projection, slot, entry, reason).await
    }

    async fn status(&self, projection: Option<&str>) -> Result<Vec<ProjectionStatus>, SinkError> {
        self.store.status(projection).await
    }

    async fn wait_reached(&self, projection: &str, position: Position) -> Result<(), SinkError> {
        self.store.wait_reached(projection, position).await
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

async fn filled() -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::new());
    let ids = Environment::default().event_ids;
    let event = |_| NewEvent::new(ids.next_id(), "paid", Payload::of(&()).unwrap());
    for account in 0..5 {
        let events = (0..EVENTS / 5).map(event).collect();
        let stream = format!("account/{account}").parse().unwrap();
        store.append(AppendRequest::to(stream, ExpectedVersion::Any, events)).await.unwrap();
    }
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
    assert!((10..200).contains(&sink.commits()), "{} commits", sink.commits());
}

#[tokio::test(start_paused = true)]
async fn catching_up_ends_though_each_lease_is_lost() {
    let store = filled().await;
    let sink = OddSink::new(&store, Odd::Refused);
    let mut runner = runner(&store, sink.clone());
    let error = timeout(Duration::from_secs(60), runner.catch_up()).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("last"), "{error}");
    assert_eq!(sink.commits(), 2, "a lost lease is taken again once");
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
    let store = filled().await;
    let sink = OddSink::new(&store, Odd::Overtaken);
    // it stands at the beginning, and every row that it reads is of the end
    runner(&store, sink.clone()).catch_up().await.unwrap();
    assert!(sink.commits() > 0, "it had to ask whether it was believed");
    assert_all_taken_once(&store).await;
}
