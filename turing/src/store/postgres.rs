//! Turing's database on PostgreSQL: the store's tables and its own.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use es_core::Aggregate;
use es_core::execution::{StoreError, StoreErrorKind};
use es_postgres::sqlx::postgres::{PgArguments, PgRow};
use es_postgres::sqlx::query::Query;
use es_postgres::sqlx::{self, Connection, Postgres, Row};
use es_postgres::{
    ConfigError, IdType, Identifier, Layout, Migrations, PostgresConfig, SnapshotTable, store_error,
};
use turing_domain::Posting;

mod grants;
mod roles;
mod steps;

pub(crate) use grants::{Role, is_for_want_of_a_right, missing_grant};
pub(crate) use roles::{functions, tables};
pub use roles::{make_roles, roles_script};
use steps::STEPS;

use super::StoreUrl;
use crate::proposal::command_on;

/// The tables and views that these steps make.
const OWN_TABLES: [&str; 11] = [
    "postings",
    "assigned_postings",
    "posting_state_projection",
    "posting_state_rows",
    "posting_state_completions",
    "posting_state_values",
    "posting_state_snapshots",
    "cutovers",
    "cutover_discrepancies",
    "cutover_open_discrepancies",
    "cutover_past_discrepancies",
];

/// The address of a PostgreSQL database; it shows itself without the password.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(String);

impl PostgresUrl {
    /// How the store there is opened.
    pub fn config(&self) -> PostgresConfig {
        configured(self.0.parse().expect("the address was read before"))
    }

    /// The same database, with another schema.
    pub(crate) fn in_schema(&self, schema: &Identifier) -> Self {
        let (address, parameters) = self.0.split_once('?').unwrap_or((&self.0, ""));
        let is_kept = |one: &&str| !one.is_empty() && !one.starts_with("schema=");
        let schema = format!("schema={}", schema.as_str());
        let parameters = parameters.split('&').filter(is_kept).chain([schema.as_str()]);
        Self(format!("{address}?{}", parameters.collect::<Vec<_>>().join("&")))
    }

    /// The address, with this in the place of a password; without one that is left out.
    pub(super) fn shown(&self, password: Option<&str>) -> String {
        let (address, parameters) = self.0.split_once('?').unwrap_or((&self.0, ""));
        let (scheme, rest) = address.split_once("://").unwrap_or(("postgres", address));
        let mut shown = format!("{scheme}://");
        match rest.rsplit_once('@') {
            Some((user, place)) => {
                let (user, secret) =
                    user.split_once(':').map_or((user, None), |(user, _)| (user, password));
                let secret = secret.map_or_else(String::new, |word| format!(":{word}"));
                shown += &format!("{user}{secret}@{place}");
            }
            None => shown += rest,
        }
        let parameters = parameters.split('&').filter(|parameter| !parameter.is_empty());
        let parameters =
            parameters.filter_map(|parameter| match parameter.starts_with("password") {
                true => password.map(|word| format!("password={word}")),
                false => Some(parameter.to_owned()),
            });
        let parameters: Vec<_> = parameters.collect();
        if !parameters.is_empty() {
            shown += &format!("?{}", parameters.join("&"));
        }
        shown
    }
}

impl FromStr for PostgresUrl {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<PostgresConfig>()?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown(None))
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Turing's layout: the specification's tables, whose ids are numbers. The snapshots of postings are
/// those that SQL reads and writes.
pub fn configured(config: PostgresConfig) -> PostgresConfig {
    let snapshots = Some(posting_snapshots());
    let layout = Layout { ids: IdType::Int, snapshots, ..config.names().clone() };
    config.layout(layout).application_name(&program())
}

/// What the server tells others of this process: which it is, and on which host.
fn program() -> String {
    let program = format!("turing {}", std::process::id());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match host.trim() {
        "" => program,
        host => format!("{program} on {host}"),
    }
}

/// Where the snapshots of postings are.
fn posting_snapshots() -> SnapshotTable {
    let name = |text| Identifier::new(text).expect("the name keeps the rule");
    SnapshotTable {
        aggregate_type: Posting::TYPE.to_owned(),
        table: name("posting_state_snapshots"),
        id: name("posting_id"),
        version: name("event_sequence"),
        event: name("last_event_id"),
        schema: name("schema"),
        state: name("state"),
        taken_at: name("created_at"),
    }
}

/// The store's migrations, and then Turing's.
pub fn migrations(layout: &Layout) -> [Migrations; 2] {
    let table = Identifier::new("turing_migrations").expect("the name keeps the rule");
    [Migrations::of_store(layout), Migrations::new(layout, &table, &STEPS)]
}

/// What a database has of what this program needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// Nothing at all.
    Missing,
    /// So many of so many migrations.
    Behind(usize, usize),
    /// All of it.
    Complete,
    /// Migrations that this program does not know.
    Newer,
}

/// Looks at what the database has.
///
/// # Errors
///
/// When it cannot be reached.
pub async fn inspect(config: &PostgresConfig) -> Result<Schema, StoreError> {
    let (mut applied, mut known) = (0, 0);
    for migrations in migrations(config.names()) {
        let found = migrations.applied_to(config).await?;
        if found > migrations.count() {
            return Ok(Schema::Newer);
        }
        applied += found;
        known += migrations.count();
    }
    Ok(match applied {
        0 => Schema::Missing,
        applied if applied == known => Schema::Complete,
        applied => Schema::Behind(applied, known),
    })
}

/// Checks that the database has all that this program needs, and no more than it knows.
pub(super) async fn check(url: &PostgresUrl) -> Result<(), StoreError> {
    let config = url.config();
    match inspect(&config).await? {
        Schema::Complete => Ok(()),
        Schema::Newer => {
            for migrations in migrations(config.names()) {
                migrations.check(&config).await?;
            }
            Ok(())
        }
        schema => Err(not_migrated(url, schema)),
    }
}

/// Migrates a database in which nothing of a store is; one that has a store, or a part of one, stays
/// as it is.
///
/// # Errors
///
/// When a table is there that has the name of one of a store's: somebody must decide what becomes of
/// it. And when the database cannot be reached or changed.
pub async fn migrate_if_empty(url: &PostgresUrl) -> Result<(), StoreError> {
    let config = url.config();
    if inspect(&config).await? != Schema::Missing {
        return Ok(());
    }
    let place = config.place();
    let failed = |error| store_error("looking for tables", &place, error);
    let layout = config.names();
    let names: Vec<_> = OWN_TABLES.into_iter().chain([layout.events.as_str()]).collect();
    let mut connection = config.connect().await?;
    let mut transaction = connection.begin_with(config.begin_pinned()).await.map_err(failed)?;
    let found = sqlx::query(include_str!("postgres/first_table.sql"))
        .bind(layout.schema.as_str())
        .bind(names)
        .persistent(false)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    // the server notices in any case
    let _ = connection.close().await;
    if let Some(row) = found {
        let table: String = row.try_get(0).map_err(failed)?;
        let text = format!(
            "{place} has a table {table} that is not this program's, so the demo makes no store \
             there; use another database or schema, or make one in spite of it: {}",
            command(url)
        );
        return Err(StoreError::new(StoreErrorKind::NotAStore, text));
    }
    migrate(&config).await?;
    Ok(())
}

/// What a statement answers that folds events, for as long as that takes.
pub(crate) async fn answers(
    config: &PostgresConfig,
    statement: Query<'_, Postgres, PgArguments>,
    what: &str,
) -> Result<Vec<PgRow>, StoreError> {
    let place = config.place();
    let failed = |error| store_error(what, &place, error);
    let config = config.clone().statement_timeout(Duration::MAX);
    let mut connection = config.connect().await?;
    let begun = connection.begin_with(config.begin_pinned()).await;
    let mut transaction = begun.map_err(failed)?;
    let rows = statement.persistent(false).fetch_all(&mut *transaction).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    // the server notices in any case
    let _ = connection.close().await;
    Ok(rows)
}

/// Brings the database up to date and answers how many migrations that took.
///
/// # Errors
///
/// When it cannot be reached or changed, or a newer program has migrated it.
pub async fn migrate(config: &PostgresConfig) -> Result<usize, StoreError> {
    let config = configured(config.clone());
    let mut applied = 0;
    for migrations in migrations(config.names()) {
        applied += migrations.apply(&config).await?;
    }
    Ok(applied)
}

/// All migrations as one script for an empty database.
pub fn script(layout: &Layout) -> String {
    let [store, turing] = migrations(layout);
    format!("{}\n{}", store.script(), turing.script())
}

/// The command that migrates the database.
fn command(url: &PostgresUrl) -> String {
    command_on(&StoreUrl::Postgres(url.clone()), "migrate")
}

/// The refusal of a database that is not up to date, with the command that mends it.
fn not_migrated(url: &PostgresUrl, schema: Schema) -> StoreError {
    let place = url.config().place();
    let text = match schema {
        Schema::Behind(applied, known) => format!(
            "{place} has {applied} of the {known} migrations that this program needs; \
             bring it up to date: {}",
            command(url)
        ),
        _ => format!("there is no store in {place}; make one: {}", command(url)),
    };
    StoreError::new(StoreErrorKind::NotAStore, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        let table = [
            ("postgres://u:canary@h:5432/d", "postgres://u@h:5432/d"),
            (
                "postgresql://h/d?user=u&password=canary&pooled=true",
                "postgresql://h/d?user=u&pooled=true",
            ),
            ("postgres://u:can@ary:canary@h/d", "postgres://u@h/d"),
            ("postgres:///d?host=/run/postgresql", "postgres:///d?host=/run/postgresql"),
        ];
        for (text, shown) in table {
            let Ok(url) = text.parse::<PostgresUrl>() else { continue };
            assert_eq!(format!("{url} {url:?}"), format!("{shown} {shown}"));
        }
    }

    #[test]
    fn another_schema_is_the_only_difference() {
        let schema = "other".parse().unwrap();
        for (text, expected) in [
            ("postgres://u@h:5432/d", "postgres://u@h:5432/d?schema=other"),
            ("postgres:///d?schema=jobs&user=u", "postgres:///d?user=u&schema=other"),
        ] {
            let other = text.parse::<PostgresUrl>().unwrap().in_schema(&schema);
            assert_eq!(other.to_string(), expected);
            assert_eq!(other.config().names().schema, schema);
        }
    }

    #[test]
    fn the_scripts_name_every_table_by_its_schema() {
        let layout = Layout { schema: "jobs".parse().unwrap(), ..Layout::default() };
        let prefix = "turing".parse().unwrap();
        for script in [script(&layout), roles_script(&layout, &prefix)] {
            assert!(
                script.contains("\"jobs\".postings") && !script.contains("{schema}"),
                "{script}"
            );
            // the schema, and no publication
            let mut words = script.split(|c: char| !c.is_alphanumeric() && c != '_');
            assert!(!words.any(|word| word == "public"), "{script}");
        }
    }
}
