//! The exit code is the verdict, whoever reads the answer.

use std::fs::File;
use std::process::{Command, Stdio};

use rusqlite::Connection;

use crate::support::process::closed_pipe;
use crate::support::{END, RUN, Workspace};

/// A definition whose actor may fail as often as it likes.
fn define(workspace: &Workspace) -> String {
    workspace.definition(10, &[(10, "check", END)]);
    let breaker = "[workflow.circuit_breaker]\nfailures = 1000\n[workflow.retry]";
    workspace.amend("[workflow.retry]", breaker);
    workspace.workflow()
}

/// A store with a run in which every posting failed, and definitions of which two are wrong.
fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.postings(2);
    workspace.script("check.sh", "exit 3");
    let text = define(&workspace);
    workspace.file("wrong.toml", text.replace("entry = 10", "entry = 99"));
    workspace.file("malformed.toml", "[workflow");
    workspace.run(&[]).expect_code(1);
    workspace
}

/// The exit code and what is told when the answer goes there.
fn printed_to(workspace: &Workspace, arguments: &[&str], stdout: Stdio) -> (Option<i32>, String) {
    let mut command = workspace.command(arguments);
    let output = command.stdout(stdout).stderr(Stdio::piped()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn full_disk() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

/// Whether the answer is all that there is of a command.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Looks,
    Does,
}
use Kind::{Does, Looks};

/// Checks that nothing but a lost answer changes the exit code, and that only where it may.
fn check(workspace: &Workspace, arguments: &[&str], code: i32, kind: Kind) {
    let asked = workspace.turing(arguments).expect_code(code);
    let (gone, told) = printed_to(workspace, arguments, closed_pipe());
    assert_eq!(gone, Some(code), "{arguments:?}, and nobody reads: {told}");
    assert!(!told.contains("the answer"), "{arguments:?}: {told}");

    let (full, told) = printed_to(workspace, arguments, full_disk());
    let is_told = told.contains("error: the answer cannot be printed");
    assert_eq!(is_told, !asked.stdout.is_empty(), "{arguments:?}: {told}");
    let expected = if is_told && kind == Looks && code == 0 { 5 } else { code };
    assert_eq!(full, Some(expected), "{arguments:?}, and the disk is full: {told}");
}

#[test]
fn no_reader_changes_the_exit_code() {
    let workspace = workspace();
    let run_again = [&RUN[..], &["--again"]].concat();
    let run_again_json = [&RUN[..], &["--again", "--json"]].concat();
    let cases: &[(&[&str], i32, Kind)] = &[
        (&RUN, 1, Does),
        (&run_again, 1, Does),
        (&run_again_json, 1, Does),
        (&["run", "retry", "--workflow", "workflow.toml"], 1, Does),
        (&["run", "retry", "--dry-run"], 0, Looks),
        (&["run", "show"], 0, Looks),
        (&["run", "show", "--json"], 0, Looks),
        (&["run", "show", "--failed"], 0, Looks),
        (&["run", "--workflow", "wrong.toml", "--postings", "postings"], 2, Does),
        (&["runs"], 0, Looks),
        (&["events", "posting", "1"], 0, Looks),
        (&["events", "posting", "1", "--json"], 0, Looks),
        (&["events", "posting", "9"], 1, Looks),
        (&["state", "posting", "1"], 0, Looks),
        (&["why", "1"], 0, Looks),
        (&["state", "posting", "1", "--diff", "1.."], 0, Looks),
        (&["trace", "workflow_3001_posting_1"], 0, Looks),
        (&["trace", "nothing"], 1, Looks),
        (&["snapshot", "list"], 0, Looks),
        (&["snapshot", "prune"], 0, Does),
        (&["check", "workflow.toml"], 0, Looks),
        (&["check", "workflow.toml", "--graph", "dot"], 0, Looks),
        (&["check", "wrong.toml"], 1, Looks),
        (&["check", "wrong.toml", "--json"], 1, Looks),
        (&["check", "malformed.toml"], 2, Looks),
        (&["validate"], 0, Looks),
        (&["migrate"], 0, Does),
        (&["migrate", "--print", "--store", "postgres://u@h/d"], 0, Looks),
        (&["projection", "run", "--once"], 0, Does),
        (&["projection", "list"], 0, Looks),
        (&["projection", "show", "run_progress"], 0, Looks),
        (&["projection", "parked", "run_progress"], 0, Looks),
        (&["projection", "rebuild", "run_progress"], 0, Does),
        (&["events", "posting", "9", "--json"], 1, Looks),
        (&["run", "--workflow", "gone.toml", "--postings", "postings", "--json"], 2, Does),
        (&["run", "--json"], 2, Does),
        (&["--help"], 0, Looks),
        (&["--version"], 0, Looks),
    ];
    for (arguments, code, kind) in cases {
        check(&workspace, arguments, *code, *kind);
    }
}

#[test]
fn findings_about_a_store_are_found_whoever_reads_them() {
    let workspace = workspace();
    let store = Connection::open(workspace.path().join("turing.db")).unwrap();
    store.pragma_update(None, "ignore_check_constraints", true).unwrap();
    let statement = "UPDATE projection_rows SET value = 'no JSON' WHERE key = 'posting/1'";
    assert_eq!(store.execute(statement, []).unwrap(), 1);
    // an event of another program that is none of ours
    let statement = "INSERT INTO execution_events
            (event_id, aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
        SELECT '01a2077e-0ecf-7430-baf5-be8edd359d01', 'posting', '2', max(aggregate_version) + 1,
            'moon_rose', '{}'
        FROM execution_events WHERE aggregate_type = 'posting' AND aggregate_id = '2'";
    assert_eq!(store.execute(statement, []).unwrap(), 1);
    drop(store);
    workspace.turing(&["projection", "run", "--once"]).expect_code(0);
    check(&workspace, &["validate"], 1, Looks);
    check(&workspace, &["validate", "--json"], 1, Looks);
    check(&workspace, &["projection", "list"], 1, Looks);
    check(&workspace, &["projection", "parked", "posting_state"], 1, Looks);
    check(&workspace, &["projection", "retry", "posting_state", "posting/2"], 1, Does);
}

#[test]
fn a_failed_run_fails_at_the_head_of_a_pipeline() {
    let workspace = workspace();
    let turing = env!("CARGO_BIN_EXE_turing");
    let more = "--workflow workflow.toml --postings postings --again";
    for (command, code) in [
        (format!("run {more} | true"), 1),
        (format!("run {more} | head -1"), 1),
        (format!("run {more} --json | head -c 1"), 1),
        (format!("run {more} 2>&1 | true"), 1),
        ("check wrong.toml | true".to_owned(), 1),
        ("events posting 1 --json | head -1".to_owned(), 0),
    ] {
        let line = format!("{turing} {command} >/dev/null; exit ${{PIPESTATUS[0]}}");
        let mut bash = Command::new("bash");
        bash.args(["-c", &line]).current_dir(workspace.path()).env_remove("TURING_STORE");
        assert_eq!(bash.status().unwrap().code(), Some(code), "{line}");
    }
}

#[test]
fn closed_descriptors_change_nothing() {
    for (body, code) in [("exit 3", 1), ("cat", 0)] {
        let workspace = Workspace::new();
        workspace.postings(2);
        workspace.script("check.sh", body);
        define(&workspace);
        for closed in ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"] {
            let mut shell = Command::new("sh");
            let line = format!("exec \"$0\" \"$@\" {closed}");
            shell.args(["-c", &line, env!("CARGO_BIN_EXE_turing")]).args(RUN).arg("--again");
            shell.current_dir(workspace.path()).env_remove("TURING_STORE");
            let output = shell.output().unwrap();
            assert_eq!(output.status.code(), Some(code), "{closed}: {output:?}");
        }
        workspace.turing(&["validate"]).expect_code(0);
        assert_eq!(workspace.runs().as_array().unwrap().len(), 5);
    }
}

#[test]
fn a_folder_that_was_deleted_is_named() {
    let workspace = workspace();
    for (arguments, code) in [
        ("runs", 3),
        ("run --workflow workflow.toml --postings postings", 2),
        ("check workflow.toml", 2),
    ] {
        let mut shell = Command::new("sh");
        let line = format!("mkdir gone && cd gone && rmdir ../gone && exec \"$0\" {arguments}");
        shell.args(["-c", &line, env!("CARGO_BIN_EXE_turing")]);
        shell.current_dir(workspace.path()).env_remove("TURING_STORE");
        let output = shell.output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments}: {told}");
        assert!(told.contains("the working folder was deleted"), "{arguments}: {told}");
    }
}

#[test]
fn the_help_and_the_docs_name_the_same_exit_codes() {
    let workspace = Workspace::new();
    let is_number = |text: &&str| text.parse::<u8>().is_ok();
    let docs = include_str!("../../../docs/workflow-format.md");
    let (_, section) = docs.split_once("\n## Exit codes\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next());
    let documented: Vec<_> = rows.filter(is_number).collect();
    assert_eq!(documented.last(), Some(&"75"));
    for arguments in [&["--help"][..], &["run", "--help"]] {
        let help = workspace.turing(arguments).expect_code(0).stdout;
        let (_, named) = help.split_once("Exit codes:\n").unwrap();
        let words = named.lines().filter_map(|line| line.split_whitespace().next());
        let named: Vec<_> = words.filter(is_number).collect();
        assert_eq!(named, documented, "{help}");
    }
}

#[test]
fn who_asks_for_json_is_told_in_json_why_a_command_failed() {
    let workspace = workspace();
    workspace.file("broken.db", "x");
    let gone = ["run", "--workflow", "gone.toml", "--postings", "postings", "--json"];
    let cases: [(&[&str], i32, &str); 5] = [
        (&gone, 2, "gone.toml"),
        (&["run", "--json"], 2, "--workflow"),
        (&["runs", "--json", "--store", "sqlite:broken.db"], 3, "broken.db"),
        (&["runs", "--json", "--store", "nowhere"], 2, "--store"),
        (&["events", "posting", "9", "--json"], 1, "posting 9"),
    ];
    for (arguments, code, named) in cases {
        let answer = workspace.turing(arguments).expect_code(code);
        let told = answer.json();
        assert_eq!(told["exit_code"], code, "{answer:#?}");
        assert!(told["error"].as_str().unwrap().contains(named), "{answer:#?}");
        for cause in told["causes"].as_array().unwrap() {
            assert!(answer.stderr.contains(cause.as_str().unwrap()), "{answer:#?}");
        }
        let without: Vec<_> = arguments.iter().copied().filter(|it| *it != "--json").collect();
        assert_eq!(workspace.turing(&without).expect_code(code).stdout, "");
    }
    let causes = workspace.turing(&gone).json()["causes"].take();
    assert!(causes[0].as_str().is_some_and(|cause| cause.contains("No such file")), "{causes}");
}

#[test]
fn what_is_wrong_with_a_command_line_is_one_line_that_says_what_to_do() {
    let workspace = Workspace::new();
    let both = [&RUN[..], &["--new", "--again", "--json"]].concat();
    let cases: [(&[&str], &str, &str); 6] = [
        (&["run", "--json"], "not provided: --workflow <FILE> --postings <PATH>", "`--help` says"),
        (&["runs", "--json", "--stor", "x"], "unexpected argument '--stor'", "'--store'"),
        (&["events", "post", "1", "--json"], "invalid value 'post'", "posting, workflow"),
        (&["run", "show", "seven", "--json"], "invalid value 'seven'", "`turing runs` lists them"),
        (&["check", "x", "--json", "--graph", "dot"], "cannot be used with", "give the one that"),
        (&both, "--new leaves out what has completed", "give the one that is meant"),
    ];
    for (arguments, what, cure) in cases {
        let answer = workspace.turing(arguments).expect_code(2);
        let error = answer.json()["error"].take();
        let error = error.as_str().unwrap();
        assert!(error.contains(what) && error.contains(cure), "{error}");
        assert!(!error.contains('\n') && !error.starts_with("error"), "{error:?}");
        assert!(!error.contains("Usage"), "{error}");
        assert_eq!(answer.json()["causes"], serde_json::json!([]), "{answer:#?}");
        assert!(answer.stderr.contains(cure) || cure == "`--help` says", "{answer:#?}");
    }
}
