//! A file that a program of the past made.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

mod support;

use support::old_store;

#[test]
fn a_file_of_an_older_program_is_read_and_its_run_goes_on() {
    let workspace = old_store::workspace();
    let restored = rusqlite::Connection::open(workspace.path().join("turing.db")).unwrap();
    restored.execute_batch(include_str!("fixtures/old_store/sqlite.sql")).unwrap();
    restored.pragma_update(None, "journal_mode", "wal").unwrap();
    drop(restored);
    let migrated: support::Answer = workspace.command(&["migrate"]).output().unwrap().into();
    migrated.expect_code(0);
    old_store::check(&workspace, |arguments| workspace.command(arguments));
}
