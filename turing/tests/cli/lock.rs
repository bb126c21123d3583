//! A lock file that is deleted or replaced during a run lets no second run begin.

mod between;
mod entering;

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::json;
use tokio::runtime::Runtime;
use turing::store::{Access, Store, StoreUrl};
use turing_domain::WorkflowId;

use crate::support::gates::Gated;
use crate::support::names;

const STORE: &str = "sqlite:turing.db";

fn lock_file(gated: &Gated) -> PathBuf {
    gated.workspace.path().join("turing.db-run-3001.lock")
}

#[track_caller]
fn goes_on_with_a_lock_that_is_taken_again(lose: fn(&Path), told: &str) {
    let gated = Gated::new(3);
    let mut run = gated.start(STORE);
    let gate = gated.gate(1, &mut run);
    lose(&lock_file(&gated));
    gate.open();
    let gate = gated.gate(2, &mut run);
    gated.expect_refused(STORE, &format!("is being run in this store by process {};", run.id()));
    gate.open();
    gated.gate(3, &mut run).open();
    let answer = run.end().expect_code(0);
    assert_eq!(answer.stderr.matches(told).count(), 1, "{answer:#?}");
    assert!(answer.stderr.contains("it is taken again"), "{answer:#?}");
    assert_eq!(gated.begun(), [1, 2, 3]);
}

#[test]
fn a_lock_file_that_is_deleted_is_locked_again_before_the_next_attempt() {
    let delete = |path: &Path| fs::remove_file(path).unwrap();
    goes_on_with_a_lock_that_is_taken_again(delete, "3001.lock was deleted");
}

#[test]
fn a_lock_file_that_is_replaced_is_locked_again_before_the_next_attempt() {
    let replace = |path: &Path| {
        let other = path.with_extension("other");
        fs::write(&other, "somebody else's").unwrap();
        fs::rename(other, path).unwrap();
    };
    goes_on_with_a_lock_that_is_taken_again(replace, "3001.lock was replaced");
}

#[test]
fn a_run_whose_lock_somebody_else_took_begins_nothing_more() {
    let gated = Gated::new(3);
    let mut run = gated.start(STORE);
    let gate = gated.gate(1, &mut run);
    fs::remove_file(lock_file(&gated)).unwrap();
    let runtime = Runtime::new().unwrap();
    let (store, lock) = runtime.block_on(async {
        let url = StoreUrl::Sqlite(gated.workspace.path().join("turing.db"));
        let store = Store::open(&url, Access::Existing).await.unwrap();
        let lock = store.lock_run(WorkflowId(3001)).await.unwrap();
        (store, lock)
    });
    gate.open();
    let lost = run.end().expect_code(4);
    let holder = format!("run by process {} now", std::process::id());
    assert!(lost.stderr.contains(&holder), "{lost:#?}");
    // the attempt that was in progress is recorded, and no other was begun
    assert_eq!(gated.begun(), [1]);
    assert_eq!(names(&gated.workspace.events(1)).last(), Some(&"posting_terminal"));

    drop(lock);
    runtime.block_on(store.close());
    let mut run = gated.start(STORE);
    gated.gate(2, &mut run).open();
    gated.gate(3, &mut run).open();
    run.end().expect_code(0);
    assert_eq!(gated.begun(), [1, 2, 3]);
}

/// Who took the lock makes the attempt that is in progress once more, and may come to another end.
#[test]
fn an_attempt_that_another_run_has_recorded_otherwise_ends_no_run() {
    for (ours, theirs, code) in [("echo ok", "exit 3", 1), ("exit 3", "echo ok", 0)] {
        let (gated, other) = (Gated::new(1), Gated::new(1));
        gated.workspace.script("a.sh", &Gated::script(ours));
        other.workspace.script("a.sh", theirs);
        let mut run = gated.start(STORE);
        let gate = gated.gate(1, &mut run);
        fs::remove_file(lock_file(&gated)).unwrap();
        let store = format!("sqlite:{}", gated.workspace.path().join("turing.db").display());
        other.workspace.run(&["--store", &store]).expect_code(code);
        let recorded = gated.workspace.events(1);
        gate.open();
        // the run is over, and all that is left is to say how
        let answer = run.end().expect_code(code);
        assert!(answer.stderr.contains("it is taken again"), "{answer:#?}");
        assert_eq!(gated.workspace.events(1), recorded);
    }
}

#[test]
fn a_run_in_progress_says_whether_a_process_carries_it_out() {
    let gated = Gated::new(2);
    let turing = |arguments: &[&str]| gated.workspace.turing(arguments).expect_code(0);
    let mut run = gated.start(STORE);
    let gate = gated.gate(1, &mut run);
    let process = run.id().to_string();
    for command in [&["runs"][..], &["run", "show"]] {
        let text = turing(command).stdout;
        assert!(text.contains(&format!("in progress, process {process}; newest event ")), "{text}");
    }
    let shown = turing(&["run", "show", "--json"]).json();
    assert_eq!((&shown["process"], &shown["is_interrupted"]), (&json!(process), &json!(false)));
    assert!(shown["last_event_age_ms"].is_u64(), "{shown}");
    run.signal(Signal::KILL);
    run.end();
    drop(gate);
    for command in [&["runs"][..], &["run", "show"]] {
        let text = turing(command).stdout;
        assert!(text.contains("interrupted: no process carries it out; the same"), "{text}");
    }
    let row = gated.workspace.runs()[0].take();
    assert_eq!((&row["status"], &row["process"]), (&json!("in progress"), &json!(null)));
    assert_eq!(row["is_interrupted"], true);

    gated.workspace.script("a.sh", "echo ok");
    gated.workspace.run(&[]).expect_code(0);
    let row = gated.workspace.runs()[0].take();
    assert_eq!((&row["status"], &row["is_interrupted"]), (&json!("completed"), &json!(null)));
}

#[test]
fn a_lock_file_says_that_it_must_not_be_deleted() {
    let gated = Gated::new(1);
    let mut run = gated.start(STORE);
    let gate = gated.gate(1, &mut run);
    let text = fs::read_to_string(lock_file(&gated)).unwrap();
    assert_eq!(text.lines().next(), Some(run.id().to_string().as_str()));
    assert!(text.contains("Do not delete"), "{text}");
    gate.open();
    run.end().expect_code(0);
}

#[test]
fn a_lock_file_that_cannot_be_used_is_a_store_that_cannot_be_used() {
    let gated = Gated::new(1);
    fs::create_dir(lock_file(&gated)).unwrap();
    let refused = gated.start(STORE).end().expect_code(3);
    assert!(refused.stderr.contains("cannot lock "), "{refused:#?}");
    assert!(gated.begun().is_empty());

    fs::remove_dir(lock_file(&gated)).unwrap();
    let mut run = gated.start(STORE);
    gated.gate(1, &mut run).open();
    run.end().expect_code(0);
}
