//! Events that no program reads in the streams of actors and conversations: a run goes on.

use rusqlite::Connection;
use serde_json::json;

use crate::support::{END, Workspace};

/// A workspace whose actor fails once in each posting, and into whose store somebody wrote.
fn written(rows: &str) -> Workspace {
    let workspace = Workspace::new();
    workspace.postings(2);
    workspace.script("flaky.sh", "grep -q '\"attempt\":1,' && exit 143; echo ok");
    // a run of another definition makes the store
    workspace.definition(20, &[(20, "flaky", END)]);
    workspace.run(&[]).expect_code(0);
    workspace.definition(10, &[(10, "flaky", END)]);
    let store = Connection::open(workspace.path().join("turing.db")).unwrap();
    store.pragma_update(None, "ignore_check_constraints", true).unwrap();
    let insert = "INSERT INTO execution_events
        (event_id, aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
        VALUES";
    store.execute_batch(&format!("{insert} {rows}")).unwrap();
    workspace
}

#[test]
fn an_unreadable_breaker_or_wave_is_done_without_and_told() {
    let rows = r#"
        ('00000000-0000-4000-8000-000000000001', 'actor', '10', 1, 'circuit_breaker_opened',
         '{"failure_count":1.5,"retry_at":"2020-01-01T00:00:00Z"}'),
        ('00000000-0000-4000-8000-000000000002', 'conversation', '10', 1, 'conversation_started',
         '[]')"#;
    let workspace = written(rows);
    let answer = workspace.run(&["--json"]).expect_code(0);
    for told in [
        "goes on without the circuit breaker of actor 10: event 1 of actor/10 cannot be read",
        "goes on without a record of the waves of conversation 10: event 1 of conversation/10",
    ] {
        assert!(answer.stderr.contains(told), "{answer:#?}");
    }
    let report = answer.json();
    assert_eq!((&report["open"], &report["postings"]), (&json!(0), &json!(2)), "{report}");
    let without: Vec<_> =
        report["without"].as_array().unwrap().iter().map(|without| &without["what"]).collect();
    let expected = ["the circuit breaker of actor 10", "a record of the waves of conversation 10"];
    assert_eq!(without, expected, "each once, and not only on standard error");
    let told = workspace.turing(&["validate"]).expect_code(0).stdout;
    for stream in ["actor 10", "conversation 10"] {
        assert!(told.contains(&format!("[event_unreadable] {stream}: ")), "{told}");
    }
}

#[test]
fn a_posting_that_cannot_go_on_is_a_finding_and_no_stop() {
    let workspace = written(
        "('00000000-0000-4000-8000-000000000004', 'posting', '1',
          (SELECT max(aggregate_version) + 1 FROM execution_events
           WHERE aggregate_type = 'posting' AND aggregate_id = '1'), 'posting_entered_run', '[]')",
    );
    let answer = workspace.run(&[]).expect_code(1);
    assert!(answer.stdout.contains("1 of the open postings cannot go on"), "{answer:#?}");
    assert!(answer.stdout.contains("\nnot finished; run the same command"), "{answer:#?}");
}

#[test]
fn a_finding_that_many_streams_have_is_told_once_with_examples() {
    let workspace =
        written("('00000000-0000-4000-8000-000000000003', 'note', '1', 1, 'noted', '{}')");
    let store = Connection::open(workspace.path().join("turing.db")).unwrap();
    let earlier = "WITH RECURSIVE stream (id) AS (SELECT 2 UNION ALL SELECT id + 1 FROM stream WHERE id < 21),
            version (number, at) AS (
                VALUES (1, '2020-01-02 00:00:00.000000'), (2, '2020-01-01 00:00:00.000000')
            )
        INSERT INTO execution_events
            (aggregate_type, aggregate_id, aggregate_version, event_type, event_data, created_at)
        SELECT 'note', id, number, 'noted', '{}', at FROM version, stream ORDER BY number, id";
    assert_eq!(store.execute(earlier, []).unwrap(), 40);
    drop(store);
    let told = workspace.turing(&["validate"]).expect_code(0).stdout;
    let lines: Vec<_> = told.lines().collect();
    assert!(lines[0].starts_with("warning [clock_reversed]: 20 findings of this kind;"), "{told}");
    assert_eq!(told.matches("warning [clock_reversed] note ").count(), 3, "{told}");
    assert_eq!(lines[4..], ["0 errors, 20 warnings"], "{told}");
    let all = workspace.turing(&["validate", "--all"]).expect_code(0).stdout;
    assert_eq!(all.matches("warning [clock_reversed] note ").count(), 20, "{all}");
    let json = workspace.turing(&["validate", "--json"]).expect_code(0).json();
    assert_eq!(json.as_array().unwrap().len(), 20, "{json}");
}
