//! What is there after the store was closed and opened again.

use es_core::backend::{AppendError, AppendRequest, Position, ReadLog};

use super::parts::*;
use crate::fixture::Fixture;

async fn reopened(fixture: &dyn Fixture) -> Store {
    let is_open = soon("the store opens again", fixture.reopen()).await;
    assert!(is_open, "the fixture says that the backend is durable, and does not reopen");
    fixture.store()
}

pub(super) async fn everything_is_there_after_reopening(fixture: &dyn Fixture) {
    let (a, b) = (stream("a"), stream("b"));
    let mut before = Vec::new();
    for round in 0..3 {
        let store = reopened(fixture).await;
        assert_eq!(read_log(&store).await, before, "the log is as it was before reopening");
        fixture.let_pass(std::time::Duration::from_secs(7));
        append(&store, &a, exactly(round * 3), events(1..=2)).await;
        let unit = AppendRequest::to(b.clone(), exactly(round), vec![event(3)]).and(
            a.clone(),
            exactly(round * 3 + 2),
            vec![event(3)],
        );
        accepted(&store, unit).await;
        before = read_log(&store).await;
    }
    let of_a = read(&fixture.store(), &a).await;
    let store = reopened(fixture).await;
    assert_eq!(read(&store, &a).await, of_a, "a stream is as it was before reopening");
    assert_eq!(read_log(&store).await, before, "the log is as it was before reopening");
    let stale = AppendRequest::to(a.clone(), exactly(8), vec![event(9)]);
    let found = conflict(store.append(stale).await, "the stream is at version 9");
    assert_eq!(found.actual, version(9), "versions are judged by what was there before");
}

pub(super) async fn positions_go_on_after_reopening(fixture: &dyn Fixture) {
    let mut last = Position::START;
    for round in 0..3 {
        let store = reopened(fixture).await;
        assert_eq!(end_of_log(&store).await, last, "the log ends where it ended");
        let stale = AppendRequest::to(stream("1"), exactly(99), vec![event(1)]);
        conflict(store.append(stale).await, "the stream is not at version 99");
        let appended = append(&store, &stream("1"), exactly(round * 2), events(1..=2)).await;
        let first = appended.streams[0].events[0].position;
        assert!(first > last, "after reopening, {first} is not after {last}: a follower skips it");
        let found = log_page(&store, &ReadLog::after(last)).await.events;
        assert_eq!(found.len(), 2, "who goes on reading after reopening finds the new events");
        last = appended.position();
    }
}

pub(super) async fn keys_survive_reopening(fixture: &dyn Fixture) {
    let store = fixture.store();
    let request = |number| {
        AppendRequest::to(stream("a"), NONE, events(1..=2))
            .and(stream("b"), NONE, vec![event(number)])
            .with_key(key("k"))
    };
    let first = accepted(&store, request(1)).await;
    append(&store, &stream("a"), exactly(2), vec![event(3)]).await;
    drop(store);
    let store = reopened(fixture).await;
    let again = accepted(&store, request(1)).await;
    assert!(again.repeated, "a repeat after reopening is a repeat");
    assert_eq!(again.streams, first.streams, "its answer is the first result");
    let other = store.append(request(2)).await;
    assert!(
        matches!(other, Err(AppendError::KeyReused { .. })),
        "another request under a key from before reopening, but the answer is {other:?}"
    );
    assert_eq!(read_log(&store).await.len(), 4, "neither wrote anything");
}

pub(super) async fn event_ids_stay_used_after_reopening(fixture: &dyn Fixture) {
    let store = fixture.store();
    let used = event(1);
    append(&store, &stream("1"), NONE, vec![used.clone()]).await;
    drop(store);
    let store = reopened(fixture).await;
    let again = event(2).with_id(used.event_id);
    let answer = store.append(AppendRequest::to(stream("2"), NONE, vec![again])).await;
    assert!(
        matches!(answer, Err(AppendError::DuplicateEvent { .. })),
        "an event id from before reopening, but the answer is {answer:?}"
    );
}
