//! One handle to a store, made of any backend.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::{Capabilities, EventStore};
use crate::layer::{Layered, StoreLayer};
use crate::projection::ProjectionSink;
use crate::snapshot::SnapshotStore;

/// A store, as whatever works on one takes it: `impl Into<Store>`.
///
/// It is made of a backend, of an `Arc` of one, or of another handle, and knows what the store can do
/// beside its events: keep snapshots and models, say who holds its log back. Cloning is cheap.
///
/// ```
/// # use std::sync::Arc;
/// # use es_core::backend::EventStore;
/// # use es_core::{Aggregate, Projection, Repository, Runner, Store};
/// # async fn example<Order: Aggregate, Totals: Projection>(
/// #     sqlite: Arc<dyn EventStore>,
/// # ) -> Result<(), es_core::backend::StoreError> {
/// let store = Store::from(sqlite);
/// let orders = Repository::<Order>::new(&store);
/// let runner = Runner::new(&store).projection::<Totals>();
/// let end = store.end_of_log().await?; // the methods of `EventStore`, and of `EventStoreExt`
/// # Ok(())
/// # }
/// ```
///
/// What takes a `&dyn EventStore` is given `&*store`.
#[derive(Clone)]
pub struct Store(Arc<Parts>);

struct Parts {
    events: Arc<dyn EventStore>,
    /// Asked once.
    capabilities: Capabilities,
}

impl Store {
    /// The store as it was given, with its events only in sight. What is made of it again, a layer around
    /// it included, keeps snapshots and models where this handle does.
    pub fn event_store(&self) -> &Arc<dyn EventStore> {
        &self.0.events
    }

    /// What the store can do beside its events.
    pub fn capabilities(&self) -> &Capabilities {
        &self.0.capabilities
    }

    /// The same store, with its snapshots kept elsewhere; the events that follow one are then read by
    /// a call of their own.
    #[must_use]
    pub fn with_snapshots(self, elsewhere: Arc<dyn SnapshotStore>) -> Self {
        let own = self.capabilities().clone();
        self.able_to(Capabilities { snapshots: Some(elsewhere), reads_tails: false, ..own })
    }

    /// The same store, with its models kept elsewhere.
    #[must_use]
    pub fn with_models(self, elsewhere: Arc<dyn ProjectionSink>) -> Self {
        let own = self.capabilities().clone();
        self.able_to(Capabilities { models: Some(elsewhere), ..own })
    }

    fn able_to(self, capabilities: Capabilities) -> Self {
        let events = self.0.events.clone();
        let events = Arc::new(Layered(Able { events, capabilities: capabilities.clone() }));
        Self(Arc::new(Parts { events, capabilities }))
    }

    /// Whether both are handles of one opened store.
    pub fn is(&self, other: &Self) -> bool {
        self.capabilities().identity == other.capabilities().identity
    }
}

/// A store that can do other things beside its events than by itself; whoever is around it asks for
/// them as for a store's own.
struct Able {
    events: Arc<dyn EventStore>,
    capabilities: Capabilities,
}

impl StoreLayer for Able {
    fn inner(&self) -> &Arc<dyn EventStore> {
        &self.events
    }

    fn capabilities(&self, _: Capabilities) -> Capabilities {
        self.capabilities.clone()
    }
}

// these four do not overlap as long as nobody implements `EventStore` for `Store`, `&Store` or `Arc<_>`

impl<S: EventStore> From<S> for Store {
    fn from(store: S) -> Self {
        Self::from(Arc::new(store))
    }
}

impl<S: EventStore> From<Arc<S>> for Store {
    fn from(store: Arc<S>) -> Self {
        let events: Arc<dyn EventStore> = store;
        Self::from(events)
    }
}

impl From<Arc<dyn EventStore>> for Store {
    fn from(events: Arc<dyn EventStore>) -> Self {
        let capabilities = events.clone().capabilities();
        Self(Arc::new(Parts { events, capabilities }))
    }
}

impl From<&Store> for Store {
    fn from(store: &Store) -> Self {
        store.clone()
    }
}

impl Deref for Store {
    type Target = dyn EventStore;

    fn deref(&self) -> &Self::Target {
        self.0.events.as_ref()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(self.capabilities()).finish()
    }
}
