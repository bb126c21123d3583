//! What a writer is told who is too late.

use es_core::ExpectedVersion;
use es_core::backend::{AppendError, AppendRequest, ReadStream};
use futures_util::future::BoxFuture;

use super::parts::*;
use crate::fixture::Fixture;

pub(super) async fn one_of_two_racing_writers_wins(fixture: &dyn Fixture) {
    const WRITERS: u64 = 4;
    let (store, account) = (fixture.store(), stream("1"));
    for round in 0..rounds(30, 1_000) {
        let expected = if round == 0 { NONE } else { exactly(round) };
        let calls = (0..WRITERS).map(|writer| -> BoxFuture<'static, _> {
            let event = vec![event(round * WRITERS + writer)];
            let request = AppendRequest::to(account.clone(), expected, event);
            let store = store.clone();
            Box::pin(async move { store.append(request).await })
        });
        let answers = together("all racing writers are answered", calls).await;
        let mut winners = 0;
        for answer in answers {
            match answer {
                Ok(appended) => {
                    winners += 1;
                    assert_eq!(appended.streams[0].version(), version(round + 1));
                }
                Err(AppendError::Conflict(conflict)) => assert_eq!(
                    conflict.actual,
                    version(round + 1),
                    "who lost a race is told the version that the winner left"
                ),
                Err(error) => panic!("a race for one version: {error}"),
            }
        }
        assert_eq!(winners, 1, "of {WRITERS} writers for one version exactly one wins");
    }
}

pub(super) async fn a_stale_writer_writes_nothing(fixture: &dyn Fixture) {
    let (store, account) = (fixture.store(), stream("1"));
    append(&store, &account, NONE, events(1..=2)).await;
    let before = read_log(&store).await;
    let batch = events(3..=4);
    for expected in [NONE, exactly(1), exactly(3)] {
        let request = AppendRequest::to(account.clone(), expected, batch.clone());
        conflict(store.append(request).await, "the stream is at version 2");
        let after = read_log(&store).await;
        assert_eq!(after, before, "a refused append must leave the log as it was");
        let page = page(&store, &ReadStream::new(account.clone())).await;
        assert_eq!(page.stream_version, version(2), "a refused append must not count");
    }
    // the refused events were never there, so that their ids are free
    append(&store, &account, exactly(2), batch).await;
    holds(&store, &account, &[1, 2, 3, 4], "refused appends leave no gap in the versions").await;
}

pub(super) async fn a_conflict_names_what_it_found(fixture: &dyn Fixture) {
    let (store, filled, empty) = (fixture.store(), stream("filled"), stream("empty"));
    append(&store, &filled, NONE, events(1..=3)).await;
    let cases = [
        (&filled, NONE, 3),
        (&filled, exactly(0), 3),
        (&filled, exactly(2), 3),
        (&filled, exactly(4), 3),
        (&empty, ExpectedVersion::StreamExists, 0),
        (&empty, exactly(1), 0),
    ];
    for (account, expected, actual) in cases {
        let request = AppendRequest::to(account.clone(), expected, vec![event(9)]);
        let found = conflict(store.append(request).await, "the stream is not as expected");
        assert_eq!(found.stream, *account, "a conflict names the stream");
        assert_eq!(found.expected, expected, "a conflict names what was expected");
        assert_eq!(found.actual, version(actual), "a conflict names the version it found");
    }
}

pub(super) async fn the_first_unexpected_stream_is_named(fixture: &dyn Fixture) {
    let store = fixture.store();
    let (good, two, three) = (stream("m"), stream("z"), stream("a"));
    append(&store, &two, NONE, events(1..=2)).await;
    append(&store, &three, NONE, events(1..=3)).await;
    for (first, second, actual) in [(&two, &three, 2), (&three, &two, 3)] {
        let request = AppendRequest::to(good.clone(), NONE, vec![event(9)])
            .and(first.clone(), exactly(1), vec![event(9)])
            .and(second.clone(), NONE, vec![event(9)]);
        let found = conflict(store.append(request).await, "two streams are not as expected");
        assert_eq!(
            (found.stream, found.expected, found.actual),
            (first.clone(), exactly(1), version(actual)),
            "of several conflicts the first in the order of the request is named"
        );
    }
}
