//! Planned faults come when they were planned, once.

#![allow(clippy::unwrap_used)] // a store that cannot be used is a failed test

use std::sync::Arc;

use es_core::backend::{
    AppendError, AppendRequest, Batch, Claim, Definition, Lease, ListParked, NewEvent, PageLimit,
    Position, ProjectionSink, RawKeying, ReadLog, ReadStream, Renewal, SinkError, Slot, Snapshot,
    SnapshotStore, StoreError, StoreErrorKind, StreamId, Timestamp,
};
use es_core::environment::{EventIds, UuidV7Ids};
use es_core::event::{EventFilter, Payload};
use es_core::execution::{IdempotencyKey, StreamVersion};
use es_core::projection::ParkedId;
use es_core::{ExpectedVersion, Store};
use es_memory::MemoryStore;
use es_testing::fault::{Call, Faults, Gate};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

fn faulty() -> (Faults, Store) {
    let faults = Faults::new();
    let store = faults.over(MemoryStore::new());
    (faults, store)
}

fn stream() -> StreamId {
    "account/1".parse().unwrap()
}

fn request(expected: ExpectedVersion) -> AppendRequest {
    let event = NewEvent::new(UuidV7Ids.next_id(), "amount_paid_in", Payload::of(&100).unwrap());
    AppendRequest::to(stream(), expected, vec![event])
}

async fn count(store: &Store) -> usize {
    store.read_log(&ReadLog::from_start()).await.unwrap().events.len()
}

fn kind(error: AppendError) -> StoreErrorKind {
    match error {
        AppendError::Store(error) => error.kind(),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_failed_append_writes_nothing_and_a_lost_answer_everything() {
    let (faults, store) = faulty();
    faults.fail(Call::Append, 1, StoreErrorKind::OutcomeUnknown);
    faults.lose_answer(Call::Append, 2);
    for written in [0, 1] {
        let error = store.append(request(ExpectedVersion::Any)).await.unwrap_err();
        assert_eq!(kind(error), StoreErrorKind::OutcomeUnknown);
        assert_eq!(count(&store).await, written);
    }
    store.append(request(ExpectedVersion::Any)).await.unwrap();
    assert_eq!((count(&store).await, faults.calls(Call::Append)), (2, 3));
}

#[tokio::test]
async fn an_append_is_overtaken_once() {
    let (faults, store) = faulty();
    faults.overtake(2, request(ExpectedVersion::Any));
    store.append(request(ExpectedVersion::NoStream)).await.unwrap();
    let late = store.append(request(ExpectedVersion::Exact(StreamVersion::new(1)))).await;
    assert!(matches!(late, Err(AppendError::Conflict(conflict)) if conflict.actual.as_u64() == 2));
    store.append(request(ExpectedVersion::Exact(StreamVersion::new(2)))).await.unwrap();
}

#[tokio::test]
async fn a_quicker_writer_that_is_refused_is_told() {
    let (faults, store) = faulty();
    store.append(request(ExpectedVersion::NoStream)).await.unwrap();
    faults.overtake(1, request(ExpectedVersion::NoStream));
    let error = store.append(request(ExpectedVersion::Any)).await.unwrap_err();
    assert_eq!(kind(error), StoreErrorKind::Other);
    assert_eq!(count(&store).await, 1);
}

#[tokio::test]
async fn reads_fail_as_planned() {
    let (faults, store) = faulty();
    faults.fail(Call::ReadStream, 2, StoreErrorKind::Busy);
    let read = ReadStream::new(stream());
    store.read_stream(&read).await.unwrap();
    store.read_log(&ReadLog::from_start()).await.unwrap();
    let error = store.read_stream(&read).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    store.read_stream(&read).await.unwrap();
    assert_eq!((faults.calls(Call::ReadStream), faults.calls(Call::ReadLog)), (3, 1));
}

#[tokio::test]
async fn a_delayed_call_waits_for_its_gate_and_no_other_does() {
    let (faults, store) = faulty();
    let gate = Gate::new();
    faults.delay(Call::Append, 1, gate.clone());
    let mut delayed = store.append(request(ExpectedVersion::Any));
    assert!((&mut delayed).now_or_never().is_none());
    store.append(request(ExpectedVersion::NoStream)).await.unwrap();
    assert_eq!(count(&store).await, 1, "the first has done nothing yet");
    assert!((&mut delayed).now_or_never().is_none());
    gate.open();
    delayed.await.unwrap();
    assert_eq!(count(&store).await, 2);
}

/// What a call answers: the kind of its failure, if it is one that was planned.
fn outcome<T>(answer: Result<T, StoreError>) -> Option<StoreErrorKind> {
    answer.err().map(|error| error.kind())
}

fn of_sink<T>(answer: Result<T, SinkError>) -> Option<StoreErrorKind> {
    match answer {
        Err(SinkError::Store(error)) => Some(error.kind()),
        // refusals of the healthy sink
        Err(_) | Ok(_) => None,
    }
}

fn claim(projection: &str) -> Claim {
    Claim::new(projection, "v1", Slot::Active, "one", Lease::LONGEST)
}

/// Makes each call of the three once.
async fn each_call(store: &Store) -> Vec<(Call, Option<StoreErrorKind>)> {
    let snapshots: &Arc<dyn SnapshotStore> =
        store.capabilities().snapshots.as_ref().expect("a memory store keeps snapshots");
    let models: &Arc<dyn ProjectionSink> =
        store.capabilities().models.as_ref().expect("a memory store keeps models");
    // of another store: what matters is that the call is made
    let lease = MemoryStore::new().acquire(&claim("other")).await.unwrap();
    let batch = Batch::moving(0, lease.checkpoints[0].clone(), lease.checkpoints[0].clone());
    let entry = ParkedId { position: Position::START, key: "k".to_owned() };
    let (stream, key) = (stream(), IdempotencyKey::new("k").unwrap());
    let snapshot = Snapshot::new(
        stream.clone(),
        StreamVersion::FIRST,
        UuidV7Ids.next_id(),
        "1",
        Payload::of(&1).unwrap(),
        Timestamp::EPOCH,
    );
    let (all, keying) = (EventFilter::all(), RawKeying::Streams);
    let kept = Definition::rows::<()>("kept", 1, all, keying, |_, row, _| Ok(row));
    let list = ListParked::default();
    let renewal = Renewal::lasting(Lease::LONGEST);
    let newest = StreamVersion::MAX;
    let slot = Slot::Active;
    let calls: Vec<(Call, BoxFuture<'_, Option<StoreErrorKind>>)> = vec![
        (
            Call::Append,
            Box::pin(async { store.append(request(ExpectedVersion::Any)).await.err().map(kind) }),
        ),
        (Call::FindAppend, Box::pin(store.find_append(&stream, &key).map(outcome))),
        (
            Call::ReadStream,
            Box::pin(async { outcome(store.read_stream(&ReadStream::new(stream.clone())).await) }),
        ),
        (Call::ReadLog, Box::pin(async { outcome(store.read_log(&ReadLog::from_start()).await) })),
        (Call::EndOfLog, Box::pin(store.end_of_log().map(outcome))),
        (Call::WaitPast, Box::pin(store.wait_past(Position::START).map(outcome))),
        (Call::LatestSnapshot, Box::pin(snapshots.latest_snapshot(&stream, newest).map(outcome))),
        (Call::SaveSnapshot, Box::pin(snapshots.save_snapshot(snapshot).map(outcome))),
        (Call::DeleteSnapshots, Box::pin(snapshots.delete_snapshots(&stream).map(outcome))),
        (Call::PruneSnapshots, Box::pin(snapshots.prune_snapshots(&stream, 1).map(outcome))),
        (Call::ListSnapshots, Box::pin(snapshots.list_snapshots(None, 9).map(outcome))),
        (
            Call::LatestWithTail,
            Box::pin(
                snapshots.latest_with_tail(&stream, newest, PageLimit::default()).map(outcome),
            ),
        ),
        (Call::Acquire, Box::pin(async { of_sink(models.acquire(&claim("totals")).await) })),
        (Call::Renew, Box::pin(models.renew(&lease, &renewal).map(of_sink))),
        (Call::Release, Box::pin(models.release(&lease).map(of_sink))),
        (Call::Report, Box::pin(models.report(&lease, None).map(of_sink))),
        (Call::Commit, Box::pin(models.commit(&lease, &batch).map(of_sink))),
        (Call::Switch, Box::pin(models.switch(&lease).map(of_sink))),
        (Call::Abandon, Box::pin(models.abandon("totals").map(of_sink))),
        (Call::KeepInline, Box::pin(models.keep_inline(kept).map(of_sink))),
        (Call::ReleaseInline, Box::pin(models.release_inline("totals").map(of_sink))),
        (Call::Load, Box::pin(models.load("totals", slot, &[]).map(of_sink))),
        (Call::Rows, Box::pin(models.rows("totals", slot, None, 1).map(of_sink))),
        (Call::Parked, Box::pin(models.parked("totals", slot, &list).map(of_sink))),
        (Call::RequestRetry, Box::pin(models.request_retry("totals", slot, "k").map(of_sink))),
        (Call::Discard, Box::pin(models.discard("totals", slot, &entry, "").map(of_sink))),
        (Call::Status, Box::pin(models.status(None).map(of_sink))),
        (Call::WaitReached, Box::pin(models.wait_reached("totals", Position::START).map(of_sink))),
    ];
    let mut answers = Vec::new();
    for (call, made) in calls {
        answers.push((call, made.await));
    }
    answers
}

#[tokio::test]
async fn every_call_can_fail() {
    let (faults, store) = faulty();
    let calls: Vec<_> = each_call(&store).await;
    assert_eq!(calls.len(), 28);
    for (call, answer) in &calls {
        assert_eq!((*answer, faults.calls(*call)), (None, 1), "{call:?}: nothing was planned");
        faults.fail(*call, 1, StoreErrorKind::Full);
    }
    for (call, answer) in each_call(&store).await {
        assert_eq!(answer, Some(StoreErrorKind::Full), "{call:?}");
    }
    faults.fail_all(Some(StoreErrorKind::Busy));
    for (call, answer) in each_call(&store).await {
        assert_eq!(answer, Some(StoreErrorKind::Busy), "{call:?}");
    }
    faults.fail_all(None);
    faults.fail_each(Call::Status, Some(StoreErrorKind::Closed));
    for (call, answer) in each_call(&store).await {
        let expected = (call == Call::Status).then_some(StoreErrorKind::Closed);
        assert_eq!((answer, faults.calls(call)), (expected, 4), "{call:?}");
    }
    faults.fail_each(Call::Status, None);
    assert!(each_call(&store).await.iter().all(|(_, answer)| answer.is_none()));
}

#[tokio::test]
async fn chance_fails_calls_at_its_rate_and_the_same_ones_each_time() {
    const APPENDS: usize = 2_000;
    let run = async |seed: u64| {
        let store = Faults::seeded(seed, 0.1).over(MemoryStore::new());
        let mut answers = Vec::new();
        for _ in 0..APPENDS {
            answers.push(store.append(request(ExpectedVersion::Any)).await.err().map(kind));
        }
        answers
    };
    let first = run(7).await;
    assert_eq!(first, run(7).await);
    assert_ne!(first, run(8).await);
    let count =
        |wanted: Option<StoreErrorKind>| first.iter().filter(|answer| **answer == wanted).count();
    let failed = [StoreErrorKind::Unavailable, StoreErrorKind::OutcomeUnknown].map(Some).map(count);
    assert!(failed.iter().all(|failed| (50..150).contains(failed)), "{failed:?}");
    assert_eq!(failed.iter().sum::<usize>() + count(None), APPENDS, "of no other kinds");
    // what only reads is not lost
    let faults = Faults::seeded(7, 1.0);
    let store = faults.over(MemoryStore::new());
    for _ in 0..100 {
        assert_eq!(outcome(store.end_of_log().await), Some(StoreErrorKind::Unavailable));
    }
}

#[tokio::test]
async fn one_plan_is_for_all_stores_that_it_is_over() {
    let faults = Faults::new();
    let (one, other) = (faults.over(MemoryStore::new()), faults.over(MemoryStore::new()));
    assert!(!one.is(&other));
    faults.clone().fail(Call::EndOfLog, 2, StoreErrorKind::Full);
    one.end_of_log().await.unwrap();
    assert_eq!(outcome(other.end_of_log().await), Some(StoreErrorKind::Full));
    // what a handle was given stays there
    let elsewhere: Arc<dyn ProjectionSink> = Arc::new(MemoryStore::new());
    let memory = MemoryStore::new();
    elsewhere.acquire(&claim("totals")).await.unwrap();
    let store = faults.over(Store::from(memory).with_models(elsewhere));
    let models = store.capabilities().models.clone().unwrap();
    assert_eq!(models.status(None).await.unwrap().len(), 1);
    assert_eq!(faults.calls(Call::Status), 1);
}

#[tokio::test]
async fn what_was_not_reached_is_told() {
    let (faults, store) = faulty();
    faults.fail(Call::ReadLog, 1, StoreErrorKind::Busy);
    faults.delay(Call::Append, 2, Gate::new());
    store.read_log(&ReadLog::from_start()).await.unwrap_err();
    store.append(request(ExpectedVersion::Any)).await.unwrap();
    assert_eq!(faults.left(), [Call::Append]);
}

#[test]
#[should_panic(expected = "calls are counted from 1")]
fn a_call_that_is_none_is_refused() {
    Faults::new().fail(Call::Append, 0, StoreErrorKind::Busy);
}
