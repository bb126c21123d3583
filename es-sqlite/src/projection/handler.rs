//! Handlers: what an application does with events within the transaction of a commit.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use es_core::projection::{Lease, SinkError, Slot};
use es_core::{BoxError, Payload, RecordedEvent, StoreError, StoreErrorKind};
use rusqlite::Connection;

use super::{commit, read};
use crate::error::kind;
use crate::store::SqliteStore;

type Handler =
    dyn Fn(&ModelTransaction<'_>, &[RecordedEvent]) -> Result<(), BoxError> + Send + Sync;

/// The handlers of a store, by projection.
#[derive(Default)]
pub(crate) struct Handlers(Mutex<HashMap<String, Arc<Handler>>>);

impl Handlers {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<Handler>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the handler of this projection does; `None` if there is none.
    pub(super) fn of(&self, projection: &str) -> Option<Arc<Handler>> {
        self.all().get(projection).cloned()
    }
}

/// Calls a handler; a panic is its failure.
pub(super) fn call(
    handler: &Handler,
    connection: &Connection,
    lease: &Lease,
    events: &[RecordedEvent],
) -> Result<(), SinkError> {
    let transaction = ModelTransaction { connection, lease };
    let called = catch_unwind(AssertUnwindSafe(|| handler(&transaction, events)));
    let done = called.unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no text");
        Err(format!("the handler panicked: {text}").into())
    });
    done.map_err(|error| match file_to_blame(&*error) {
        Some(kind) => {
            let path = connection.path().unwrap_or("the store");
            let text = format!("handing events to projection `{}` in {path}", lease.projection);
            StoreError::new(kind, text).caused_by(Failed { source: error }).into()
        }
        None => SinkError::Handler { projection: lease.projection.clone(), source: error.into() },
    })
}

/// A handler's failure as a cause.
#[derive(Debug, thiserror::Error)]
#[error("the handler failed")]
struct Failed {
    source: BoxError,
}

/// What is wrong with the file, if that is why a handler failed, and not an event.
fn file_to_blame(error: &(dyn Error + 'static)) -> Option<StoreErrorKind> {
    let mut cause = Some(error);
    while let Some(this) = cause {
        let sqlite = this.downcast_ref::<rusqlite::Error>();
        let kind = match this.downcast_ref::<StoreError>() {
            Some(error) => Some(error.kind()),
            None => sqlite.filter(|it| it.sqlite_error_code().is_some()).map(kind),
        };
        if kind.is_some() {
            return kind.filter(|kind| *kind != StoreErrorKind::Other);
        }
        cause = this.source();
    }
    None
}

impl SqliteStore {
    /// Registers what takes the events of a projection that was defined by
    /// [`Definition::handled`](es_core::projection::Definition::handled), in place of an earlier one.
    ///
    /// The handler runs on the writing thread, within the transaction of the commit: whatever else it
    /// waits for, every append waits for too. It must not call the store. When it answers `Err` or
    /// panics, all that it did is undone. A failure by which the file, and not an event, is to blame (it
    /// is held, full, read-only) must keep its `rusqlite::Error` in the chain of causes: it is waited
    /// out, and parks nothing.
    ///
    /// A model in a table of the application's own is rebuilt beside the one that is served, so its
    /// rows must say which model they belong to: they carry
    /// [`generation`](ModelTransaction::generation), readers join with the generation whose slot is
    /// `active`, and a reference `ON DELETE CASCADE` removes what a switch has replaced, at once and
    /// within the switch.
    ///
    /// ```
    /// # use es_core::BoxError;
    /// # use es_sqlite::{SqliteStore, TransactionError};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let store = SqliteStore::open(folder.path().join("turing.db")).await?;
    /// store
    ///     .write(|tx| {
    ///         tx.connection().execute_batch(
    ///             "CREATE TABLE IF NOT EXISTS mail (
    ///                  generation INTEGER NOT NULL
    ///                      REFERENCES projection_models (generation) ON DELETE CASCADE,
    ///                  event_id TEXT NOT NULL,
    ///                  PRIMARY KEY (generation, event_id)
    ///              );
    ///              CREATE VIEW IF NOT EXISTS mail_now AS
    ///                  SELECT event_id FROM mail JOIN projection_models USING (generation)
    ///                  WHERE projection = 'mail' AND slot = 'active';",
    ///         )?;
    ///         Ok::<_, TransactionError>(())
    ///     })
    ///     .await?;
    /// store.handle("mail", |model, events| {
    ///     let statement = "INSERT INTO mail (generation, event_id) VALUES (?1, ?2)";
    ///     let mut insert = model.connection().prepare_cached(statement)?;
    ///     for event in events {
    ///         insert.execute((model.generation(), event.event_id.to_string()))?;
    ///     }
    ///     Ok(())
    /// });
    /// # Ok(())
    /// # }
    /// ```
    pub fn handle(
        &self,
        projection: &str,
        handler: impl Fn(&ModelTransaction<'_>, &[RecordedEvent]) -> Result<(), BoxError>
        + Send
        + Sync
        + 'static,
    ) {
        self.handlers().all().insert(projection.to_owned(), Arc::new(handler));
    }
}

/// The transaction of a commit, as the handler of its projection sees it.
pub struct ModelTransaction<'a> {
    connection: &'a Connection,
    lease: &'a Lease,
}

impl fmt::Debug for ModelTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelTransaction").field("lease", self.lease).finish_non_exhaustive()
    }
}

impl ModelTransaction<'_> {
    /// The connection, for statements on the application's own tables; as in
    /// [`SqliteTransaction::connection`](crate::SqliteTransaction::connection), `BEGIN`, `COMMIT` and
    /// `ROLLBACK` are not for the handler.
    pub fn connection(&self) -> &Connection {
        self.connection
    }

    /// The projection.
    pub fn projection(&self) -> &str {
        &self.lease.projection
    }

    /// Whether the events are for the model that is served or for the one that a rebuild fills.
    pub fn slot(&self) -> Slot {
        self.lease.slot
    }

    /// Which model the events are for: the key of `projection_models`, never used again. A switch
    /// changes the slot of a model, never this.
    pub fn generation(&self) -> i64 {
        commit::number(self.lease.generation)
    }

    /// The value of a row of the model that the store keeps for the projection.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub fn row(&self, key: &str) -> Result<Option<Payload>, StoreError> {
        let row = read::row(self.connection, self.generation(), key)?;
        Ok(row.map(|row| row.value))
    }

    /// Writes a row of the model that the store keeps for the projection; `None` removes it.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub fn set_row(&self, key: &str, value: Option<&Payload>) -> Result<(), StoreError> {
        commit::write_row(self.connection, self.generation(), key, value)
    }
}
