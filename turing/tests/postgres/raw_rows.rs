//! Events that somebody wrote by hand and no program reads: they cost their posting, and are told.

use crate::database::{Database, turing};
use crate::support::Workspace;

#[test]
fn commands_go_on_beside_events_that_no_program_reads_and_validate_names_them() {
    let (workspace, database) = (Workspace::new(), Database::new());
    let url = database.url();
    turing(&workspace, &url, &["demo"]).expect_code(0);
    database.run(
        r#"ALTER TABLE execution_events DISABLE TRIGGER execution_events_check_row;
           INSERT INTO postings (posting_id) VALUES (901), (902), (903), (906);
           INSERT INTO execution_events
               (aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata)
           VALUES
               ('posting', 901, 1, 'script_execution_completed', '{"output": {"$serde_json::private::RawValue": "1"}}', '{"conversation_id": 1}'),
               ('posting', 902, 1, 'Anything goes', '[]', '{"n": 1e400}'),
               ('posting', 903, 1, 'posting_terminal', '{}', '{"event_version": {"$serde_json::private::RawValue": 5}}'),
               ('posting', 906, 1, 'script_execution_completed', '{"output": 1e400}', '{"conversation_id": 1}'),
               ('somebody', 904, 1, 'x', '{"n": -1e400}', NULL),
               ('Odd Name', 905, 1, 'x', '{}', '{"correlation_id": "workflow_3001_posting_12345"}'),
               ('workflow', 3999, 1, 'workflow_started', '"odd"', NULL);
           ALTER TABLE execution_events ENABLE ALWAYS TRIGGER execution_events_check_row"#,
    );
    for arguments in [
        &["projection", "list"][..],
        &["runs"],
        &["runs", "--json"],
        &["events", "posting", "901"],
        &["events", "posting", "902", "--json"],
        &["events", "posting", "12345"],
        &["state", "posting", "12345"],
        &["trace", "workflow_3001_posting_12345"],
        &["demo"],
    ] {
        turing(&workspace, &url, arguments).expect_code(0);
    }
    // a number that no store takes is read by both, and kept by SQL only
    let state = ["state", "posting", "906", "--json"];
    for is_kept in [1, 0] {
        let state = turing(&workspace, &url, &state).expect_code(0).stdout;
        assert!(state.contains(&format!("1{}", "0".repeat(400))), "{state}");
        let keep = "SELECT maybe_create_snapshot(906, 1)::int::text";
        assert_eq!(database.number(keep), is_kept);
    }
    // also what is of no stream that can be named
    let traced = turing(&workspace, &url, &["trace", "workflow_3001_posting_12345"]).expect_code(0);
    assert!(traced.stdout.contains("unreadable/Odd Name/905"), "{}", traced.stdout);
    // a model parked one of them, and says so
    let listed = turing(&workspace, &url, &["projection", "list"]).expect_code(1).stdout;
    assert!(listed.contains("turing projection parked conversation_statistics"), "{listed}");
    let runs = turing(&workspace, &url, &["runs"]).expect_code(0).stdout;
    assert!(runs.contains("left out, because they cannot be read: workflow/3999 1"), "{runs}");
    let runs = turing(&workspace, &url, &["runs", "--json"]).expect_code(0).json();
    assert_eq!(runs["left_out"][0]["stream"], "workflow/3999", "{runs}");
    let told = turing(&workspace, &url, &["validate"]).expect_code(0).stdout;
    for stream in ["posting 901", "posting 902", "posting 903", "somebody 904", "workflow 3999"] {
        let line = format!("warning [event_unreadable] {stream}: ");
        assert_eq!(told.matches(&line).count(), 1, "{told}");
    }
    assert!(!told.contains("posting 906"), "{told}");
}
