//! What the tests share: folders, events and plain connections.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use es_core::{EventId, NewEvent, Payload, StreamId};
use es_sqlite::rusqlite::Connection;
use es_sqlite::{SqliteConfig, SqliteStore, Synchronous};
use tempfile::TempDir;

/// A folder for one store, which dies with its test.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("store.db")
    }

    /// Nothing here survives a loss of power anyway.
    pub(crate) fn config(&self) -> SqliteConfig {
        SqliteConfig::new(self.path()).synchronous(Synchronous::Off)
    }

    pub(crate) async fn store(&self) -> SqliteStore {
        SqliteStore::open(self.config()).await.unwrap()
    }

    /// A connection as another program opens it.
    pub(crate) fn connection(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }
}

pub(crate) fn stream(name: &str) -> StreamId {
    name.parse().unwrap()
}

/// An event with an id of its own.
pub(crate) fn event(output: &str) -> NewEvent {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let id: EventId = format!("00000000-0000-4000-8000-{number:012x}").parse().unwrap();
    let payload = Payload::of(&serde_json::json!({ "output": output })).unwrap();
    NewEvent::new(id, "script_execution_completed", payload)
}
