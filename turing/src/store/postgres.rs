//! Turing's database on PostgreSQL: the store's tables and its own.

use std::fmt;
use std::str::FromStr;

use es_core::{StoreError, StoreErrorKind};
use es_postgres::sqlx::{self, AssertSqlSafe, ConnectOptions, Connection};
use es_postgres::{ConfigError, IdType, Layout, Migrations, PostgresConfig, store_error};

/// Turing's own tables, beside the store's, oldest first.
const STEPS: [(&str, &str); 3] = [
    ("postings", include_str!("../../migrations/postgres/0001_postings.sql")),
    (
        "posting state projection",
        include_str!("../../migrations/postgres/0002_posting_state_projection.sql"),
    ),
    (
        "posting state snapshots",
        include_str!("../../migrations/postgres/0003_posting_state_snapshots.sql"),
    ),
];

/// The address of a PostgreSQL database; it shows itself without the password.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(String);

impl PostgresUrl {
    /// How the store there is opened.
    pub fn config(&self) -> PostgresConfig {
        configured(self.0.parse().expect("the address was read before"))
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
        let (address, parameters) = self.0.split_once('?').unwrap_or((&self.0, ""));
        let (scheme, rest) = address.split_once("://").unwrap_or(("postgres", address));
        write!(f, "{scheme}://")?;
        match rest.rsplit_once('@') {
            Some((user, place)) => {
                let user = user.split(':').next().unwrap_or_default();
                write!(f, "{user}@{place}")?;
            }
            None => f.write_str(rest)?,
        }
        let shown = parameters.split('&').filter(|parameter| !parameter.starts_with("password"));
        let shown: Vec<_> = shown.filter(|parameter| !parameter.is_empty()).collect();
        if !shown.is_empty() {
            write!(f, "?{}", shown.join("&"))?;
        }
        Ok(())
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Turing's layout: the specification's table, whose ids are numbers.
pub fn configured(config: PostgresConfig) -> PostgresConfig {
    let layout = Layout { ids: IdType::Int, ..config.names().clone() };
    let program = format!("turing {}", std::process::id());
    config.layout(layout).application_name(&program)
}

/// The store's migrations, and then Turing's.
pub fn migrations(layout: &Layout) -> [Migrations; 2] {
    [Migrations::of_store(layout), Migrations::new(layout, "turing_migrations", &STEPS)]
}

/// What a database has of what this program needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// Nothing at all.
    Missing,
    /// So many of so many migrations.
    Behind(usize, usize),
    /// All of it, or more than this program knows.
    Complete,
}

/// Looks at what the database has.
///
/// # Errors
///
/// When it cannot be reached.
pub async fn inspect(config: &PostgresConfig) -> Result<Schema, StoreError> {
    let (mut applied, mut known, mut is_complete) = (0, 0, true);
    for migrations in migrations(config.names()) {
        let found = migrations.applied_to(config).await?;
        applied += found.min(migrations.count());
        known += migrations.count();
        is_complete &= found >= migrations.count();
    }
    Ok(match applied {
        _ if is_complete => Schema::Complete,
        0 => Schema::Missing,
        applied => Schema::Behind(applied, known),
    })
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

/// The script that makes roles with no more rights than their work needs.
pub fn roles_script(layout: &Layout) -> String {
    include_str!("../../migrations/postgres/roles.sql")
        .replace("{schema}", layout.schema.as_str())
        .replace("{events}", layout.events.as_str())
}

/// Makes the roles, all or none.
///
/// # Errors
///
/// When the database is not migrated, or the user may not make roles.
pub async fn make_roles(config: &PostgresConfig) -> Result<(), StoreError> {
    let what = "making roles";
    let failed = |error| store_error(what, &config.place(), error);
    let mut connection = config.connect_options().connect().await.map_err(failed)?;
    let mut transaction = connection.begin().await.map_err(failed)?;
    let script = AssertSqlSafe(roles_script(config.names()));
    sqlx::raw_sql(script).execute(&mut *transaction).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)
}

/// The refusal of a database that is not up to date, with the command that mends it.
pub(super) fn not_migrated(url: &PostgresUrl, schema: Schema) -> StoreError {
    let place = url.config().place();
    let text = match schema {
        Schema::Behind(applied, known) => format!(
            "{place} has {applied} of the {known} migrations that this program needs; \
             bring it up to date: turing migrate --store '{url}'"
        ),
        _ => format!("there is no store in {place}; make one: turing migrate --store '{url}'"),
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
    fn the_scripts_name_every_table_by_its_schema() {
        let layout = Layout { schema: "jobs".parse().unwrap(), ..Layout::default() };
        for script in [script(&layout), roles_script(&layout)] {
            assert!(
                script.contains("\"jobs\".postings") && !script.contains("{schema}"),
                "{script}"
            );
            assert!(!script.contains("public"), "{script}");
        }
    }
}
