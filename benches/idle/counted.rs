//! A store that counts what it is asked for, and knows how far each of its models has come.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use es_core::Store;
use es_core::backend::{
    Batch, Claim, EventStore, Lease, ListParked, LogPage, ModelRow, Position, ProjectionSink,
    ReadLog, ReadStream, Renewal, Renewed, SinkError, Slot, StoreError, StreamPage,
};
use es_core::layer::{Layered, LayeredSink, SinkLayer, StoreLayer};
use es_core::projection::{Parked, ProjectionStatus};
use tokio::sync::watch;

/// What was asked for, and what came of it.
#[derive(Default)]
pub(crate) struct Counts {
    calls: AtomicU64,
    /// Up to where each model was committed.
    reached: watch::Sender<BTreeMap<String, Position>>,
}

impl Counts {
    fn call(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// How many calls store and sink have had.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Waits until so many models have passed an event. Nothing is asked for it.
    pub(crate) async fn reached(&self, models: usize, position: Position) {
        let mut reached = self.reached.subscribe();
        let all = |reached: &BTreeMap<String, Position>| {
            reached.values().filter(|at| **at >= position).count() >= models
        };
        drop(reached.wait_for(all).await.expect("the sender is here"));
    }
}

/// The same store, for whoever is to be counted.
pub(crate) fn counted(store: &Store, counts: &Arc<Counts>) -> Store {
    let models = store.capabilities().models.clone().expect("each of these stores keeps models");
    let events = Events { inner: store.event_store().clone(), counts: counts.clone() };
    let models = Models { inner: models, counts: counts.clone() };
    Store::from(Layered(events)).with_models(Arc::new(LayeredSink(models)))
}

struct Events {
    inner: Arc<dyn EventStore>,
    counts: Arc<Counts>,
}

/// What readers of the log ask for.
#[async_trait]
impl StoreLayer for Events {
    fn inner(&self) -> &Arc<dyn EventStore> {
        &self.inner
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        self.counts.call();
        self.inner.read_stream(read).await
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        self.counts.call();
        self.inner.read_log(read).await
    }

    async fn end_of_log(&self) -> Result<Position, StoreError> {
        self.counts.call();
        self.inner.end_of_log().await
    }

    async fn wait_past(&self, position: Position) -> Result<(), StoreError> {
        self.counts.call();
        self.inner.wait_past(position).await
    }
}

struct Models {
    inner: Arc<dyn ProjectionSink>,
    counts: Arc<Counts>,
}

/// What whoever keeps a model asks for.
#[async_trait]
impl SinkLayer for Models {
    fn inner(&self) -> &Arc<dyn ProjectionSink> {
        &self.inner
    }

    async fn acquire(&self, claim: &Claim) -> Result<Lease, SinkError> {
        self.counts.call();
        self.inner.acquire(claim).await
    }

    async fn renew(&self, lease: &Lease, renewal: &Renewal) -> Result<Renewed, SinkError> {
        self.counts.call();
        self.inner.renew(lease, renewal).await
    }

    async fn report(&self, lease: &Lease, trouble: Option<&str>) -> Result<(), SinkError> {
        self.counts.call();
        self.inner.report(lease, trouble).await
    }

    async fn commit(&self, lease: &Lease, batch: &Batch) -> Result<(), SinkError> {
        self.counts.call();
        self.inner.commit(lease, batch).await?;
        let (model, position) = (lease.projection.clone(), batch.to.position);
        self.counts.reached.send_modify(|reached| _ = reached.insert(model, position));
        Ok(())
    }

    async fn load(
        &self,
        projection: &str,
        slot: Slot,
        keys: &[String],
    ) -> Result<Vec<ModelRow>, SinkError> {
        self.counts.call();
        self.inner.load(projection, slot, keys).await
    }

    async fn parked(
        &self,
        projection: &str,
        slot: Slot,
        list: &ListParked,
    ) -> Result<Vec<Parked>, SinkError> {
        self.counts.call();
        self.inner.parked(projection, slot, list).await
    }

    async fn status(&self, projection: Option<&str>) -> Result<Vec<ProjectionStatus>, SinkError> {
        self.counts.call();
        self.inner.status(projection).await
    }
}
