//! Stores that each break one promise, so that the contract suite itself can be tested.
//!
//! A [`Saboteur`] wraps a healthy store and sins in one way. The suite must catch each of them, by
//! a scenario that the broken clause names; and a scenario that catches none proves nothing.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use es_core::backend::{EventStore, Limits, Position, SnapshotStore};
use es_core::layer::{Layered, StoreLayer};
use es_testing::checker::WriteOrder;
use es_testing::{Fixture, ManualClock};
use tokio::sync::RwLock;

mod appends;
mod atomicity;
mod capabilities;
mod content;
mod cursors;
mod keys;
mod log;
mod mangled;
mod reads;
mod refusals;
mod reopening;
mod respelled;
mod snapshots;
mod waits;

pub(crate) use self::respelled::harmless;

type Store = Arc<dyn EventStore>;

/// A clause of a contract, by its number in the docs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Clause {
    /// Of [`EventStore`](es_core::backend::EventStore).
    EventStore(u32),
    /// Of [`SnapshotStore`].
    SnapshotStore(u32),
}

/// A way to break one promise.
pub(crate) struct Saboteur {
    /// What it does, as a name: `ignores_the_expected_version`.
    pub(crate) name: &'static str,
    /// The clause that it breaks.
    pub(crate) clause: Clause,
    sabotage: Box<dyn Fn(Healthy) -> Stores + Send + Sync>,
}

impl fmt::Debug for Saboteur {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Saboteur")
            .field("name", &self.name)
            .field("clause", &self.clause)
            .finish_non_exhaustive()
    }
}

/// A healthy store at the moment of its opening.
struct Healthy {
    events: Store,
    snapshots: Option<Arc<dyn SnapshotStore>>,
    limits: Limits,
    /// The end of the log when the store was opened; `None` at its first opening.
    reopened_at: Option<Position>,
}

/// What a saboteur makes of it.
#[derive(Clone)]
struct Stores {
    events: Store,
    snapshots: Option<Arc<dyn SnapshotStore>>,
}

/// All saboteurs, in the order of the clauses that they break.
pub(crate) fn all() -> Vec<Saboteur> {
    let mut all: Vec<_> = [
        appends::saboteurs(),
        refusals::saboteurs(),
        atomicity::saboteurs(),
        keys::saboteurs(),
        content::saboteurs(),
        reads::saboteurs(),
        log::saboteurs(),
        waits::saboteurs(),
        cursors::saboteurs(),
        reopening::saboteurs(),
        capabilities::saboteurs(),
        snapshots::saboteurs(),
    ]
    .into_iter()
    .flatten()
    .collect();
    all.sort_by_key(|saboteur| match saboteur.clause {
        Clause::EventStore(clause) => (0, clause),
        Clause::SnapshotStore(clause) => (1, clause),
    });
    all
}

/// A saboteur of the event store.
fn of_events<L: StoreLayer>(
    name: &'static str,
    clause: u32,
    sabotage: impl Fn(Healthy) -> L + Send + Sync + 'static,
) -> Saboteur {
    Saboteur {
        name,
        clause: Clause::EventStore(clause),
        sabotage: Box::new(move |healthy| Stores {
            snapshots: healthy.snapshots.clone(),
            events: Arc::new(Layered(sabotage(healthy))),
        }),
    }
}

/// A fixture whose store is in the hands of a saboteur.
pub(crate) struct Sabotaged {
    fixture: Box<dyn Fixture>,
    saboteur: Arc<Saboteur>,
    stores: RwLock<Stores>,
}

impl fmt::Debug for Sabotaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sabotaged").field(&self.saboteur).finish()
    }
}

impl Sabotaged {
    /// Hands the store of a fixture to a saboteur.
    pub(crate) fn new(fixture: impl Fixture, saboteur: Arc<Saboteur>) -> Self {
        let stores = RwLock::new((saboteur.sabotage)(healthy(&fixture, None)));
        Self { fixture: Box::new(fixture), saboteur, stores }
    }

    fn stores(&self) -> Stores {
        // only a reopening writes, and no scenario asks for the store meanwhile
        let stores = self.stores.try_read();
        stores.expect("the store is not asked for while it is reopened").clone()
    }
}

fn healthy(fixture: &dyn Fixture, reopened_at: Option<Position>) -> Healthy {
    Healthy {
        events: fixture.store(),
        snapshots: fixture.snapshots(),
        limits: fixture.limits(),
        reopened_at,
    }
}

#[async_trait]
impl Fixture for Sabotaged {
    fn store(&self) -> Store {
        self.stores().events
    }

    fn snapshots(&self) -> Option<Arc<dyn SnapshotStore>> {
        self.stores().snapshots
    }

    fn manual_clock(&self) -> Option<ManualClock> {
        self.fixture.manual_clock()
    }

    fn limits(&self) -> Limits {
        self.fixture.limits()
    }

    fn write_order(&self) -> WriteOrder {
        self.fixture.write_order()
    }

    async fn reopen(&self) -> bool {
        let mut stores = self.stores.write().await;
        if !self.fixture.reopen().await {
            return false;
        }
        let end = self.fixture.store().end_of_log().await;
        let end = end.expect("a healthy store answers");
        *stores = (self.saboteur.sabotage)(healthy(&*self.fixture, Some(end)));
        true
    }
}
