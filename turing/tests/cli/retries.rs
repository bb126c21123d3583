//! `turing run retry` by filters, and its dry run, which selects what is run.

use std::fs::{self, File};

use serde_json::{Value, json};

use crate::support::{Answer, END, PROGRAM_PID, Workspace};

/// Four postings, each with its country: as long as there is a file `ill`, the second one's script fails,
/// the third one's is interrupted each time, and the fourth one's fails.
fn workspace() -> Workspace {
    let body = "[ -e ill ] || exec cat
                case $(cat) in
                  *'advert 2'* | *'advert 4'*) exit 3;;
                  *'advert 3'*) kill -TERM $$;;
                esac
                echo ok";
    let workspace = Workspace::with_script(4, "check", END, body);
    workspace.breaker(1_000, 0.01);
    for (id, country) in [(1, "AT"), (2, "AT"), (3, "DE"), (4, "DE")] {
        let text = json!({
            "posting_id": id,
            "job_description": format!("advert {id}"),
            "place": {"country": country},
        });
        workspace.file(&format!("postings/{id:03}.json"), text.to_string());
    }
    workspace.file("ill", "");
    workspace
}

/// The workspace after its run, and the run.
fn failed() -> (Workspace, String) {
    let workspace = workspace();
    workspace.run(&[]).expect_code(1);
    let run = runs(&workspace).remove(0);
    (workspace, run)
}

/// The ids of all runs, in the order in which they began.
fn runs(workspace: &Workspace) -> Vec<String> {
    let runs = workspace.runs();
    let ids = runs.as_array().unwrap().iter().map(|run| run["run_id"].as_str().unwrap().to_owned());
    ids.collect()
}

fn heal(workspace: &Workspace) {
    fs::remove_file(workspace.path().join("ill")).unwrap();
}

/// `run retry` of the run with these arguments, and these ids on its standard input.
fn retry(workspace: &Workspace, run: &str, more: &[&str], ids: &str) -> Answer {
    let ids = workspace.file("ids", ids);
    let mut command = workspace.command(&[&["run", "retry", run][..], more].concat());
    command.stdin(File::open(ids).unwrap()).output().unwrap().into()
}

/// The postings that have entered the run that began last.
fn entered(workspace: &Workspace) -> Value {
    let ids = ["run", "show", "--ids", "--json"];
    workspace.turing(&ids).expect_code(0).json()["posting_ids"].take()
}

#[test]
fn what_a_dry_run_names_is_what_enters_the_run_that_begins_then() {
    let (workspace, run) = failed();
    heal(&workspace);
    let cases: &[(&[&str], &str, &[i32])] = &[
        (&[], "", &[2, 3, 4]),
        (&["--failed", "script_error"], "", &[2, 4]),
        (&["--failed", "script_error", "--failed", "interrupted"], "", &[2, 3, 4]),
        (&["--failed", "script_error", "--where", "/place/country=DE"], "", &[4]),
        (&["--where", "/place/country=DE", "--reason", "actor_failed"], "", &[3, 4]),
        (&["--conversation", "10", "--posting", "3"], "", &[3]),
        (&["-"], "4\n\n2\n", &[2, 4]),
        (&["-", "--posting", "3", "--failed", "interrupted"], "4\n", &[3]),
        (&["-", "--ignore-others"], "1\n2\n9\n", &[2]),
    ];
    for (more, ids, expected) in cases {
        let before = runs(&workspace).len();
        let dry = [*more, &["--dry-run", "--json"]].concat();
        let told = retry(&workspace, &run, &dry, ids).expect_code(0).json();
        assert_eq!(told["posting_ids"], json!(expected), "{more:?}: {told}");
        let only_ids = retry(&workspace, &run, &[*more, &["--dry-run", "--ids"]].concat(), ids);
        let lines: String = expected.iter().map(|id| format!("{id}\n")).collect();
        assert_eq!(only_ids.expect_code(0).stdout, lines, "{more:?}");
        assert_eq!(runs(&workspace).len(), before, "a dry run begins nothing");

        retry(&workspace, &run, more, ids).expect_code(0);
        assert_eq!(runs(&workspace).len(), before + 1);
        assert_eq!(entered(&workspace), told["posting_ids"], "{more:?}");
    }
}

#[test]
fn a_dry_run_says_how_they_failed_what_is_left_out_and_what_they_cost() {
    let (workspace, run) = failed();
    let arguments = ["--failed", "interrupted", "--posting", "3", "--posting", "4", "--dry-run"];
    let told = retry(&workspace, &run, &arguments, "").expect_code(0).stdout;
    let expected = format!(
        "1 of 3 postings that failed in run {run} would be run once more:
  1 at 10 check: interrupted
  posting 3
left out by the ids that were given: 1 posting
left out by `--failed interrupted`: 1 script_error
in that run this took 3 attempts
"
    );
    assert_eq!(told, expected);
    let json = [&arguments[..], &["--json"]].concat();
    let told = retry(&workspace, &run, &json, "").expect_code(0).json();
    let filtered = json!([
        {"filter": "--posting 3 --posting 4", "postings": 1, "found": {}},
        {"filter": "--failed interrupted", "postings": 1, "found": {"script_error": 1}},
    ]);
    assert_eq!((&told["filtered"], &told["failed"]), (&filtered, &json!(3)));
    let kinds = json!([{
        "conversation_id": 10,
        "reason": "actor_failed",
        "failure_type": "interrupted",
        "postings": 1,
    }]);
    assert_eq!(told["kinds"], kinds);
    assert_eq!(told["cost"], json!({"attempts": 3, "tasks": 0, "tokens": null}));
    assert_eq!((&told["others"], &told["in_the_way"]), (&json!([]), &json!(null)));
}

#[test]
fn ids_that_did_not_fail_are_named_and_nothing_is_begun_unless_they_are_ignored() {
    let (workspace, run) = failed();
    heal(&workspace);
    let ids = "2\n1\n9\n8\n";
    let refused = retry(&workspace, &run, &["-"], ids).expect_code(1).stderr;
    for told in [
        format!("posting 1 completed in run {run}\n"),
        format!("postings 8, 9 are not in run {run}\n"),
        format!("of the ids that were given 3 did not fail in run {run}, and nothing is begun; "),
    ] {
        assert!(refused.contains(&told), "{refused}");
    }
    let dry = retry(&workspace, &run, &["-", "--dry-run"], ids).expect_code(1).stdout;
    assert!(dry.contains(&format!("left out: posting 1 completed in run {run}\n")), "{dry}");
    let dry = retry(&workspace, &run, &["-", "--dry-run", "--json"], ids).expect_code(1).json();
    let others = json!([
        {"posting_id": 8, "why": "not_in_run"},
        {"posting_id": 9, "why": "not_in_run"},
        {"posting_id": 1, "why": "completed"},
    ]);
    assert_eq!((&dry["others"], &dry["posting_ids"]), (&others, &json!([2])));

    let refused = retry(&workspace, &run, &["-"], "2\ntwo\n").expect_code(2).stderr;
    assert!(refused.contains("line 2 of standard input is no posting's id: `two`"), "{refused}");
    let nothing = retry(&workspace, &run, &["-"], "\n").expect_code(1).stderr;
    assert!(nothing.contains("no id stands on standard input"), "{nothing}");
    assert_eq!(runs(&workspace), std::slice::from_ref(&run));

    let told = retry(&workspace, &run, &["-", "--ignore-others"], ids).expect_code(0);
    assert!(told.stderr.contains("1 of the 3 postings that failed in run"), "{told:#?}");
    assert_eq!(entered(&workspace), json!([2]));
}

#[test]
fn a_filter_that_leaves_nothing_is_named_with_what_there_is() {
    let (workspace, run) = failed();
    let failed = format!("3 postings failed in run {run}, ");
    let cases: &[(&[&str], &str)] = &[
        (
            &["--failed", "timeout"],
            "and none of these fits `--failed timeout`: 2 script_error, 1 interrupted",
        ),
        (
            &["--failed", "interrupted", "--where", "/place/country=AT"],
            "the other filters leave 1 of them, and none of these fits \
             `--where '/place/country=AT'`: 1 \"DE\"",
        ),
        (&["--conversation", "99"], "and none of these fits `--conversation 99`: 3 at 10"),
        (&["--where", "/town=Graz"], "`--where '/town=Graz'`: 3 with nothing there"),
    ];
    for (more, expected) in cases {
        for dry_run in [&["--dry-run"][..], &[]] {
            let told = retry(&workspace, &run, &[*more, dry_run].concat(), "").expect_code(1);
            assert_eq!(told.stdout, "");
            let is_told = told.stderr.contains(&failed) && told.stderr.contains(*expected);
            assert!(is_told, "{more:?}: {told:#?}");
        }
    }
    for wrong in [&["--where", "/place"][..], &["--where", "place=1"], &["--ids"], &["another"]] {
        retry(&workspace, &run, wrong, "").expect_code(2);
    }
    assert_eq!(runs(&workspace), [run]);
}

#[test]
fn ids_go_from_one_command_to_another_and_a_run_need_not_be_named() {
    let (workspace, run) = failed();
    heal(&workspace);
    let show = ["run", "show", &run, "--ids", "--failed=interrupted"];
    let ids = workspace.turing(&show).expect_code(0).stdout;
    assert_eq!(ids, "3\n");
    // the run that began last is meant
    retry(&workspace, "-", &[], &ids).expect_code(0);
    assert_eq!(entered(&workspace), json!([3]));
}

#[test]
fn a_retry_by_filters_that_was_killed_goes_on_by_the_same_command() {
    let (workspace, run) = failed();
    workspace.script("check.sh", &format!("kill -9 {PROGRAM_PID}"));
    let filter = ["--failed", "script_error"];
    let killed = retry(&workspace, &run, &[&filter[..], &["--parallel", "1"]].concat(), "");
    assert_eq!(killed.code, None, "{killed:#?}");
    workspace.script("check.sh", "cat");
    let begun = runs(&workspace).remove(1);

    let dry = ["--dry-run", "--json"];
    let told = retry(&workspace, &run, &[&filter[..], &dry].concat(), "").expect_code(0).json();
    assert_eq!((&told["goes_on_with"], &told["in_the_way"]), (&json!(begun), &json!(null)));
    // all that failed are another selection, for which the retry is in the way
    let told = retry(&workspace, &run, &dry, "").expect_code(6).json();
    assert_eq!((&told["goes_on_with"], &told["in_the_way"]), (&json!(null), &json!(begun)));
    retry(&workspace, &run, &[], "").expect_code(6);
    retry(&workspace, &run, &["--dry-run", "--abandon"], "").expect_code(0);

    let report = retry(&workspace, &run, &[&filter[..], &["--json"]].concat(), "");
    let report = report.expect_code(0).json();
    assert_eq!((&report["run_id"], &report["is_continued"]), (&json!(begun), &json!(true)));
    assert_eq!(entered(&workspace), json!([2, 4]));
}
