//! What a store can do beside its events, and which store it is.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::projection::{LogBlockers, ProjectionSink};
use crate::snapshot::SnapshotStore;

/// What an [`EventStore`](crate::backend::EventStore) can do beside its events: its answer to
/// [`capabilities`](crate::backend::EventStore::capabilities).
#[derive(Clone)]
#[non_exhaustive]
pub struct Capabilities {
    /// Which store it is.
    pub identity: StoreIdentity,
    /// What kind of store it is, by OpenTelemetry's name where there is one: `sqlite`, `postgresql`,
    /// `es.memory`.
    pub system: &'static str,
    /// Where it keeps states.
    pub snapshots: Option<Arc<dyn SnapshotStore>>,
    /// Where it keeps the models of projections.
    pub models: Option<Arc<dyn ProjectionSink>>,
    /// Who can tell what holds its log back.
    pub blockers: Option<Arc<dyn LogBlockers>>,
    /// Whether the snapshots are the store's own, and answer with the events that follow them.
    pub(crate) reads_tails: bool,
}

impl Capabilities {
    /// Those of a store that has events only.
    pub fn of(identity: StoreIdentity, system: &'static str) -> Self {
        let (snapshots, models, blockers) = (None, None, None);
        Self { identity, system, snapshots, models, blockers, reads_tails: false }
    }

    /// With the store's own snapshots: a state and the events that follow it are asked for in one
    /// call, [`latest_with_tail`](SnapshotStore::latest_with_tail).
    #[must_use]
    pub fn snapshots(self, own: Arc<dyn SnapshotStore>) -> Self {
        Self { snapshots: Some(own), reads_tails: true, ..self }
    }

    /// With the store's own models.
    #[must_use]
    pub fn models(self, own: Arc<dyn ProjectionSink>) -> Self {
        Self { models: Some(own), ..self }
    }

    /// With who can tell what holds the store's log back.
    #[must_use]
    pub fn blockers(self, own: Arc<dyn LogBlockers>) -> Self {
        Self { blockers: Some(own), ..self }
    }

    /// What is left of them for a store around this one: the same, but events that follow a state are
    /// read through the store around it.
    #[must_use]
    pub fn through_a_layer(self) -> Self {
        Self { reads_tails: false, ..self }
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capabilities")
            .field("identity", &self.identity)
            .field("system", &self.system)
            .field("snapshots", &self.snapshots.is_some())
            .field("models", &self.models.is_some())
            .field("blockers", &self.blockers.is_some())
            .finish_non_exhaustive()
    }
}

/// Which store this is, within the process: drawn when it is opened, and the same for all handles of
/// it and for stores around it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StoreIdentity {
    number: u64,
    /// The names of the scopes around it, from the store on.
    scope: Option<Arc<str>>,
}

impl StoreIdentity {
    /// Draws one that no other store has.
    #[expect(clippy::new_without_default, reason = "a default is the same each time")]
    pub fn new() -> Self {
        static DRAWN: AtomicU64 = AtomicU64::new(0);
        Self { number: DRAWN.fetch_add(1, Ordering::Relaxed), scope: None }
    }

    /// That of a scope of this store: the same whenever it is asked for by the same name, and another
    /// one than that of the store and of any other scope.
    pub fn scoped(&self, name: &str) -> Self {
        let scope = match &self.scope {
            Some(outer) => format!("{outer}/{name}").into(),
            None => name.into(),
        };
        Self { number: self.number, scope: Some(scope) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_identity_is_drawn_twice() {
        let (one, other) = (StoreIdentity::new(), StoreIdentity::new());
        assert_eq!(one, one.clone());
        assert_ne!(one, other);
    }

    #[test]
    fn that_of_a_scope_is_told_by_its_names() {
        let store = StoreIdentity::new();
        let (a, b) = (store.scoped("a"), store.scoped("b"));
        assert_eq!(a, store.scoped("a"));
        for other in [&store, &b, &a.scoped("a"), &StoreIdentity::new().scoped("a")] {
            assert_ne!(a, *other);
        }
        assert_eq!(a.scoped("b"), store.scoped("a").scoped("b"));
        assert_ne!(a.scoped("b"), b.scoped("a"));
    }
}
