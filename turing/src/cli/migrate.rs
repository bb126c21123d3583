//! `turing migrate`: makes a PostgreSQL database into a store, and brings a store up to date.

use clap::Args;
use es_core::execution::{StoreError, StoreErrorKind};
use es_postgres::{Identifier, Layout, PostgresConfig};
use serde_json::json;

use super::output::Output;
use super::validate::tell;
use super::{Common, Failure, Verdict};
use crate::store::{Access, Store, StoreUrl, postgres};
use crate::validate::rights_of_others;

#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    #[command(flatten)]
    common: Common,
    /// Print the SQL instead of running it; needs no connection. It fits an empty database.
    #[arg(long)]
    print: bool,
    /// Make roles with no more rights than their work needs: turing_owner, turing_writer,
    /// turing_reader and turing_projector. Needs the right to make roles, and a migrated database.
    /// What it allows, and to whom, is in docs/postgresql.md.
    #[arg(long)]
    roles: bool,
    /// What the names of the roles begin with. Roles are of the whole server: where several of its
    /// databases have stores, give each its own.
    #[arg(long, value_name = "NAME", default_value = "turing", requires = "roles")]
    role_prefix: Identifier,
}

impl MigrateArgs {
    pub(super) fn only_looks(&self) -> bool {
        self.print
    }
}

pub(super) async fn execute(args: &MigrateArgs, output: &mut Output) -> Result<Verdict, Failure> {
    let url = args.common.store()?;
    let url = match url {
        StoreUrl::Postgres(url) => url,
        StoreUrl::Sqlite(_) if !args.print && !args.roles => {
            return update_file(&url, args.common.json, output).await;
        }
        StoreUrl::Sqlite(_) | StoreUrl::Memory => {
            return Err(Failure::NothingToMigrate { store: url.to_string() });
        }
    };
    let config = url.config();
    let layout: &Layout = config.names();
    let prefix = &args.role_prefix;
    match (args.print, args.roles) {
        (true, true) => output.text(postgres::roles_script(layout, prefix).trim_end()),
        (true, false) => output.text(postgres::script(layout).trim_end()),
        (false, true) => {
            postgres::make_roles(&config, prefix).await?;
            match args.common.json {
                true => output.json(&json!({ "roles": true })),
                false => tell_of_roles(prefix, &config, output).await?,
            }
        }
        (false, false) => {
            let applied = postgres::migrate(&config).await?;
            match (args.common.json, applied) {
                (true, _) => output.json(&json!({ "applied": applied })),
                (false, 0) => {
                    output.line(format_args!("nothing to do: {} is up to date", config.place()));
                }
                (false, applied) => {
                    let s = if applied == 1 { "" } else { "s" };
                    let place = config.place();
                    output.line(format_args!("{applied} migration{s} applied to {place}"));
                }
            }
        }
    }
    Ok(Verdict::Well)
}

/// What was made, what it takes from others, and what others have still.
async fn tell_of_roles(
    prefix: &Identifier,
    config: &PostgresConfig,
    output: &mut Output,
) -> Result<(), Failure> {
    let schema = &config.names().schema;
    output.line(format_args!(
        "the roles {prefix}_owner, {prefix}_writer, {prefix}_reader and {prefix}_projector are in {}",
        config.place()
    ));
    output.line(format_args!(
        "PUBLIC may not use the schema {schema} any more: logins of other applications need \
         GRANT USAGE ON SCHEMA {schema}, unless they have rights of their own on something in it"
    ));
    for finding in rights_of_others(config).await? {
        tell(&finding, output);
    }
    Ok(())
}

/// Brings an SQLite file up to date, as every command does that writes.
async fn update_file(
    url: &StoreUrl,
    is_json: bool,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let open = async |access| -> Result<(), StoreError> {
        Store::open(url, access).await?.close().await;
        Ok(())
    };
    let is_old = match open(Access::Read).await {
        Err(error) if error.kind() == StoreErrorKind::OlderSchema => true,
        answer => {
            answer?;
            false
        }
    };
    if is_old {
        open(Access::Existing).await?;
    }
    match (is_json, is_old) {
        (true, _) => output.json(&json!({ "migrated": is_old })),
        (false, true) => output.line(format_args!("{url} was brought up to date")),
        (false, false) => output.line(format_args!("nothing to do: {url} is up to date")),
    }
    Ok(Verdict::Well)
}
