//! Projections that are kept within the append.
//!
//! The transaction of an append holds the models that it keeps before it draws a position, so that
//! those who keep a model write one after the other. What others may have drawn meanwhile is waited
//! for, and never passed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use es_core::backend::rules::inline_failure;
use es_core::backend::{
    Claim, Definition, Lease, Position, SinkError, Slot, StoreError, check_active_model,
};
use sqlx::postgres::PgRow;
use sqlx::{Connection, PgConnection, Postgres, Row, Transaction};

use super::Projections;
use super::model::{CHANGING, no_model, only};
use crate::connection::Bound;
use crate::error::{is_lost, unknown_unless_refused};
use crate::row::position;
use crate::store::PostgresStore;

mod take;
mod writers;

pub(crate) use writers::Writers;

/// The projections that a store keeps within its appends, in the order of their names.
#[derive(Default)]
pub(crate) struct Inline(Mutex<Option<Arc<[Definition]>>>);

impl Inline {
    fn kept(&self) -> MutexGuard<'_, Option<Arc<[Definition]>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them; `None` if there are none.
    pub(crate) fn all(&self) -> Option<Arc<[Definition]>> {
        self.kept().clone()
    }

    pub(super) fn of(&self, projection: &str) -> Option<Definition> {
        let kept = self.all()?;
        kept.iter().find(|definition| definition.name() == projection).cloned()
    }

    /// Replaces what is kept under the name.
    fn put(&self, name: &str, definition: Option<Definition>) {
        let mut kept = self.kept();
        let others = kept.iter().flat_map(|kept| kept.iter());
        let others = others.filter(|other| other.name() != name).cloned();
        let mut all: Vec<_> = others.chain(definition).collect();
        all.sort_by(|a, b| a.name().cmp(b.name()));
        *kept = (!all.is_empty()).then(|| all.into());
    }
}

/// A model that the transaction holds, and its code.
pub(crate) struct Held {
    definition: Definition,
    lease: Lease,
}

impl Held {
    fn place(&self) -> Position {
        self.lease.checkpoints.first().map_or(Position::START, |checkpoint| checkpoint.position)
    }
}

/// Why the transaction of an append that keeps models was not committed.
#[derive(Debug)]
pub(crate) enum Undone {
    /// These may have drawn positions that the checkpoint would pass.
    Behind(Writers),
    /// What was to be written is to blame.
    Refused(SinkError),
    /// The connection, or the models, could not be had; or the outcome of the commit is unknown.
    Failed(SinkError),
}

impl Projections {
    /// Holds all models that appends keep, and those of these projections above all. One that a
    /// switch has made another code's is left out: it is that code's business now.
    pub(crate) async fn hold(
        &self,
        connection: &mut PgConnection,
        kept: &[Definition],
    ) -> Result<Vec<Held>, Undone> {
        let lock = sqlx::query(self.statements.inline_lock.sql()).bind(Claim::APPENDS);
        self.rows_within(connection, lock).await.map_err(Undone::Failed)?;
        let mut held = Vec::with_capacity(kept.len());
        for definition in kept {
            match self.claim_within(connection, definition).await {
                Ok(lease) => held.push(Held { definition: definition.clone(), lease }),
                Err(SinkError::Changed { .. }) => {}
                Err(error) => return Err(Undone::Failed(error)),
            }
        }
        Ok(held)
    }

    /// Takes what lies between the models and the position, which is visible; answers whether
    /// anything did.
    pub(crate) async fn take_up_to(
        &self,
        connection: &mut PgConnection,
        held: &mut [Held],
        to: Position,
    ) -> Result<bool, Undone> {
        if held.iter().all(|held| held.place() >= to) {
            return Ok(false);
        }
        self.outlast_writers(connection).await?;
        for held in held {
            while held.place() < to {
                self.take_page(connection, held, to).await.map_err(Undone::Refused)?;
            }
        }
        Ok(true)
    }

    async fn claim_within(
        &self,
        connection: &mut PgConnection,
        definition: &Definition,
    ) -> Result<Lease, SinkError> {
        self.claim_in(connection, &Claim::of_appends(definition)).await
    }

    /// Claims a model within a transaction.
    pub(super) async fn claim_in(
        &self,
        connection: &mut PgConnection,
        claim: &Claim,
    ) -> Result<Lease, SinkError> {
        let rows = self.rows_within(connection, self.bind_claim(claim)).await?;
        let claimed = self.claimed(claim, &rows)?;
        let rows = self.rows_within(connection, self.bind_checkpoints(claimed)).await?;
        self.leased(claim, claimed, &rows)
    }

    /// The rows of a statement within a transaction.
    pub(super) async fn rows_within(
        &self,
        connection: &mut PgConnection,
        statement: Bound<'_>,
    ) -> Result<Vec<PgRow>, SinkError> {
        let statement = statement.persistent(self.is_persistent);
        let rows = self.connections.connector().in_time(statement.fetch_all(connection)).await;
        Ok(rows.map_err(|error| self.connections.failure(CHANGING, error))?)
    }

    /// Begins a transaction that sees what was committed before each of its statements.
    pub(crate) async fn begin<'c>(
        &self,
        connection: &'c mut PgConnection,
    ) -> Result<Transaction<'c, Postgres>, Undone> {
        let connector = self.connections.connector();
        let begun = connector.in_time(connection.begin_with(connector.begin())).await;
        begun.map_err(|error| Undone::Failed(self.connections.failure(CHANGING, error).into()))
    }

    /// Commits what is worth it and undoes the rest; tells, too, whether the connection can be used
    /// further. `failure` is that of the commit.
    pub(crate) async fn end<T>(
        &self,
        transaction: Transaction<'_, Postgres>,
        work: Result<(T, bool), Undone>,
        failure: impl Fn(sqlx::Error) -> StoreError,
    ) -> (Result<T, Undone>, bool) {
        let connector = self.connections.connector();
        match work {
            Ok((done, true)) => match connector.in_time(transaction.commit()).await {
                Ok(()) => {
                    self.commits.give();
                    (Ok(done), true)
                }
                Err(error) => {
                    let is_usable = !is_lost(&error);
                    let failure = failure(error);
                    let undone = match failure.is_outcome_unknown() {
                        true => Undone::Failed(failure.into()),
                        false => Undone::Refused(failure.into()),
                    };
                    (Err(undone), is_usable)
                }
            },
            work => {
                let is_undone = connector.in_time(transaction.rollback()).await.is_ok();
                match work {
                    Ok((done, _)) => (Ok(done), is_undone),
                    // it was not what was to be written that failed
                    Err(Undone::Refused(error)) if !is_undone => {
                        (Err(Undone::Failed(error)), false)
                    }
                    Err(undone) => (Err(undone), is_undone),
                }
            }
        }
    }

    fn unanswered(&self, error: sqlx::Error) -> StoreError {
        unknown_unless_refused(CHANGING, &self.connections.connector().place, error)
    }

    /// Switches to a model that appends go on with, before a runner can take it.
    pub(super) async fn switch_kept(
        self: &Arc<Self>,
        switch: Bound<'static>,
        definition: Definition,
    ) -> Result<Vec<PgRow>, SinkError> {
        let this = Arc::clone(self);
        let switch = async move { this.switch_and_claim(switch, &definition).await };
        self.connections.own(CHANGING, switch).await?
    }

    async fn switch_and_claim(
        &self,
        switch: Bound<'static>,
        definition: &Definition,
    ) -> Result<Vec<PgRow>, SinkError> {
        let mut loan = self.connections.loan(CHANGING).await?;
        let mut connection = loan.take().await?;
        let mut transaction = self.begin(&mut connection).await.map_err(|it| self.told(it))?;
        let work = async |connection: &mut PgConnection| {
            let rows = self.rows_within(connection, switch).await.map_err(Undone::Refused)?;
            let outcome = rows.first().and_then(|row| row.try_get::<i32, _>(0).ok());
            if outcome == Some(0) {
                match self.claim_within(connection, definition).await {
                    Ok(_) | Err(SinkError::Changed { .. }) => {}
                    Err(error) => return Err(Undone::Refused(error)),
                }
            }
            Ok((rows, outcome == Some(0)))
        };
        let work = work(&mut transaction).await;
        let (done, is_usable) = self.end(transaction, work, |error| self.unanswered(error)).await;
        if is_usable {
            loan.keep(connection);
        }
        done.map_err(|undone| self.told(undone))
    }

    /// Brings a model further in a transaction of its own: by one page of what is up to `to`, or to
    /// the end of the log. Answers whether there is more.
    async fn advance(
        self: &Arc<Self>,
        definition: &Definition,
        to: Option<Position>,
    ) -> Result<bool, SinkError> {
        let (this, definition) = (Arc::clone(self), definition.clone());
        let advance = async move { this.advance_once(&definition, to).await };
        self.connections.own(CHANGING, advance).await?
    }

    async fn advance_once(
        &self,
        definition: &Definition,
        to: Option<Position>,
    ) -> Result<bool, SinkError> {
        let mut patience = self.patience();
        let mut loan = self.connections.loan(CHANGING).await?;
        let mut connection = loan.take().await?;
        loop {
            let begun = self.begin(&mut connection).await;
            let mut transaction = begun.map_err(|undone| self.told(undone))?;
            let work = self.advance_within(&mut transaction, definition, to).await;
            let (done, is_usable) =
                self.end(transaction, work, |error| self.unanswered(error)).await;
            if let Err(Undone::Behind(writers)) = &done
                && is_usable
                && self.is_over(&mut connection, writers, &mut patience).await?
            {
                continue;
            }
            if is_usable {
                loan.keep(connection);
            }
            return done.map_err(|undone| self.told(undone));
        }
    }

    async fn advance_within(
        &self,
        connection: &mut PgConnection,
        definition: &Definition,
        to: Option<Position>,
    ) -> Result<(bool, bool), Undone> {
        let lease = self.claim_within(connection, definition).await.map_err(Undone::Failed)?;
        let mut held = Held { definition: definition.clone(), lease };
        if let Some(to) = to {
            if held.place() < to {
                self.take_page(connection, &mut held, to).await.map_err(Undone::Refused)?;
            }
            return Ok((held.place() < to, true));
        }
        // appends that began before may not know of this projection
        self.outlast_writers(connection).await?;
        let newest = self.newest(connection).await.map_err(Undone::Failed)?;
        self.take_up_to(connection, std::slice::from_mut(&mut held), newest).await?;
        Ok((false, true))
    }

    /// The highest visible position.
    async fn newest(&self, connection: &mut PgConnection) -> Result<Position, SinkError> {
        let newest = sqlx::query(self.statements.inline_newest.sql());
        let rows = self.rows_within(connection, newest).await?;
        let newest = rows.first().map_or(Ok(0), |row| row.try_get(0));
        let newest = newest.map_err(|error| self.connections.failure(CHANGING, error))?;
        Ok(position(newest))
    }

    /// Ends what `keep_inline` began.
    pub(super) async fn release_inline(&self, projection: &str) -> Result<(), SinkError> {
        self.inline.put(projection, None);
        let end = || {
            let statement = sqlx::query(self.statements.inline_end.sql());
            statement.bind(projection.to_owned()).bind(Claim::APPENDS)
        };
        let rows = self.connections.rows(CHANGING, end).await?;
        let has_model = self.read(CHANGING, || only(&rows)?.try_get(0))?;
        self.commits.give();
        if has_model { Ok(()) } else { Err(no_model(projection, Slot::Active)) }
    }

    fn told(&self, undone: Undone) -> SinkError {
        match undone {
            Undone::Behind(writers) => self.blocked(CHANGING, &writers).into(),
            Undone::Refused(error) | Undone::Failed(error) => error,
        }
    }

    /// Why an append was not written.
    pub(crate) fn refusal(&self, what: impl std::fmt::Display, undone: Undone) -> StoreError {
        match undone {
            Undone::Behind(writers) => self.blocked(what, &writers),
            Undone::Refused(error) | Undone::Failed(error) => inline_failure(error),
        }
    }
}

impl PostgresStore {
    /// Keeps a projection within every append of this store from now on.
    pub(super) async fn keep_within_appends(
        &self,
        definition: Definition,
    ) -> Result<(), SinkError> {
        definition.check()?;
        let (name, projections) = (definition.name(), self.projections());
        check_active_model(self, self, name).await?;
        if definition.has_tables() {
            // no append has the time, nor needs the right
            projections.acquire(&Claim::of_appends(&definition)).await?;
        }
        // a page for each transaction, so that appends wait for no more than that
        let end = self.appender().log.look().await?;
        while projections.advance(&definition, Some(end)).await? {}
        let before = projections.inline.of(name);
        projections.inline.put(name, Some(definition.clone()));
        let kept = projections.advance(&definition, None).await;
        if kept.is_err() {
            projections.inline.put(name, before);
        }
        projections.commits.give();
        kept.map(drop)
    }
}
