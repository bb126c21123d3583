//! What must be true of a store that a program of the past made: a run of three postings, of which
//! the third failed at its second conversation.

use std::process::Command;

use es_core::execution::Snapshotted;
use serde_json::json;
use turing_domain::Posting;

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

/// The schema and the text of a state of posting 1 after three events in which an older program has
/// rounded an output.
pub(crate) fn rounded(turing: impl Fn(&[&str]) -> Command) -> [String; 2] {
    let at = ["state", "posting", "1", "--at-version", "3", "--json"];
    let answer: Answer = turing(&at).output().unwrap().into();
    let mut state = answer.expect_code(0).json()["state"].take();
    state["outputs"] = json!({ "10": 1.2345678901234568e22 });
    [Posting::fingerprint().replace(" r3 ", " r2 "), state.to_string()]
}

/// Nothing is taken from such a state.
pub(crate) fn check_rounded(turing: impl Fn(&[&str]) -> Command) {
    for version in ["3", "4"] {
        let at = ["state", "posting", "1", "--at-version", version, "--json"];
        let answer: Answer = turing(&at).output().unwrap().into();
        let state = answer.expect_code(0).json()["state"].take();
        assert!(state["outputs"]["10"].is_string(), "{state:#}");
    }
    let told: Answer = turing(&["validate"]).output().unwrap().into();
    assert!(told.stdout.contains("[snapshot_of_another_schema] posting 1: "), "{told:#?}");
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

    // which is not kept in it
    let told = ask(&["run", "show", "--definition"]).expect_code(2).stderr;
    assert!(told.contains("is not in this store") && told.contains("begins with "), "{told}");

    let nothing = ask(&RUN).expect_code(1);
    assert!(nothing.stdout.starts_with("Nothing to do"), "{nothing:#?}");
    ask(&["run", "retry", "--workflow", "workflow.toml"]).expect_code(0);
    let kept = ask(&["run", "show", "--definition"]).expect_code(0).stdout;
    assert_eq!(kept, workspace.workflow());
    let again = ask(&[&RUN[..], &["--json"]].concat()).expect_code(0).json();
    assert_eq!((&again["added_events"], &again["postings"]), (&json!(0), &json!(3)));
    assert_eq!(again["ended"][0]["reason"], "completed");
    let healed = ask(&["state", "posting", "3", "--json"]).expect_code(0).json();
    assert_eq!(healed["state"]["is_terminal"], true, "{healed:#}");
    workspace.file("postings/004.json", r#"{"posting_id": 4, "job_description": "new"}"#);
    ask(&[&RUN[..], &["--again"]].concat()).expect_code(0);
    ask(&["projection", "run", "--once"]).expect_code(0);
    ask(&["validate"]).expect_code(0);
}
