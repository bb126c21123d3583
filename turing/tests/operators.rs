//! What operators do: share postings, correct a typo, look at the end of a pipe, ask twice.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

mod support;

use std::fs;
use std::process::Stdio;

use serde_json::json;
use support::{PROGRAM_PID, RUN, Workspace, names};

const END: &str = "input = \"{job_description}\"\n[[conversations.branches]]\n";

fn workspace(body: &str) -> Workspace {
    let workspace = Workspace::new();
    workspace.postings(4);
    workspace.script("check.sh", body);
    workspace.definition(10, &[(10, "check", END)]);
    workspace
}

#[test]
fn a_posting_that_another_workflow_took_meanwhile_stays_ended_in_the_run_that_goes_on() {
    // the program is killed when it comes to the third posting
    let workspace = workspace(&format!(
        "if grep -q 'advert 3' && [ ! -e healed ]; then kill -9 {PROGRAM_PID}; exit 1; fi\n\
             echo $$ >> calls; echo ok"
    ));
    workspace.run(&["--parallel", "1"]);
    assert_eq!(names(&workspace.events(1)).last(), Some(&"posting_terminal"));
    workspace.file("healed", "");
    let text = fs::read_to_string(workspace.path().join("workflow.toml")).unwrap();
    workspace.file("other.toml", text.replace("id = 3001", "id = 4001"));
    let other = ["run", "--workflow", "other.toml", "--postings", "postings/001.json"];
    workspace.turing(&other).expect_code(0);
    let before = workspace.events(1);

    let report = workspace.run(&["--json"]).expect_code(0).json();
    assert_eq!((&report["postings"], &report["open"]), (&json!(4), &json!(0)));
    assert_eq!(report["ended"][0]["postings"], 4);
    assert_eq!(workspace.events(1), before, "nothing more happens to it");
    let calls = fs::read_to_string(workspace.path().join("calls")).unwrap();
    assert_eq!(calls.lines().count(), 5, "four postings, and one of them in two workflows");
    let account = workspace.turing(&["run", "show", "--json"]).expect_code(0).json();
    assert_eq!(account["workflow_id"], "4001", "the run that began last");
}

#[test]
fn a_placeholder_that_was_mistyped_can_be_corrected_in_the_posting() {
    let workspace = Workspace::new();
    workspace.script("check.sh", "cat");
    workspace.definition(10, &[(10, "check", "input = \"{title}\"\n[[conversations.branches]]\n")]);
    workspace.file("postings/p.json", r#"{"posting_id":5,"titel":"Baker"}"#);
    let answer = workspace.run(&[]).expect_code(2);
    assert!(answer.stderr.contains("{title} is in no posting's data"), "{answer:#?}");
    workspace.file("postings/p.json", r#"{"posting_id":5,"title":"Baker"}"#);
    workspace.run(&[]).expect_code(0);
}

#[test]
fn a_run_goes_on_when_nobody_reads_what_it_tells() {
    let workspace = workspace("echo ok");
    for stderr in [Stdio::from(fs::File::options().write(true).open("/dev/full").unwrap()), {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    }] {
        let mut command = workspace.command(&RUN);
        let status = command.arg("--again").stderr(stderr).stdout(Stdio::null()).status().unwrap();
        assert_eq!(status.code(), Some(0));
    }
    let runs = workspace.runs();
    assert!(runs.as_array().unwrap().iter().all(|run| run["status"] == "completed"), "{runs}");
}

#[test]
fn asking_again_after_a_failed_run_is_not_told_as_success() {
    let workspace = workspace("exit 3");
    workspace.run(&[]).expect_code(1);
    let again = workspace.run(&[]).expect_code(1);
    assert!(again.stdout.contains("Nothing to do"), "{again:#?}");
    assert!(again.stdout.contains("(4 actor_failed)"), "{again:#?}");
    assert!(again.stdout.contains("turing run retry"), "{again:#?}");
}

#[test]
fn a_retry_looks_at_runs_of_its_own_workflow_only() {
    let workspace = workspace("exit 3");
    workspace.run(&[]).expect_code(1);
    let text = fs::read_to_string(workspace.path().join("workflow.toml")).unwrap();
    workspace.file("other.toml", text.replace("id = 3001", "id = 4001"));
    let answer = workspace.turing(&["run", "retry", "--workflow", "other.toml"]).expect_code(1);
    assert!(answer.stderr.contains("there is no run"), "{answer:#?}");
}

#[test]
fn one_store_under_two_names_is_one_store() {
    let workspace = workspace("touch begun; while [ ! -e asked ]; do sleep 0.01; done; echo ok");
    let mut command = workspace.command(&RUN);
    let mut first = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !workspace.path().join("begun").exists() {
        assert!(first.try_wait().unwrap().is_none(), "the first run ended early");
        std::thread::yield_now();
    }
    let link = workspace.path().join("link.db");
    std::os::unix::fs::symlink(workspace.path().join("turing.db"), link).unwrap();
    let second = workspace.run(&["--store", "sqlite:link.db"]);
    workspace.file("asked", "");
    assert!(first.wait().unwrap().success());
    let told = second.expect_code(4).stderr;
    assert!(told.contains("is being run in this store by process"), "{told}");
}

#[test]
fn abandoning_a_run_ends_all_its_postings() {
    let workspace = workspace(&format!("kill -9 {PROGRAM_PID}"));
    workspace.run(&["--parallel", "1"]);
    workspace.script("check.sh", "echo ok");
    let only = ["run", "--workflow", "workflow.toml", "--postings", "postings/001.json"];
    workspace.turing(&[&only[..], &["--abandon"]].concat()).expect_code(0);
    for posting in 2..=4 {
        let state = workspace.state(posting);
        assert_eq!(
            (&state["is_terminal"], &state["terminal"]["reason"]),
            (&json!(true), &json!("abandoned"))
        );
    }
}

#[test]
fn what_is_no_file_is_refused_by_name_and_nothing_hangs() {
    let workspace = workspace("echo ok");
    std::os::unix::fs::symlink("nowhere", workspace.path().join("postings/link.json")).unwrap();
    let answer = workspace.run(&[]).expect_code(1);
    assert!(answer.stderr.contains("refused: postings/link.json"), "{answer:#?}");
    let made = std::process::Command::new("mkfifo").arg(workspace.path().join("p.json")).status();
    assert!(made.unwrap().success());
    let pipe = ["run", "--workflow", "workflow.toml", "--postings", "p.json"];
    let answer = workspace.turing(&pipe).expect_code(2);
    assert!(answer.stderr.contains("neither a file nor a folder"), "{answer:#?}");
}
