//! Wrong scopes: each has the tenant's store, and that of all.

use std::sync::Arc;

use async_trait::async_trait;
use es_core::Store;
use es_core::backend::{
    Capabilities, EventStore, LogPage, ReadLog, ReadStream, StoreError, StreamId, StreamPage,
};
use es_core::layer::StoreLayer;

/// Does not filter the log.
pub(super) struct ShowsAll(pub(super) Store, pub(super) Store);

/// Tells as the last event of a page that of the store.
pub(super) struct TellsAnyLast(pub(super) Store, pub(super) Store);

/// Does not end its prefix, so that it begins those of others.
pub(super) struct EndsNoPrefix(pub(super) Store, pub(super) Store);

/// Lets a stream through that is named as the store names it.
pub(super) struct TakesRawNames(pub(super) Store, pub(super) Store);

/// Names the session of somebody else that holds the log back.
pub(super) struct NamesBlockers(pub(super) Store, pub(super) Store);

impl StoreLayer for NamesBlockers {
    fn inner(&self) -> &Arc<dyn EventStore> {
        self.0.event_store()
    }

    fn capabilities(&self, inner: Capabilities) -> Capabilities {
        let mut own = inner.through_a_layer();
        own.blockers = self.1.capabilities().blockers.clone();
        own
    }
}

#[async_trait]
impl StoreLayer for ShowsAll {
    fn inner(&self) -> &Arc<dyn EventStore> {
        self.0.event_store()
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        self.1.read_log(read).await
    }
}

#[async_trait]
impl StoreLayer for TellsAnyLast {
    fn inner(&self) -> &Arc<dyn EventStore> {
        self.0.event_store()
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        let mut page = self.0.read_log(read).await?;
        page.last = self.1.read_log(read).await?.last;
        Ok(page)
    }
}

#[async_trait]
impl StoreLayer for EndsNoPrefix {
    fn inner(&self) -> &Arc<dyn EventStore> {
        self.0.event_store()
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        let mut stored = read.clone();
        let narrower = read.filter.id_prefix.as_deref().unwrap_or_default();
        stored.filter = stored.filter.ids_with_prefix(&format!("acme{narrower}"));
        let mut page = self.1.read_log(&stored).await?;
        let own = |stream: &StreamId| {
            let id = stream.aggregate_id();
            let id = id.strip_prefix("acme/").or_else(|| id.strip_prefix("acme"));
            StreamId::new(stream.aggregate_type(), id.unwrap_or_default()).unwrap()
        };
        page.events.iter_mut().for_each(|event| event.stream = own(&event.stream));
        page.last.iter_mut().for_each(|last| last.stream = own(&last.stream));
        Ok(page)
    }
}

#[async_trait]
impl StoreLayer for TakesRawNames {
    fn inner(&self) -> &Arc<dyn EventStore> {
        self.0.event_store()
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        let is_raw = read.stream.aggregate_id().starts_with("acme/");
        if is_raw { self.1.read_stream(read).await } else { self.0.read_stream(read).await }
    }
}
