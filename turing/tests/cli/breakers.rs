//! A circuit breaker that is open says why, and is closed by hand once the cause is mended.

use std::process::Stdio;

use rustix::process::Signal;
use serde_json::json;

use crate::support::process::Process;
use crate::support::{END, RUN, Workspace};

/// What is told of the breaker, but for the time.
const WHY: &str = "2 failures in a row, the last script_error: ";

/// Three postings whose script lacks something until there is a file `mended`.
fn workspace() -> Workspace {
    let body = "[ -e mended ] && exec cat; echo why >&2; echo 'jq: not found' >&2; exit 127";
    let workspace = Workspace::with_script(3, "check", END, body);
    workspace.breaker(2, 100_000.0);
    workspace
}

fn spawn(workspace: &Workspace) -> Process {
    let mut command = workspace.command(&[&RUN[..], &["--parallel", "1"]].concat());
    Process::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
}

#[test]
fn a_run_that_waits_for_a_breaker_goes_on_when_somebody_closes_it() {
    let workspace = workspace();
    let mut run = spawn(&workspace);
    let mut told = run.told();
    let opened = told.up_to("  actor 10 (check) gets no further call before ");
    let opened = opened.lines().last().unwrap();
    assert!(opened.contains(WHY), "{opened}");
    assert!(opened.contains(": jq: not found; "), "{opened}");
    assert!(opened.contains("`turing actor reset 10`"), "{opened}");
    told.up_to("circuit breaker is open");

    let shown = workspace.turing(&["run", "show"]).expect_code(0).stdout;
    assert!(shown.contains("  actor 10 (check) gets no further call before "), "{shown}");
    assert!(shown.contains(WHY) && shown.contains(": jq: not found\n"), "{shown}");
    let shown = workspace.turing(&["run", "show", "--json"]).expect_code(0).json();
    let breaker = &shown["open_breakers"][0];
    assert_eq!((&breaker["actor"], &breaker["failures"]), (&json!(10), &json!(2)));
    assert_eq!(breaker["name"], "check");
    assert_eq!(breaker["last_failure"]["failure_type"], "script_error");

    workspace.file("mended", "");
    let reset = ["actor", "reset", "10"];
    let answer = workspace.turing(&reset).expect_code(0).stdout;
    assert!(answer.starts_with("actor 10 may be called"), "{answer}");
    let report = run.stdout();
    assert_eq!(run.code(), Some(1), "two postings failed: {report}");
    assert!(report.contains("3 postings = 3 ended + 0 open"), "{report}");
    assert!(!report.contains("circuit breakers that are open"), "{report}");
    let answer = workspace.turing(&reset).expect_code(0).stdout;
    assert!(answer.starts_with("nothing to do"), "{answer}");
    let shown = workspace.turing(&["run", "show", "--json"]).expect_code(0).json();
    assert_eq!(shown["open_breakers"], json!([]));
}

#[test]
fn a_run_that_stops_or_goes_on_tells_which_breakers_are_open() {
    let workspace = workspace();
    let mut run = spawn(&workspace);
    run.told().up_to("circuit breaker is open");
    run.signal(Signal::TERM);
    let report = run.stdout();
    assert_eq!(run.code(), Some(75), "{report}");
    let told = "\ncircuit breakers that are open:\n  actor 10 (check) gets no further call before ";
    assert!(report.contains(told), "{report}");
    assert!(report.contains(": jq: not found\n"), "{report}");

    let mut run = spawn(&workspace);
    let mut told = run.told();
    let open = told.up_to("  actor 10 (check) gets no further call before ");
    assert!(open.contains(WHY) && open.contains(": jq: not found; "), "{open}");
    told.up_to("circuit breaker is open");
}

#[test]
fn an_actor_without_events_has_nothing_to_be_closed() {
    let workspace = workspace();
    workspace.file("mended", "");
    workspace.run(&[]).expect_code(0);
    let answer = workspace.turing(&["actor", "reset", "11"]).expect_code(1);
    assert!(answer.stderr.contains("actor 11 has no events"), "{answer:#?}");
    let answer = workspace.turing(&["actor", "reset", "11", "--store", "sqlite:none.db"]);
    assert!(answer.expect_code(3).stderr.contains("none.db"));
}
