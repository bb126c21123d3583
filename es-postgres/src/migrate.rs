//! The schema: the steps that bring a database up to date.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use es_core::backend::{StoreError, StoreErrorKind};
use sqlx::migrate::{MigrateError, Migration, MigrationType};
use sqlx::postgres::PgRow;
use sqlx::{Connection, PgConnection, Row};

use crate::config::{Layout, Patience, PostgresConfig};
use crate::connection::{Bound, Connector};
use crate::error::{has_code, store_error};
use crate::identifier::Identifier;
use crate::sql::{Statement, fill};

mod apply;
mod lock;

pub(crate) use apply::{MOMENT, PAUSE};
pub(crate) use lock::lock_key;

pub(crate) const LOOKING: &str = "looking at the schema";

/// The steps of a store, oldest first.
const STEPS: [(&str, &str); 25] = [
    ("events", include_str!("../migrations/0001_events.sql")),
    ("append only", include_str!("../migrations/0002_append_only.sql")),
    ("append", include_str!("../migrations/0003_append.sql")),
    ("frontier", include_str!("../migrations/0004_frontier.sql")),
    ("snapshots", include_str!("../migrations/0005_snapshots.sql")),
    ("projections", include_str!("../migrations/0006_projections.sql")),
    ("projection commit", include_str!("../migrations/0007_projection_commit.sql")),
    ("projection models", include_str!("../migrations/0008_projection_models.sql")),
    ("projection rates", include_str!("../migrations/0009_projection_rates.sql")),
    ("look", include_str!("../migrations/0010_look.sql")),
    ("private functions", include_str!("../migrations/0011_private_functions.sql")),
    ("collation", include_str!("../migrations/0012_collation.sql")),
    ("retired models", include_str!("../migrations/0013_retired_models.sql")),
    ("snapshot events", include_str!("../migrations/0014_snapshot_events.sql")),
    ("plain columns", include_str!("../migrations/0015_plain_columns.sql")),
    ("look in one history", include_str!("../migrations/0016_look_in_one_history.sql")),
    ("sequence behind", include_str!("../migrations/0017_sequence_behind.sql")),
    ("visible by type (from 17 on)", include_str!("../migrations/0018_visible.sql")),
    ("readable (from 17 on)", include_str!("../migrations/0019_readable.sql")),
    ("leases of clocks (from 17 on)", include_str!("../migrations/0020_leases_of_clocks.sql")),
    ("visible beside open writers (from 17 on)", include_str!("../migrations/0021_visible.sql")),
    (
        "sequence checked by index (from 17 on)",
        include_str!("../migrations/0022_sequence_checked_by_index.sql"),
    ),
    ("rows by lz4 (from 17 on)", include_str!("../migrations/0023_rows_by_lz4.sql")),
    (
        "projection commit by keys (from 17 on)",
        include_str!("../migrations/0024_projection_commit_by_keys.sql"),
    ),
    (
        "what an insert costs (from 17 on)",
        include_str!("../migrations/0025_what_an_insert_costs.sql"),
    ),
];

/// Numbered steps, forwards only, and the table that tells which of them a database has.
///
/// A step is applied in one transaction with its entry in the table. Of several processes that
/// migrate at once one does it and the others wait; that needs a connection without a pooling proxy
/// in between. A step that was changed after it was applied is refused, and so is a database that
/// has steps which this program does not know, unless each of them says in its name that programs go
/// on which know all up to a number: `more (from 11 on)`.
#[derive(Debug, Clone)]
pub struct Migrations {
    schema: String,
    events: String,
    /// With its schema, in quotes.
    table: String,
    table_name: String,
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
struct Step {
    name: &'static str,
    statement: Statement,
}

impl Migrations {
    /// The steps of a store.
    pub fn of_store(layout: &Layout) -> Self {
        Self::with(layout, &format!("{}_migrations", layout.events), &STEPS)
    }

    /// The steps of an application that keeps tables of its own beside a store, each with a name.
    /// `{schema}`, `{events}` and `{id}` stand for what the layout says; if it has a table of
    /// snapshots, `{snapshots}` stands for that, and `{snapshot_id}`, `{snapshot_version}`,
    /// `{snapshot_event}`, `{snapshot_schema}`, `{snapshot_state}` and `{snapshot_taken_at}` for its
    /// columns.
    ///
    /// `table` is their own table in the store's schema. The steps run with `search_path` set to
    /// `pg_catalog`: they name schemas.
    pub fn new(
        layout: &Layout,
        table: &Identifier,
        steps: &[(&'static str, &'static str)],
    ) -> Self {
        Self::with(layout, table.as_str(), steps)
    }

    /// The table's name is longer than an identifier's where it is derived from one.
    fn with(layout: &Layout, table: &str, steps: &[(&'static str, &'static str)]) -> Self {
        let steps =
            steps.iter().map(|&(name, template)| Step { name, statement: fill(template, layout) });
        Self {
            schema: layout.schema.to_string(),
            events: layout.events.to_string(),
            table_name: table.to_owned(),
            table: format!("\"{}\".\"{table}\"", layout.schema),
            steps: steps.collect(),
        }
    }

    /// The names of the functions that the steps make in the layout's schema.
    pub fn functions(&self) -> Vec<String> {
        let mark = format!("FUNCTION \"{}\".", self.schema);
        let names = self.steps.iter().flat_map(|step| {
            let text = step.statement.sql();
            let parts = text.as_str().split(&mark).collect::<Vec<_>>();
            let made = parts.windows(2).filter(|pair| {
                let before = pair[0].split_whitespace().next_back();
                matches!(before, Some("CREATE" | "REPLACE"))
            });
            let name = |text: &str| text.split('(').next().unwrap_or(text).replace('"', "");
            made.map(|pair| name(pair[1])).collect::<Vec<_>>()
        });
        names.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// How many steps there are.
    pub fn count(&self) -> usize {
        self.steps.len()
    }

    fn migrations(&self) -> Vec<Migration> {
        let steps = self.steps.iter().zip(1..);
        let migration = |(step, version): (&Step, i64)| {
            let statement = step.statement.sql();
            Migration::new(version, step.name.into(), MigrationType::Simple, statement, false)
        };
        steps.map(migration).collect()
    }

    /// All steps with their entries in the table as one script, for people who run their own
    /// migrations. It fits a database that has none of them.
    pub fn script(&self) -> String {
        let table = |text: &str| text.replace("{table}", &self.table);
        let mut script =
            include_str!("../migrations/schema.sql").replace("{schema}", &self.schema) + "\n";
        script += &table(include_str!("../migrations/bookkeeping.sql"));
        for migration in self.migrations() {
            let mut checksum = String::new();
            for byte in migration.checksum.iter() {
                let _ = write!(checksum, "{byte:02x}");
            }
            let applied = table(include_str!("../migrations/applied.sql"))
                .replace("{version}", &migration.version.to_string())
                .replace("{description}", &migration.description)
                .replace("{checksum}", &checksum);
            let _ = write!(
                script,
                "\n-- {} {}\nBEGIN;\nSET LOCAL search_path = pg_catalog;\n\
                 SET LOCAL standard_conforming_strings = on;\n\n{}\n{applied}\nCOMMIT;\n",
                migration.version,
                migration.description,
                migration.sql.as_str().trim_end(),
            );
        }
        script
    }

    /// How many of its steps the database has; more than [`count`](Self::count) if a newer program
    /// migrated it.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached, or there is no such database.
    pub async fn applied_to(&self, config: &PostgresConfig) -> Result<usize, StoreError> {
        let connector = Connector::migrating(config, Patience::Whole);
        let mut connection = connector.connect().await?;
        let applied = self.applied(&connector, &mut connection).await?;
        let _ = connection.close().await;
        Ok(usize::try_from(applied).unwrap_or(0))
    }

    /// Checks that the database has exactly these steps.
    ///
    /// # Errors
    ///
    /// That it has fewer, with what to do, or more.
    pub async fn check(&self, config: &PostgresConfig) -> Result<(), StoreError> {
        let connector = Connector::migrating(config, Patience::Whole);
        let mut connection = connector.connect().await?;
        let judged = self.judge_found(&connector, &mut connection).await;
        let _ = connection.close().await;
        judged
    }

    /// Judges what the database has.
    pub(crate) async fn judge_found(
        &self,
        connector: &Connector,
        connection: &mut PgConnection,
    ) -> Result<(), StoreError> {
        let applied = self.applied(connector, connection).await?;
        if self.is_of_newer(connector, connection, applied).await? {
            return self.check_steps(connector, connection, applied).await;
        }
        self.check_steps(connector, connection, applied).await?;
        self.judge(applied, &connector.place)
    }

    /// Refuses a database with newer steps of which one does not say that this program may go on: what
    /// else is found there is nothing to judge by.
    pub(crate) async fn refuse_newer(
        &self,
        connector: &Connector,
        connection: &mut PgConnection,
    ) -> Result<(), StoreError> {
        let applied = self.applied(connector, connection).await?;
        self.is_of_newer(connector, connection, applied).await.map(drop)
    }

    /// Checks that each step up to the newest one is there, whole, and this program's: a schema that
    /// was renamed, or restored under another name, has functions that name the one before.
    async fn check_steps(
        &self,
        connector: &Connector,
        connection: &mut PgConnection,
        applied: i64,
    ) -> Result<(), StoreError> {
        if applied == 0 {
            return Ok(());
        }
        let statement = include_str!("sql/steps_made.sql").replace("{table}", &self.table);
        let statement = sqlx::query(sqlx::AssertSqlSafe(statement));
        let failure = |error| connector.failure(LOOKING, error);
        let mut found = BTreeMap::new();
        for row in connector.rows(connection, statement).await.map_err(failure)? {
            let read = || -> Result<_, sqlx::Error> {
                Ok((row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?)))
            };
            let (version, step): (i64, (bool, Vec<u8>)) = read().map_err(failure)?;
            found.insert(version, step);
        }
        let (table, place) = (&self.table, &connector.place);
        let refuse = |text: String| Err(StoreError::new(StoreErrorKind::NotAStore, text));
        for step in self.migrations().iter().filter(|step| step.version <= applied) {
            let version = step.version;
            match found.get(&version) {
                None => {
                    return refuse(format!(
                        "{table} in {place} has no row for step {version}, though it has one for \
                         step {applied}; restore the row, from a backup or from the printed script \
                         of the migrations"
                    ));
                }
                Some((false, _)) => {
                    return refuse(format!(
                        "step {version} is marked as failed in {table} of {place}; restore the \
                         store from a backup, or set success to TRUE if all that the step makes is \
                         there"
                    ));
                }
                Some((true, checksum)) if **checksum != *step.checksum => {
                    return Err(self.failure(place, MigrateError::VersionMismatch(version)));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// True if the database has newer steps, and each says that this program may go on; refused if one
    /// does not.
    async fn is_of_newer(
        &self,
        connector: &Connector,
        connection: &mut PgConnection,
        applied: i64,
    ) -> Result<bool, StoreError> {
        let known = i64::try_from(self.count()).unwrap_or(i64::MAX);
        if applied <= known {
            return Ok(false);
        }
        let statement = include_str!("sql/newer_steps_allow.sql").replace("{table}", &self.table);
        let statement = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(known);
        let row = one_row(connector, connection, statement).await;
        let allow = row.and_then(|row| row.try_get(0));
        match allow.map_err(|error| connector.failure(LOOKING, error))? {
            true => Ok(true),
            false => Err(newer(&self.schema, &connector.place, applied, known)),
        }
    }

    fn judge(&self, applied: i64, place: &str) -> Result<(), StoreError> {
        let known = i64::try_from(self.count()).unwrap_or(i64::MAX);
        let schema = &self.schema;
        match applied {
            0 => Err(StoreError::new(
                StoreErrorKind::NotAStore,
                format!(
                    "there is no store in schema {schema} of {place}; migrate it first, by \
                     `Migrations::apply`"
                ),
            )),
            applied if applied < known => Err(StoreError::new(
                StoreErrorKind::NotAStore,
                format!(
                    "schema {schema} of {place} has {applied} of the {known} migrations that \
                     this program needs; migrate it first, by `Migrations::apply`"
                ),
            )),
            _ => Ok(()),
        }
    }

    async fn has_schema(
        &self,
        connector: &Connector,
        connection: &mut PgConnection,
    ) -> Result<bool, StoreError> {
        let statement = sqlx::query(include_str!("sql/has_schema.sql")).bind(self.schema.clone());
        let row = one_row(connector, connection, statement).await;
        row.and_then(|row| row.try_get(0)).map_err(|error| connector.failure(LOOKING, error))
    }

    /// The number of the newest step that the database has; 0 if it has none.
    async fn applied(
        &self,
        connector: &Connector,
        connection: &mut PgConnection,
    ) -> Result<i64, StoreError> {
        let statement = include_str!("sql/newest_migration.sql").replace("{table}", &self.table);
        let statement = sqlx::query(sqlx::AssertSqlSafe(statement));
        match one_row(connector, connection, statement).await.and_then(|row| row.try_get(0)) {
            // there is no such table, or no such schema
            Err(error) if has_code(&error, "42P01") || has_code(&error, "3F000") => Ok(0),
            newest => newest.map_err(|error| connector.failure(LOOKING, error)),
        }
    }

    fn failure(&self, place: &str, error: MigrateError) -> StoreError {
        let known = i64::try_from(self.count()).unwrap_or(i64::MAX);
        match error {
            MigrateError::Execute(error) => store_error("migrating", place, error),
            MigrateError::ExecuteMigration(error, version) if has_code(&error, "42P07") => {
                let text = format!(
                    "step {version} of migrating schema {} of {place} finds something of the name \
                     that it makes, and did not make it; use another schema, or rename that",
                    self.schema
                );
                StoreError::new(StoreErrorKind::NotAStore, text).caused_by(error)
            }
            MigrateError::ExecuteMigration(error, version) => {
                store_error(format_args!("step {version} of migrating"), place, error)
            }
            MigrateError::VersionMissing(version) => newer(&self.schema, place, version, known),
            MigrateError::VersionMismatch(version) => StoreError::new(
                StoreErrorKind::NotAStore,
                format!(
                    "step {version} of the migrations of schema {} of {place} is another one than \
                     this program's: it was made with other names or types, such as under another name of the \
                     schema, or by a changed program; open it as it was made, or give the schema \
                     its name back",
                    self.schema
                ),
            ),
            error => StoreError::new(StoreErrorKind::Other, format!("migrating {place} failed"))
                .caused_by(error),
        }
    }
}

fn newer(schema: &str, place: &str, found: i64, known: i64) -> StoreError {
    StoreError::new(
        StoreErrorKind::NewerSchema,
        format!(
            "schema {schema} of {place} has migration {found}, this program knows up to {known}; \
             use a newer program"
        ),
    )
}

pub(crate) async fn one_row(
    connector: &Connector,
    connection: &mut PgConnection,
    statement: Bound<'_>,
) -> Result<PgRow, sqlx::Error> {
    let rows = connector.rows(connection, statement).await?;
    rows.into_iter().next().ok_or(sqlx::Error::RowNotFound)
}
