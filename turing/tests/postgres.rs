//! Turing on PostgreSQL: every command, the specification's SQL, roles, migrations, bad addresses.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

mod support;

#[path = "postgres/addresses.rs"]
mod addresses;
#[path = "postgres/append_event.rs"]
mod append_event;
#[path = "postgres/attacks.rs"]
mod attacks;
#[path = "postgres/away.rs"]
mod away;
#[path = "postgres/beside.rs"]
mod beside;
#[path = "postgres/commands.rs"]
mod commands;
#[path = "postgres/cutover_sql.rs"]
mod cutover_sql;
#[path = "postgres/database.rs"]
mod database;
#[path = "postgres/encryption.rs"]
mod encryption;
#[path = "postgres/guides.rs"]
mod guides;
#[path = "postgres/histories.rs"]
mod histories;
#[path = "postgres/lock.rs"]
mod lock;
#[path = "postgres/long_postings.rs"]
mod long_postings;
#[path = "postgres/long_runs.rs"]
mod long_runs;
#[path = "postgres/looking_back.rs"]
mod looking_back;
#[path = "postgres/migrate.rs"]
mod migrate;
#[path = "postgres/old_store.rs"]
mod old_store;
#[path = "postgres/planted.rs"]
mod planted;
#[path = "postgres/projected.rs"]
mod projected;
#[path = "postgres/python.rs"]
mod python;
#[path = "postgres/raw_rows.rs"]
mod raw_rows;
#[path = "postgres/read_models.rs"]
mod read_models;
#[path = "postgres/read_models_cli.rs"]
mod read_models_cli;
#[path = "postgres/rebuild.rs"]
mod rebuild;
#[path = "postgres/roles.rs"]
mod roles;
#[path = "postgres/round_trips.rs"]
mod round_trips;
#[path = "postgres/settings.rs"]
mod settings;
#[path = "postgres/snapshots.rs"]
mod snapshots;
#[path = "postgres/specification.rs"]
mod specification;
#[path = "postgres/trigger.rs"]
mod trigger;
#[path = "postgres/validate.rs"]
mod validate;
