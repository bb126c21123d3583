//! Appends within a transaction of the application.

use es_core::Decided;
use es_core::backend::{AppendError, AppendRequest, Appended};
use es_core::execution::{Members, NotAppended, Prepared};
use futures_util::future::BoxFuture;
use sqlx::PgConnection;
use sqlx::postgres::PgRow;

use crate::append::Sender;
use crate::connection::Bound;
use crate::store::PostgresStore;

/// A connection that belongs to the application.
struct Theirs<'c> {
    connection: &'c mut PgConnection,
    is_persistent: bool,
}

impl Sender for Theirs<'_> {
    fn rows<'a>(
        &'a mut self,
        statement: Bound<'a>,
    ) -> BoxFuture<'a, Result<Vec<PgRow>, sqlx::Error>> {
        let statement = statement.persistent(self.is_persistent);
        Box::pin(statement.fetch_all(&mut *self.connection))
    }
}

impl PostgresStore {
    /// Appends within a transaction of the application, so that its own rows and the events are
    /// written together or not at all: on the commit, which is the application's.
    ///
    /// The transaction may be of any pool or connection to the same database. It follows the rules
    /// of [`EventStore::append`](es_core::backend::EventStore::append); a refused append leaves
    /// nothing behind, and the transaction goes on. At the isolation levels `REPEATABLE READ` and
    /// `SERIALIZABLE` a race is an error of the kind
    /// [`Busy`](es_core::backend::StoreErrorKind::Busy) that ends the transaction: begin it again.
    /// With inline projections it must be `READ COMMITTED`; see
    /// [`keep_inline`](es_core::backend::ProjectionSink::keep_inline).
    ///
    /// Append late: from the append to the end of the transaction other writers to the same streams
    /// wait, and followers of the log wait for what stands behind it. Followers in this process look
    /// for its end; those in others are not told of it and find it when they poll.
    ///
    /// ```no_run
    /// # use es_core::backend::AppendRequest;
    /// # async fn example(
    /// #     store: es_postgres::PostgresStore,
    /// #     pool: sqlx::PgPool,
    /// #     request: AppendRequest,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut transaction = pool.begin().await?;
    /// sqlx::query("INSERT INTO mail (text) VALUES ($1)")
    ///     .bind("posting 12345 is done")
    ///     .execute(&mut *transaction)
    ///     .await?;
    /// store.append_in(&mut transaction, request).await?;
    /// transaction.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`AppendError`]. That the commit failed, or its answer was lost, the application learns
    /// from its own commit.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the transaction in an unknown state: roll it back.
    pub async fn append_in(
        &self,
        connection: &mut PgConnection,
        request: AppendRequest,
    ) -> Result<Appended, AppendError> {
        let request = self.checked(request)?;
        let appender = self.appender();
        let answer = match appender.projections.inline.all() {
            None => {
                let is_persistent = appender.is_persistent;
                let mut theirs = Theirs { connection, is_persistent };
                let function = &appender.statements.append_within;
                appender.write_by(&mut theirs, function, &request).await.0
            }
            Some(kept) => appender.write_kept_in(connection, &request, &kept).await,
        };
        // the commit is somebody else's: the log is looked at until the transaction has ended
        appender.log.appended();
        answer
    }

    /// Appends what a decision has made ready within a transaction of the application: the typed form
    /// of [`append_in`](Self::append_in), whose rules it follows.
    ///
    /// Roll back after an error, so that the application's rows are not written without the events, or
    /// twice. Within a reaction [`NotAppended::Repeated`] is success then: an earlier call has written
    /// both. After an error that passes the whole is done again, with a decision that is prepared anew:
    ///
    /// ```no_run
    /// # use es_core::{Aggregate, Event, Repository};
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
    /// # async fn example(
    /// #     postgres: es_postgres::PostgresStore,
    /// #     pool: sqlx::PgPool,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// let orders = Repository::<Order>::new(postgres.clone());
    /// let mut attempts = 0;
    /// let paid = loop {
    ///     let decision = orders.by_id("o-1").decide(|order| order.pay(700));
    ///     let prepared = decision.idempotency_key("payment/p-17").prepare().await?;
    ///     let mut tx = pool.begin().await?;
    ///     sqlx::query("INSERT INTO mail (text) VALUES ('o-1 is paid')").execute(&mut *tx).await?;
    ///     match postgres.append_prepared_in(&mut tx, prepared).await {
    ///         Err(error) if attempts < 3 && error.is_transient() => {
    ///             tx.rollback().await?;
    ///             attempts += 1;
    ///         }
    ///         appended => {
    ///             let paid = appended?;
    ///             tx.commit().await?;
    ///             break paid;
    ///         }
    ///     }
    /// };
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`NotAppended`]. A decision of another store, which one that was opened a second time is,
    /// or of a tenant of this one, is refused.
    ///
    /// # Cancellation
    ///
    /// As [`append_in`](Self::append_in).
    pub async fn append_prepared_in<M: Members, T>(
        &self,
        connection: &mut PgConnection,
        prepared: Prepared<M, T>,
    ) -> Result<Decided<M, T>, NotAppended> {
        let appended = match prepared.request_for(self.identity())?.cloned() {
            Some(request) => Some(self.append_in(connection, request).await?),
            None => None,
        };
        prepared.finish(appended)
    }
}
