//! Planned faults come when they were planned, once.

#![allow(clippy::unwrap_used)] // a store that cannot be used is a failed test

use std::sync::Arc;

use es_core::environment::{EventIds, UuidV7Ids};
use es_core::{
    AppendError, AppendRequest, EventStore, ExpectedVersion, IdempotencyKey, NewEvent, Payload,
    Position, ReadLog, ReadStream, StoreErrorKind, StreamVersion,
};
use es_memory::MemoryStore;
use es_testing::fault::{Call, FaultStore};

fn store() -> FaultStore {
    FaultStore::new(Arc::new(MemoryStore::new()))
}

fn request(expected: ExpectedVersion) -> AppendRequest {
    let event = NewEvent::new(UuidV7Ids.next_id(), "amount_paid_in", Payload::of(&100).unwrap());
    AppendRequest::to("account/1".parse().unwrap(), expected, vec![event])
}

async fn count(store: &FaultStore) -> usize {
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
    let store = store();
    store.fail_append(1, StoreErrorKind::OutcomeUnknown);
    store.lose_answer(2);
    for written in [0, 1] {
        let error = store.append(request(ExpectedVersion::Any)).await.unwrap_err();
        assert_eq!(kind(error), StoreErrorKind::OutcomeUnknown);
        assert_eq!(count(&store).await, written);
    }
    store.append(request(ExpectedVersion::Any)).await.unwrap();
    assert_eq!((count(&store).await, store.appends()), (2, 3));
}

#[tokio::test]
async fn an_append_is_overtaken_once() {
    let store = store();
    store.overtake(2, request(ExpectedVersion::Any));
    store.append(request(ExpectedVersion::NoStream)).await.unwrap();
    let late = store.append(request(ExpectedVersion::Exact(StreamVersion::new(1)))).await;
    assert!(matches!(late, Err(AppendError::Conflict(conflict)) if conflict.actual.as_u64() == 2));
    store.append(request(ExpectedVersion::Exact(StreamVersion::new(2)))).await.unwrap();
}

#[tokio::test]
async fn a_quicker_writer_that_is_refused_is_told() {
    let store = store();
    store.append(request(ExpectedVersion::NoStream)).await.unwrap();
    store.overtake(1, request(ExpectedVersion::NoStream));
    let error = store.append(request(ExpectedVersion::Any)).await.unwrap_err();
    assert_eq!(kind(error), StoreErrorKind::Other);
    assert_eq!(count(&store).await, 1);
}

#[tokio::test]
async fn reads_fail_as_planned() {
    let store = store();
    store.fail_read(2, StoreErrorKind::Busy);
    let read = ReadStream::new("account/1".parse().unwrap());
    store.read_stream(&read).await.unwrap();
    let error = store.read_log(&ReadLog::from_start()).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    store.read_stream(&read).await.unwrap();
    assert_eq!(store.reads(), 3);
}

#[tokio::test]
async fn every_call_can_fail() {
    let store = store();
    let (stream, key) = ("account/1".parse().unwrap(), IdempotencyKey::new("k").unwrap());
    for call in [Call::FindAppend, Call::EndOfLog, Call::WaitPast] {
        store.fail(call, 1, StoreErrorKind::Unavailable);
    }
    store.append(request(ExpectedVersion::Any)).await.unwrap();
    for is_failing in [true, false] {
        assert_eq!(store.find_append(&stream, &key).await.is_err(), is_failing);
        assert_eq!(store.end_of_log().await.is_err(), is_failing);
        assert_eq!(store.wait_past(Position::START).await.is_err(), is_failing);
    }
    store.fail_all(Some(StoreErrorKind::Busy));
    assert!(store.append(request(ExpectedVersion::Any)).await.is_err());
    assert!(store.find_append(&stream, &key).await.is_err());
    store.fail_all(None);
    store.append(request(ExpectedVersion::Any)).await.unwrap();
    assert_eq!((count(&store).await, store.appends()), (2, 3));
    assert_eq!(store.calls(Call::FindAppend), 3);
}
