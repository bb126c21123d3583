//! A database that a program of the past made, as `pg_dump` wrote it.

use crate::database::{Database, turing};
use crate::support::old_store;

#[test]
fn a_database_of_an_older_program_is_migrated_and_its_run_goes_on() {
    let (workspace, database) = (old_store::workspace(), Database::new());
    database.run(include_str!("../fixtures/old_store/postgres.sql"));
    // of no run, with a reason whose keys stand in another order since
    database.run(
        r#"INSERT INTO postings (posting_id) VALUES (9);
           INSERT INTO execution_events
               (aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
           VALUES ('posting', 9, 1, 'posting_terminal', '{"reason": {"aa": 1, "b": 1.50}}')"#,
    );
    let reason = "SELECT terminal ->> 'reason' FROM posting_state_projection WHERE posting_id = 9";
    assert_eq!(database.texts(reason), [r#"{"aa":1,"b":1.50}"#]);
    let url = database.url();
    turing(&workspace, &url, &["migrate"]).expect_code(0);
    assert_eq!(database.texts(reason), [r#"{"b":1.50,"aa":1}"#]);

    let turing = |arguments: &[&str]| {
        let mut command = workspace.command(arguments);
        command.env("TURING_STORE", &url);
        command
    };
    let [schema, state] = old_store::rounded(turing);
    database.run(&format!(
        "INSERT INTO posting_state_snapshots
             (posting_id, event_sequence, state, schema, last_event_id)
         SELECT 1, 3, '{state}', '{schema}', event_id FROM execution_events
         WHERE aggregate_type = 'posting' AND aggregate_id = 1 AND aggregate_version = 3"
    ));
    old_store::check_rounded(turing);
    let forget = include_str!("../../migrations/postgres/0100_posting_event_kind.sql");
    database.run(&forget.replace("{schema}", "public"));
    assert_eq!(database.number("SELECT count(*)::text FROM posting_state_snapshots"), 0);
    old_store::check(&workspace, turing);
}
