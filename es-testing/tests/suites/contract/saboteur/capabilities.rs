//! Sins of saying what a store is and can do.

use std::sync::Arc;

use es_core::backend::{Capabilities, SnapshotStore, StoreIdentity};
use es_core::layer::StoreLayer;

use super::snapshots::elsewhere;
use super::{Healthy, Saboteur, Store, of_events};

pub(super) fn saboteurs() -> Vec<Saboteur> {
    vec![
        of_events("draws_an_identity_at_each_call", 24, |healthy: Healthy| Drawing(healthy.events)),
        of_events("names_the_snapshots_of_another_store", 24, |healthy: Healthy| Naming {
            elsewhere: elsewhere(&healthy),
            inner: healthy.events,
        }),
    ]
}

struct Drawing(Store);

impl StoreLayer for Drawing {
    fn inner(&self) -> &Store {
        &self.0
    }

    fn capabilities(&self, mut inner: Capabilities) -> Capabilities {
        inner.identity = StoreIdentity::new();
        inner
    }
}

struct Naming {
    inner: Store,
    elsewhere: Option<Arc<dyn SnapshotStore>>,
}

impl StoreLayer for Naming {
    fn inner(&self) -> &Store {
        &self.inner
    }

    fn capabilities(&self, mut inner: Capabilities) -> Capabilities {
        inner.snapshots.clone_from(&self.elsewhere);
        inner
    }
}
