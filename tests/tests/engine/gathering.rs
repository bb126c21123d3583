//! Commits that gather many pages of the log.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};

use es_core::backend::{
    AppendRequest, Definition, EventStore, ListParked, NewEvent, Position, ProjectionSink,
    RawKeying, Slot,
};
use es_core::environment::Environment;
use es_core::event::{EventFilter, Payload, RecordedEvent};
use es_core::projection::{BatchLimit, FailurePolicy, Rebuild};
use es_core::{ExpectedVersion, Runner};
use es_memory::MemoryStore;
use futures_util::FutureExt;
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};

/// More than two pages.
const EVENTS: u64 = 9_000;

const ACCOUNTS: u64 = 7;

/// The place of the event that cannot be taken, in the third page.
const POISON: u64 = 8_500;

/// A commit may hold the whole log.
const WIDE: BatchLimit = up_to(100_000);

/// A commit is bounded by its events only.
const fn up_to(events: usize) -> BatchLimit {
    BatchLimit::events(events).bytes(64 * 1024 * 1024).rows(1_000)
}

/// A hash over the places of an account's events, in their order; it counts its calls.
#[derive(Default, Clone)]
struct Chained {
    calls: Arc<AtomicU64>,
    is_strict: bool,
}

impl Chained {
    fn strict() -> Self {
        Self { is_strict: true, ..Self::default() }
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }
}

/// The row after an event.
fn chained(row: Option<(u64, u64)>, event: &RecordedEvent) -> (u64, u64) {
    let (count, hash) = row.unwrap_or_default();
    (count + 1, hash.wrapping_mul(31).wrapping_add(event.position.to_sequence()))
}

impl Chained {
    const NAME: &str = "chained";

    fn model(&self) -> Definition {
        let (this, all) = (self.clone(), EventFilter::all());
        Definition::rows(Self::NAME, 1, all, RawKeying::Streams, move |_, row, event| {
            this.calls.fetch_add(1, Ordering::SeqCst);
            if this.is_strict && event.event_type == *"poison" {
                return Err("it is poison".into());
            }
            Ok(Some(chained(row, event)))
        })
    }

    fn parking(&self) -> Definition {
        self.model().on_failure(FailurePolicy::park_key())
    }
}

async fn filled() -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::new());
    let ids = Environment::default().event_ids;
    let mut left = EVENTS;
    while left > 0 {
        let request =
            (0..ACCOUNTS.min(left)).fold(None, |request: Option<AppendRequest>, account| {
                let event_type =
                    if EVENTS - left + account + 1 == POISON { "poison" } else { "paid" };
                let event = NewEvent::new(ids.next_id(), event_type, Payload::of(&()).unwrap());
                let stream = format!("account/{account}").parse().unwrap();
                let (any, events) = (ExpectedVersion::Any, vec![event]);
                Some(match request {
                    None => AppendRequest::to(stream, any, events),
                    Some(request) => request.and(stream, any, events),
                })
            });
        store.append(request.unwrap()).await.unwrap();
        left = left.saturating_sub(ACCOUNTS);
    }
    store
}

fn runner(store: &Arc<MemoryStore>, projection: &Chained, limit: BatchLimit) -> Runner {
    Runner::new(store.clone()).batches(limit).definition(projection.parking())
}

async fn rows(store: &MemoryStore) -> BTreeMap<String, (u64, u64)> {
    let rows = store.rows(Chained::NAME, Slot::Active, None, 100).await.unwrap();
    rows.into_iter().map(|row| (row.key, row.value.decode().unwrap())).collect()
}

/// Where the model stands, and how many events it has dealt with.
async fn place(store: &MemoryStore) -> (Position, u64) {
    let status = store.status(Some(Chained::NAME)).await.unwrap();
    let active = status[0].active.as_ref().unwrap();
    (active.checkpoint().position, active.events)
}

/// What the log comes to up to a place.
async fn expected(store: &MemoryStore, until: Position) -> BTreeMap<String, (u64, u64)> {
    let mut rows = BTreeMap::<String, (u64, u64)>::new();
    let mut read = es_core::backend::ReadLog::from_start();
    loop {
        let page = store.read_log(&read).await.unwrap();
        for event in page.events.iter().filter(|event| event.position <= until) {
            let key = event.stream.to_string();
            let row = chained(rows.remove(&key), event);
            rows.insert(key, row);
        }
        if page.at_end {
            return rows;
        }
        read.after = page.next;
    }
}

#[tokio::test]
async fn many_pages_are_folded_once_whatever_bounds_a_commit() {
    let store = filled().await;
    let whole = expected(&store, Position::from_sequence(EVENTS)).await;
    let limits = [WIDE, up_to(4_500), up_to(1), WIDE.rows(3), WIDE.bytes(10_000)];
    for limit in limits {
        let store = filled().await;
        let projection = Chained::default();
        runner(&store, &projection, limit).catch_up().await.unwrap();
        assert_eq!(rows(&store).await, whole, "{limit:?}");
        assert_eq!(projection.calls(), EVENTS, "{limit:?}");
        assert_eq!(place(&store).await.1, EVENTS, "{limit:?}");
    }
}

#[tokio::test]
async fn what_fails_pages_later_is_parked_as_if_each_page_stood_alone() {
    let mut models = Vec::new();
    for limit in [WIDE, up_to(100)] {
        let store = filled().await;
        let projection = Chained::strict();
        runner(&store, &projection, limit).catch_up().await.unwrap();
        let parked = |store: Arc<MemoryStore>, slot| async move {
            let list = ListParked { limit: 1_000, ..ListParked::default() };
            let parked = store.parked(Chained::NAME, slot, &list).await.unwrap();
            parked.into_iter().map(|entry| entry.event.position).collect::<Vec<_>>()
        };
        let entries = parked(store.clone(), Slot::Active).await;
        assert_eq!(entries.first().map(|it| it.to_sequence()), Some(POISON));
        assert_eq!(entries.len() as u64, (EVENTS - POISON) / ACCOUNTS + 1);
        assert_eq!(place(&store).await.1, EVENTS);
        if limit == WIDE {
            // what had been gathered was folded again
            assert!(projection.calls() > EVENTS + 8_000, "{}", projection.calls());
        }
        let served = rows(&store).await;

        for slices in [1, 2] {
            Rebuild::definition(store.clone(), Chained::strict().parking())
                .batches(limit)
                .slices(slices)
                .run()
                .await
                .unwrap();
            assert_eq!(rows(&store).await, served, "{slices} slices");
            assert_eq!(parked(store.clone(), Slot::Active).await, entries, "{slices} slices");
        }
        models.push(served);
    }
    assert_eq!(models[0], models[1]);
}

#[tokio::test]
async fn what_stops_a_projection_pages_later_leaves_what_stands_before_it() {
    let store = filled().await;
    let mut runner = Runner::new(store.clone()).batches(WIDE).definition(Chained::strict().model());
    let error = runner.catch_up().await.unwrap_err();
    assert!(error.to_string().contains("it is poison"), "{error}");
    let before = Position::from_sequence(POISON - 1);
    assert_eq!(place(&store).await, (before, POISON - 1));
    assert_eq!(rows(&store).await, expected(&store, before).await);
}

#[tokio::test]
async fn a_catching_up_that_is_dropped_anywhere_is_taken_up_where_it_committed() {
    let polls = [1, 2, 5, 9, 14, 20, 27, 35, 50, 80];
    for (limit, polls) in
        polls.iter().flat_map(|polls| [WIDE, up_to(1_500)].map(|limit| (limit, *polls)))
    {
        let store = filled().await;
        let mut runner = runner(&store, &Chained::default(), limit);
        {
            let mut dropped = pin!(runner.catch_up());
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..polls {
                if dropped.poll_unpin(&mut context).is_ready() {
                    break;
                }
            }
        }
        runner.catch_up().await.unwrap();
        let (end, events) = place(&store).await;
        assert_eq!((end.to_sequence(), events), (EVENTS, EVENTS), "{limit:?}, {polls} polls");
        assert_eq!(rows(&store).await, expected(&store, end).await, "{limit:?}, {polls} polls");
    }
}

#[tokio::test]
async fn a_runner_that_is_stopped_commits_what_it_has_gathered() {
    let store = filled().await;
    let runner = runner(&store, &Chained::default(), WIDE);
    let handle = runner.handle();
    let mut run = pin!(runner.run());
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..25 {
        assert!(run.poll_unpin(&mut context).is_pending());
    }
    assert_eq!(place(&store).await.1, 0, "so far nothing was committed");
    handle.stop();
    run.await.unwrap();
    let (here, events) = place(&store).await;
    assert!(events > 0 && events < EVENTS, "{events} events");
    assert_eq!(rows(&store).await, expected(&store, here).await);
}

/// A count that cannot be written beyond a thousand.
#[derive(Default, Deserialize)]
struct Few(u64);

impl Serialize for Few {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            0..=1_000 => serializer.serialize_u64(self.0),
            _ => Err(S::Error::custom("too many")),
        }
    }
}

/// Counts the events of an account, and its own calls.
#[derive(Default)]
struct Limited(Arc<AtomicU64>);

impl Limited {
    const NAME: &str = "limited";

    fn model(&self) -> Definition {
        let (calls, all) = (self.0.clone(), EventFilter::all());
        let model = Definition::rows(Self::NAME, 1, all, RawKeying::Streams, move |_, row, _| {
            calls.fetch_add(1, Ordering::SeqCst);
            let Few(count) = row.unwrap_or_default();
            Ok(Some(Few(count + 1)))
        });
        model.on_failure(FailurePolicy::park_key())
    }
}

#[tokio::test]
async fn what_cannot_be_written_is_parked_from_the_first_event_on_and_found_soon() {
    let store = filled().await;
    let projection = Limited::default();
    Runner::new(store.clone())
        .batches(WIDE)
        .definition(projection.model())
        .catch_up()
        .await
        .unwrap();
    let rows = store.rows(Limited::NAME, Slot::Active, None, 100).await.unwrap();
    assert_eq!(rows.len() as u64, ACCOUNTS);
    assert!(rows.iter().all(|row| row.value.as_str() == "1000"), "{rows:?}");
    let list = ListParked { limit: 5_000, ..ListParked::default() };
    let parked = store.parked(Limited::NAME, Slot::Active, &list).await.unwrap();
    assert_eq!(parked.len() as u64, EVENTS - 1_000 * ACCOUNTS);
    let failed: Vec<_> = parked.iter().filter(|entry| entry.reason.contains("too many")).collect();
    assert_eq!(failed.len() as u64, ACCOUNTS, "the others wait behind them");
    // an event less with each attempt would be half a million
    let calls = projection.0.load(Ordering::SeqCst);
    assert!(calls < 100_000, "{calls} calls");
}
