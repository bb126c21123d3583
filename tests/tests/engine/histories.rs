//! Projections whose log becomes another history.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use es_core::backend::{
    AppendError, AppendRequest, Appended, Capabilities, Definition, EventStore, LogPage, Position,
    ProjectionSink, RawKeying, ReadLog, ReadStream, StoreError, StreamId, StreamPage,
};
use es_core::event::EventFilter;
use es_core::execution::IdempotencyKey;
use es_core::projection::{FailurePolicy, TroubleKind};
use es_core::{Runner, Store};
use es_memory::MemoryStore;

use super::account::append;

/// Counts events by stream.
fn counted() -> Definition {
    let (all, keying) = (EventFilter::all(), RawKeying::Streams);
    Definition::rows("counted", 1, all, keying, |_, row, _| Ok(Some(row.unwrap_or(0_u64) + 1)))
        .on_failure(FailurePolicy::park_key())
}

fn runner(store: impl Into<Store>, sink: Arc<dyn ProjectionSink>) -> Runner {
    Runner::new(store.into().with_models(sink)).definition(counted())
}

/// Whatever happens to its log, the runner stops for good, says why and names the cure.
#[tokio::test]
async fn a_runner_stops_when_its_log_becomes_another_history() {
    let (before, restored) = (MemoryStore::new(), MemoryStore::new());
    append(&before, "account/1", &["paid", "paid", "paid"]).await;
    let mut first = runner(before.clone(), Arc::new(before.clone()));
    first.catch_up().await.unwrap();
    first.release().await;
    // models of the one, events of the other: fewer of them, and then more
    for count in [2, 5] {
        append(&restored, "account/1", &vec!["paid"; count]).await;
        let mut runner = runner(restored.clone(), Arc::new(before.clone()));
        for _ in 0..2 {
            let stopped = runner.catch_up().await.unwrap_err().stopped;
            let reason = stopped[0].cause.to_string();
            assert_eq!(stopped[0].cause.kind(), TroubleKind::Diverged, "{reason}");
            assert!(reason.contains("rebuild the projection"), "{reason}");
        }
        runner.release().await;
    }
    // while it runs: the place from which it would read on is beyond the end
    let swapped = Swapped(Mutex::new(before.clone()));
    let store = Arc::new(swapped);
    append(&before, "account/1", &["paid"]).await;
    let mut runner = runner(store.clone(), Arc::new(before.clone()));
    runner.catch_up().await.unwrap();
    *store.0.lock().unwrap() = MemoryStore::new();
    let error = runner.run().await.unwrap_err();
    assert!(error.stopped[0].cause.to_string().contains("beyond log-0"), "{error:?}");
}

/// A store that is exchanged for another one while it is used.
pub(super) struct Swapped(pub(super) Mutex<MemoryStore>);

impl Swapped {
    pub(super) fn now(&self) -> MemoryStore {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl EventStore for Swapped {
    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        self.now().append(request).await
    }

    async fn find_append(
        &self,
        stream: &StreamId,
        key: &IdempotencyKey,
    ) -> Result<Option<Appended>, StoreError> {
        self.now().find_append(stream, key).await
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        self.now().read_stream(read).await
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        self.now().read_log(read).await
    }

    async fn end_of_log(&self) -> Result<Position, StoreError> {
        self.now().end_of_log().await
    }

    async fn wait_past(&self, position: Position) -> Result<(), StoreError> {
        self.now().wait_past(position).await
    }

    fn capabilities(self: Arc<Self>) -> Capabilities {
        Arc::new(self.now()).capabilities().through_a_layer()
    }
}
