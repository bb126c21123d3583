//! Loads that begin at kept states, whatever is kept, give what the whole stream gives.

use std::sync::Arc;

use es_core::backend::{EventStore, Snapshot, SnapshotStore, Timestamp};
use es_core::event::Payload;
use es_core::execution::Snapshotted;
use es_core::{Aggregate, Event, Repository};
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

async fn keep<const REVISION: u32>(fixture: &dyn Fixture, id: &str, at: &[u64]) {
    let (events, snapshots) = (read(&fixture.store(), &stream(id)).await, snapshots(fixture));
    for at in at {
        let saved = snapshots.save_snapshot(Snapshot::new(
            stream(id),
            version(*at),
            events[*at as usize - 1].event_id,
            Account::<REVISION>::fingerprint(),
            Payload::of(&folded::<REVISION>(id, *at)).expect("the state is JSON"),
            Timestamp::EPOCH,
        ));
        assert!(saved.await.is_ok(), "saving a snapshot succeeds");
    }
}

async fn check<const REVISION: u32>(
    store: &Arc<dyn EventStore>,
    snapshots: &Arc<dyn SnapshotStore>,
    when: &str,
) {
    let store = es_core::Store::from(store.clone()).with_snapshots(snapshots.clone());
    let accounts = Repository::<Account<REVISION>>::new(store).snapshot_every(0);
    for id in ["a", "A"] {
        for at in 0..=16 {
            let loaded = accounts.load_at(id, version(at)).await;
            let loaded = loaded.unwrap_or_else(|error| panic!("loading failed: {error}"));
            let expected = folded::<REVISION>(id, at);
            assert_eq!(
                loaded.state, expected,
                "{id} after {at} events, revision {REVISION}, {when}"
            );
            assert_eq!(loaded.version, version(at.min(15)), "{id} after {at} events, {when}");
        }
        let now = accounts.load(id).await.map(|loaded| loaded.state);
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
    keep::<1>(fixture, "a", &[5, 10, 15]).await;
    check("with those of one account").await;
    keep::<1>(fixture, "A", &[4, 8]).await;
    check("with those of both").await;
    // the type of the state changes, and some states are kept anew
    keep::<2>(fixture, "a", &[10]).await;
    keep::<2>(fixture, "A", &[12, 2]).await;
    check("with those of two revisions").await;
    for keep in [2, 1] {
        for id in ["a", "A"] {
            let pruned = snapshots.prune_snapshots(&stream(id), keep).await;
            assert!(pruned.is_ok(), "pruning succeeds: {pruned:?}");
        }
        check("after pruning").await;
    }
    keep::<2>(fixture, "a", &[3, 15]).await;
    // of a history that is no more
    let mut newer = folded::<2>("A", 15);
    newer.numbers.push(7);
    let newer = Snapshot::new(
        stream("A"),
        version(16),
        new_id(),
        Account::<2>::fingerprint(),
        Payload::of(&newer).expect("the state is JSON"),
        Timestamp::EPOCH,
    );
    assert!(snapshots.save_snapshot(newer).await.is_ok(), "saving a snapshot succeeds");
    check("with one that is newer than its stream").await;
    assert!(snapshots.delete_snapshots(&stream("A")).await.is_ok(), "deleting succeeds");
    check("after deleting those of one").await;
}

pub(in super::super) async fn those_of_another_history_are_not_used(fixture: &dyn Fixture) {
    let (store, snapshots) = (fixture.store(), snapshots(fixture));
    for id in ["a", "A"] {
        append(&store, &stream(id), NONE, events(numbers_of(id))).await;
    }
    // states of streams that had these names before the events were restored, with other events at
    // some of these versions, and with as many events or more
    let own = read(&store, &stream("a")).await;
    let others = read(&store, &stream("A")).await;
    let foreign = Account::<1> { numbers: vec![7; 5] };
    for (at, last_event) in [
        (1, new_id()),
        (5, new_id()),
        (5, own[5].event_id),
        (5, own[3].event_id),
        (5, others[4].event_id),
        (15, new_id()),
        (15, own[0].event_id),
        (16, own[14].event_id),
        (1_000, new_id()),
    ] {
        let foreign = Snapshot::new(
            stream("a"),
            version(at),
            last_event,
            Account::<1>::fingerprint(),
            Payload::of(&foreign).expect("the state is JSON"),
            Timestamp::EPOCH,
        );
        assert!(snapshots.save_snapshot(foreign).await.is_ok(), "saving a snapshot succeeds");
        let when = format!("with a state of another history at {at}");
        check::<1>(&store, &snapshots, &when).await;
        check::<2>(&store, &snapshots, &when).await;
    }
    // one of its own, which is used beside them
    keep::<1>(fixture, "a", &[5]).await;
    check::<1>(&store, &snapshots, "with a state of its own in place of it").await;
}
