//! Snapshots never change an answer, and they save work.

use std::sync::Arc;

use async_trait::async_trait;
use es_core::{
    Payload, Repository, Snapshot, SnapshotQueue, SnapshotStore, Snapshotted, StoreError,
    StoreErrorKind, StreamId, StreamVersion, Timestamp,
};
use es_memory::MemoryStore;

use super::account::*;

/// A repository that keeps a state each three events, its queue and its snapshots.
fn snapshotting(store: &Arc<MemoryStore>) -> (Repository<Account>, SnapshotQueue) {
    let (queue, worker) = SnapshotQueue::new(store.clone(), 10);
    tokio::spawn(worker.run());
    (accounts(store).with_snapshots(store.clone(), queue.clone(), 3), queue)
}

async fn deposit(accounts: &Repository<Account>, times: usize) {
    for _ in 0..times {
        accounts.update(&id("a"), |account| account.deposit(1)).await.unwrap();
    }
}

async fn kept(store: &MemoryStore) -> Option<Snapshot> {
    store.latest_snapshot(&stream("a"), StreamVersion::MAX).await.unwrap()
}

async fn keep(store: &MemoryStore, version: u64, schema: String, state: Payload) {
    let (version, taken_at) = (StreamVersion::new(version), Timestamp::EPOCH);
    let snapshot = Snapshot { stream: stream("a"), version, schema, state, taken_at };
    store.save_snapshot(snapshot).await.unwrap();
}

#[tokio::test]
async fn a_state_is_kept_each_time_the_stream_passes_a_multiple() {
    let store = store();
    let (accounts, queue) = snapshotting(&store);
    let mut versions = Vec::new();
    for _ in 0..7 {
        deposit(&accounts, 1).await;
        queue.flush().await;
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
    let (accounts, queue) = snapshotting(&store);
    deposit(&accounts, 4).await;
    queue.flush().await;
    // a state that no replay would give shows that it was used
    let state = Payload::of(&Account { balance: 1000 }).unwrap();
    keep(&store, 3, Account::fingerprint(), state).await;
    assert_eq!(accounts.load(&id("a")).await.unwrap().state.balance, 1001);
    let third = accounts.load_at_version(&id("a"), StreamVersion::new(3)).await.unwrap();
    assert_eq!(third.state.balance, 1000);
    let second = accounts.load_at_version(&id("a"), StreamVersion::new(2)).await.unwrap();
    assert_eq!(second.state.balance, 2, "a kept state that is newer than asked for is not used");
}

#[tokio::test]
async fn a_kept_state_that_does_not_fit_is_ignored() {
    let store = store();
    let (accounts, _queue) = snapshotting(&store);
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
        let loaded = accounts.load(&id("a")).await.unwrap();
        assert_eq!((loaded.state.balance, loaded.version.as_u64()), (2, 2));
    }
}

#[tokio::test]
async fn a_snapshot_store_that_fails_or_blocks_delays_no_command() {
    struct Stuck;
    #[async_trait]
    impl SnapshotStore for Stuck {
        async fn latest_snapshot(
            &self,
            _: &StreamId,
            _: StreamVersion,
        ) -> Result<Option<Snapshot>, StoreError> {
            Err(StoreError::new(StoreErrorKind::Unavailable, "no snapshots today"))
        }
        async fn save_snapshot(&self, _: Snapshot) -> Result<(), StoreError> {
            std::future::pending().await
        }
        async fn delete_snapshots(&self, _: &StreamId) -> Result<(), StoreError> {
            std::future::pending().await
        }
    }
    let (queue, worker) = SnapshotQueue::new(Arc::new(Stuck), 2);
    tokio::spawn(worker.run());
    let accounts = accounts(&store()).with_snapshots(Arc::new(Stuck), queue.clone(), 1);
    deposit(&accounts, 20).await;
    assert_eq!(accounts.load(&id("a")).await.unwrap().state.balance, 20);
    let snapshot = Snapshot {
        stream: stream("a"),
        version: StreamVersion::FIRST,
        schema: String::new(),
        state: Payload::of("").unwrap(),
        taken_at: Timestamp::EPOCH,
    };
    assert!(!queue.offer(snapshot), "a full queue drops");
}
