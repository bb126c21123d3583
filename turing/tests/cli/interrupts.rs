//! What the signals that ask a run to stop do in each of its phases.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::process::Process;
use crate::support::processes::wait_until;
use crate::support::{END, RUN, Workspace};

fn workspace(body: &str) -> Workspace {
    Workspace::with_script(2, "check", END, body)
}

/// Keeps everybody else from writing to the store.
fn hold(workspace: &Workspace) -> Connection {
    let store = Connection::open(workspace.path().join("turing.db")).unwrap();
    store.execute_batch("BEGIN IMMEDIATE").unwrap();
    store
}

fn spawn(command: &mut Command) -> Process {
    Process::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
}

/// Asks a run that tells what it has to tell into a file how far it is, until it tells this.
#[track_caller]
fn asked_until(run: &mut Process, file: &Path, told: &str) {
    wait_until(told, || {
        assert!(!run.is_over(), "{}", fs::read_to_string(file).unwrap());
        // before it listens, the signal would end it
        if run.has("SigCgt", Signal::USR1) {
            run.signal(Signal::USR1);
        }
        fs::read_to_string(file).unwrap().contains(told)
    });
}

#[test]
fn a_run_that_is_asked_to_stop_while_postings_enter_stops_with_those_that_are_entering() {
    const COUNT: usize = 5_000;
    let workspace = workspace("echo ok");
    let lines: String = (1..=COUNT)
        .map(|id| format!("{{\"posting_id\":{id},\"job_description\":\"advert {id}\"}}\n"))
        .collect();
    workspace.file("many.jsonl", &lines);
    let arguments = ["run", "--workflow", "workflow.toml", "--postings", "many.jsonl", "--json"];
    let mut run = spawn(&mut workspace.command(&arguments));
    let mut told = run.told();
    told.up_to("begins with 5000 postings");
    let count = "SELECT count(*) FROM execution_events WHERE event_type = 'posting_entered_run'";
    let store = Connection::open(workspace.path().join("turing.db")).unwrap();
    let entered = || store.query_row(count, [], |row| row.get::<_, u32>(0)).unwrap() as usize;
    wait_until("one has entered", || entered() > 0);
    run.signal(Signal::TERM);
    let report: Value = serde_json::from_str(&run.stdout()).unwrap();
    assert_eq!(run.code(), Some(75), "{}", told.rest());
    assert_eq!((&report["postings"], &report["open"]), (&json!(COUNT), &json!(COUNT)));
    assert_eq!(report["conversations"], json!({}), "no attempt was begun");
    let entered = entered();
    assert_eq!(report["not_entered"], json!(COUNT - entered));
    assert!(entered < COUNT, "not all of them entered first");
    // who has not entered is known to the command that began it only
    let answer = workspace.turing(&["run", "resume", "--workflow", "workflow.toml"]).expect_code(6);
    let told = format!("interrupted when {entered} of its {COUNT} postings had entered it");
    assert!(answer.stderr.contains(&told), "{answer:#?}");
    assert!(answer.stderr.contains("which loses nothing"), "{answer:#?}");
    // which keeps it from who has other postings
    let new = "{\"posting_id\":6000,\"job_description\":\"new\"}\n";
    workspace.file("few.jsonl", new);
    let few = ["run", "--workflow", "workflow.toml", "--postings", "few.jsonl", "--new"];
    workspace.turing(&few).expect_code(6);
    // and is no reason to let new ones wait for who has these, too
    let ids = "SELECT aggregate_id FROM execution_events WHERE event_type = 'posting_entered_run'";
    let mut ids = store.prepare(ids).unwrap();
    let entered = ids.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let lines = entered.map(|id| {
        format!("{{\"posting_id\":{0},\"job_description\":\"advert {0}\"}}\n", id.unwrap())
    });
    let lines: String = lines.collect();
    workspace.file("few.jsonl", lines + new);
    let answer = workspace.turing(&few).expect_code(0);
    let told = format!("is given up; it had {COUNT} postings");
    assert!(answer.stderr.contains(&told), "{answer:#?}");
}

#[test]
fn who_asks_how_far_a_run_is_is_told_before_its_first_attempt_too() {
    const COUNT: usize = 5_000;
    let workspace = workspace("echo ok");
    workspace.run(&[]).expect_code(0);
    let lines: String = (1..=COUNT)
        .map(|id| format!("{{\"posting_id\":{id},\"job_description\":\"advert {id}\"}}\n"))
        .collect();
    workspace.file("many.jsonl", &lines);
    let begin = |postings: &str, more: &[&str]| {
        let arguments = ["run", "--workflow", "workflow.toml", "--postings", postings];
        let mut command = workspace.command(&[&arguments[..], more].concat());
        let file = workspace.path().join(format!("{postings}.log"));
        command.stdout(Stdio::null()).stderr(File::create(&file).unwrap());
        (Process::spawn(&mut command), file)
    };

    // nothing can be registered
    let held = hold(&workspace);
    let (mut run, file) = begin("many.jsonl", &[]);
    asked_until(&mut run, &file, &format!("registering postings: 0 of {COUNT}\n"));
    drop(held);
    asked_until(&mut run, &file, "  entering postings: ");
    let count = "SELECT count(*) FROM execution_events WHERE event_type = 'posting_entered_run'";
    let store = Connection::open(workspace.path().join("turing.db")).unwrap();
    wait_until("many have entered", || {
        store.query_row(count, [], |row| row.get::<_, u32>(0)).unwrap() > 1_000
    });
    run.signal(Signal::TERM);
    assert_eq!(run.code(), Some(75), "{}", fs::read_to_string(&file).unwrap());

    let (mut run, file) = begin("postings", &["--abandon", "--quiet"]);
    asked_until(&mut run, &file, "giving up the postings of the run before: ");
    run.signal(Signal::TERM);
    assert_eq!(run.code(), Some(75), "{}", fs::read_to_string(&file).unwrap());
}

#[test]
fn a_run_that_has_not_begun_ends_at_once_and_says_so() {
    let workspace = workspace("echo ok");
    workspace.run(&[]).expect_code(0);
    let before = workspace.runs();
    for signal in [Signal::TERM, Signal::INT] {
        // nothing can be registered
        let store = hold(&workspace);
        let mut run = spawn(&mut workspace.command(&[&RUN[..], &["--again"]].concat()));
        wait_until("the signal is listened to", || run.has("SigCgt", signal));
        run.end_with(signal);
        assert_eq!(run.code(), Some(75));
        assert!(run.told().rest().contains("ended before anything was run"), "{signal:?}");
        drop(store);
    }
    assert_eq!(workspace.runs(), before);
}

#[test]
fn a_report_has_no_table_of_nothing_and_one_is_no_plural() {
    let workspace = workspace("exit 143");
    std::fs::remove_file(workspace.path().join("postings/002.json")).unwrap();
    workspace.amend("base_seconds = 0.01", "base_seconds = 600");
    let mut run = spawn(&mut workspace.command(&RUN));
    run.told().up_to("1 failed attempt waits to be repeated; going on in ");
    run.signal(Signal::TERM);
    let report = run.stdout();
    assert_eq!(run.code(), Some(75), "{report}");
    assert!(report.contains("  1 posting = 0 ended + 1 open\n"), "{report}");
    assert!(!report.contains("postings"), "{report}");
}

#[test]
fn signals_that_were_ignored_when_the_program_was_started_stay_ignored() {
    let workspace = workspace("touch begun; while [ ! -e go ]; do sleep 0.01; done; echo ok");
    let mut shell = Command::new("sh");
    let line = "trap '' HUP INT; exec \"$0\" \"$@\"";
    shell.args(["-c", line, env!("CARGO_BIN_EXE_turing")]).args(RUN).args(["--parallel", "1"]);
    let mut run = spawn(shell.current_dir(workspace.path()).env_remove("TURING_STORE"));
    run.made(&workspace.path().join("begun"));
    for signal in [Signal::HUP, Signal::INT] {
        assert!(run.has("SigIgn", signal), "{signal:?}");
        run.signal(signal);
    }
    assert!(run.has("SigCgt", Signal::TERM));
    let mut told = run.told();
    run.signal(Signal::TERM);
    let before = "stopping: 1 attempt is in progress and ends within ";
    let stopping = told.up_to(before);
    let (_, left) = stopping.split_once(before).unwrap();
    let (seconds, rest) = left.split_once(" s").unwrap();
    // a script may take five minutes
    assert!((1..=300).contains(&seconds.parse::<u32>().unwrap()), "{stopping}");
    assert_eq!(rest, "; interrupt again to end at once\n");
    workspace.file("go", "");
    let report = run.stdout();
    assert_eq!(run.code(), Some(75), "{report}");
    assert!(report.contains("2 postings = 1 ended + 1 open"), "{report}");
    assert!(report.contains("run the same command to go on"), "{report}");
    let mut run = spawn(&mut workspace.command(&RUN));
    assert_eq!(run.code(), Some(0), "the same command goes on");
}

#[test]
fn who_keeps_read_models_stops_when_asked_and_with_0() {
    let workspace = workspace("echo ok");
    workspace.run(&[]).expect_code(0);
    for signal in [Signal::TERM, Signal::INT] {
        let mut run = spawn(&mut workspace.command(&["projection", "run"]));
        let mut told = run.told();
        told.up_to("keeping up to date until interrupted");
        run.signal(signal);
        assert!(run.stdout().contains("stopped: "));
        assert_eq!(run.code(), Some(0), "{}", told.rest());
    }
}
