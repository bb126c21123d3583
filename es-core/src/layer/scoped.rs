//! One tenant of a store: its streams, its log, its models, and no others.

mod blockers;
mod errors;
mod models;
mod names;
mod snapshots;

use std::sync::Arc;

use async_trait::async_trait;

use self::blockers::Blockers;
use self::models::Models;
use self::names::Scope;
use self::snapshots::Snapshots;
use crate::append::{AppendError, AppendRequest, Appended, IdempotencyKey};
use crate::error::StoreError;
use crate::position::Position;
use crate::read::{EventFilter, LogPage, PageLimit, ReadLog, ReadStream, StreamPage};
use crate::store::{Capabilities, EventStore, Store};
use crate::stream::StreamId;
use crate::version::StreamVersion;

/// A tenant of the store: who has this handle reads and writes the tenant's streams, its log, its
/// snapshots and its models, and no others.
///
/// A name is 1 to 64 bytes of `a-z`, `0-9`, `_` and `-`. The stream `order/o-1` of the tenant `acme`
/// is kept as `order/acme/o-1`, and its projection `totals` as `acme/totals`. What has no such name is
/// not there, and an error says nothing of it: the text of a failure of the store itself, and its
/// causes, are told to `tracing` only.
///
/// ```
/// # use std::sync::Arc;
/// # use es_core::Store;
/// # use es_core::backend::EventStore;
/// # use es_core::layer::scoped;
/// # fn example(sqlite: Arc<dyn EventStore>) -> Result<(), es_core::backend::StoreError> {
/// let store = Store::from(sqlite);
/// let acme = scoped(&store, "acme")?;
/// assert!(acme.is(&scoped(&store, "acme")?)); // two handles of one tenant are one store
/// assert!(!acme.is(&store) && !acme.is(&scoped(&store, "acme2")?));
/// # Ok(())
/// # }
/// ```
///
/// - An id is shorter by the name and the `/` than in the store. A store whose ids are numbers refuses
///   those of a tenant.
/// - Positions are those of the one log: they compare, and their gaps tell how much others write. So is
///   the end of the log, which is told as it is, and a place of any event of the store is one of the
///   log.
/// - That a session holds the log back is told, and for how long, but not which.
/// - Event ids are unique in the store. Idempotency keys belong to streams, and so to the tenant.
/// - What is within a transaction of the backend's own goes past this: it has the names of the store.
///   A tenant's [prepared](crate::execution::Prepared) decision is refused there.
/// - No projection of a tenant is kept within the appends of the store, which keep it for all or not
///   at all.
/// - A page of a tenant is looked for among the events of all. `docs/tenants.md` says when a schema
///   or a file for each is better.
///
/// # Errors
///
/// When this can be no tenant's name.
pub fn scoped(store: impl Into<Store>, tenant: &str) -> Result<Store, StoreError> {
    let scope = Scope::new(tenant)?;
    Ok(Events { store: store.into(), scope }.into())
}

/// Translates: what it forwarded without a thought would be of the whole store, so it is no layer.
struct Events {
    store: Store,
    scope: Scope,
}

impl Events {
    /// What this tenant wants, in its own words, as what is wanted of the store.
    fn view(&self, filter: &EventFilter) -> EventFilter {
        let narrower = filter.id_prefix.as_deref().unwrap_or_default();
        filter.clone().ids_with_prefix(&format!("{}{narrower}", self.scope.prefix()))
    }
}

#[async_trait]
impl EventStore for Events {
    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let stored = request.renamed(|stream| self.scope.stored(stream));
        let stored = stored.map_err(|error| AppendError::Invalid(error.into()))?;
        let answer = self.store.append(stored).await;
        answer.map(|it| self.scope.own_appended(it)).map_err(|it| self.scope.append_error(it))
    }

    async fn find_append(
        &self,
        stream: &StreamId,
        key: &IdempotencyKey,
    ) -> Result<Option<Appended>, StoreError> {
        let Ok(stored) = self.scope.stored(stream) else {
            return Ok(None);
        };
        let found = self.store.find_append(&stored, key).await;
        let found = found.map_err(|error| self.scope.failure(&error))?;
        Ok(found.map(|appended| self.scope.own_appended(appended)))
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        let Ok(stream) = self.scope.stored(&read.stream) else {
            return Ok(empty_page());
        };
        let stored = ReadStream { stream, ..read.clone() };
        let page = self.store.read_stream(&stored).await;
        let page = page.map_err(|error| self.scope.failure(&error))?;
        Ok(self.scope.own_page(page, &read.stream))
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        let stored = ReadLog { filter: self.view(&read.filter), ..read.clone() };
        let page = self.store.read_log(&stored).await;
        let page = page.map_err(|error| self.scope.failure(&error))?;
        let events = page.events.into_iter().filter_map(|event| self.scope.own_event(event));
        let last = page.last.and_then(|last| self.scope.own_reference(last));
        Ok(LogPage { events: events.collect(), last, ..page })
    }

    async fn end_of_log(&self) -> Result<Position, StoreError> {
        self.store.end_of_log().await.map_err(|error| self.scope.failure(&error))
    }

    async fn wait_past(&self, position: Position) -> Result<(), StoreError> {
        let view = self.view(&EventFilter::all());
        let mut read = ReadLog::after(position).filter(view).limit(PageLimit::events(1));
        let failure = |error: StoreError| self.scope.failure(&error);
        loop {
            self.store.wait_past(read.after).await.map_err(failure)?;
            let page = self.store.read_log(&read).await.map_err(failure)?;
            if page.events.iter().any(|event| self.scope.own(&event.stream).is_some()) {
                return Ok(());
            }
            // what woke it was somebody else's
            read.after = page.next;
        }
    }

    fn capabilities(self: Arc<Self>) -> Capabilities {
        let own = self.store.capabilities().clone();
        let scope = || self.scope.clone();
        Capabilities {
            identity: own.identity.scoped(self.scope.tenant()),
            snapshots: own
                .snapshots
                .map(|inner| Arc::new(Snapshots { inner, scope: scope() }) as _),
            models: own.models.map(|inner| Arc::new(Models { inner, scope: scope() }) as _),
            blockers: own.blockers.map(|inner| Arc::new(Blockers { inner, scope: scope() }) as _),
            ..own
        }
    }
}

/// That of a stream whose id is too long to be kept.
fn empty_page() -> StreamPage {
    StreamPage { events: Vec::new(), stream_version: StreamVersion::EMPTY, has_more: false }
}
