//! A file that a program of the past made.

use crate::support::old_store;

#[test]
fn a_file_of_an_older_program_is_read_and_its_run_goes_on() {
    let workspace = old_store::workspace();
    let restored = rusqlite::Connection::open(workspace.path().join("turing.db")).unwrap();
    restored.execute_batch(include_str!("../fixtures/old_store/sqlite.sql")).unwrap();
    restored.pragma_update(None, "journal_mode", "wal").unwrap();
    let migrated: crate::support::Answer = workspace.command(&["migrate"]).output().unwrap().into();
    migrated.expect_code(0);
    let turing = |arguments: &[&str]| workspace.command(arguments);
    let kept = "INSERT INTO snapshots (aggregate_type, aggregate_id, aggregate_version, created_at,
            schema, state, last_event_id)
        SELECT 'posting', '1', 3, created_at, ?1, ?2, event_id FROM execution_events
        WHERE aggregate_type = 'posting' AND aggregate_id = '1' AND aggregate_version = 3";
    assert_eq!(restored.execute(kept, old_store::rounded(turing)).unwrap(), 1);
    drop(restored);
    old_store::check_rounded(turing);
    // so may rows have
    let rebuild = ["projection", "rebuild", "posting_state", "--switch"];
    let listed = workspace.turing(&["projection", "list"]).expect_code(1).stdout;
    assert!(listed.contains(&format!("turing {}", rebuild.join(" "))), "{listed}");
    workspace.turing(&rebuild).expect_code(0);
    old_store::check(&workspace, turing);
}
