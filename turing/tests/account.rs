//! `turing run show`, `turing run retry`, and one process at a time.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

mod support;

use std::fs;
use std::process::Stdio;

use serde_json::json;
use support::{PROGRAM_PID, RUN, Workspace};

const END: &str = "input = \"{job_description}\"\n[[conversations.branches]]\n";

/// Four postings; the second one's script fails as long as there is a file `ill`.
fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.postings(4);
    workspace.script("check.sh", "if grep -q 'advert 2' && [ -e ill ]; then exit 3; fi; echo ok");
    workspace.definition(10, &[(10, "check", END)]);
    workspace
}

#[test]
fn the_account_counts_what_the_events_say() {
    let workspace = workspace();
    workspace.file("ill", "");
    workspace.run(&[]).expect_code(1);
    let account = workspace.turing(&["run", "show", "--json"]).expect_code(0).json();
    assert_eq!(account["status"], "completed");
    assert_eq!((&account["postings"], &account["open"]), (&json!(4), &json!(0)));
    assert_eq!(account["ended"], json!({"completed": 3, "actor_failed": 1}));
    let conversation = &account["conversations"]["10"];
    assert_eq!(conversation["done"], 3);
    assert_eq!(conversation["failed"], json!({"script_error": 1}));
    assert!(conversation["p50_ms"].as_u64() <= conversation["p95_ms"].as_u64());
    let text = workspace.turing(&["run", "show"]).expect_code(0).stdout;
    assert!(text.contains("4 postings, 4 ended (3 completed, 1 actor_failed), 0 open"), "{text}");
}

#[test]
fn a_run_that_was_interrupted_shows_where_its_postings_stand() {
    let workspace = workspace();
    workspace.script("check.sh", &format!("kill -9 {PROGRAM_PID}"));
    workspace.run(&["--parallel", "1"]);
    let account = workspace.turing(&["run", "show", "--json"]).expect_code(0).json();
    assert_eq!((&account["status"], &account["open"]), (&json!("in_progress"), &json!(4)));
    assert_eq!(account["conversations"]["10"]["open"], 4);
    let answer = workspace.turing(&["run", "retry", "--workflow", "workflow.toml"]).expect_code(6);
    assert!(answer.stderr.contains("is in progress"), "{answer:#?}");
}

#[test]
fn only_what_failed_is_run_once_more() {
    let workspace = workspace();
    workspace.file("ill", "");
    workspace.run(&[]).expect_code(1);
    fs::remove_file(workspace.path().join("ill")).unwrap();
    let before = workspace.events(1).len();
    let retry = ["run", "retry", "--workflow", "workflow.toml", "--json"];
    let report = workspace.turing(&retry).expect_code(0).json();
    assert_eq!((&report["postings"], &report["open"]), (&json!(1), &json!(0)));
    assert_eq!(workspace.state(2)["terminal"]["reason"], "completed");
    assert_eq!(workspace.events(1).len(), before);
    let again = workspace.turing(&retry).expect_code(1);
    assert!(again.stderr.contains("has no failed posting"), "{again:#?}");
}

#[test]
fn a_run_in_which_everything_failed_is_retried_whole() {
    let workspace = workspace();
    workspace.script("check.sh", "exit 3");
    // four failures in a row: one less than open the breaker
    for name in ["003.json", "004.json"] {
        fs::remove_file(workspace.path().join("postings").join(name)).unwrap();
    }
    workspace.run(&[]).expect_code(1);
    let retry = ["run", "retry", "--workflow", "workflow.toml", "--json"];
    let report = workspace.turing(&retry).expect_code(1).json();
    assert_eq!(report["postings"], 2);
    assert_eq!(workspace.runs().as_array().unwrap().len(), 2);
}

/// A second workflow over the same postings.
fn other_workflow(workspace: &Workspace) {
    let text = fs::read_to_string(workspace.path().join("workflow.toml")).unwrap();
    workspace.file("other.toml", text.replace("id = 3001", "id = 4001"));
}

#[test]
fn a_posting_that_is_busy_elsewhere_fails_the_run_and_blocks_nothing() {
    let workspace = workspace();
    other_workflow(&workspace);
    workspace.script("check.sh", &format!("kill -9 {PROGRAM_PID}"));
    workspace.run(&["--parallel", "1"]);
    workspace.script("check.sh", "echo ok");
    let other = ["run", "--workflow", "other.toml", "--postings", "postings"];
    let answer = workspace.turing(&other).expect_code(6);
    assert!(answer.stderr.contains("is still in run"), "{answer:#?}");
    workspace.run(&[]).expect_code(0);
    workspace.turing(&other).expect_code(0);
    let runs = workspace.runs();
    let statuses: Vec<_> =
        runs.as_array().unwrap().iter().map(|run| run["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["completed", "failed", "completed"]);
}

#[test]
fn postings_of_an_abandoned_run_are_free_for_other_workflows() {
    let workspace = workspace();
    other_workflow(&workspace);
    workspace.script("check.sh", &format!("kill -9 {PROGRAM_PID}"));
    workspace.run(&["--parallel", "1"]);
    workspace.script("check.sh", "echo ok");
    fs::rename(workspace.path().join("postings/004.json"), workspace.path().join("004.json"))
        .unwrap();
    workspace.run(&["--abandon"]).expect_code(0);
    let other = ["run", "--workflow", "other.toml", "--postings", "004.json"];
    workspace.turing(&other).expect_code(0);
}

#[test]
fn a_run_that_is_not_there_is_named() {
    let workspace = workspace();
    workspace.run(&[]).expect_code(0);
    let id = "0193a1d4-0000-7000-8000-000000000001";
    let answer = workspace.turing(&["run", "show", id]).expect_code(1);
    assert!(answer.stderr.contains(&format!("there is no run {id}")), "{answer:#?}");
    workspace.turing(&["run", "show", "seven"]).expect_code(2);
}

#[test]
fn a_second_process_is_refused_by_name_while_the_first_runs() {
    let workspace = workspace();
    // the script waits until the test has asked a second time
    workspace.script("check.sh", "touch begun; while [ ! -e asked ]; do sleep 0.01; done; echo ok");
    let mut command = workspace.command(&RUN);
    let mut first = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !workspace.path().join("begun").exists() {
        assert!(first.try_wait().unwrap().is_none(), "the first run ended early");
        std::thread::yield_now();
    }
    let second = workspace.run(&[]);
    workspace.file("asked", "");
    assert!(first.wait().unwrap().success());
    let second = second.expect_code(4);
    let told = format!("is being run in this store by process {}", first.id());
    assert!(second.stderr.contains(&told), "{}", second.stderr);
    workspace.run(&[]).expect_code(0);
}
