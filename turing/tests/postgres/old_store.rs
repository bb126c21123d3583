//! A database that a program of the past made, as `pg_dump` wrote it.

use crate::database::{Database, turing};
use crate::support::old_store;

#[test]
fn a_database_of_an_older_program_is_migrated_and_its_run_goes_on() {
    let (workspace, database) = (old_store::workspace(), Database::new());
    database.run(include_str!("../fixtures/old_store/postgres.sql"));
    let url = database.url();
    turing(&workspace, &url, &["migrate"]).expect_code(0);
    old_store::check(&workspace, |arguments| {
        let mut command = workspace.command(arguments);
        command.env("TURING_STORE", &url);
        command
    });
}
