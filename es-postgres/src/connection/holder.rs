//! Who holds what a statement has waited for in vain.

use std::fmt::Display;

use es_core::backend::{StoreError, StoreErrorKind};
use es_core::projection::Blocker;
use sqlx::{PgConnection, Row};

use super::Connector;
use crate::blocker::{HoldingBack, holding_back};
use crate::error::{HELD_FOR_TOO_LONG, caused, has_code};

/// What a lock was wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// To read or write a table.
    ToWrite,
    /// To change a table, with nobody else there.
    Alone,
    /// To be the only one that migrates.
    ToMigrate,
}

/// Why something that changes tables was not done, and what was wanted then.
pub(crate) struct Failed<E> {
    pub(crate) error: E,
    pub(crate) wanted: Wanted,
}

impl<E> From<E> for Failed<E> {
    fn from(error: E) -> Self {
        Self { error, wanted: Wanted::Alone }
    }
}

/// A session that holds a lock on a table.
#[derive(Debug)]
pub(crate) struct Holder {
    blocker: Blocker,
    pub(crate) is_active: bool,
    /// It is a process of the server's own, which nobody has logged in for: a vacuum.
    pub(crate) is_of_server: bool,
    table: String,
    mode: String,
}

impl Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { blocker, table, mode, .. } = self;
        write!(
            f,
            "the session {} ({}) has {mode} on {table}",
            blocker.session, blocker.description
        )?;
        match blocker.open_for {
            Some(time) => write!(f, ", in a transaction of {} s", time.as_secs()),
            None => Ok(()),
        }
    }
}

impl Connector {
    /// The failure of a statement, with who is in its way if it waited for a lock in vain.
    pub(crate) async fn explained(
        &self,
        connection: &mut PgConnection,
        what: impl Display,
        error: sqlx::Error,
    ) -> StoreError {
        if !has_code(&error, "55P03") {
            return self.failure(what, error);
        }
        let by = self.lock_holder(connection, Wanted::ToWrite).await;
        caused(self.held_up(what, by.as_ref()), error)
    }

    /// The refusal of what was held up for as long as it may be, by whom if that is known.
    pub(crate) fn held_up(&self, what: impl Display, by: Option<&Holder>) -> StoreError {
        let by = by.map(|by| format!("; {by}")).unwrap_or_default();
        let text = format!("{what} in {}: {HELD_FOR_TOO_LONG}{by}", self.place);
        StoreError::new(StoreErrorKind::Busy, text)
    }

    /// Who holds the strongest lock on a table of the store, or has written there and not ended for
    /// longest.
    pub(crate) async fn lock_holder(
        &self,
        connection: &mut PgConnection,
        wanted: Wanted,
    ) -> Option<Holder> {
        self.asked_for_holder(connection, wanted).await.ok()?
    }

    /// The same; an error if there was no answer.
    pub(crate) async fn asked_for_holder(
        &self,
        connection: &mut PgConnection,
        wanted: Wanted,
    ) -> Result<Option<Holder>, sqlx::Error> {
        let statement = sqlx::query(self.lock_holder.sql())
            .bind(wanted == Wanted::Alone)
            .bind(wanted == Wanted::ToMigrate);
        let rows = self.rows(connection, statement).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let HoldingBack { blocker, is_active, .. } = holding_back(row)?;
        let (table, mode) = (row.try_get("table")?, row.try_get("mode")?);
        let pid: Option<i32> = row.try_get("pid")?;
        // what kind of process it is is hidden from most logins, and who has logged in is not
        let is_of_server = pid.is_some() && row.try_get::<Option<String>, _>("role")?.is_none();
        Ok(Some(Holder { blocker, is_active, is_of_server, table, mode }))
    }
}
