//! A store around another store, of which only what differs is written down.

use std::sync::Arc;

use async_trait::async_trait;
use es_core::{
    AppendError, AppendRequest, Appended, Capabilities, EventStore, IdempotencyKey, LogPage,
    Position, ReadLog, ReadStream, StoreError, StreamId, StreamPage,
};

/// A store.
pub type Store = Arc<dyn EventStore>;

/// The methods of [`EventStore`], each as the inner store has it unless the wrapper says else;
/// [`Wrapped`] makes a store of it.
///
/// It is for tests that look at the calls of a store, or break one in a way that no
/// [`FaultStore`](crate::fault::FaultStore) does.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// use async_trait::async_trait;
/// use es_core::{EventStore, Position, StoreError};
/// use es_memory::MemoryStore;
/// use es_testing::wrapper::{Store, Wrapped, Wrapper};
///
/// /// Counts how often somebody asks for the end of the log.
/// struct Counting {
///     inner: Store,
///     asked: AtomicUsize,
/// }
///
/// #[async_trait]
/// impl Wrapper for Counting {
///     fn inner(&self) -> &Store {
///         &self.inner
///     }
///
///     async fn end_of_log(&self) -> Result<Position, StoreError> {
///         self.asked.fetch_add(1, Ordering::SeqCst);
///         self.inner.end_of_log().await
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let inner = Arc::new(MemoryStore::new());
/// let store = Wrapped(Counting { inner, asked: AtomicUsize::new(0) });
/// store.end_of_log().await?;
/// assert_eq!(store.0.asked.into_inner(), 1);
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Wrapper: Send + Sync + 'static {
    /// The store that is wrapped.
    fn inner(&self) -> &Store;

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

    /// See [`EventStore::capabilities`]; `inner` are those of the store that is wrapped.
    fn capabilities(&self, inner: Capabilities) -> Capabilities {
        inner.through_a_layer()
    }
}

/// A [`Wrapper`] as a store.
#[derive(Debug)]
pub struct Wrapped<W>(pub W);

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

    fn capabilities(self: Arc<Self>) -> Capabilities {
        let inner = self.0.inner().clone().capabilities();
        self.0.capabilities(inner)
    }
}
