//! A store that is one file, which another program may hold as a whole.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use es_core::backend::{AppendError, AppendRequest, Capabilities, EventStore};
use es_core::execution::{Appended, StoreError, StoreErrorKind};
use es_core::layer::{Layered, StoreLayer};

use crate::store::Store;

/// The store as a run asks it: that another program holds the file is answered at the first time-out,
/// and not after several, so that it is named in time and waited for as a store that is away.
pub(super) fn asked_once(store: &Store) -> Store {
    let mut store = store.clone();
    if store.is_held_as_a_whole() {
        let inner = store.events.event_store().clone();
        store.events = Layered(HeldFile(inner)).into();
    }
    store
}

/// True if a program holds the file.
pub(super) fn is_held(error: &StoreError) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<StoreError>());
    error.kind() == StoreErrorKind::Other
        && cause.is_some_and(|cause| cause.kind() == StoreErrorKind::Busy)
}

struct HeldFile(Arc<dyn EventStore>);

#[async_trait]
impl StoreLayer for HeldFile {
    fn inner(&self) -> &Arc<dyn EventStore> {
        &self.0
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        self.0.append(request).await.map_err(|error| match error {
            AppendError::Store(error) => AppendError::Store(told_once(error)),
            other => other,
        })
    }

    // what reads goes past it
    fn capabilities(&self, inner: Capabilities) -> Capabilities {
        inner
    }
}

/// A failure after which no command asks again by itself, if a program holds the file.
fn told_once(error: StoreError) -> StoreError {
    match error.kind() {
        StoreErrorKind::Busy => {
            StoreError::new(StoreErrorKind::Other, error.to_string()).caused_by(error)
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::super::RunError;
    use super::*;

    #[test]
    fn a_held_file_is_waited_for_by_all_and_by_no_command() {
        let held = told_once(StoreError::new(StoreErrorKind::Busy, "held"));
        assert!(is_held(&held) && !held.is_transient());
        assert_eq!(held.to_string(), "held");
        let error = RunError::Store(held);
        assert!(error.passes() && !error.concerns_one_posting() && error.is_of_store());
        let full = told_once(StoreError::new(StoreErrorKind::Full, "full"));
        assert!(!is_held(&full) && full.kind() == StoreErrorKind::Full);
    }
}
