//! The sins of a store that keeps projections within its appends.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use es_core::Runner;
use es_core::backend::{
    AppendError, AppendRequest, Appended, Batch, Checkpoint, Claim, Content, Definition, Lease,
    ReadStream, SinkError, StoreError, StoreErrorKind, StreamId,
};
use es_core::layer::StoreLayer;

use super::{Sin, Sink, Store};

/// What a sinning store remembers.
#[derive(Default)]
pub(super) struct Memory {
    kept: Mutex<Vec<Definition>>,
    has_refused: AtomicBool,
}

/// A healthy store and one sin.
pub(super) struct Keeper {
    pub(super) inner: Store,
    pub(super) sink: Sink,
    pub(super) sin: Sin,
    pub(super) memory: std::sync::Arc<Memory>,
}

impl Keeper {
    fn kept(&self) -> Vec<Definition> {
        self.memory.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// True if the inner store is to keep it, too.
    pub(super) async fn keep(&self, definition: &Definition) -> Result<bool, SinkError> {
        match self.sin {
            Sin::KeepsNothing => return Ok(false),
            Sin::KeepsFromNowOn => {
                let claim = Claim::of_appends(definition);
                let lease = self.sink.acquire(&claim).await?;
                let from = lease.checkpoints[0].clone();
                let to = Checkpoint { position: self.inner.end_of_log().await?, event: None };
                self.sink.commit(&lease, &Batch::moving(0, from, to)).await?;
            }
            Sin::KeepsAnyHistory => {
                let claim = Claim::of_appends(definition);
                let lease = self.sink.acquire(&claim).await?;
                let (from, end) = (lease.checkpoints[0].clone(), self.inner.end_of_log().await?);
                let position = if from.position > end { end } else { from.position };
                let to = Checkpoint { position, event: None };
                self.sink.commit(&lease, &Batch::moving(0, from, to)).await?;
            }
            Sin::TakesBehindTheAppend => self.project(definition).await?,
            _ => {}
        }
        self.memory.kept.lock().unwrap_or_else(PoisonError::into_inner).push(definition.clone());
        Ok(self.sin != Sin::TakesBehindTheAppend)
    }

    async fn project(&self, definition: &Definition) -> Result<(), StoreError> {
        let store = es_core::Store::from(self.inner.clone()).with_models(self.sink.clone());
        let runner = Runner::new(store).holder(Claim::APPENDS);
        let mut runner = runner.definition(definition.clone());
        let projected = runner.catch_up().await;
        projected.map_err(|error| StoreError::new(StoreErrorKind::Other, error.to_string()))
    }

    /// Folds the events of the streams into the rows once more.
    async fn take_again(&self, streams: &[StreamId]) -> Result<(), SinkError> {
        for definition in self.kept() {
            let claim = Claim::of_appends(&definition);
            let lease = self.sink.acquire(&claim).await?;
            let here = lease.checkpoints[0].clone();
            let batch = Batch::moving(0, here.clone(), here);
            let content = self.folded_again(&definition, &lease, streams).await?;
            self.sink.commit(&lease, &batch.content(content)).await?;
        }
        Ok(())
    }

    async fn folded_again(
        &self,
        definition: &Definition,
        lease: &Lease,
        streams: &[StreamId],
    ) -> Result<Content, SinkError> {
        let mut events = Vec::new();
        for stream in streams {
            let read = ReadStream::new(stream.clone());
            events.extend(self.inner.read_stream(&read).await?.events);
        }
        let other =
            |error| StoreError::new(StoreErrorKind::Other, format!("the fold failed: {error}"));
        let keys = definition.keys_of(&events).map_err(other)?;
        let rows = self.sink.load(definition.name(), lease.slot, &keys).await?;
        let rows: HashMap<_, _> = rows.into_iter().map(|row| (row.key, row.value)).collect();
        Ok(Content::Rows(definition.changes(&events, &rows).map_err(other)?))
    }
}

#[async_trait]
impl StoreLayer for Keeper {
    fn inner(&self) -> &Store {
        &self.inner
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let refuses = self.sin == Sin::RefusesNeighbours;
        if refuses && self.memory.has_refused.swap(false, Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Other, "another was refused").into());
        }
        let answer = self.inner.append(request).await;
        match (&answer, self.sin) {
            (Err(AppendError::Store(_)), Sin::RefusesNeighbours) => {
                self.memory.has_refused.store(true, Ordering::SeqCst);
            }
            (Ok(_), Sin::TakesBehindTheAppend) => {
                for definition in self.kept() {
                    self.project(&definition).await?;
                }
            }
            (Ok(appended), Sin::TakesRepeatsAgain) if appended.repeated => {
                let streams: Vec<_> = appended.streams.iter().map(|it| it.stream.clone()).collect();
                let taken = self.take_again(&streams).await;
                taken.map_err(|error| StoreError::new(StoreErrorKind::Other, error.to_string()))?;
            }
            _ => {}
        }
        answer
    }
}
