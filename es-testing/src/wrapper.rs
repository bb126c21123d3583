//! A store around another store, of which only what differs is written down.

use std::sync::Arc;

use async_trait::async_trait;
use es_core::{
    AppendError, AppendRequest, Appended, EventStore, IdempotencyKey, LogPage, Position, ReadLog,
    ReadStream, StoreError, StreamId, StreamPage,
};

pub(crate) type Store = Arc<dyn EventStore>;

/// The methods of [`EventStore`], each as the inner store has it unless the wrapper says else.
#[async_trait]
pub(crate) trait Wrapper: Send + Sync + 'static {
    fn inner(&self) -> &Store;

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        self.inner().append(request).await
    }

    async fn find_append(
        &self,
        stream: &StreamId,
        key: &IdempotencyKey,
    ) -> Result<Option<Appended>, StoreError> {
        self.inner().find_append(stream, key).await
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        self.inner().read_stream(read).await
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        self.inner().read_log(read).await
    }

    async fn end_of_log(&self) -> Result<Position, StoreError> {
        self.inner().end_of_log().await
    }

    async fn wait_past(&self, position: Position) -> Result<(), StoreError> {
        self.inner().wait_past(position).await
    }
}

/// A wrapper as a store.
pub(crate) struct Wrapped<W>(pub(crate) W);

#[async_trait]
impl<W: Wrapper> EventStore for Wrapped<W> {
    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        self.0.append(request).await
    }

    async fn find_append(
        &self,
        stream: &StreamId,
        key: &IdempotencyKey,
    ) -> Result<Option<Appended>, StoreError> {
        self.0.find_append(stream, key).await
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        self.0.read_stream(read).await
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        self.0.read_log(read).await
    }

    async fn end_of_log(&self) -> Result<Position, StoreError> {
        self.0.end_of_log().await
    }

    async fn wait_past(&self, position: Position) -> Result<(), StoreError> {
        self.0.wait_past(position).await
    }
}
