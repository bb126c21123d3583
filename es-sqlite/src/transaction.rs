//! The application's own writes, together with events.

use std::fmt;
use std::sync::Arc;

use es_core::backend::{
    AppendError, AppendRequest, Appended, Limits, StoreError, StoreErrorKind, StoreIdentity,
};
use es_core::environment::Clock;
use es_core::execution::{Members, NotAppended, Prepared};
use es_core::{Decided, ErrorKind};
use rusqlite::{Connection, Error, ffi};

use crate::append::{CheckedAppend, append};
use crate::error::kind;
use crate::projection::Inline;

/// Why nothing more is written in a transaction.
const ENDED: &str = "a statement before has ended the transaction, nothing of it is written";

/// A transaction on the store's file, open for as long as the closure runs that was given to
/// [`SqliteStore::write`](crate::SqliteStore::write).
pub struct SqliteTransaction<'a> {
    connection: &'a Connection,
    identity: StoreIdentity,
    limits: Limits,
    clock: Arc<dyn Clock>,
    inline: Arc<Inline>,
}

impl fmt::Debug for SqliteTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteTransaction")
            .field("path", &self.connection.path())
            .finish_non_exhaustive()
    }
}

impl<'a> SqliteTransaction<'a> {
    pub(crate) fn new(
        connection: &'a Connection,
        identity: StoreIdentity,
        limits: Limits,
        clock: Arc<dyn Clock>,
        inline: Arc<Inline>,
    ) -> Self {
        Self { connection, identity, limits, clock, inline }
    }

    /// The connection, for statements on the application's own tables.
    ///
    /// The store begins and ends the transaction: `BEGIN`, `COMMIT` and `ROLLBACK` are not for the
    /// closure, savepoints are. A statement that fails may have ended the transaction, for instance
    /// when no room is left; whatever is written after that is refused.
    pub fn connection(&self) -> &Connection {
        self.connection
    }

    /// Runs one statement and answers how many rows it changed.
    ///
    /// # Errors
    ///
    /// What SQLite answers; that the transaction was ended, if a statement before has ended it.
    pub fn execute(
        &self,
        statement: &str,
        values: impl rusqlite::Params,
    ) -> rusqlite::Result<usize> {
        if self.connection.is_autocommit() {
            let code = ffi::Error::new(ffi::SQLITE_ABORT_ROLLBACK);
            return Err(Error::SqliteFailure(code, Some(ENDED.to_owned())));
        }
        self.connection.prepare_cached(statement)?.execute(values)
    }

    /// Writes events in this transaction: they are in the store when the closure returns `Ok` and
    /// the commit succeeds.
    ///
    /// Follows the rules of [`EventStore::append`](es_core::backend::EventStore::append). A refused
    /// append leaves nothing behind, so the closure may go on after one.
    ///
    /// # Errors
    ///
    /// See [`AppendError`].
    pub fn append(&mut self, request: AppendRequest) -> Result<Appended, AppendError> {
        if self.connection.is_autocommit() {
            let path = self.connection.path().unwrap_or("the store");
            let text = format!("writing to {path}: {ENDED}");
            return Err(StoreError::new(StoreErrorKind::Other, text).into());
        }
        let checked = CheckedAppend::new(request, &self.limits)?;
        append(self.connection, &checked, self.clock.now(), &self.inline, false)
    }

    /// Writes what a decision has made ready in this transaction: the typed form of
    /// [`append`](Self::append).
    ///
    /// Pass an error on, so that the application's rows are not written without the events, or twice.
    /// Within a reaction [`NotAppended::Repeated`] is success when the transaction is undone: an earlier
    /// call has written both. After an error that passes the whole is done again, with a decision that
    /// is prepared anew:
    ///
    /// ```
    /// # use es_core::{Aggregate, Event, Repository};
    /// # use es_sqlite::{SqliteStore, TransactionError};
    /// # #[derive(Event)]
    /// # enum OrderEvent { OrderPaid { cents: u64 } }
    /// # #[derive(Clone, Default)]
    /// # struct Order { paid: u64 }
    /// # impl Aggregate for Order {
    /// #     const TYPE: &'static str = "order";
    /// #     type Id = String;
    /// #     type Event = OrderEvent;
    /// #     fn evolve(&mut self, OrderEvent::OrderPaid { cents }: &OrderEvent) { self.paid += cents; }
    /// # }
    /// # impl Order {
    /// #     fn pay(&self, cents: u64) -> Result<OrderEvent, &'static str> {
    /// #         match self.paid {
    /// #             0 => Ok(OrderEvent::OrderPaid { cents }),
    /// #             _ => Err("the order is paid already"),
    /// #         }
    /// #     }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let sqlite = SqliteStore::open(folder.path().join("orders.db")).await?;
    /// # sqlite
    /// #     .write(|tx| {
    /// #         tx.execute("CREATE TABLE mail (text TEXT)", [])?;
    /// #         Ok::<_, TransactionError>(())
    /// #     })
    /// #     .await?;
    /// let orders = Repository::<Order>::new(sqlite.clone());
    /// let mut attempts = 0;
    /// let paid = loop {
    ///     let decision = orders.by_id("o-1").decide(|order| order.pay(700));
    ///     let prepared = decision.idempotency_key("payment/p-17").prepare().await?;
    ///     let written = sqlite.write(move |tx| {
    ///         tx.execute("INSERT INTO mail (text) VALUES (?1)", ["o-1 is paid"])?;
    ///         Ok::<_, TransactionError>(tx.append_prepared(prepared)?)
    ///     });
    ///     match written.await {
    ///         Err(error) if attempts < 3 && error.is_transient() => attempts += 1,
    ///         written => break written?,
    ///     }
    /// };
    /// assert_eq!(paid.state.paid, 700);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`NotAppended`]. A decision of another store, or of a tenant of this one, is refused.
    pub fn append_prepared<M: Members, T>(
        &mut self,
        prepared: Prepared<M, T>,
    ) -> Result<Decided<M, T>, NotAppended> {
        let request = prepared.request_for(&self.identity)?.cloned();
        let appended = request.map(|request| self.append(request)).transpose()?;
        prepared.finish(appended)
    }
}

/// An error for closures that use the application's tables and append events; any other error type
/// with `From<StoreError>` does as well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransactionError {
    /// An append was refused.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// A prepared decision was refused.
    #[error(transparent)]
    NotAppended(#[from] NotAppended),
    /// The store failed, for instance to commit.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// One of the application's statements failed. The table and the view of a projection are made
    /// when a runner takes it for the first time; before that SQLite knows no such table.
    #[error("a statement of the application failed{}", advice(.0))]
    Sqlite(#[from] rusqlite::Error),
}

/// What to do about a statement that failed, where that is likely.
fn advice(error: &Error) -> &'static str {
    match error.to_string().starts_with("no such table") {
        true => {
            ": there is no such table; that of a projection is made by the first runner that takes it"
        }
        false => "",
    }
}

impl TransactionError {
    /// What it means for whoever asked.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Append(error) => error.kind(),
            Self::NotAppended(error) => error.kind(),
            Self::Store(error) => error.kind().into(),
            Self::Sqlite(error) => kind(error).into(),
        }
    }

    /// True if the same may succeed when all of it is done again, with decisions that are prepared
    /// anew: nothing of it was written, and what was in its way passes.
    ///
    /// Ask this before doing it again, and [`kind`](Self::kind) for whom to tell what. A conflict of an
    /// append of one's own is a `Conflict` by its kind, and does not pass: the request has the version in
    /// it, so it is to be made anew.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NotAppended(error) => error.is_transient(),
            Self::Append(AppendError::Store(error)) | Self::Store(error) => error.is_transient(),
            Self::Append(_) | Self::Sqlite(_) => false,
        }
    }
}
