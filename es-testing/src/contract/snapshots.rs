//! Kept states.

use std::sync::Arc;

use es_core::{Snapshot, SnapshotStore, StreamId, StreamVersion, Timestamp};
use serde_json::json;

use super::parts::*;
use crate::fixture::Fixture;

type Snapshots = Arc<dyn SnapshotStore>;

fn snapshots(fixture: &dyn Fixture) -> Snapshots {
    fixture.snapshots().expect("the runner asks only fixtures that have snapshots")
}

fn snapshot(stream: &StreamId, at: u64, note: &str) -> Snapshot {
    Snapshot {
        stream: stream.clone(),
        version: version(at),
        schema: format!("schema of {note}: \"é\""),
        state: payload(
            &json!({"note": note, "total": 9_007_199_254_740_993_u64, "of": [at, null]}),
        ),
        taken_at: Timestamp::from_micros(1_763_546_400_123_456 + at as i64),
    }
}

async fn save(snapshots: &Snapshots, snapshot: &Snapshot) {
    if let Err(error) = snapshots.save_snapshot(snapshot.clone()).await {
        panic!("saving a snapshot failed: {error}");
    }
}

async fn latest(
    snapshots: &Snapshots,
    stream: &StreamId,
    up_to: StreamVersion,
) -> Option<Snapshot> {
    match snapshots.latest_snapshot(stream, up_to).await {
        Ok(found) => found,
        Err(error) => panic!("asking for a snapshot failed: {error}"),
    }
}

pub(super) async fn the_latest_comes_back_equal(fixture: &dyn Fixture) {
    let (snapshots, account) = (snapshots(fixture), stream("1"));
    let none = latest(&snapshots, &account, StreamVersion::MAX).await;
    assert_eq!(none, None, "a stream without snapshots has none");
    append(&fixture.store(), &account, NONE, events(1..=30)).await;
    for at in [10, 20, 30] {
        let saved = snapshot(&account, at, "state");
        save(&snapshots, &saved).await;
        let found = latest(&snapshots, &account, StreamVersion::MAX).await;
        assert_eq!(found, Some(saved), "the newest snapshot comes back as it was saved");
    }
}

pub(super) async fn an_upper_bound_selects_an_older_one(fixture: &dyn Fixture) {
    let (snapshots, account) = (snapshots(fixture), stream("1"));
    append(&fixture.store(), &account, NONE, events(1..=40)).await;
    let saved = [10, 20, 30].map(|at| snapshot(&account, at, "state"));
    for snapshot in &saved {
        save(&snapshots, snapshot).await;
    }
    let found = latest(&snapshots, &account, version(35)).await;
    assert_eq!(found.as_ref(), Some(&saved[2]), "up to 35 the snapshot at 30 is the newest");
    for (up_to, expected) in [
        (30, Some(30)),
        (29, Some(20)),
        (20, Some(20)),
        (15, Some(10)),
        (10, Some(10)),
        (9, None),
        (0, None),
    ] {
        let found = latest(&snapshots, &account, version(up_to)).await;
        assert_eq!(
            found.map(|found| found.version.as_u64()),
            expected,
            "the newest snapshot at or below {up_to}, of 10, 20 and 30"
        );
    }
}

pub(super) async fn the_same_version_is_replaced(fixture: &dyn Fixture) {
    let (snapshots, account) = (snapshots(fixture), stream("1"));
    append(&fixture.store(), &account, NONE, events(1..=10)).await;
    for note in ["first", "second"] {
        save(&snapshots, &snapshot(&account, 10, note)).await;
    }
    let found = latest(&snapshots, &account, StreamVersion::MAX).await;
    let second = snapshot(&account, 10, "second");
    assert_eq!(found, Some(second), "a snapshot of the same version replaces the earlier one");
}

pub(super) async fn a_late_older_one_hides_nothing(fixture: &dyn Fixture) {
    let (snapshots, account) = (snapshots(fixture), stream("1"));
    append(&fixture.store(), &account, NONE, events(1..=20)).await;
    let newer = snapshot(&account, 20, "newer");
    save(&snapshots, &newer).await;
    save(&snapshots, &snapshot(&account, 10, "older")).await;
    let found = latest(&snapshots, &account, StreamVersion::MAX).await;
    assert_eq!(found, Some(newer), "an older snapshot that is saved late hides no newer one");
}

pub(super) async fn streams_do_not_mix(fixture: &dyn Fixture) {
    let snapshots = snapshots(fixture);
    let names =
        [("account", "a"), ("account", "A"), ("account", "a/1"), ("audit", "a"), ("account", "é")];
    for (index, (aggregate_type, id)) in names.into_iter().enumerate() {
        let name = typed_stream(aggregate_type, id);
        append(&fixture.store(), &name, NONE, events(1..=9)).await;
        save(&snapshots, &snapshot(&name, 5 + index as u64 % 3, id)).await;
    }
    for (index, (aggregate_type, id)) in names.into_iter().enumerate() {
        let name = typed_stream(aggregate_type, id);
        let found = latest(&snapshots, &name, StreamVersion::MAX).await;
        let own = snapshot(&name, 5 + index as u64 % 3, id);
        assert_eq!(found, Some(own), "{name} has its own snapshot");
    }
    let other = latest(&snapshots, &typed_stream("audit", "é"), StreamVersion::MAX).await;
    assert_eq!(other, None, "a stream without snapshots has none");
}

pub(super) async fn deleting_removes_those_of_one_stream(fixture: &dyn Fixture) {
    let (snapshots, gone, kept) = (snapshots(fixture), stream("1"), stream("2"));
    for account in [&gone, &kept] {
        append(&fixture.store(), account, NONE, events(1..=20)).await;
        for at in [10, 20] {
            save(&snapshots, &snapshot(account, at, "state")).await;
        }
    }
    for _ in 0..2 {
        let deleted = snapshots.delete_snapshots(&gone).await;
        assert!(deleted.is_ok(), "deleting what is there, or nothing, succeeds: {deleted:?}");
        let found = latest(&snapshots, &gone, StreamVersion::MAX).await;
        assert_eq!(found, None, "no snapshot of the stream is left");
    }
    let other = latest(&snapshots, &kept, StreamVersion::MAX).await;
    assert_eq!(other, Some(snapshot(&kept, 20, "state")), "another stream keeps its snapshots");
    save(&snapshots, &snapshot(&gone, 10, "new")).await;
    let again = latest(&snapshots, &gone, StreamVersion::MAX).await;
    assert_eq!(again, Some(snapshot(&gone, 10, "new")), "after deleting, new ones are kept");
}

pub(super) async fn events_do_not_change(fixture: &dyn Fixture) {
    let (store, snapshots, account) = (fixture.store(), snapshots(fixture), stream("1"));
    append(&store, &account, NONE, events(1..=12)).await;
    let (before, end) = (read_log(&store).await, end_of_log(&store).await);
    let check = async |when: &str| {
        assert_eq!(read_log(&store).await, before, "{when} a snapshot the log is as it was");
        assert_eq!(
            read(&store, &account).await,
            before,
            "{when} a snapshot the stream is as it was"
        );
        assert_eq!(end_of_log(&store).await, end, "{when} a snapshot the log ends where it ended");
    };
    save(&snapshots, &snapshot(&account, 10, "state")).await;
    check("after saving").await;
    latest(&snapshots, &account, version(10)).await;
    check("after asking for").await;
    assert!(snapshots.delete_snapshots(&account).await.is_ok(), "deleting snapshots succeeds");
    check("after deleting").await;
    append(&store, &account, exactly(12), vec![event(13)]).await;
}
