//! The small parts that scenarios are built of.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use es_core::ExpectedVersion;
use es_core::backend::{
    AppendError, AppendRequest, Appended, EventStore, LogPage, NewEvent, PageLimit, Position,
    ReadLog, ReadStream, Snapshot, StreamId, StreamPage,
};
use es_core::environment::{EventIds, UuidV7Ids};
use es_core::event::{EventId, Payload, RecordedEvent};
use es_core::execution::{Conflict, IdempotencyKey, StreamVersion};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

pub(crate) use crate::suite::{rounds, seed, soon};

pub(crate) type Store = Arc<dyn EventStore>;

/// What scenarios expect of appends whose expectation does not matter.
pub(crate) const ANY: ExpectedVersion = ExpectedVersion::Any;
/// What scenarios expect of streams that nobody has written to.
pub(crate) const NONE: ExpectedVersion = ExpectedVersion::NoStream;

/// More events than any scenario writes.
pub(crate) const ONE_PAGE: PageLimit = PageLimit::events(1_000_000).bytes(usize::MAX);

pub(crate) fn exactly(version: u64) -> ExpectedVersion {
    ExpectedVersion::Exact(StreamVersion::new(version))
}

pub(crate) fn version(number: u64) -> StreamVersion {
    StreamVersion::new(number)
}

pub(crate) fn stream(id: &str) -> StreamId {
    typed_stream("account", id)
}

pub(crate) fn typed_stream(aggregate_type: &str, id: &str) -> StreamId {
    StreamId::new(aggregate_type, id).expect("scenarios use valid stream names")
}

pub(crate) fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::new(text).expect("scenarios use valid keys")
}

pub(crate) fn new_id() -> EventId {
    UuidV7Ids.next_id()
}

pub(crate) fn payload(value: &Value) -> Payload {
    Payload::of(value).expect("a JSON value can be written as JSON")
}

/// An event whose payload says which one it is.
pub(crate) fn event(number: u64) -> NewEvent {
    typed_event("amount_paid_in", number)
}

pub(crate) fn typed_event(event_type: &str, number: u64) -> NewEvent {
    NewEvent::new(new_id(), event_type, payload(&json!({ "number": number })))
}

/// Events with these numbers.
pub(crate) fn events(numbers: std::ops::RangeInclusive<u64>) -> Vec<NewEvent> {
    numbers.map(event).collect()
}

/// The number that [`event`] wrote into the payload.
pub(crate) fn number(event: &RecordedEvent) -> u64 {
    event
        .payload
        .decode::<Value>()
        .ok()
        .and_then(|value| value["number"].as_u64())
        .unwrap_or_else(|| panic!("the payload {} is not the one written", event.payload))
}

pub(crate) fn numbers(events: &[RecordedEvent]) -> Vec<u64> {
    events.iter().map(number).collect()
}

pub(crate) fn versions(events: &[RecordedEvent]) -> Vec<u64> {
    events.iter().map(|event| event.version.as_u64()).collect()
}

/// Appends what must be accepted.
pub(crate) async fn append(
    store: &Store,
    stream: &StreamId,
    expected: ExpectedVersion,
    events: Vec<NewEvent>,
) -> Appended {
    accepted(store, AppendRequest::to(stream.clone(), expected, events)).await
}

/// Sends a request that must be accepted.
pub(crate) async fn accepted(store: &Store, request: AppendRequest) -> Appended {
    match store.append(request.clone()).await {
        Ok(appended) => appended,
        Err(error) => panic!("a permitted append was refused: {error}; it was {request:?}"),
    }
}

/// All events of a stream.
pub(crate) async fn read(store: &Store, stream: &StreamId) -> Vec<RecordedEvent> {
    let mut events = Vec::new();
    let mut next = Some(ReadStream::new(stream.clone()).limit(ONE_PAGE));
    // a store may make its pages smaller than it is allowed to
    while let Some(read) = next {
        let page = page(store, &read).await;
        next = read.after(&page);
        events.extend(page.events);
    }
    events
}

pub(crate) async fn page(store: &Store, read: &ReadStream) -> StreamPage {
    match store.read_stream(read).await {
        Ok(page) => page,
        Err(error) => panic!("reading stream {} failed: {error}", read.stream),
    }
}

pub(crate) async fn log_page(store: &Store, read: &ReadLog) -> LogPage {
    match store.read_log(read).await {
        Ok(page) => page,
        Err(error) => panic!("reading the log after {} failed: {error}", read.after),
    }
}

/// The whole log.
pub(crate) async fn read_log(store: &Store) -> Vec<RecordedEvent> {
    read_log_after(store, Position::START).await
}

pub(crate) async fn read_log_after(store: &Store, after: Position) -> Vec<RecordedEvent> {
    read_selected(store, ReadLog::after(after)).await
}

/// What a read of the log finds, to its end.
pub(crate) async fn read_selected(store: &Store, read: ReadLog) -> Vec<RecordedEvent> {
    let mut events = Vec::new();
    let mut read = read.limit(ONE_PAGE);
    loop {
        let page = log_page(store, &read).await;
        events.extend(page.events);
        if page.at_end {
            return events;
        }
        assert!(
            page.next > read.after,
            "a page that is not the last must lead on, but after {} comes {}",
            read.after,
            page.next
        );
        read.after = page.next;
    }
}

/// A snapshot with the payload of the event after which it was taken.
pub(crate) fn snapshot_after(event: &RecordedEvent) -> Snapshot {
    let (stream, payload) = (event.stream.clone(), event.payload.clone());
    Snapshot::new(stream, event.version, event.event_id, "1", payload, event.recorded_at)
}

pub(crate) async fn end_of_log(store: &Store) -> Position {
    match store.end_of_log().await {
        Ok(position) => position,
        Err(error) => panic!("asking for the end of the log failed: {error}"),
    }
}

/// Checks that a stream holds exactly these numbers, at versions 1, 2, 3 and so on.
pub(crate) async fn holds(store: &Store, stream: &StreamId, expected: &[u64], why: &str) {
    let events = read(store, stream).await;
    assert_eq!(numbers(&events), expected, "{stream}: {why}");
    let dense: Vec<u64> = (1..=expected.len() as u64).collect();
    assert_eq!(
        versions(&events),
        dense,
        "{stream}: versions must be 1, 2, 3 and so on without gap"
    );
}

/// What a call must be refused with when a stream is not as expected.
pub(crate) fn conflict(answer: Result<Appended, AppendError>, why: &str) -> Conflict {
    match answer {
        Err(AppendError::Conflict(conflict)) => conflict,
        Err(error) => panic!("{why}: the answer must be a conflict, but is: {error}"),
        Ok(_) => panic!("{why}: the answer must be a conflict, but the append was accepted"),
    }
}

/// Runs calls in tasks of their own that begin at the same moment.
pub(crate) async fn together<T: Send + 'static>(
    what: &str,
    calls: impl IntoIterator<Item = BoxFuture<'static, T>>,
) -> Vec<T> {
    let calls: Vec<_> = calls.into_iter().collect();
    let gate = Arc::new(Barrier::new(calls.len()));
    let mut tasks = JoinSet::new();
    for (index, call) in calls.into_iter().enumerate() {
        let gate = gate.clone();
        tasks.spawn(async move {
            gate.wait().await;
            (index, call.await)
        });
    }
    let mut answers = soon(what, async {
        let mut answers = Vec::new();
        while let Some(task) = tasks.join_next().await {
            match task {
                Ok(answer) => answers.push(answer),
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
        answers
    })
    .await;
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// Polls a future this often, with room for other tasks between, and answers what it returned.
pub(crate) async fn polled<T>(
    future: &mut (impl Future<Output = T> + Unpin),
    times: usize,
) -> Option<T> {
    for _ in 0..times {
        let poll = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await;
        if let Poll::Ready(value) = poll {
            return Some(value);
        }
        tokio::task::yield_now().await;
    }
    None
}
