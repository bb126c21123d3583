//! A store around another store, of which only what differs is written down.

use std::sync::Arc;

use async_trait::async_trait;

use crate::append::{AppendError, AppendRequest, Appended, IdempotencyKey};
use crate::error::StoreError;
use crate::position::Position;
use crate::read::{LogPage, ReadLog, ReadStream, StreamPage};
use crate::store::{Capabilities, EventStore};
use crate::stream::StreamId;

/// The methods of [`EventStore`], each as the inner store has it unless the layer says else;
/// [`Layered`] makes a store of it.
///
/// ```
/// use std::sync::Arc;
///
/// use async_trait::async_trait;
/// use es_core::Store;
/// use es_core::backend::{
///     AppendError, AppendRequest, Appended, EventStore, StoreError, StoreErrorKind,
/// };
/// use es_core::layer::{Layered, StoreLayer};
///
/// struct ReadOnly(Arc<dyn EventStore>);
///
/// #[async_trait]
/// impl StoreLayer for ReadOnly {
///     fn inner(&self) -> &Arc<dyn EventStore> {
///         &self.0
///     }
///
///     async fn append(&self, _: AppendRequest) -> Result<Appended, AppendError> {
///         Err(StoreError::new(StoreErrorKind::ReadOnly, "this replica takes no appends").into())
///     }
/// }
///
/// fn replica(store: &Store) -> Store {
///     Layered(ReadOnly(store.event_store().clone())).into()
/// }
/// ```
///
/// What translates, so that a forgotten method would go past it, implements [`EventStore`] itself.
#[async_trait]
pub trait StoreLayer: Send + Sync + 'static {
    /// The store around which this is.
    fn inner(&self) -> &Arc<dyn EventStore>;

    /// See [`EventStore::append`].
    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        self.inner().append(request).await
    }

    /// See [`EventStore::find_append`].
    async fn find_append(
        &self,
        stream: &StreamId,
        key: &IdempotencyKey,
    ) -> Result<Option<Appended>, StoreError> {
        self.inner().find_append(stream, key).await
    }

    /// See [`EventStore::read_stream`].
    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        self.inner().read_stream(read).await
    }

    /// See [`EventStore::read_log`].
    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        self.inner().read_log(read).await
    }

    /// See [`EventStore::end_of_log`].
    async fn end_of_log(&self) -> Result<Position, StoreError> {
        self.inner().end_of_log().await
    }

    /// See [`EventStore::wait_past`].
    async fn wait_past(&self, position: Position) -> Result<(), StoreError> {
        self.inner().wait_past(position).await
    }

    /// See [`EventStore::capabilities`]; `inner` are those of the store around which this is.
    ///
    /// Snapshots and models are those of the inner store unless the layer puts others in their place,
    /// such as [`LayeredSnapshots`](super::LayeredSnapshots) and [`LayeredSink`](super::LayeredSink)
    /// around them.
    fn capabilities(&self, inner: Capabilities) -> Capabilities {
        inner.through_a_layer()
    }
}

/// A [`StoreLayer`] as a store.
#[derive(Debug)]
pub struct Layered<L>(pub L);

#[async_trait]
impl<L: StoreLayer> EventStore for Layered<L> {
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

    fn capabilities(self: Arc<Self>) -> Capabilities {
        self.0.capabilities(self.0.inner().clone().capabilities())
    }
}
