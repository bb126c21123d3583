//! Stores in files: what is told of damage.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

mod support;

use std::fs;

use rusqlite::Connection;
use support::Workspace;

const END: &str = "input = \"{job_description}\"\n[[conversations.branches]]\n";

fn workspace(body: &str) -> Workspace {
    let workspace = Workspace::new();
    workspace.postings(2);
    workspace.script("check.sh", body);
    workspace.definition(10, &[(10, "check", END)]);
    workspace
}

#[test]
fn entries_that_an_index_lacks_are_told_with_the_command_that_mends_them() {
    let workspace = workspace("echo ok");
    workspace.run(&[]).expect_code(0);
    let path = workspace.path().join("turing.db");
    let store = Connection::open(&path).unwrap();
    store
        .execute_batch(
            "CREATE INDEX mine ON execution_events (event_type) WHERE event_type IS NULL;
             PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET sql = replace(sql, ' WHERE event_type IS NULL', '')
             WHERE name = 'mine';
             PRAGMA writable_schema = RESET",
        )
        .unwrap();
    drop(store);
    let told = workspace.turing(&["validate"]).expect_code(1).stdout;
    assert!(told.contains("[file_damaged]") && told.contains("index mine"), "{told}");
    assert!(told.contains("turing.db' REINDEX;"), "{told}");
    Connection::open(&path).unwrap().execute_batch("REINDEX").unwrap();
    workspace.turing(&["validate"]).expect_code(0);
}

#[test]
fn damage_of_a_table_is_told_with_where_to_look_for_the_cure() {
    let workspace = workspace("echo ok");
    workspace.run(&[]).expect_code(0);
    let path = workspace.path().join("turing.db");
    let store = Connection::open(&path).unwrap();
    let table = "SELECT rootpage FROM sqlite_schema WHERE name = 'snapshots'";
    let page: usize = store.query_row(table, [], |row| row.get(0)).unwrap();
    let size: usize = store.pragma_query_value(None, "page_size", |row| row.get(0)).unwrap();
    drop(store);
    let mut bytes = fs::read(&path).unwrap();
    bytes[(page - 1) * size..page * size].fill(0xA5);
    fs::write(&path, bytes).unwrap();
    let told = workspace.turing(&["validate"]).expect_code(1).stdout;
    assert!(told.contains("[file_damaged]"), "{told}");
    assert!(told.contains("repair: restore a backup over"), "{told}");
}
