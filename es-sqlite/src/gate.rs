//! What keeps a closure's transaction whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use es_core::backend::StoreError;
use rusqlite::Connection;

use crate::error::Doing;

/// Lets the store alone commit on a connection that the application uses, too.
///
/// SQLite ends a transaction by itself after a full disk, for instance. Without the gate each
/// statement that follows would then be committed for itself.
#[derive(Default)]
pub(crate) struct Gate {
    is_open: AtomicBool,
    /// Whether a transaction was ended by anything but the store since [`Gate::watch`].
    is_ended: AtomicBool,
}

impl Gate {
    pub(crate) fn on(connection: &Connection) -> Result<Arc<Self>, StoreError> {
        let gate = Arc::new(Self::default());
        let (commit, rollback) = (Arc::clone(&gate), Arc::clone(&gate));
        let refuse = move || {
            let is_open = commit.is_open.load(Relaxed);
            commit.is_ended.fetch_or(!is_open, Relaxed);
            !is_open
        };
        let note = move || rollback.is_ended.store(true, Relaxed);
        connection
            .commit_hook(Some(refuse))
            .and_then(|()| connection.rollback_hook(Some(note)))
            .doing(connection, "opening")?;
        Ok(gate)
    }

    /// A transaction is about to begin.
    pub(crate) fn watch(&self) {
        self.is_ended.store(false, Relaxed);
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.is_ended.load(Relaxed)
    }

    /// Does what commits.
    pub(crate) fn open<T>(&self, commit: impl FnOnce() -> T) -> T {
        self.is_open.store(true, Relaxed);
        let done = commit();
        self.is_open.store(false, Relaxed);
        done
    }
}
