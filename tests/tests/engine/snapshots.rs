//! Snapshots never change an answer, and they save work.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use es_core::backend::{
    AppendRequest, EventStore, NewEvent, PageLimit, Pruned, ReadStream, Snapshot, SnapshotAndTail,
    SnapshotStore, SnapshotSummary, StoreError, StoreErrorKind, StreamId, Timestamp, prune_all,
};
use es_core::environment::{EventIds, UuidV7Ids};
use es_core::event::Payload;
use es_core::execution::{Snapshotted, StreamVersion};
use es_core::{ExpectedVersion, Repository, Store};
use es_memory::MemoryStore;

use super::account::*;

/// A repository that keeps a state each three events.
fn snapshotting(store: &Arc<MemoryStore>) -> Repository<Account> {
    accounts(store).snapshot_every(3)
}

/// Accounts whose states are kept elsewhere.
fn beside(store: &Arc<MemoryStore>, elsewhere: Arc<dyn SnapshotStore>) -> Repository<Account> {
    Repository::new(Store::from(store.clone()).with_snapshots(elsewhere))
}

pub(super) async fn deposit(accounts: &Repository<Account>, times: usize) {
    for _ in 0..times {
        accounts.by_id("a").decide(|account| account.deposit(1)).await.unwrap();
    }
}

async fn kept(store: &MemoryStore) -> Option<Snapshot> {
    store.latest_snapshot(&stream("a"), StreamVersion::MAX).await.unwrap()
}

pub(super) async fn keep(store: &MemoryStore, version: u64, schema: String, state: Payload) {
    let (version, taken_at) = (StreamVersion::new(version), Timestamp::EPOCH);
    let read = ReadStream::new(stream("a")).from_version(version).to_version(version);
    let page = store.read_stream(&read).await.unwrap();
    let last_event = page.events.first().map_or_else(|| UuidV7Ids.next_id(), |last| last.event_id);
    let snapshot = Snapshot::new(stream("a"), version, last_event, schema, state, taken_at);
    store.save_snapshot(snapshot).await.unwrap();
}

#[tokio::test]
async fn a_state_is_kept_each_time_the_stream_passes_a_multiple() {
    let store = store();
    let accounts = snapshotting(&store);
    let mut versions = Vec::new();
    for _ in 0..7 {
        deposit(&accounts, 1).await;
        assert!(accounts.flush_snapshots().await);
        versions.push(kept(&store).await.map(|snapshot| snapshot.version.as_u64()));
    }
    assert_eq!(versions, [None, None, Some(3), Some(3), Some(3), Some(6), Some(6)]);
    let snapshot = kept(&store).await.unwrap();
    assert_eq!(snapshot.state.decode::<Account>().unwrap(), Account { balance: 6 });
    assert_eq!(snapshot.schema, Account::fingerprint());
}

#[tokio::test]
async fn a_kept_state_is_used_and_only_the_tail_is_read() {
    let store = store();
    let accounts = snapshotting(&store);
    deposit(&accounts, 4).await;
    accounts.flush_snapshots().await;
    // a state that no replay would give shows that it was used
    let state = Payload::of(&Account { balance: 1000 }).unwrap();
    keep(&store, 3, Account::fingerprint(), state).await;
    assert_eq!(accounts.load("a").await.unwrap().state.balance, 1001);
    let third = accounts.load_at("a", StreamVersion::new(3)).await.unwrap();
    assert_eq!(third.state.balance, 1000);
    let second = accounts.load_at("a", StreamVersion::new(2)).await.unwrap();
    assert_eq!(second.state.balance, 2, "a kept state that is newer than asked for is not used");
}

#[tokio::test]
async fn a_kept_state_that_does_not_fit_is_ignored() {
    let store = store();
    let accounts = snapshotting(&store);
    deposit(&accounts, 2).await;
    let wrong = Payload::of(&Account { balance: 1000 }).unwrap();
    let fingerprint = Account::fingerprint;
    // another fingerprint, an unreadable state, and one that is newer than its stream
    for (version, schema, state) in [
        (2, "account r0".to_owned(), wrong.clone()),
        (2, fingerprint(), Payload::of("?").unwrap()),
        (5, fingerprint(), wrong),
    ] {
        store.delete_snapshots(&stream("a")).await.unwrap();
        keep(&store, version, schema, state).await;
        let loaded = accounts.load("a").await.unwrap();
        assert_eq!((loaded.state.balance, loaded.version.as_u64()), (2, 2));
    }
}

/// A place for snapshots that somebody has locked.
#[derive(Default)]
struct Locked {
    asked: AtomicUsize,
    /// Whether a read fails at once, where all else waits.
    fails_reads: bool,
}

#[async_trait]
impl SnapshotStore for Locked {
    async fn latest_snapshot(
        &self,
        _: &StreamId,
        _: StreamVersion,
    ) -> Result<Option<Snapshot>, StoreError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.fails_reads {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "no snapshots today"));
        }
        std::future::pending().await
    }
    async fn save_snapshot(&self, _: Snapshot) -> Result<(), StoreError> {
        std::future::pending().await
    }
    async fn delete_snapshots(&self, _: &StreamId) -> Result<(), StoreError> {
        std::future::pending().await
    }
    async fn prune_snapshots(&self, _: &StreamId, _: u64) -> Result<u64, StoreError> {
        std::future::pending().await
    }
    async fn list_snapshots(
        &self,
        _: Option<&SnapshotSummary>,
        _: usize,
    ) -> Result<Vec<SnapshotSummary>, StoreError> {
        std::future::pending().await
    }
    async fn latest_with_tail(
        &self,
        _: &StreamId,
        _: StreamVersion,
        _: PageLimit,
    ) -> Result<Option<SnapshotAndTail>, StoreError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn locked_snapshots_hold_up_neither_loads_nor_the_end() {
    let (events, locked) = (store(), Arc::new(Locked::default()));
    let accounts = beside(&events, locked.clone()).snapshot_every(1);
    let work = async {
        deposit(&accounts, 500).await;
        assert_eq!(accounts.load("a").await.unwrap().state.balance, 500);
        assert!(!accounts.flush_snapshots().await, "not all was saved");
        assert!(accounts.flush_snapshots().await, "what is dropped is not waited for again");
    };
    let ended = tokio::time::timeout(Duration::from_secs(60), work).await;
    assert!(ended.is_ok(), "a cache is waited for for ever");
    // not each load waits
    assert_eq!(locked.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_snapshot_store_that_fails_or_blocks_delays_no_command() {
    let stuck = Locked { fails_reads: true, ..Locked::default() };
    let accounts = beside(&store(), Arc::new(stuck)).snapshot_every(1);
    // more than can wait
    for number in 0..1_200 {
        let account = accounts.by_id(&number.to_string());
        account.decide(|account| account.deposit(1)).await.unwrap();
    }
    deposit(&accounts, 20).await;
    assert_eq!(accounts.load("a").await.unwrap().state.balance, 20);
}

/// A repository whose snapshots are its store's own, or kept beside it.
fn reading(store: &Arc<MemoryStore>, is_own: bool) -> Repository<Account> {
    let accounts = if is_own { accounts(store) } else { beside(store, store.clone()) };
    accounts.snapshot_every(0)
}

#[tokio::test]
async fn a_sampled_check_finds_a_wrong_state_and_replaces_it() {
    for is_own in [false, true] {
        let store = store();
        deposit(&accounts(&store), 5).await;
        let keep_wrong = async || {
            let wrong = Payload::of(&Account { balance: 1000 }).unwrap();
            keep(&store, 3, Account::fingerprint(), wrong).await;
        };
        keep_wrong().await;
        let unchecked = reading(&store, is_own);
        let accounts = unchecked.clone().checked_one_in(3.try_into().unwrap());
        // every clone counts the same loads
        let clone = accounts.clone();
        let load =
            async |accounts: &Repository<Account>| accounts.load("a").await.unwrap().state.balance;
        let loads = [load(&accounts).await, load(&clone).await, load(&accounts).await];
        assert_eq!(loads, [1002, 1002, 5], "the third load is checked, and replay is right");
        accounts.flush_snapshots().await;
        assert_eq!(kept(&store).await.unwrap().state.decode::<Account>().unwrap().balance, 3);
        let found = |repository: &Repository<Account>| {
            let checks = repository.snapshot_checks();
            (checks.checked, checks.different)
        };
        assert_eq!(found(&clone), (1, 1));
        assert_eq!([load(&accounts).await, load(&accounts).await, load(&accounts).await], [5; 3]);
        assert_eq!(found(&accounts), (2, 1), "the kept state is right now");
        assert_eq!(found(&unchecked), (0, 0));
        // an older state is checked at its own version
        keep_wrong().await;
        let every = unchecked.checked_one_in(1.try_into().unwrap());
        let version = StreamVersion::new(4);
        assert_eq!(every.load_at("a", version).await.unwrap().state.balance, 4);
    }
}

#[tokio::test]
async fn the_order_of_snapshot_every_and_checked_one_in_does_not_matter() {
    let store = store();
    deposit(&accounts(&store), 3).await;
    let wrong = Payload::of(&Account { balance: 1000 }).unwrap();
    keep(&store, 3, Account::fingerprint(), wrong).await;
    let accounts = accounts(&store).checked_one_in(1.try_into().unwrap());
    let accounts = accounts.snapshot_every(0);
    assert_eq!(accounts.load("a").await.unwrap().state.balance, 3);
    assert_eq!(accounts.snapshot_checks().different, 1);
}

#[tokio::test]
async fn a_state_of_events_that_were_restored_is_ignored_once_the_stream_has_grown_past_it() {
    let (before, restored) = (store(), store());
    let kept = Arc::new(MemoryStore::new());
    let keeping = |store| beside(store, kept.clone()).snapshot_every(5);
    let old = keeping(&before);
    for _ in 0..5 {
        old.by_id("a").decide(|account| account.deposit(100)).await.unwrap();
    }
    old.flush_snapshots().await;
    assert!(self::kept(&kept).await.is_some(), "at 5");
    // only the first two are in the backup
    let read = ReadStream::new(stream("a")).limit(PageLimit::events(2));
    for event in before.read_stream(&read).await.unwrap().events {
        let event = NewEvent::new(event.event_id, event.event_type.as_str(), event.payload);
        let request = AppendRequest::to(stream("a"), ExpectedVersion::Any, vec![event]);
        restored.append(request).await.unwrap();
    }
    let accounts = keeping(&restored);
    for balance in 201..=206 {
        accounts.by_id("a").decide(|account| account.deposit(1)).await.unwrap();
        let loaded = accounts.load("a").await.unwrap();
        assert_eq!(loaded.state.balance, balance);
        let earlier = accounts.load_at("a", StreamVersion::new(5)).await.unwrap();
        assert_eq!(earlier.state.balance, balance.min(203));
    }
    accounts.flush_snapshots().await;
    let replaced = self::kept(&kept).await.unwrap();
    assert_eq!(replaced.state.decode::<Account>().unwrap().balance, 203, "at 5, kept anew");
}

#[tokio::test]
async fn pruning_all_streams_keeps_the_newest_of_each() {
    let store = store();
    // more than are listed at once
    for number in 0..700_u64 {
        for version in 1..=number % 4 {
            let snapshot = Snapshot::new(
                stream(&number.to_string()),
                StreamVersion::new(version),
                UuidV7Ids.next_id(),
                "",
                Payload::of("").unwrap(),
                Timestamp::EPOCH,
            );
            store.save_snapshot(snapshot).await.unwrap();
        }
    }
    let pruned = prune_all(&*store, 2).await.unwrap();
    assert_eq!((pruned.streams, pruned.removed), (175, 175), "those that had 3");
    assert_eq!(prune_all(&*store, 1).await.unwrap(), Pruned { streams: 350, removed: 350 });
    for number in 0..700_u64 {
        let found = store.latest_snapshot(&stream(&number.to_string()), StreamVersion::MAX).await;
        let found = found.unwrap().map_or(0, |found| found.version.as_u64());
        assert_eq!(found, number % 4, "the newest of {number}");
    }
    assert_eq!(prune_all(&*store, 1).await.unwrap(), Pruned::default());
    assert_eq!(prune_all(&*store, 0).await.unwrap().removed, 525);
    assert_eq!(store.list_snapshots(None, 10).await.unwrap(), []);
}
