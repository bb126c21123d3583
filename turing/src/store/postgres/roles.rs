//! The roles of a store, and what is theirs.

use es_core::execution::StoreError;
use es_postgres::sqlx::{self, AssertSqlSafe, Connection};
use es_postgres::{Identifier, Layout, Migrations, PostgresConfig, store_error};

use super::{OWN_TABLES, migrations};

/// What the names of the store's tables and views end with, behind that of the events.
const STORE_TABLES: [&str; 9] = [
    "",
    "_migrations",
    "_snapshots",
    "_watermark",
    "_projection_models",
    "_projection_slices",
    "_projection_rows",
    "_projection_parked",
    "_projection_active",
];

/// The tables and views that the migrations make, except that of postings, which may be the
/// application's own.
pub(crate) fn tables(layout: &Layout) -> Vec<String> {
    let of_store = STORE_TABLES.iter().map(|end| format!("{}{end}", layout.events));
    let own = OWN_TABLES.iter().filter(|table| **table != "postings").map(|table| (*table).into());
    of_store.chain(own).chain(["turing_migrations".to_owned()]).collect()
}

/// The functions that the migrations make.
pub(crate) fn functions(layout: &Layout) -> Vec<String> {
    migrations(layout).iter().flat_map(Migrations::functions).collect()
}

/// The script that makes roles with no more rights than their work needs; their names begin with
/// the prefix. It is one transaction.
pub fn roles_script(layout: &Layout, prefix: &Identifier) -> String {
    include_str!("../../../migrations/postgres/roles.sql")
        .replace("{schema}", layout.schema.as_str())
        .replace("{events}", layout.events.as_str())
        .replace("{roles}", prefix.as_str())
        .replace("{functions}", &functions(layout).join("', '"))
        .replace("{tables}", &tables(layout).join("', '"))
}

/// Makes the roles, all or none.
///
/// # Errors
///
/// When the database is not migrated, the user may not make roles, roles of these names have rights
/// elsewhere on the server, or somebody else has made something of a name of the store's.
pub async fn make_roles(config: &PostgresConfig, prefix: &Identifier) -> Result<(), StoreError> {
    let what = "making roles";
    let failed = |error| store_error(what, &config.place(), error);
    let mut connection = config.connect().await?;
    // the script is a transaction
    let script = AssertSqlSafe(roles_script(config.names(), prefix));
    sqlx::raw_sql(script).execute(&mut connection).await.map_err(failed)?;
    // the server notices in any case
    let _ = connection.close().await;
    Ok(())
}
