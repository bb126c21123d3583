//! Making what is missing of the tables of a projection, with the claim of its model.

use std::sync::Arc;

use es_core::StoreErrorKind;
use es_core::projection::{Claim, Lease, SinkError};
use sqlx::{Connection, PgConnection, Row};
use tokio::time::{Instant, sleep, timeout};

use super::super::Projections;
use super::super::model::only;
use super::script::script;
use super::unusable;
use crate::connection::{Doing, FAREWELL, Wanted};
use crate::error::has_code;
use crate::migrate::{PAUSE, lock_key};
use crate::sql::Statement;

const MAKING: Doing<'static> = Doing("making the tables of a projection", None);

/// Why nothing was made, and what was wanted then.
struct Failed {
    error: SinkError,
    wanted: Wanted,
}

impl From<SinkError> for Failed {
    fn from(error: SinkError) -> Self {
        Self { error, wanted: Wanted::Alone }
    }
}

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
        let (maker, since) = (&self.maker, Instant::now());
        loop {
            let mut connection = maker.connect().await?;
            let made = self.make_once(&mut connection, claim).await;
            let busy = match &made {
                Err(Failed { error: SinkError::Store(error), wanted })
                    if error.kind() == StoreErrorKind::Busy =>
                {
                    Some(maker.lock_holder(&mut connection, *wanted).await)
                }
                _ => None,
            };
            // the server notices in any case
            let _ = timeout(FAREWELL, connection.close()).await;
            let Some(by) = busy else { return made.map_err(|failed| failed.error) };
            if since.elapsed() >= self.patience {
                return Err(maker.held_up(MAKING, by.as_ref()).into());
            }
            sleep(PAUSE).await;
        }
    }

    /// Does it unless somebody is in the way.
    async fn make_once(
        &self,
        connection: &mut PgConnection,
        claim: &Claim,
    ) -> Result<Lease, Failed> {
        let maker = &self.maker;
        let failure = |error| SinkError::from(maker.failure(MAKING, error));
        let begun = maker.in_time(connection.begin_with(maker.begin())).await;
        let mut transaction = begun.map_err(failure)?;
        match self.make_within(&mut transaction, claim).await {
            Ok(lease) => {
                maker.in_time(transaction.commit()).await.map_err(failure)?;
                Ok(lease)
            }
            Err(failed) => {
                // whoever is in the way is asked for on this connection
                let _ = maker.in_time(transaction.rollback()).await;
                Err(failed)
            }
        }
    }

    async fn make_within(
        &self,
        connection: &mut PgConnection,
        claim: &Claim,
    ) -> Result<Lease, Failed> {
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
                done => done.map_err(|error| SinkError::from(self.maker.failure(MAKING, error)))?,
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
