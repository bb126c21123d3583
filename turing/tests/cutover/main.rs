//! The cutover from an old system's tables, from the outside: every phase and every way back, while
//! programs write, are killed, and do what they should not.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

#[path = "../support/mod.rs"]
mod support;

#[path = "../postgres/database.rs"]
#[allow(dead_code, reason = "the tests of PostgreSQL use all of it")]
mod database;

mod archives;
mod compare;
mod dry_run;
mod emptied;
mod hands;
mod kills;
mod large;
mod mappings;
mod migration;
mod order;
mod planted;
mod rights;
mod scene;
mod steps;
mod writers;
