//! The inbox where it cannot have everything: somebody wrote into the store, or there is too much.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::Workspace;

/// So many postings, and a run that waits for a person with each.
fn waiting(postings: usize) -> Workspace {
    let workspace = Workspace::new();
    workspace.postings(postings);
    ask(&workspace);
    workspace
}

/// A run that waits for a person with each posting that is there.
fn ask(workspace: &Workspace) {
    let definition = "[workflow]\nid = 3001\nname = \"test\"\nentry = 10\n\
                      [[actors]]\nid = 10\nname = \"reviewer\"\ntype = \"human\"\n\
                      [[conversations]]\nid = 10\nname = \"review\"\nactor = 10\n\
                      input = \"{job_description}\"\n\
                      branches = [{}, { on = \"failure\" }]\n";
    workspace.file("workflow.toml", definition);
    workspace.run(&[]).expect_code(7);
}

/// Writes into the store what no program does.
fn write(workspace: &Workspace, sql: &str) {
    let store = Connection::open(workspace.path().join("turing.db")).unwrap();
    store.pragma_update(None, "ignore_check_constraints", true).unwrap();
    store.execute_batch("DROP TRIGGER execution_events_are_not_updated").unwrap();
    store.execute_batch(sql).unwrap();
}

fn inbox(workspace: &Workspace) -> Value {
    workspace.turing(&["inbox", "--json"]).expect_code(0).json()
}

fn postings(inbox: &Value) -> Vec<i64> {
    let tasks = inbox["tasks"].as_array().unwrap().iter();
    let mut postings: Vec<_> = tasks.map(|task| task["posting_id"].as_i64().unwrap()).collect();
    postings.sort_unstable();
    postings
}

#[test]
fn a_posting_whose_data_no_program_reads_keeps_nobody_from_the_inbox() {
    let workspace = waiting(2);
    write(&workspace, "UPDATE postings SET data = 'odd' WHERE posting_id = 1");
    let all = inbox(&workspace);
    assert_eq!(postings(&all), [1, 2]);
    let tasks = all["tasks"].as_array().unwrap();
    let odd = tasks.iter().find(|task| task["posting_id"] == 1).unwrap();
    let reason = odd["no_input"].as_str().unwrap();
    assert!(reason.contains("the data of posting 1 "), "{reason}");
    let shown = workspace.turing(&["inbox", "show", "1", "10"]).expect_code(0).stdout;
    assert!(shown.contains("what is asked cannot be said: the data of posting 1 "), "{shown}");
}

#[test]
fn a_posting_whose_past_cannot_be_read_is_named_and_the_others_are_listed() {
    let workspace = waiting(2);
    for posting in ["1", "2"] {
        let answer =
            ["answer", posting, "10", "--fail", "refused", "--because", "x", "--by", "anna"];
        workspace.turing(&answer).expect_code(0);
    }
    workspace.run(&[]).expect_code(0);
    workspace.run(&["--again"]).expect_code(7);
    write(
        &workspace,
        "UPDATE execution_events SET event_data = '[]'
         WHERE (aggregate_type, aggregate_id, aggregate_version) = ('posting', '1', 2)",
    );
    let all = inbox(&workspace);
    assert_eq!(postings(&all), [2]);
    let left_out = &all["left_out"][0];
    assert_eq!((&left_out["stream"], &left_out["version"]), (&json!("posting/1"), &json!(2)));
    let told = workspace.turing(&["inbox", "show", "1", "10"]).expect_code(1).stderr;
    let why = "what waits in posting 1 is not known, since event 2 of posting/1 cannot be read: ";
    assert!(told.contains(why), "{told}");
}

#[test]
fn a_run_whose_definition_cannot_be_read_is_named() {
    let workspace = waiting(1);
    write(
        &workspace,
        "UPDATE execution_events SET event_data = replace(event_data, 'reviewer', 'forger')
         WHERE aggregate_type = 'definition'",
    );
    let all = inbox(&workspace);
    assert!(postings(&all).is_empty(), "{all}");
    let run = workspace.runs()[0]["run_id"].clone();
    assert_eq!(all["unknown_runs"], json!([run]));
    let told = format!("of run {} it is not known what waits", run.as_str().unwrap());
    let list = workspace.turing(&["inbox"]).expect_code(0).stdout;
    assert!(list.contains(&told), "{list}");
    let ids = workspace.turing(&["inbox", "--ids"]).expect_code(0);
    assert!(ids.stdout.is_empty() && ids.stderr.contains(&told), "{ids:?}");
}

#[test]
fn nobody_answers_in_a_run_that_is_over_and_has_not_ended_the_posting() {
    let workspace = waiting(1);
    write(
        &workspace,
        "INSERT INTO execution_events
            (event_id, aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
         SELECT '00000000-0000-4000-8000-000000000001', aggregate_type, aggregate_id,
            aggregate_version + 1, 'workflow_failed',
            json_object('run_id', json_extract(event_data, '$.run_id'), 'workflow_id', 3001, 'error', 'x')
         FROM execution_events WHERE aggregate_type = 'workflow'",
    );
    assert!(postings(&inbox(&workspace)).is_empty());
    let (events, run) = (workspace.events(1), workspace.runs()[0]["run_id"].clone());
    let over = format!("posting 1 is open in run {}, which is over", run.as_str().unwrap());
    let fail = ["answer", "1", "10", "--fail", "refused", "--because", "x", "--by", "anna"];
    let claim = ["inbox", "claim", "1", "10", "--by", "anna"];
    for refused in [&fail[..], &claim[..]] {
        let told = workspace.turing(refused).expect_code(1).stderr;
        assert!(told.contains(&over), "{told}");
    }
    assert_eq!(workspace.events(1), events);
}

#[test]
fn a_question_of_several_lines_is_shown_as_it_was_written() {
    let workspace = Workspace::new();
    workspace.postings(1);
    let posting = r#"{"posting_id":1,"job_description":"one\n  two\u001b[31m"}"#;
    workspace.file("postings/001.json", posting);
    ask(&workspace);
    let listed = workspace.turing(&["inbox"]).expect_code(0).stdout;
    assert!(listed.contains("  asked: one⏎  two\\u{1b}[31m\n"), "{listed}");
    let shown = workspace.turing(&["inbox", "show", "1", "10"]).expect_code(0).stdout;
    assert!(shown.contains("  asked:\n    one\n      two\\u{1b}[31m\n"), "{shown}");
}

#[test]
fn ids_that_are_not_listed_are_told_beside_them() {
    let workspace = waiting(3);
    let ids = workspace.turing(&["inbox", "--ids", "--limit", "2"]).expect_code(0);
    assert_eq!(ids.stdout.lines().count(), 2, "{ids:?}");
    assert!(ids.stderr.contains("1 more; --limit N lists more of them"), "{ids:?}");
    let ids = workspace.turing(&["inbox", "--ids"]).expect_code(0);
    assert_eq!((ids.stdout.lines().count(), ids.stderr.as_str()), (3, ""));
}
