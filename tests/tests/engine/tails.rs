//! A kept state and the events that follow it are one call, where the store keeps both.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use es_core::backend::{
    Capabilities, EventStore, PageLimit, ReadStream, Snapshot, SnapshotAndTail, SnapshotStore,
    StoreError, StoreErrorKind, StreamId, StreamPage,
};
use es_core::event::Payload;
use es_core::execution::{Snapshotted, StreamVersion};
use es_core::layer::{Layered, LayeredSnapshots, SnapshotLayer, StoreLayer};
use es_core::{Repository, Store};
use es_memory::MemoryStore;
use es_testing::fault::{Call, Faults};

use super::account::*;
use super::snapshots::{deposit, keep};

type Calls = Arc<Mutex<Vec<&'static str>>>;

/// Counts what a load asks for.
struct Asked<T: ?Sized>(Arc<T>, Calls);

impl<T: ?Sized> Asked<T> {
    fn note(&self, call: &'static str) -> &Arc<T> {
        self.1.lock().unwrap().push(call);
        &self.0
    }
}

#[async_trait]
impl StoreLayer for Asked<dyn EventStore> {
    fn inner(&self) -> &Arc<dyn EventStore> {
        &self.0
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        self.note("read_stream").read_stream(read).await
    }

    fn capabilities(&self, inner: Capabilities) -> Capabilities {
        let mut all = Capabilities::of(inner.identity, inner.system);
        if let Some(own) = inner.snapshots {
            all = all.snapshots(Arc::new(LayeredSnapshots(Asked(own, self.1.clone()))));
        }
        all
    }
}

#[async_trait]
impl SnapshotLayer for Asked<dyn SnapshotStore> {
    fn inner(&self) -> &Arc<dyn SnapshotStore> {
        &self.0
    }

    async fn latest_snapshot(
        &self,
        stream: &StreamId,
        up_to: StreamVersion,
    ) -> Result<Option<Snapshot>, StoreError> {
        self.note("latest_snapshot").latest_snapshot(stream, up_to).await
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
    let asked = || {
        let calls = Calls::default();
        let events: Arc<dyn EventStore> = memory.clone();
        (Store::from(Layered(Asked(events, calls.clone()))), calls)
    };
    let ((store, of_store), (other, of_other)) = (asked(), asked());
    let reading = |store: Store| Repository::<Account>::new(store).snapshot_every(0);
    let elsewhere = other.capabilities().snapshots.clone().unwrap();
    let within = reading(store.clone());
    let beside = reading(store.clone().with_snapshots(elsewhere));
    let around = reading(Layered(Around(store.event_store().clone())).into());
    let calls = |calls: &Calls| std::mem::take(&mut *calls.lock().unwrap());

    assert_eq!(within.load("a").await.unwrap().state.balance, 1002);
    assert_eq!(calls(&of_store), ["latest_with_tail"]);
    assert_eq!(beside.load("a").await.unwrap().state.balance, 1002);
    assert_eq!(
        (calls(&of_store), calls(&of_other)),
        (vec!["read_stream"], vec!["latest_snapshot"])
    );
    // what a store around it does to reads must not be passed by
    assert_eq!(around.load("a").await.unwrap().state.balance, 1002);
    assert_eq!(calls(&of_store), ["latest_snapshot", "read_stream"]);
    // where the store around it answers that call, too, it stays one
    let faults = Faults::new();
    let faulty = reading(faults.over(&store));
    assert_eq!(faulty.load("a").await.unwrap().state.balance, 1002);
    assert_eq!(calls(&of_store), ["latest_with_tail"]);
    faults.fail(Call::LatestWithTail, 1, StoreErrorKind::Busy);
    assert_eq!(faulty.load("a").await.unwrap().state.balance, 5, "replayed");
    assert_eq!(calls(&of_store), ["read_stream"]);
    let beside = faults.over(store.clone().with_snapshots(Arc::new(MemoryStore::new())));
    assert_eq!(reading(beside).load("a").await.unwrap().state.balance, 5);
    assert_eq!((calls(&of_store), faults.calls(Call::LatestSnapshot)), (vec!["read_stream"], 1));
    // a whole stream in one call, too, and pages after the first as ever
    assert_eq!(within.load("b").await.unwrap().version, StreamVersion::EMPTY);
    assert_eq!(calls(&of_store), ["latest_with_tail"]);
    let paged = within.clone().with_page_limit(PageLimit::events(1));
    assert_eq!(paged.load("a").await.unwrap().state.balance, 1002);
    // the first page has the last event of the snapshot, which tells that it is of this history
    assert_eq!(calls(&of_store), ["latest_with_tail", "read_stream", "read_stream"]);
    // what cannot be used is replayed over
    keep(&memory, 4, "account r0".to_owned(), state).await;
    assert_eq!(within.load("a").await.unwrap().state.balance, 5);
    assert_eq!(calls(&of_store), ["latest_with_tail", "read_stream"]);
}
