//! Turing on PostgreSQL: every command, the specification's SQL, roles, migrations, bad addresses.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

mod support;

#[path = "postgres/addresses.rs"]
mod addresses;
#[path = "postgres/commands.rs"]
mod commands;
#[path = "postgres/database.rs"]
mod database;
#[path = "postgres/looking_back.rs"]
mod looking_back;
#[path = "postgres/migrate.rs"]
mod migrate;
#[path = "postgres/roles.rs"]
mod roles;
#[path = "postgres/specification.rs"]
mod specification;
