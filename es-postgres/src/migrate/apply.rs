//! Applying the steps, a moment at a time while somebody is in the way.

use std::time::Duration;

use es_core::backend::{StoreError, StoreErrorKind};
use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::{Connection, PgConnection, Row};
use tokio::time::{Instant, sleep, timeout};

use super::{LOOKING, Migrations, one_row};
use crate::config::{Layout, Patience, PostgresConfig, Session};
use crate::connection::{Connector, FAREWELL, Failed, Wanted};
use crate::inspect::{check_positions, check_server};

/// How long a step waits for a table that it needs for itself. Whoever comes after it waits with it, also
/// to read, so it waits no longer, lets them pass, and begins again.
pub(crate) const MOMENT: Duration = Duration::from_millis(200);
/// How long it waits every second time for a vacuum of the server's own, which makes way only for who
/// waits longer than `deadlock_timeout`, 1 s by default.
const FOR_A_VACUUM: Duration = Duration::from_millis(1_500);
/// How long it lets them pass.
pub(crate) const PAUSE: Duration = Duration::from_millis(300);

impl Migrations {
    /// Applies the steps that the database does not have yet, and answers how many these were.
    ///
    /// # Errors
    ///
    /// With the kind [`NewerSchema`](StoreErrorKind::NewerSchema) if the database has steps that
    /// this program does not know, [`NotAStore`](StoreErrorKind::NotAStore) if it has tables of
    /// these names that were made by something else or changed, and [`Busy`](StoreErrorKind::Busy), with
    /// the session that is in the way, if for longer than
    /// [`lock_timeout`](PostgresConfig::lock_timeout) it reads or writes a table that a step changes,
    /// or migrates and does nothing.
    pub async fn apply(&self, config: &PostgresConfig) -> Result<usize, StoreError> {
        if config.session == Session::Pooled {
            let text = format!(
                "migrating {} needs a connection without a transaction-pooling proxy in between, \
                 because two programs that migrate at once wait for one another by a lock of \
                 their sessions; give the address of the server itself",
                config.place()
            );
            return Err(StoreError::new(StoreErrorKind::Other, text));
        }
        let mut since = Instant::now();
        let mut moment = MOMENT;
        loop {
            let connector = Connector::migrating(config, Patience::AtMost(moment));
            let mut connection = connector.connect().await?;
            let applied = self.apply_once(&connector, &mut connection, &config.layout).await;
            let busy = match &applied {
                &Err(Failed { ref error, wanted }) if error.kind() == StoreErrorKind::Busy => {
                    Some((connector.lock_holder(&mut connection, wanted).await, wanted))
                }
                _ => None,
            };
            // the server notices in any case
            let _ = timeout(FAREWELL, connection.close()).await;
            let Some((by, wanted)) = busy else {
                return applied.map_err(|failed| failed.error);
            };
            if wanted == Wanted::ToMigrate && by.as_ref().is_some_and(|by| by.is_active) {
                since = Instant::now();
            }
            if since.elapsed() >= config.lock_timeout {
                return Err(connector.held_up("migrating", by.as_ref()));
            }
            let is_vacuum = wanted == Wanted::Alone && by.is_some_and(|by| by.is_of_server);
            moment = if is_vacuum && moment == MOMENT { FOR_A_VACUUM } else { MOMENT };
            sleep(PAUSE).await;
        }
    }

    /// Applies what is missing unless somebody is in the way.
    async fn apply_once(
        &self,
        connector: &Connector,
        connection: &mut PgConnection,
        layout: &Layout,
    ) -> Result<usize, Failed<StoreError>> {
        let found = check_server(connector, connection, layout).await?;
        if found.events_oid.is_some() && found.has_plain_positions {
            check_positions(connector, connection, layout).await?;
        }
        self.refuse_planted(connector, connection).await?;
        let mut migrator = Migrator::with_migrations(self.migrations());
        migrator.dangerous_set_table_name(self.table.clone());
        if !self.has_schema(connector, connection).await? {
            migrator.create_schema(format!("\"{}\"", self.schema));
        }
        // as long as this connection is there: who waits for it counts what is left then
        connection.lock().await.map_err(|error| self.refused(connector, error))?;
        let before = self.applied(connector, connection).await?;
        let is_of_newer = self.is_of_newer(connector, connection, before).await?;
        self.check_steps(connector, connection, before).await?;
        if is_of_newer {
            return Ok(0);
        }
        // `run` does the same with a connection that no thread could take over
        let migrated = migrator.run_direct(None, connection, false).await;
        migrated.map_err(|error| self.refused(connector, error))?;
        Ok(self.count().saturating_sub(usize::try_from(before).unwrap_or(0)))
    }

    /// Refuses what somebody else has put where the steps look: they would run it.
    async fn refuse_planted(
        &self,
        connector: &Connector,
        connection: &mut PgConnection,
    ) -> Result<(), StoreError> {
        let statement = sqlx::query(include_str!("../sql/planted.sql"))
            .bind(&self.schema)
            .bind(&self.events)
            .bind(&self.table_name)
            .bind(self.functions());
        let row = one_row(connector, connection, statement).await;
        let planted: Option<String> = row
            .and_then(|row| row.try_get(0))
            .map_err(|error| connector.failure(LOOKING, error))?;
        let Some(planted) = planted else { return Ok(()) };
        let (schema, place) = (&self.schema, &connector.place);
        let text = format!(
            "schema {schema} of {place} has something of a name of the store's that somebody else \
             made: {planted}; drop it, and REVOKE CREATE ON SCHEMA \"{schema}\" FROM PUBLIC, or use \
             another schema"
        );
        Err(StoreError::new(StoreErrorKind::NotAStore, text))
    }

    fn refused(&self, connector: &Connector, error: MigrateError) -> Failed<StoreError> {
        let wanted = match &error {
            MigrateError::ExecuteMigration(..) => Wanted::Alone,
            _ => Wanted::ToMigrate,
        };
        Failed { error: self.failure(&connector.place, error), wanted }
    }
}
