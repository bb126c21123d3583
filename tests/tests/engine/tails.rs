//! A kept state and the events that follow it are one call, where the store keeps both.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use es_core::{
    AppendError, AppendRequest, Appended, Capabilities, EventStore, IdempotencyKey, LogPage,
    PageLimit, Payload, Position, ReadLog, ReadStream, Repository, Snapshot, SnapshotAndTail,
    SnapshotStore, SnapshotSummary, Snapshotted, Store, StoreError, StreamId, StreamPage,
    StreamVersion,
};
use es_memory::MemoryStore;
use es_testing::fault::FaultStore;

use super::account::*;
use super::snapshots::{deposit, keep};

/// Counts what a load asks for.
struct Asked {
    inner: MemoryStore,
    calls: Mutex<Vec<&'static str>>,
}

impl Asked {
    fn note(&self, call: &'static str) -> &MemoryStore {
        self.calls.lock().unwrap().push(call);
        &self.inner
    }
}

#[async_trait]
impl EventStore for Asked {
    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        self.inner.append(request).await
    }
    async fn find_append(
        &self,
        stream: &StreamId,
        key: &IdempotencyKey,
    ) -> Result<Option<Appended>, StoreError> {
        self.inner.find_append(stream, key).await
    }
    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        self.note("read_stream").read_stream(read).await
    }
    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        self.inner.read_log(read).await
    }
    async fn end_of_log(&self) -> Result<Position, StoreError> {
        self.inner.end_of_log().await
    }
    async fn wait_past(&self, position: Position) -> Result<(), StoreError> {
        self.inner.wait_past(position).await
    }
    fn capabilities(self: Arc<Self>) -> Capabilities {
        let inner = Arc::new(self.inner.clone()).capabilities();
        Capabilities::of(inner.identity, inner.system).snapshots(self)
    }
}

#[async_trait]
impl SnapshotStore for Asked {
    async fn latest_snapshot(
        &self,
        stream: &StreamId,
        up_to: StreamVersion,
    ) -> Result<Option<Snapshot>, StoreError> {
        self.note("latest_snapshot").latest_snapshot(stream, up_to).await
    }
    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), StoreError> {
        self.inner.save_snapshot(snapshot).await
    }
    async fn delete_snapshots(&self, stream: &StreamId) -> Result<(), StoreError> {
        self.inner.delete_snapshots(stream).await
    }
    async fn prune_snapshots(&self, stream: &StreamId, keep: u64) -> Result<u64, StoreError> {
        self.inner.prune_snapshots(stream, keep).await
    }
    async fn list_snapshots(
        &self,
        after: Option<&SnapshotSummary>,
        limit: usize,
    ) -> Result<Vec<SnapshotSummary>, StoreError> {
        self.inner.list_snapshots(after, limit).await
    }
    async fn latest_with_tail(
        &self,
        stream: &StreamId,
        up_to: StreamVersion,
        limit: PageLimit,
    ) -> Result<Option<SnapshotAndTail>, StoreError> {
        self.note("latest_with_tail").latest_with_tail(stream, up_to, limit).await
    }
}

#[tokio::test]
async fn the_tail_comes_only_with_a_snapshot_of_the_store_itself() {
    let memory = store();
    deposit(&accounts(&memory), 5).await;
    let state = Payload::of(&Account { balance: 1000 }).unwrap();
    keep(&memory, 3, Account::fingerprint(), state.clone()).await;
    let asked = || Arc::new(Asked { inner: MemoryStore::clone(&memory), calls: Mutex::default() });
    let (store, other) = (asked(), asked());
    let reading = |store: Store| Repository::<Account>::new(store).snapshot_every(0);
    let within = reading(store.clone().into());
    let beside = reading(Store::from(store.clone()).with_snapshots(other.clone()));
    let around = reading(FaultStore::new(store.clone()).into());
    let calls = |store: &Asked| std::mem::take(&mut *store.calls.lock().unwrap());

    assert_eq!(within.load(&id("a")).await.unwrap().state.balance, 1002);
    assert_eq!(calls(&store), ["latest_with_tail"]);
    assert_eq!(beside.load(&id("a")).await.unwrap().state.balance, 1002);
    assert_eq!((calls(&store), calls(&other)), (vec!["read_stream"], vec!["latest_snapshot"]));
    // what a store around it does to reads must not be passed by
    assert_eq!(around.load(&id("a")).await.unwrap().state.balance, 1002);
    assert_eq!(calls(&store), ["latest_snapshot", "read_stream"]);
    // a whole stream in one call, too, and pages after the first as ever
    assert_eq!(within.load(&id("b")).await.unwrap().version, StreamVersion::EMPTY);
    assert_eq!(calls(&store), ["latest_with_tail"]);
    let paged = within.clone().with_page_limit(PageLimit::events(1));
    assert_eq!(paged.load(&id("a")).await.unwrap().state.balance, 1002);
    // the first page has the last event of the snapshot, which tells that it is of this history
    assert_eq!(calls(&store), ["latest_with_tail", "read_stream", "read_stream"]);
    // what cannot be used is replayed over
    keep(&memory, 4, "account r0".to_owned(), state).await;
    assert_eq!(within.load(&id("a")).await.unwrap().state.balance, 5);
    assert_eq!(calls(&store), ["latest_with_tail", "read_stream"]);
}
