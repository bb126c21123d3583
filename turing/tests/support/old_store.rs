//! What must be true of a store that a program of the past made: a run of three postings, of which
//! the third failed at its second conversation.

use std::process::Command;

use serde_json::json;

use super::{Answer, RUN, Workspace, names};

/// The folder in which the run was.
pub(crate) fn workspace() -> Workspace {
    let workspace = Workspace::new();
    for id in 1..=3 {
        let text = format!("Stelle {id}: Bäcker (m/w/d), 2500,50 €");
        let posting = json!({ "posting_id": id, "job_description": text });
        workspace.file(&format!("postings/00{id}.json"), posting.to_string());
    }
    workspace.file("workflow.toml", include_str!("../fixtures/old_store/workflow.toml"));
    workspace.script("a.sh", "cat");
    // it works now
    workspace.script("b.sh", "cat");
    workspace
}

/// Looks at everything, then has the present program go on with the run.
pub(crate) fn check(workspace: &Workspace, turing: impl Fn(&[&str]) -> Command) {
    let ask = |arguments: &[&str]| -> Answer { turing(arguments).output().unwrap().into() };
    ask(&["validate"]).expect_code(0);
    let runs = ask(&["runs", "--json"]).expect_code(0).json()["runs"].take();
    assert_eq!(runs.as_array().unwrap().len(), 1);
    let events = ask(&["events", "posting", "3", "--json"]).expect_code(0).json_lines();
    assert_eq!(*names(&events).last().unwrap(), "posting_terminal", "{events:#?}");
    for posting in ["1", "2"] {
        let now = ask(&["state", "posting", posting, "--json"]).expect_code(0).json();
        assert_eq!(now["state"]["is_terminal"], true);
        // through the snapshots at 3 and 6, and without one
        for version in ["2", "4", "6"] {
            ask(&["state", "posting", posting, "--at-version", version]).expect_code(0);
        }
    }
    let shown = ask(&["projection", "show", "run_progress", "--json"]).expect_code(0);
    assert!(shown.stdout.contains(runs[0]["run_id"].as_str().unwrap()), "{shown:#?}");
    ask(&["projection", "run", "--once"]).expect_code(0);
    ask(&["snapshot", "list"]).expect_code(0);

    let nothing = ask(&RUN).expect_code(1);
    assert!(nothing.stdout.starts_with("Nothing to do"), "{nothing:#?}");
    ask(&["run", "retry", "--workflow", "workflow.toml"]).expect_code(0);
    let again = ask(&[&RUN[..], &["--json"]].concat()).expect_code(0).json();
    assert_eq!(again["open"], 0);
    let healed = ask(&["state", "posting", "3", "--json"]).expect_code(0).json();
    assert_eq!(healed["state"]["is_terminal"], true, "{healed:#}");
    workspace.file("postings/004.json", r#"{"posting_id": 4, "job_description": "new"}"#);
    ask(&[&RUN[..], &["--again"]].concat()).expect_code(0);
    ask(&["projection", "run", "--once"]).expect_code(0);
    ask(&["validate"]).expect_code(0);
}
