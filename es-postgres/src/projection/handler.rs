//! Handlers: what an application does with events within the transaction of a commit.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use es_core::projection::{Lease, SinkError, Slot};
use es_core::{BoxError, Payload, RecordedEvent, StoreError};
use futures_util::FutureExt;
use sqlx::{PgConnection, Row};

use super::commit::number;
use crate::connection::{Bound, Connector};
use crate::error::is_of_the_store;
use crate::row::Json;
use crate::sql::Statements;
use crate::store::PostgresStore;

/// What takes the events of a projection that was defined by
/// [`Definition::handled`](es_core::projection::Definition::handled) into tables of the application's
/// own, within the transaction of the commit.
///
/// # Contract
///
/// 1. It leaves `BEGIN`, `COMMIT` and `ROLLBACK` to the store; savepoints are its own. One that has
///    ended the transaction is told so, and the checkpoint stays where it was; what it has committed
///    stays, too. (`projections::a_handler_that_ends_the_transaction_moves_no_checkpoint`)
/// 2. A failed statement spoils the transaction: the handler answers the error, or has a savepoint. If
///    it goes on regardless, the commit fails, and all of it is undone.
///    (`projections::a_handler_that_hides_a_failure_commits_nothing`)
/// 3. It uses the connection that it is given, and none of a pool: the store's calls never wait for a
///    second connection while they hold one, and neither should it. (No test can see it.)
/// 4. A failure by which the server, and not an event, is to blame (connections, locks, time-outs,
///    missing tables) comes back with its [`sqlx::Error`] in the chain of causes; it is waited out and
///    parks nothing. (`projections::what_the_server_is_to_blame_for_is_no_poison`)
///
/// # A model that is rebuilt
///
/// A rebuild fills a second model beside the one that is served, by the same handler, so the rows of
/// a table must say which model they belong to: they carry
/// [`generation`](ModelTransaction::generation), and readers join with the one whose slot is `active`.
/// The switch changes the slot, in one step for every reader.
///
/// ```sql
/// CREATE TABLE mail (
///     generation BIGINT NOT NULL
///         REFERENCES execution_events_projection_models (generation) ON DELETE CASCADE,
///     event_id UUID NOT NULL,
///     PRIMARY KEY (generation, event_id)
/// );
/// CREATE VIEW mail_now AS
///     SELECT event_id FROM mail JOIN execution_events_projection_models USING (generation)
///     WHERE projection = 'mail' AND slot = 'active';
/// ```
///
/// # The connection
///
/// It is one of the store's own, with the store's settings: the search path is `pg_catalog`, so that
/// tables are named with their schema, plans are made once and prefer indexes, and the statement
/// time-out holds. With [`Session::Pooled`](crate::Session::Pooled) it keeps no prepared statements.
///
/// ```
/// use async_trait::async_trait;
/// use es_core::RecordedEvent;
/// use es_core::BoxError;
/// use es_postgres::{ModelTransaction, PostgresHandler, PostgresStore, sqlx};
///
/// struct Mail;
///
/// #[async_trait]
/// impl PostgresHandler for Mail {
///     async fn handle(
///         &self,
///         model: &mut ModelTransaction<'_>,
///         events: &[RecordedEvent],
///     ) -> Result<(), BoxError> {
///         let generation = model.generation();
///         for event in events {
///             sqlx::query("INSERT INTO public.mail (generation, event_id) VALUES ($1, $2)")
///                 .bind(generation)
///                 .bind(event.event_id.as_uuid())
///                 .execute(model.connection())
///                 .await?;
///         }
///         Ok(())
///     }
/// }
///
/// # fn example(store: PostgresStore) {
/// store.handle("mail", Mail);
/// # }
/// ```
#[async_trait]
pub trait PostgresHandler: Send + Sync + 'static {
    /// Takes events, in their order, into the model; at most one commit's worth at a time.
    ///
    /// # Errors
    ///
    /// When an event cannot be taken; everything is undone then. A panic counts as a failure.
    ///
    /// # Cancellation
    ///
    /// May be dropped at every `await`, and is after twice the statement time-out; everything is
    /// undone then.
    async fn handle(
        &self,
        model: &mut ModelTransaction<'_>,
        events: &[RecordedEvent],
    ) -> Result<(), BoxError>;
}

/// The handlers of a store, by projection.
#[derive(Default)]
pub(super) struct Handlers(Mutex<HashMap<String, Arc<dyn PostgresHandler>>>);

impl Handlers {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<dyn PostgresHandler>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn of(&self, projection: &str) -> Result<Arc<dyn PostgresHandler>, SinkError> {
        let found = self.all().get(projection).cloned();
        found.ok_or_else(|| SinkError::NoHandler { projection: projection.to_owned() })
    }
}

impl PostgresStore {
    /// Registers what takes the events of a projection, in place of an earlier handler.
    pub fn handle(&self, projection: &str, handler: impl PostgresHandler) {
        self.projections().handlers.all().insert(projection.to_owned(), Arc::new(handler));
    }
}

/// The transaction of a commit, as the handler of its projection sees it.
pub struct ModelTransaction<'a> {
    pub(super) connection: &'a mut PgConnection,
    pub(super) lease: &'a Lease,
    pub(super) statements: &'a Statements,
    pub(super) is_persistent: bool,
}

impl fmt::Debug for ModelTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelTransaction").field("lease", self.lease).finish_non_exhaustive()
    }
}

impl ModelTransaction<'_> {
    /// The connection, for statements on the application's own tables.
    pub fn connection(&mut self) -> &mut PgConnection {
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

    /// Which model the events are for: the key of the table of models, never used again. A switch
    /// changes the slot of a model, never this.
    pub fn generation(&self) -> i64 {
        number(self.lease.generation)
    }

    /// The value of a row of the model that the store keeps for the projection.
    ///
    /// # Errors
    ///
    /// When the statement fails.
    pub async fn row(&mut self, key: &str) -> Result<Option<Payload>, sqlx::Error> {
        let statement = sqlx::query(self.statements.projection_row.sql());
        let statement = self.bound(statement).bind(key);
        let Some(row) = statement.fetch_optional(&mut *self.connection).await? else {
            return Ok(None);
        };
        let value: Json<'_> = row.try_get(1)?;
        let value = Payload::parse(value.0.to_owned());
        value.map(Some).map_err(|error| sqlx::Error::Decode(error.into()))
    }

    /// Writes a row of the model that the store keeps for the projection; `None` removes it.
    ///
    /// # Errors
    ///
    /// When the statement fails, which spoils the transaction.
    pub async fn set_row(&mut self, key: &str, value: Option<&Payload>) -> Result<(), sqlx::Error> {
        let statement = match value {
            Some(value) => {
                let statement = sqlx::query(self.statements.projection_set_row.sql());
                self.bound(statement).bind(key).bind(sqlx::types::Json(value.as_raw()))
            }
            None => {
                let statement = sqlx::query(self.statements.projection_remove_row.sql());
                self.bound(statement).bind(key)
            }
        };
        statement.execute(&mut *self.connection).await.map(drop)
    }

    fn bound<'q>(&self, statement: Bound<'q>) -> Bound<'q> {
        statement.persistent(self.is_persistent).bind(self.generation())
    }
}

/// Calls a handler, and tells its failures from the server's.
pub(super) async fn call(
    handler: &dyn PostgresHandler,
    connector: &Connector,
    model: &mut ModelTransaction<'_>,
    events: &[RecordedEvent],
) -> Result<(), SinkError> {
    let projection = model.lease.projection.clone();
    let called = AssertUnwindSafe(handler.handle(model, events)).catch_unwind();
    let called = async { Ok::<_, sqlx::Error>(called.await) };
    let failed = match connector.in_time(called).await {
        Ok(Ok(Ok(()))) => return Ok(()),
        Ok(Ok(Err(error))) => error,
        Ok(Err(panic)) => {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no text");
            format!("the handler panicked: {text}").into()
        }
        Err(error) => error.into(),
    };
    Err(failure(projection, &connector.place, failed))
}

/// A handler's failure as a cause.
#[derive(Debug, thiserror::Error)]
#[error("the handler failed")]
struct Failed {
    source: BoxError,
}

fn failure(projection: String, place: &str, error: BoxError) -> SinkError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&*error);
    while let Some(this) = cause {
        if let Some(sqlx) = this.downcast_ref::<sqlx::Error>() {
            if let Some(kind) = is_of_the_store(sqlx) {
                let text = format!("handing events to projection `{projection}` in {place}");
                return StoreError::new(kind, text).caused_by(Failed { source: error }).into();
            }
            break;
        }
        cause = this.source();
    }
    SinkError::Handler { projection, source: error.into() }
}
