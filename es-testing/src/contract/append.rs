//! Single appends: versions, ids, acknowledgement, cancellation.

use es_core::backend::{AppendError, AppendRequest, ReadStream};
use es_core::event::RecordedEvent;

use super::parts::*;
use crate::fixture::Fixture;

pub(super) async fn first_event_gets_version_one(fixture: &dyn Fixture) {
    let (store, account) = (fixture.store(), stream("1"));
    let appended = append(&store, &account, NONE, vec![event(1)]).await;
    let told = appended.streams[0].version();
    assert_eq!(told, version(1), "the first event of a stream has version 1");
    holds(&store, &account, &[1], "the first event must be read back").await;
}

pub(super) async fn versions_are_dense(fixture: &dyn Fixture) {
    let (store, account) = (fixture.store(), stream("1"));
    append(&store, &account, NONE, events(1..=3)).await;
    append(&store, &stream("2"), NONE, events(100..=101)).await;
    append(&store, &account, exactly(3), vec![event(4)]).await;
    let appended = append(&store, &account, ANY, events(5..=6)).await;
    let told: Vec<u64> =
        appended.streams[0].events.iter().map(|receipt| receipt.version.as_u64()).collect();
    assert_eq!(told, [5, 6], "the answer must name the versions given");
    holds(
        &store,
        &account,
        &[1, 2, 3, 4, 5, 6],
        "events stand in the order in which they were appended",
    )
    .await;
}

pub(super) async fn the_answer_tells_what_was_recorded(fixture: &dyn Fixture) {
    let (store, account) = (fixture.store(), stream("1"));
    append(&store, &account, NONE, events(1..=2)).await;
    let batch = events(3..=5);
    let ids: Vec<_> = batch.iter().map(|event| event.event_id).collect();
    let appended = append(&store, &account, exactly(2), batch).await;
    assert!(!appended.repeated, "an append without idempotency key is no repeat");
    assert_eq!(appended.streams.len(), 1, "the answer names each stream once");
    assert_eq!(appended.streams[0].stream, account);
    let told = &appended.streams[0].events;
    let told_ids: Vec<_> = told.iter().map(|receipt| receipt.event_id).collect();
    assert_eq!(told_ids, ids, "the answer names the events in the order of the request");
    let read: Vec<_> =
        read(&store, &account).await[2..].iter().map(RecordedEvent::receipt).collect();
    assert_eq!(*told, read, "what the answer tells must be what a reader is given");
}

pub(super) async fn a_used_event_id_is_refused(fixture: &dyn Fixture) {
    let (store, account, other) = (fixture.store(), stream("1"), stream("2"));
    let first = event(1);
    append(&store, &account, NONE, vec![first.clone()]).await;
    let before = read_log(&store).await;
    let again = |number| event(number).with_id(first.event_id);
    let requests = [
        ("in the same stream", AppendRequest::to(account.clone(), exactly(1), vec![again(2)])),
        ("in another stream", AppendRequest::to(other.clone(), NONE, vec![again(2)])),
        ("at the end of a batch", AppendRequest::to(other.clone(), ANY, vec![event(2), again(3)])),
        (
            "in the second stream of a unit",
            AppendRequest::to(other.clone(), ANY, vec![event(2)]).and(
                stream("3"),
                ANY,
                vec![again(3)],
            ),
        ),
    ];
    for (place, request) in requests {
        match store.append(request).await {
            Err(AppendError::DuplicateEvent { event_id }) => assert_eq!(
                event_id, first.event_id,
                "{place}: the refusal must name the id that was used before"
            ),
            Err(error) => panic!("a used event id {place}: {error}"),
            Ok(_) => panic!("a used event id was accepted {place}"),
        }
        let after = read_log(&store).await;
        assert_eq!(after, before, "an append with a used id {place} must write nothing");
    }
}

pub(super) async fn an_acknowledged_append_is_read_back(fixture: &dyn Fixture) {
    let store = fixture.store();
    let mut written = 0;
    for round in 0..rounds(12, 200) {
        let account = stream(&format!("{}", round % 3));
        let request = AppendRequest::to(account.clone(), ANY, events(written + 1..=written + 2));
        written += 2;
        let appended = accepted(&store, request).await;
        let position = appended.position();
        // each face is the first to be read after some append
        for face in 0..3 {
            match (face + round) % 3 {
                0 => {
                    let newest = page(&store, &ReadStream::new(account.clone()).backwards()).await;
                    assert_eq!(
                        newest.events.first().map(number),
                        Some(written),
                        "a read of the stream that begins after the answer must see the append"
                    );
                    assert_eq!(newest.stream_version, appended.streams[0].version());
                }
                1 => {
                    let log = read_log(&store).await;
                    assert_eq!(
                        log.last().map(number),
                        Some(written),
                        "a read of the log that begins after the answer must see the append"
                    );
                }
                _ => {
                    let end = end_of_log(&store).await;
                    assert_eq!(end, position, "the log ends with the acknowledged append");
                }
            }
        }
    }
}

pub(super) async fn a_dropped_append_leaves_all_or_nothing(fixture: &dyn Fixture) {
    let (store, account) = (fixture.store(), stream("1"));
    let dropped = rounds(20, 500);
    for round in 0..dropped {
        let batch = events(round * 3 + 1..=round * 3 + 3);
        let mut call = store.append(AppendRequest::to(account.clone(), ANY, batch));
        polled(&mut call, round as usize % 8).await;
        drop(call);
        if round % 5 == 4 {
            let last = AppendRequest::to(stream("2"), ANY, vec![event(round)]);
            soon("an append after a dropped one is answered", accepted(&store, last)).await;
        }
    }
    let last = dropped * 3 + 1;
    soon(
        "the stream of dropped appends takes another one",
        append(&store, &account, ANY, events(last..=last + 2)),
    )
    .await;
    let found = numbers(&read(&store, &account).await);
    for batch in found.chunks(3) {
        let whole = batch[0] % 3 == 1 && *batch == [batch[0], batch[0] + 1, batch[0] + 2];
        assert!(whole, "a dropped append left a part of itself: {found:?}");
    }
}
