//! `turing why`: one sentence for each posting, from the program that others run beside it.

use std::fs::File;
use std::process::Stdio;

use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::json;

use crate::support::gates::Gated;
use crate::support::process::Process;
use crate::support::{Answer, END, RUN, Workspace};

const STORE: &str = "sqlite:turing.db";

/// The program with these ids, or what else there is, on its standard input.
fn ask_with(workspace: &Workspace, ids: &str, arguments: &[&str]) -> Answer {
    let ids = workspace.file("ids", ids);
    let mut command = workspace.command(arguments);
    command.stdin(File::open(ids).unwrap()).output().unwrap().into()
}

fn run_id(workspace: &Workspace) -> String {
    workspace.runs()[0]["run_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_posting_says_who_works_on_its_run_or_that_nobody_does_and_how_it_goes_on() {
    let gated = Gated::new(2);
    let workspace = &gated.workspace;
    let mut run = gated.start(STORE);
    let gate = gated.gate(1, &mut run);
    let ready = "ready at conversation 10 (a) since 20";
    let worked =
        format!("Z: process {} works on this run, and makes the attempt now, or", run.id());
    let told = workspace.turing(&["why", "1", "2"]).expect_code(0).stdout;
    for (line, posting) in told.lines().zip(1..) {
        assert!(line.starts_with(&format!("posting {posting}: {ready}")), "{told}");
        assert!(line.contains(&worked), "{told}");
    }
    assert_eq!(told.lines().count(), 2, "{told}");
    let shown = workspace.turing(&["run", "show"]).expect_code(0).stdout;
    let group = "\nwhere the open postings stand:\n  2 postings, such as ";
    assert!(shown.contains(group) && shown.contains(&format!(": {ready}")), "{shown}");
    assert!(shown.contains(&worked), "{shown}");
    let state = workspace.turing(&["state", "posting", "1"]).expect_code(0).stdout;
    assert!(state.starts_with(&format!("posting/1 after 1 event: {ready}")), "{state}");
    let past = workspace.turing(&["state", "posting", "1", "--at-version", "1"]).expect_code(0);
    assert!(past.stdout.starts_with("posting/1 after 1 event\n{"), "{past:#?}");

    run.signal(Signal::KILL);
    run.end();
    drop(gate);
    let id = run_id(workspace);
    let nobody = format!("Z, and nobody works on this run: `turing run resume {id}` goes on\n");
    let told = workspace.turing(&["why", "1"]).expect_code(0).stdout;
    assert!(told.starts_with(&format!("posting 1: {ready}")) && told.ends_with(&nobody), "{told}");
    let shown = workspace.turing(&["run", "show"]).expect_code(0).stdout;
    assert!(shown.contains(&nobody), "{shown}");

    // as it is proposed
    workspace.script("a.sh", "echo ok");
    workspace.turing(&["run", "resume", &id]).expect_code(0);
    let told = workspace.turing(&["why", "1"]).expect_code(0).stdout;
    assert!(told.starts_with("posting 1: ended as completed at 20"), "{told}");
    assert!(told.ends_with("Z at conversation 10, by its rule 1\n"), "{told}");
    let shown = workspace.turing(&["run", "show"]).expect_code(0).stdout;
    assert!(!shown.contains("where the open postings stand"), "{shown}");
}

#[test]
fn a_posting_that_a_breaker_holds_says_whose_it_is_and_until_when() {
    let body = "[ -e mended ] && exec cat; exit 3";
    let workspace = Workspace::with_script(3, "check", END, body);
    workspace.breaker(2, 100_000.0);
    let mut command = workspace.command(&[&RUN[..], &["--parallel", "1"]].concat());
    let mut run = Process::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    run.told().up_to("circuit breaker is open");

    let open = ["run", "show", "--ids", "--open"];
    let open = workspace.turing(&open).expect_code(0).stdout;
    let held = ask_with(&workspace, &open, &["why", "-"]).expect_code(0).stdout;
    assert_eq!((open.lines().count(), held.lines().count()), (1, 1), "{open}{held}");
    let begins = format!(
        "posting {}: held at conversation 10 (check) by the circuit breaker of actor 10 (check) until 20",
        open.trim()
    );
    assert!(held.starts_with(&begins), "{held}");
    let ends = "Z, after 2 failures in a row; once the cause is mended, `turing actor reset 10` closes \
                it\n";
    assert!(held.ends_with(ends), "{held}");

    let failed = |kind: &str| {
        let kind = format!("--failed{kind}");
        workspace.turing(&["run", "show", "--ids", &kind]).expect_code(0).stdout
    };
    assert_eq!(failed("").lines().count(), 2);
    assert_eq!(failed("=script_error"), failed(""));
    assert_eq!(failed("=actor_failed"), failed(""));
    assert_eq!(failed("=timeout"), "");
    let told = ask_with(&workspace, &failed(""), &["why", "-"]).expect_code(0).stdout;
    let why = ": the last attempt there failed: script_error, and no failure rule matched\n";
    assert_eq!(told.matches(why).count(), 2, "{told}");
    let none = workspace.turing(&["run", "show", "--failed=timeout"]).expect_code(0).stdout;
    assert!(none.starts_with("no posting of run "), "{none}");

    workspace.file("mended", "");
    workspace.turing(&["actor", "reset", "10"]).expect_code(0);
    assert!(run.stdout().contains("3 postings = 3 ended + 0 open"));
    let ids = workspace.turing(&["run", "show", "--ids", "--json"]).expect_code(0).json();
    assert_eq!(ids["posting_ids"], json!([1, 2, 3]));
    assert_eq!(ids["run_id"], run_id(&workspace).as_str());
}

#[test]
fn what_is_not_there_is_named_and_what_is_no_id_is_too() {
    let workspace = Workspace::with_script(2, "check", END, "echo ok");
    workspace.run(&[]).expect_code(0);
    let told = workspace.turing(&["why", "1", "9"]).expect_code(1).stdout;
    let unknown = "posting 9: not in this store: no posting of this id is registered\n";
    assert!(told.starts_with("posting 1: ended ") && told.ends_with(unknown), "{told}");
    let none = "0193a1d4-0000-7000-8000-000000000001";
    let told = workspace.turing(&["why", "1", "--run", none]).expect_code(1).stdout;
    assert_eq!(told, format!("posting 1: not in run {none}\n"));
    let run = run_id(&workspace);
    workspace.turing(&["why", "1", "--run", &run[..13]]).expect_code(0);

    let told = ask_with(&workspace, "1\n\nfive\n9\n2\n", &["why", "-"]).expect_code(2);
    assert_eq!(told.stdout.lines().count(), 3, "the others are told of: {told:#?}");
    let line = "line 3 of standard input is no posting's id: `five`";
    assert!(told.stderr.contains(line), "{told:#?}");
    let nothing = ask_with(&workspace, "", &["why", "-"]).expect_code(0);
    assert_eq!(nothing.stdout, "");
    for wrong in [&["why"][..], &["why", "five"], &["run", "show", "--open"]] {
        workspace.turing(wrong).expect_code(2);
    }
    workspace.turing(&["why", "1", "--store", "sqlite:none.db"]).expect_code(3);
}

#[test]
fn programs_get_an_object_a_line() {
    let workspace = Workspace::with_script(2, "check", END, "echo ok");
    workspace.run(&[]).expect_code(0);
    let told = ask_with(&workspace, "2\n9\n", &["why", "1", "-", "--json"]).expect_code(1);
    let told = told.json_lines();
    let kinds: Vec<_> = told.iter().map(|one| one["why"]["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["ended", "ended", "unregistered"]);
    let ids: Vec<_> = told.iter().map(|one| one["posting_id"].as_i64().unwrap()).collect();
    assert_eq!(ids, [1, 2, 9]);
    assert_eq!(
        (&told[0]["why"]["reason"], &told[0]["why"]["rule"]),
        (&json!("completed"), &json!(1))
    );
    assert_eq!(told[0]["positions"], json!([]));
    assert!(told[0]["sentence"].as_str().unwrap().starts_with("ended as completed at "));
}

#[test]
fn a_posting_that_cannot_be_read_names_the_event() {
    let workspace = Workspace::with_script(2, "check", END, "echo ok");
    workspace.run(&[]).expect_code(0);
    let store = Connection::open(workspace.path().join("turing.db")).unwrap();
    store.pragma_update(None, "ignore_check_constraints", true).unwrap();
    let insert = "INSERT INTO execution_events
            (event_id, aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
        SELECT '00000000-0000-4000-8000-000000000001', 'posting', '1', max(aggregate_version) + 1,
            'moon_rose', '{}'
        FROM execution_events WHERE aggregate_type = 'posting' AND aggregate_id = '1'";
    assert_eq!(store.execute(insert, []).unwrap(), 1);
    drop(store);
    let event = workspace.events(1).len();
    let told = workspace.turing(&["why", "1", "2"]).expect_code(1).stdout;
    let unreadable = format!("since event {event} of posting/1 cannot be read: unknown event type");
    let lines: Vec<_> = told.lines().collect();
    assert!(lines[0].contains(&unreadable), "{told}");
    assert!(lines[1].starts_with("posting 2: ended as completed "), "{told}");
}
