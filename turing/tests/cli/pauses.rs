//! Operators pause runs, conversations and actors, and cancel runs, whatever process carries them out.

use serde_json::{Value, json};

use crate::support::gates::Gated;
use crate::support::{Workspace, find, names};

/// The store of the workspace, as a program finds it by itself.
const STORE: &str = "sqlite:turing.db";

/// The only run of a workspace.
fn run_id(workspace: &Workspace) -> String {
    let runs = workspace.runs();
    assert_eq!(runs.as_array().map(Vec::len), Some(1), "{runs}");
    runs[0]["run_id"].as_str().unwrap().to_owned()
}

/// The outcome of asking for something as anna, which must be recorded.
#[track_caller]
fn ask(workspace: &Workspace, arguments: &[&str]) -> String {
    let by: &[&str] = if arguments.contains(&"--by") { &[] } else { &["--by", "anna"] };
    workspace.turing(&[arguments, by].concat()).expect_code(0).stdout
}

/// Two scripts one after the other, whose second actor, 20, is paused when the first run stops.
fn paused_at_20() -> Workspace {
    let workspace = Workspace::with_two_scripts(1, ["echo one", "cat"]);
    workspace.run(&["--quiet"]).expect_code(0);
    let paused = ask(&workspace, &["actor", "pause", "20", "--because", "the machine moves"]);
    assert!(paused.starts_with("actor 20 is paused until `turing actor unpause 20`"), "{paused}");
    workspace.run(&["--again"]).expect_code(8);
    workspace
}

/// The id of the run that began last.
fn last_run(workspace: &Workspace) -> String {
    let runs = workspace.runs();
    let last = runs.as_array().unwrap().last().unwrap();
    last["run_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_run_that_waits_hears_a_pause_and_its_end_and_goes_on() {
    let gated = Gated::new(2);
    let workspace = &gated.workspace;
    let mut run = gated.start_with(STORE, &["--wait"]);
    let gate = gated.gate(1, &mut run);
    let mut told = run.told();
    let id = run_id(workspace);
    let paused = ask(workspace, &["run", "pause", &id, "--because", "the disk is full"]);
    assert!(paused.contains("is paused until `turing run unpause "), "{paused}");
    let again = ask(workspace, &["run", "pause", &id, "--because", "the disk is full"]);
    assert!(again.starts_with("nothing to do: "), "{again}");
    told.up_to("the run is paused by anna since ");
    gate.open();
    told.up_to("1 attempt is paused, of actor 10 (a); going on when that is ended");
    assert_eq!(gated.begun(), [1]);
    assert_eq!(workspace.state(1)["is_terminal"], true, "what was in progress is recorded");

    let runs = workspace.runs();
    assert_eq!(runs[0]["pause"]["by"], "anna", "{runs}");
    let shown = workspace.turing(&["run", "show"]).expect_code(0).stdout;
    assert!(shown.contains("paused by anna: the disk is full; in progress, process "), "{shown}");
    let why = workspace.turing(&["why", "2"]).expect_code(0).stdout;
    assert!(why.contains("since its run is paused by anna since "), "{why}");
    assert!(why.contains(": the disk is full; `turing run unpause "), "{why}");

    ask(workspace, &["run", "unpause", &id, "--by", "ben"]);
    gated.gate(2, &mut run).open();
    run.end().expect_code(0);
    let events = workspace.turing(&["events", "workflow", "3001", "--json"]).expect_code(0);
    let events = events.json_lines();
    let expected =
        ["workflow_started", "workflow_paused", "workflow_pause_ended", "workflow_completed"];
    assert_eq!(names(&events), expected);
    assert_eq!(find(&events, "workflow_paused")["payload"]["because"], "the disk is full");
    assert_eq!(find(&events, "workflow_pause_ended")["payload"]["by"], "ben");
}

#[test]
fn a_call_of_which_only_what_is_paused_is_left_ends_and_says_how_it_goes_on() {
    let gated = Gated::new(2);
    let workspace = &gated.workspace;
    let mut run = gated.start(STORE);
    let gate = gated.gate(1, &mut run);
    let mut told = run.told();
    let id = run_id(workspace);
    ask(workspace, &["run", "pause", &id[..20], "--because", "the disk is full"]);
    told.up_to("the run is paused by anna since ");
    gate.open();
    let report = run.end().expect_code(8).stdout;
    assert!(
        report.contains("attempts wait for the end of pauses:\n  the run is paused "),
        "{report}"
    );
    assert!(report.contains("run unpause "), "{report}");
    assert!(report.contains("when the pause is ended, run the same command to go on"), "{report}");
    // one that begins while it is paused makes no attempt, and does not hang
    let again = workspace.run(&["--json"]).expect_code(8).json();
    let paused = &again["paused"][0];
    assert_eq!((&paused["what"], &paused["by"]), (&json!("run"), &json!("anna")), "{again}");
    assert_eq!((&again["open"], gated.begun()), (&json!(1), vec![1]));

    let ended = ask(workspace, &["run", "unpause", &id]);
    assert!(ended.contains("`turing run resume "), "{ended}");
    let ended = ask(workspace, &["run", "unpause", &id]);
    assert!(ended.starts_with("nothing to do: "), "{ended}");
    let mut run = gated.start(STORE);
    gated.gate(2, &mut run).open();
    run.end().expect_code(0);
}

#[test]
fn an_actor_and_a_conversation_are_paused_each_by_itself() {
    let workspace = paused_at_20();
    let id = last_run(&workspace);
    let why = workspace.turing(&["why", "1"]).expect_code(0).stdout;
    let reason = "since actor 20 (b) is paused by anna since ";
    assert!(why.contains("held at conversation 20 (b), ") && why.contains(reason), "{why}");
    let ready = ["run", "pause", &id, "--conversation", "20", "--because", "the prompt is wrong"];
    ask(&workspace, &ready);
    ask(&workspace, &["actor", "unpause", "20"]);
    let report = workspace.run(&["--json"]).expect_code(8).json();
    let paused = &report["paused"];
    assert_eq!((&paused[0]["what"], &paused[0]["id"]), (&json!("conversation"), &json!(20)));
    assert_eq!(paused.as_array().map(Vec::len), Some(1), "{paused}");
    // the run itself is not paused
    let told = ask(&workspace, &["run", "unpause", &id]);
    assert!(told.starts_with("nothing to do: "), "{told}");
    assert!(told.contains("conversations of it that are paused by themselves: 20"), "{told}");
    ask(&workspace, &["run", "unpause", &id, "--conversation", "20"]);
    workspace.run(&[]).expect_code(0);
}

#[test]
fn of_several_pauses_the_one_without_an_end_is_named() {
    let workspace = paused_at_20();
    let id = last_run(&workspace);
    ask(&workspace, &["run", "pause", &id, "--for", "10m", "--because", "a longer rest"]);
    // after the ten minutes it would end so again, and for this reason
    let report = workspace.run(&["--json"]).expect_code(8).json();
    let paused = &report["paused"][0];
    assert_eq!((&paused["what"], &paused["id"]), (&json!("actor"), &json!(20)), "{report}");
    assert_eq!(paused["because"], "the machine moves", "{report}");
}

#[test]
fn a_pause_with_an_end_is_waited_for() {
    let workspace = Workspace::with_two_scripts(1, ["echo one", "cat"]);
    workspace.run(&[]).expect_code(0);
    ask(&workspace, &["actor", "pause", "20", "--for", "1s", "--because", "a short rest"]);
    let report = workspace.run(&["--again", "--json"]).expect_code(0).json();
    assert_eq!((&report["open"], &report["paused"]), (&json!(0), &json!([])));
}

#[test]
fn what_cannot_be_paused_is_refused() {
    let workspace = paused_at_20();
    let id = last_run(&workspace);
    let refused = |arguments: &[&str], code: i32, words: &str| {
        let answer = workspace.turing(arguments).expect_code(code);
        assert!(answer.stderr.contains(words), "{answer:#?}");
    };
    let no_such = ["run", "pause", &id, "--conversation", "77", "--because", "x", "--by", "anna"];
    refused(&no_such, 1, "has no conversation 77");
    let past = ["run", "pause", &id, "--because", "x", "--by", "anna", "--until"];
    refused(&[&past[..], &["2001-01-01T00:00:00Z"]].concat(), 2, "2001-01-01T00:00:00Z is past");
    refused(&["run", "pause", &id, "--because", " ", "--by", "anna"], 2, "takes the reason");
    refused(&["run", "pause", &id, "--by", "anna"], 2, "--because");
    ask(&workspace, &["actor", "unpause", "20"]);
    workspace.run(&[]).expect_code(0);
    let over = format!("run {id} is over");
    refused(&["run", "pause", &id, "--because", "x", "--by", "anna"], 1, &over);
    refused(&["run", "unpause", &id, "--by", "anna"], 1, &over);
    refused(&["run", "cancel", &id, "--because", "x", "--by", "anna"], 1, &over);
}

/// The end of a cancelled run, as it is listed.
fn expect_cancelled(run: &Value) {
    assert_eq!(run["status"], "failed", "{run}");
    assert_eq!(run["error"], "cancelled by anna: the wrong adverts", "{run}");
}

#[test]
fn a_run_that_no_process_carries_out_is_cancelled_by_the_command_itself() {
    let workspace = paused_at_20();
    let id = last_run(&workspace);
    let cancel = ["run", "cancel", &id, "--because", "the wrong adverts"];
    let told = ask(&workspace, &cancel);
    assert!(told.contains("1 abandoned"), "{told}");
    expect_cancelled(workspace.runs().as_array().unwrap().last().unwrap());
    assert_eq!(workspace.state(1)["is_terminal"], true);
    let again = ask(&workspace, &cancel);
    assert!(again.starts_with("nothing to do: "), "{again}");
    // it is in nobody's way
    ask(&workspace, &["actor", "unpause", "20"]);
    workspace.run(&["--again"]).expect_code(0);
}

#[test]
fn a_process_hears_that_its_run_is_cancelled_lets_attempts_finish_and_ends_the_rest() {
    let gated = Gated::new(2);
    let workspace = &gated.workspace;
    let mut run = gated.start(STORE);
    let gate = gated.gate(1, &mut run);
    let mut told = run.told();
    let id = run_id(workspace);
    let answer = ask(workspace, &["run", "cancel", &id, "--because", "the wrong adverts"]);
    assert!(answer.contains("is being cancelled: process "), "{answer}");
    told.up_to("stopping: the run is cancelled by anna: the wrong adverts; ");
    let listed = workspace.runs();
    assert_eq!(listed[0]["status"], "in progress", "{listed}");
    assert_eq!(listed[0]["cancelling"]["by"], "anna", "{listed}");
    let why = workspace.turing(&["why", "2"]).expect_code(0).stdout;
    assert!(why.contains("since its run is being cancelled, as anna wants: "), "{why}");
    let pause = ["run", "pause", &id, "--because", "x", "--by", "anna"];
    let refused = workspace.turing(&pause).expect_code(1).stderr;
    assert!(refused.contains("is being cancelled"), "{refused}");
    gate.open();
    let report = run.end().expect_code(9).stdout;
    assert!(report.contains("cancelled by anna: the wrong adverts"), "{report}");
    assert_eq!(gated.begun(), [1]);
    assert!(names(&workspace.events(1)).contains(&"script_execution_completed"));
    let last = workspace.events(2).pop().unwrap();
    assert_eq!(last["payload"]["reason"], "abandoned", "{last}");
    expect_cancelled(&workspace.runs()[0]);
}

#[test]
fn who_cancels_now_breaks_off_what_is_in_progress() {
    let gated = Gated::new(2);
    let workspace = &gated.workspace;
    let mut run = gated.start(STORE);
    let gate = gated.gate(1, &mut run);
    let id = run_id(workspace);
    ask(workspace, &["run", "cancel", &id, "--now", "--because", "the wrong adverts"]);
    let report = run.end().expect_code(9);
    assert!(report.stderr.contains("attempts in progress are broken off"), "{report:#?}");
    drop(gate);
    for posting in [1, 2] {
        let events = workspace.events(posting);
        assert_eq!(names(&events), ["posting_entered_run", "posting_terminal"]);
        assert_eq!(events[1]["payload"]["reason"], "abandoned");
    }
    expect_cancelled(&workspace.runs()[0]);
}

#[test]
fn whoever_goes_on_with_a_cancelled_run_carries_that_out() {
    let gated = Gated::new(2);
    let workspace = &gated.workspace;
    let mut run = gated.start(STORE);
    let gate = gated.gate(1, &mut run);
    let id = run_id(workspace);
    ask(workspace, &["run", "cancel", &id, "--because", "the wrong adverts"]);
    run.signal(rustix::process::Signal::KILL);
    run.end();
    drop(gate);
    let report = workspace.run(&["--json"]).expect_code(9).json();
    assert_eq!(report["cancelled"]["by"], "anna", "{report}");
    assert_eq!((&report["open"], &report["go_on"]), (&json!(0), &Value::Null), "{report}");
    assert_eq!(gated.begun(), [1]);
    expect_cancelled(&workspace.runs()[0]);
}
