//! Making what is missing of the tables of a projection, with the claim of its model.

use std::sync::Arc;

use es_core::backend::{Claim, Lease, SinkError, StoreErrorKind};
use sqlx::{Connection, PgConnection, Row};
use tokio::time::{Instant, sleep};

use super::super::Projections;
use super::super::commit::is_held_up;
use super::super::model::only;
use super::script::script;
use super::unusable;
use crate::connection::{Doing, Failed, Wanted};
use crate::error::has_code;
use crate::migrate::{PAUSE, lock_key};
use crate::sql::Statement;

const MAKING: Doing<'static> = Doing("making the tables of a projection", None);

impl Projections {
    /// Claims a model and makes its tables in one transaction, so that whoever is refused has made
    /// nothing. Whoever reads or writes the tables is asked for them a moment at a time, as by
    /// migrations.
    pub(in super::super) async fn claim_and_make(
        self: &Arc<Self>,
        claim: &Claim,
    ) -> Result<Lease, SinkError> {
        let (this, claim) = (Arc::clone(self), claim.clone());
        let make = async move { this.make_in_moments(&claim).await };
        self.connections.own(MAKING, make).await?
    }

    async fn make_in_moments(&self, claim: &Claim) -> Result<Lease, SinkError> {
        let since = Instant::now();
        loop {
            match self.make_once(claim).await {
                Err(SinkError::Store(error))
                    if error.kind() == StoreErrorKind::Busy && since.elapsed() < self.patience =>
                {
                    sleep(PAUSE).await;
                }
                made => return made,
            }
        }
    }

    /// Does it unless somebody is in the way, who is named then.
    async fn make_once(&self, claim: &Claim) -> Result<Lease, SinkError> {
        let connector = self.connections.connector();
        let failure = |error| SinkError::from(connector.failure(MAKING, error));
        let mut loan = self.connections.loan(MAKING).await?;
        let mut connection = loan.take().await?;
        let begun = connector.in_time(connection.begin_with(self.begin_making.clone())).await;
        let mut transaction = begun.map_err(failure)?;
        let Failed { error, wanted } = match self.make_within(&mut transaction, claim).await {
            Ok(lease) => {
                connector.in_time(transaction.commit()).await.map_err(failure)?;
                loan.keep(connection);
                return Ok(lease);
            }
            Err(failed) => failed,
        };
        if connector.in_time(transaction.rollback()).await.is_err() {
            return Err(error);
        }
        let error = match is_held_up(&error) {
            true => {
                let by = connector.lock_holder(&mut connection, wanted).await;
                connector.held_up(MAKING, by.as_ref()).into()
            }
            false => error,
        };
        loan.keep(connection);
        Err(error)
    }

    async fn make_within(
        &self,
        connection: &mut PgConnection,
        claim: &Claim,
    ) -> Result<Lease, Failed<SinkError>> {
        let failure = |error| SinkError::from(self.connections.failure(MAKING, error));
        let database = sqlx::query(self.statements.table_database.sql());
        let rows = self.rows_within(connection, database).await?;
        let database: String =
            self.read(MAKING, || only(&rows)?.try_get(0)).map_err(SinkError::from)?;
        let lock = sqlx::query(self.statements.table_lock.sql()).bind(lock_key(&database));
        let locked = self.rows_within(connection, lock).await;
        locked.map_err(|error| Failed { error, wanted: Wanted::ToMigrate })?;
        let lease = self.claim_in(connection, claim).await?;
        // another may have made them meanwhile
        let missing = self.missing_within(connection, &claim.projection, &claim.tables).await?;
        for statement in &missing {
            // it may take long, as a step of a migration may
            let statement = sqlx::query(statement.sql()).persistent(false);
            match statement.execute(&mut *connection).await {
                Err(error) if has_code(&error, "42501") => {
                    return Err(not_allowed(claim, &missing).into());
                }
                done => done.map_err(failure)?,
            };
        }
        if !missing.is_empty() {
            // who grants what is not theirs is warned only
            let left = self.missing_within(connection, &claim.projection, &claim.tables).await?;
            if !left.is_empty() {
                return Err(not_allowed(claim, &left).into());
            }
        }
        Ok(lease)
    }
}

fn not_allowed(claim: &Claim, missing: &[Statement]) -> SinkError {
    let reason = format!(
        "its tables are not as it needs them, and this login may not make them so; let the owner of \
         the store's tables run this, which `PostgresStore::table_script` prints, too:\n{}",
        script(missing)
    );
    unusable(&claim.projection, reason)
}
