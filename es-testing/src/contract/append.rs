//! Single appends: versions, ids, acknowledgement, cancellation.

use super::parts::*;
use crate::fixture::Fixture;

pub(super) async fn first_event_gets_version_one(fixture: &dyn Fixture) {
    let (store, account) = (fixture.store(), stream("1"));
    let appended = append(&store, &account, NONE, vec![event(1)]).await;
    let told = appended.streams[0].version();
    assert_eq!(
        told,
        version(1),
        "the first event of a stream has version 1"
    );
    holds(&store, &account, &[1], "the first event must be read back").await;
}

pub(super) async fn versions_are_dense(fixture: &dyn Fixture) {
    let (store, account) = (fixture.store(), stream("1"));
    append(&store, &account, NONE, events(1..=3)).await;
    append(&store, &stream("2"), NONE, events(100..=101)).await;
    append(&store, &account, exactly(3), vec![event(4)]).await;
    let appended = append(&store, &account, ANY, events(5..=6)).await;
    let told: Vec<u64> = appended.streams[0]
        .events
        .iter()
        .map(|receipt| receipt.version.as_u64())
        .collect();
    assert_eq!(told, [5, 6], "the answer must name the versions given");
    holds(
        &store,
        &account,
        &[1, 2, 3, 4, 5, 6],
        "events stand in the order in which they were appended",
    )
    .await;
}
