//! Kept states.

mod replay;

use std::collections::BTreeSet;
use std::sync::Arc;

use es_core::backend::{
    PageLimit, ReadStream, Snapshot, SnapshotStore, SnapshotSummary, StreamId, Timestamp,
};
use es_core::event::{EventId, Payload};
use es_core::execution::StreamVersion;
use serde_json::json;

pub(super) use self::replay::{
    those_of_another_history_are_not_used, what_is_loaded_equals_replay_at_every_version,
};
use super::documents::document;
use super::parts::*;
use crate::fixture::Fixture;

type Snapshots = Arc<dyn SnapshotStore>;

fn snapshots(fixture: &dyn Fixture) -> Snapshots {
    fixture.snapshots().expect("the runner asks only fixtures that have snapshots")
}

fn snapshot(stream: &StreamId, at: u64, note: &str) -> Snapshot {
    let id = format!("0193a1d4-0000-7000-8{:03x}-{at:012x}", note.len());
    Snapshot::new(
        stream.clone(),
        version(at),
        id.parse().expect("the id is one"),
        format!("schema of {note}: \"é\""),
        payload(&json!({"note": note, "total": 9_007_199_254_740_993_u64, "of": [at, null]})),
        Timestamp::from_micros(1_763_546_400_123_456 + at as i64),
    )
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

pub(super) async fn pruning_keeps_the_newest(fixture: &dyn Fixture) {
    let (snapshots, pruned, other) = (snapshots(fixture), stream("1"), stream("2"));
    for account in [&pruned, &other] {
        append(&fixture.store(), account, NONE, events(1..=60)).await;
        // a late older one is old all the same
        for at in [20, 30, 40, 50, 10] {
            save(&snapshots, &snapshot(account, at, "state")).await;
        }
    }
    for (keep, removed, left) in [
        (9, 0, &[10, 20, 30, 40, 50][..]),
        (3, 2, &[30, 40, 50]),
        (3, 0, &[30, 40, 50]),
        (1, 2, &[50]),
        (0, 1, &[]),
    ] {
        let answer = snapshots.prune_snapshots(&pruned, keep).await;
        let answer = answer.unwrap_or_else(|error| panic!("pruning failed: {error}"));
        assert_eq!(answer, removed, "the number of removed snapshots is told, {keep} stay");
        assert_eq!(versions_of(&snapshots, &pruned).await, left, "the {keep} newest stay");
        assert_eq!(
            versions_of(&snapshots, &other).await,
            [10, 20, 30, 40, 50],
            "another stream keeps its snapshots"
        );
    }
    let none = snapshots.prune_snapshots(&stream("3"), 1).await;
    assert_eq!(none.ok(), Some(0), "of a stream without snapshots nothing is removed");
}

/// The versions of a stream's snapshots, oldest first, by asking for one after the other.
async fn versions_of(snapshots: &Snapshots, stream: &StreamId) -> Vec<u64> {
    let mut versions = Vec::new();
    let mut up_to = StreamVersion::MAX;
    while let Some(found) = latest(snapshots, stream, up_to).await {
        assert!(found.version <= up_to, "no snapshot above {up_to} is asked for");
        versions.insert(0, found.version.as_u64());
        up_to = version(found.version.as_u64() - 1);
    }
    versions
}

pub(super) async fn every_one_is_listed_once(fixture: &dyn Fixture) {
    let snapshots = snapshots(fixture);
    let mut saved = Vec::new();
    for (aggregate_type, id) in
        [("account", "2"), ("account", "10"), ("audit", "2"), ("account", "é"), ("account", "1")]
    {
        let name = typed_stream(aggregate_type, id);
        append(&fixture.store(), &name, NONE, events(1..=30)).await;
        for at in [30, 10, 20] {
            let snapshot = snapshot(&name, at, id);
            save(&snapshots, &snapshot).await;
            let (last, at) = (Some(snapshot.last_event), snapshot.taken_at);
            saved.push(told(&snapshot.stream, snapshot.version, last, &snapshot.schema, at));
        }
    }
    saved.sort();
    for limit in [1, 2, 4, 15, 100] {
        let listed = listed(&snapshots, limit).await;
        let mut streams = BTreeSet::new();
        for pair in listed.windows(2) {
            if pair[0].stream == pair[1].stream {
                assert!(pair[0].version < pair[1].version, "oldest first, {limit} at once");
            } else {
                let is_new = streams.insert(&pair[0].stream);
                assert!(is_new, "those of {} stand together, {limit} at once", pair[0].stream);
            }
        }
        assert!(listed.iter().all(|one| one.bytes > 0), "every state takes room");
        let mut listed: Vec<_> = listed
            .iter()
            .map(|one| told(&one.stream, one.version, one.last_event, &one.schema, one.taken_at))
            .collect();
        listed.sort();
        assert_eq!(listed, saved, "every snapshot is listed once, {limit} at once");
    }
    // what a list goes on after may be gone by then
    let first = listed(&snapshots, 100).await.remove(0);
    assert!(snapshots.delete_snapshots(&first.stream).await.is_ok(), "deleting succeeds");
    let rest = snapshots.list_snapshots(Some(&first), 100).await;
    let rest = rest.unwrap_or_else(|error| panic!("listing failed: {error}"));
    assert_eq!(rest.len(), 12, "the list goes on after a snapshot that is gone");
}

fn told(
    stream: &StreamId,
    version: StreamVersion,
    last: Option<EventId>,
    schema: &str,
    at: Timestamp,
) -> String {
    format!("{stream} {version} {last:?} {schema} {at}")
}

/// All snapshots, so many at once.
async fn listed(snapshots: &Snapshots, limit: usize) -> Vec<SnapshotSummary> {
    let mut all: Vec<SnapshotSummary> = Vec::new();
    loop {
        let page = snapshots.list_snapshots(all.last(), limit).await;
        let page = page.unwrap_or_else(|error| panic!("listing snapshots failed: {error}"));
        assert!(page.len() <= limit, "no more than {limit} are listed at once");
        assert!(all.len() < 1_000, "a list of few snapshots comes to its end");
        let is_last = page.len() < limit;
        all.extend(page);
        if is_last {
            return all;
        }
    }
}

pub(super) async fn the_tail_comes_with_the_latest(fixture: &dyn Fixture) {
    let (store, snapshots) = (fixture.store(), snapshots(fixture));
    let (kept, newer, bare) = (stream("1"), stream("2"), stream("3"));
    for account in [&kept, &newer, &bare] {
        append(&store, account, NONE, events(1..=12)).await;
    }
    for at in [5, 9] {
        save(&snapshots, &snapshot(&kept, at, "state")).await;
    }
    // of a history that is no more
    save(&snapshots, &snapshot(&newer, 20, "state")).await;
    for account in [&kept, &newer, &bare, &stream("nothing")] {
        for (up_to, limit) in [0, 1, 4, 5, 6, 8, 9, 10, 12, 30, i64::MAX as u64]
            .into_iter()
            .flat_map(|up_to| [1, 3, 500].map(|limit| (version(up_to), PageLimit::events(limit))))
        {
            let together = snapshots.latest_with_tail(account, up_to, limit).await;
            let together = together.unwrap_or_else(|error| panic!("reading failed: {error}"));
            // a store that cannot do so says so each time
            let Some(together) = together else { continue };
            let alone = latest(&snapshots, account, up_to).await;
            assert_eq!(together.snapshot, alone, "the snapshot of {account} at or below {up_to}");
            let from = alone.map_or(StreamVersion::FIRST, |snapshot| snapshot.version);
            let read =
                ReadStream::new(account.clone()).from_version(from).to_version(up_to).limit(limit);
            let tail = page(&store, &read).await;
            assert_eq!(together.tail, tail, "of {account} from {from} up to {up_to}, {limit:?}");
        }
    }
}

/// Generated documents as states: each comes back as the same value, or is refused as
/// [`Snapshot::check`] says.
pub(super) async fn generated_states_come_back_or_are_refused(fixture: &dyn Fixture) {
    let (snapshots, account, seed) = (snapshots(fixture), stream("1"), seed());
    let mut rng = fastrand::Rng::with_seed(seed);
    append(&fixture.store(), &account, NONE, events(1..=1)).await;
    for _ in 0..rounds(300, 100_000) {
        let text = document(&mut rng);
        let mut state = snapshot(&account, 1, "generated");
        state.state = Payload::parse(text.clone())
            .unwrap_or_else(|error| panic!("seed {seed}: {text}: {error}"));
        let answer = snapshots.save_snapshot(state.clone()).await;
        match state.check() {
            Ok(()) => {
                assert!(answer.is_ok(), "seed {seed}: {text} can be kept, but: {answer:?}");
                let found = latest(&snapshots, &account, StreamVersion::MAX).await;
                assert_eq!(found, Some(state), "seed {seed}: {text} comes back");
            }
            Err(expected) => {
                let told = |error: &es_core::backend::StoreError| {
                    std::error::Error::source(error).map(ToString::to_string)
                };
                let found = answer.as_ref().map_err(told);
                assert_eq!(found, Err(told(&expected)), "seed {seed}: {text} is refused");
            }
        }
    }
}
