//! Loads that begin at kept states, whatever is kept, give what the whole stream gives.

use std::sync::Arc;

use es_core::{
    Aggregate, Event, EventStore, Payload, Repository, Snapshot, SnapshotQueue, SnapshotStore,
    Snapshotted, Timestamp,
};
use serde::{Deserialize, Serialize};

use super::super::parts::*;
use super::snapshots;
use crate::fixture::Fixture;

/// What scenarios write.
#[derive(Event)]
enum Paid {
    AmountPaidIn { number: u64 },
}

/// All numbers in their order; another revision makes something else of them, and would be seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Account<const REVISION: u32> {
    numbers: Vec<u64>,
}

impl<const REVISION: u32> Aggregate for Account<REVISION> {
    const TYPE: &'static str = "account";
    type Id = String;
    type Event = Paid;

    fn evolve(&mut self, Paid::AmountPaidIn { number }: &Paid) {
        self.numbers.push(number.saturating_mul(REVISION.into()));
    }
}

impl<const R: u32> Snapshotted for Account<R> {
    const REVISION: u32 = R;
}

/// The numbers of an account's events: of each account others.
fn numbers_of(id: &str) -> std::ops::RangeInclusive<u64> {
    match id {
        "a" => 100..=114,
        _ => 200..=214,
    }
}

fn folded<const REVISION: u32>(id: &str, version: u64) -> Account<REVISION> {
    let mut state = Account::default();
    for number in numbers_of(id).take(version as usize) {
        state.evolve(&Paid::AmountPaidIn { number });
    }
    state
}

async fn keep<const REVISION: u32>(snapshots: &dyn SnapshotStore, id: &str, at: &[u64]) {
    for at in at {
        let saved = snapshots.save_snapshot(Snapshot {
            stream: stream(id),
            version: version(*at),
            schema: Account::<REVISION>::fingerprint(),
            state: Payload::of(&folded::<REVISION>(id, *at)).expect("the state is JSON"),
            taken_at: Timestamp::EPOCH,
        });
        assert!(saved.await.is_ok(), "saving a snapshot succeeds");
    }
}

async fn check<const REVISION: u32>(
    store: &Arc<dyn EventStore>,
    snapshots: &Arc<dyn SnapshotStore>,
    when: &str,
) {
    let (queue, _worker) = SnapshotQueue::new(snapshots.clone(), 1);
    let accounts = Repository::<Account<REVISION>>::new(store.clone());
    let accounts = accounts.with_snapshots(snapshots.clone(), queue, 0);
    for id in ["a", "A"] {
        for at in 0..=16 {
            let loaded = accounts.load_at_version(&id.to_owned(), version(at)).await;
            let loaded = loaded.unwrap_or_else(|error| panic!("loading failed: {error}"));
            let expected = folded::<REVISION>(id, at);
            assert_eq!(
                loaded.state, expected,
                "{id} after {at} events, revision {REVISION}, {when}"
            );
            assert_eq!(loaded.version, version(at.min(15)), "{id} after {at} events, {when}");
        }
        let now = accounts.load(&id.to_owned()).await.map(|loaded| loaded.state);
        assert_eq!(now.ok(), Some(folded(id, 15)), "{id} now, {when}");
    }
}

pub(in super::super) async fn what_is_loaded_equals_replay_at_every_version(fixture: &dyn Fixture) {
    let (store, snapshots) = (fixture.store(), snapshots(fixture));
    for id in ["a", "A"] {
        append(&store, &stream(id), NONE, events(numbers_of(id))).await;
    }
    let check = async |when: &str| {
        check::<1>(&store, &snapshots, when).await;
        check::<2>(&store, &snapshots, when).await;
    };
    check("with no snapshot").await;
    keep::<1>(&*snapshots, "a", &[5, 10, 15]).await;
    check("with those of one account").await;
    keep::<1>(&*snapshots, "A", &[4, 8]).await;
    check("with those of both").await;
    // the type of the state changes, and some states are kept anew
    keep::<2>(&*snapshots, "a", &[10]).await;
    keep::<2>(&*snapshots, "A", &[12, 2]).await;
    check("with those of two revisions").await;
    for keep in [2, 1] {
        for id in ["a", "A"] {
            let pruned = snapshots.prune_snapshots(&stream(id), keep).await;
            assert!(pruned.is_ok(), "pruning succeeds: {pruned:?}");
        }
        check("after pruning").await;
    }
    keep::<2>(&*snapshots, "a", &[3, 15]).await;
    // of a history that is no more
    let mut newer = folded::<2>("A", 15);
    newer.numbers.push(7);
    let newer = Snapshot {
        stream: stream("A"),
        version: version(16),
        schema: Account::<2>::fingerprint(),
        state: Payload::of(&newer).expect("the state is JSON"),
        taken_at: Timestamp::EPOCH,
    };
    assert!(snapshots.save_snapshot(newer).await.is_ok(), "saving a snapshot succeeds");
    check("with one that is newer than its stream").await;
    assert!(snapshots.delete_snapshots(&stream("A")).await.is_ok(), "deleting succeeds");
    check("after deleting those of one").await;
}
