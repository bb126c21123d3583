//! `turing run show`, `turing run retry`, and one process at a time.

use std::fs;
use std::process::Stdio;

use rusqlite::Connection;
use serde_json::json;

use crate::support::processes::pause;
use crate::support::{END, PROGRAM_PID, RUN, Workspace};

/// Four postings; the second one's script fails as long as there is a file `ill`.
fn workspace() -> Workspace {
    let body = "if grep -q 'advert 2' && [ -e ill ]; then exit 3; fi; echo ok";
    Workspace::with_script(4, "check", END, body)
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
    assert_eq!(
        (&account["workflow_name"], &conversation["name"]),
        (&json!("test"), &json!("check"))
    );
    assert!(conversation["total_ms"].as_u64() >= conversation["p95_ms"].as_u64());
    assert_eq!(account["not_entered"], 0);
    let text = workspace.turing(&["run", "show"]).expect_code(0).stdout;
    assert!(text.contains("4 postings, 4 ended (3 completed, 1 actor_failed), 0 open\n"), "{text}");
    assert!(text.contains(" of workflow 3001 (test), ") && text.contains("\n10 check "), "{text}");
    let text = workspace.turing(&["runs"]).expect_code(0).stdout;
    let id = account["run_id"].as_str().unwrap();
    let row = text.lines().nth(1).unwrap();
    assert!(row.starts_with(&format!("{id}  3001 test  20")), "{text}");
    assert!(row.ends_with("  3 completed, 1 actor_failed"), "{text}");
}

#[test]
fn what_failed_is_told_with_its_reason_and_nothing_is_cut() {
    let workspace = workspace();
    let long = "x".repeat(300);
    workspace.script(
        "check.sh",
        &format!(
            "case $(cat) in *'advert 1'*) echo ok;; *) printf 'one\\n{long}\\n' >&2; exit 3;; esac"
        ),
    );
    let report = workspace.run(&[]).expect_code(1);
    let most = "  3 postings, such as 2 at 10 check: script_error: ";
    let told = report.stdout.lines().find(|line| line.starts_with(most)).unwrap();
    assert!(told.contains("exited with code 3") && told.ends_with(&long), "{report:#?}");

    let text = workspace.turing(&["run", "show"]).expect_code(0).stdout;
    assert!(text.contains("  3 postings, such as 2 at 10 check: script_error: "), "{text}");
    let text = workspace.turing(&["run", "show", "--failed"]).expect_code(0).stdout;
    let first: Vec<_> = text.lines().take(4).collect();
    assert_eq!(first[0], "posting 2: actor_failed at 10 check, attempt 1");
    assert!(
        first[1].starts_with("  script_error: ") && first[1].ends_with("with code 3"),
        "{text}"
    );
    assert_eq!((first[2], first[3]), ("  | one", &*format!("  | {long}")));
    assert_eq!(text.lines().count(), 3 * 4, "{text}");

    let events = workspace.turing(&["events", "posting", "2"]).expect_code(0).stdout;
    assert!(events.contains(&format!("stderr: one⏎{long}")), "{events}");
    let states = workspace.turing(&["projection", "show", "posting_state"]).expect_code(0).stdout;
    assert_eq!(states.matches(" actor_failed ").count(), 3, "{states}");
}

#[test]
fn what_failed_is_told_as_json() {
    let workspace = workspace();
    workspace.file("ill", "");
    let report = workspace.run(&["--json"]).expect_code(1).json();
    assert_eq!(report["errors"][0]["example"], 2);
    let account = workspace.turing(&["run", "show", "--json"]).expect_code(0).json();
    assert_eq!((&account["errors"], account.get("failed_postings")), (&report["errors"], None));
    let shown = workspace.turing(&["run", "show", "--failed", "--json"]).expect_code(0).json();
    let failed = shown["failed"].as_array().unwrap();
    assert_eq!(failed.len(), 1);
    assert_eq!((&failed[0]["posting_id"], &failed[0]["conversation_id"]), (&json!(2), &json!(10)));
    assert_eq!((&failed[0]["attempt"], &failed[0]["stderr"]), (&json!(1), &json!(null)));
    assert_eq!(failed[0]["failure_type"], "script_error");
    fs::remove_file(workspace.path().join("ill")).unwrap();
    workspace.run(&["--again"]).expect_code(0);
    let text = workspace.turing(&["run", "show", "--failed"]).expect_code(0).stdout;
    assert!(text.contains("has failed") && text.starts_with("no posting of run "), "{text}");
}

#[test]
fn what_failed_is_told_of_postings_that_completed_all_the_same() {
    let workspace = workspace();
    workspace.file("ill", "");
    let rule = "when = \"*\"\n[[conversations.branches]]\non = \"failure\"\n";
    workspace.definition(10, &[(10, "check", &format!("{END}{rule}"))]);
    workspace.run(&[]).expect_code(0);
    let text = workspace.turing(&["run", "show"]).expect_code(0).stdout;
    assert!(text.contains("4 ended (4 completed)"), "{text}");
    let told = "\nother attempts that failed for good:\n  posting 2 at 10 check: script_error: ";
    assert!(text.contains(told) && text.contains("exited with code 3"), "{text}");
    assert!(!text.contains("most frequent errors"), "{text}");
    let text = workspace.turing(&["run", "show", "--failed"]).expect_code(0).stdout;
    let told =
        "posting 2, which ended as completed: failed at 10 check, attempt 1\n  script_error: ";
    assert!(text.starts_with("no posting of run ") && text.contains(told), "{text}");
    let account = workspace.turing(&["run", "show", "--json"]).expect_code(0).json();
    assert_eq!(
        (&account["errors"], &account["other_errors"][0]["example"]),
        (&json!([]), &json!(2))
    );
    let shown = workspace.turing(&["run", "show", "--failed", "--json"]).expect_code(0).json();
    assert_eq!(
        (&shown["failed"], &shown["other_failures"][0]["posting_id"]),
        (&json!([]), &json!(2))
    );
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
fn a_posting_whose_state_was_imported_is_out_of_its_run_until_it_enters_it_again() {
    let workspace = workspace();
    let body = format!("if [ ! -e healed ]; then kill -9 {PROGRAM_PID}; exit 1; fi; echo ok");
    workspace.script("check.sh", &body);
    workspace.run(&["--parallel", "1"]);
    let theirs = json!({
        "source": "public.posting_state_checkpoints",
        "row_digest": "",
        "recorded_at": null,
        "current_conversation_id": 7,
        "is_terminal": false,
        "replaces": false,
        "execution_sequence": [7],
        "outputs": {"7": "theirs"},
    });
    let store = Connection::open(workspace.path().join("turing.db")).unwrap();
    let import = "INSERT INTO execution_events
            (event_id, aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
        VALUES ('00000000-0000-4000-8000-000000000001', 'posting', '2', 2, 'posting_state_imported', ?1)";
    assert_eq!(store.execute(import, [theirs.to_string()]).unwrap(), 1);
    drop(store);

    let account = workspace.turing(&["run", "show", "--json"]).expect_code(0).json();
    assert_eq!((&account["open"], &account["not_entered"]), (&json!(3), &json!(1)));
    assert_eq!(account["conversations"]["10"]["open"], 3);
    let events = workspace.turing(&["events", "posting", "2"]).expect_code(0).stdout;
    assert!(events.contains(" posting_state_imported "), "{events}");
    assert!(events.contains(r#"outputs: {"7":"theirs"}"#), "{events}");
    let state = workspace.state(2);
    assert_eq!((&state["current_conversation_id"], &state["run"]), (&json!(7), &json!(null)));

    workspace.file("healed", "");
    workspace.run(&[]).expect_code(0);
    let account = workspace.turing(&["run", "show", "--json"]).expect_code(0).json();
    assert_eq!((&account["open"], &account["not_entered"]), (&json!(0), &json!(0)));
    assert_eq!(account["ended"], json!({"completed": 4}));
    assert_eq!(workspace.state(2)["execution_sequence"], json!([7, 10]));
    let model = ["projection", "show", "posting_state", "posting/2", "--json"];
    let shown = workspace.turing(&model).expect_code(0).stdout;
    assert!(shown.contains("theirs"), "{shown}");
    workspace.turing(&["validate"]).expect_code(0);
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
fn a_retry_counts_as_a_part_of_the_run_that_it_retries() {
    let workspace = workspace();
    workspace
        .script("check.sh", "if [ -e ill ] && grep -q 'advert [24]'; then exit 3; fi; echo ok");
    workspace.file("ill", "");
    workspace.run(&[]).expect_code(1);
    let retry = ["run", "retry", "--workflow", "workflow.toml"];
    // what fails once more is told, and by its last run
    workspace.turing(&retry).expect_code(1);
    let told = workspace.run(&[]).expect_code(1).stdout;
    assert!(told.contains("(2 completed, 2 actor_failed)"), "{told}");
    let runs = workspace.runs();
    let run = runs[1]["run_id"].as_str().unwrap();
    let hint = format!("`turing run retry {run} --workflow workflow.toml`");
    assert!(told.contains(&hint), "{told}");

    fs::remove_file(workspace.path().join("ill")).unwrap();
    workspace.turing(&retry).expect_code(0);
    let before = workspace.events(2);
    let told = workspace.run(&[]).expect_code(0).stdout;
    assert!(told.starts_with("Nothing to do: run "), "{told}");
    assert!(told.contains("(4 completed)") && !told.contains("retry"), "{told}");
    assert_eq!(workspace.events(2), before);
    assert_eq!(workspace.runs().as_array().unwrap().len(), 3);
    workspace.run(&["--again"]).expect_code(0);
}

#[test]
fn what_several_runs_have_completed_with_this_definition_is_not_executed_again() {
    let workspace = workspace();
    for file in ["postings/001.json", "postings/002.json"] {
        let run = ["run", "--workflow", "workflow.toml", "--postings", file];
        workspace.turing(&run).expect_code(0);
    }
    for name in ["003.json", "004.json"] {
        fs::remove_file(workspace.path().join("postings").join(name)).unwrap();
    }
    let told = workspace.run(&[]).expect_code(0).stdout;
    assert!(told.starts_with("Nothing to do: run ") && told.contains("and 1 before it"), "{told}");
    // under another definition they are
    workspace.redefine();
    let report = workspace.run(&["--json"]).expect_code(0).json();
    assert_eq!(report["postings"], 2);
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

#[test]
fn a_posting_that_is_busy_elsewhere_fails_the_run_and_blocks_nothing() {
    let workspace = workspace();
    workspace.other_workflow();
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
    workspace.other_workflow();
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
    let answer = workspace.turing(&["run", "show", "seven"]).expect_code(2);
    assert!(answer.stderr.contains("or the beginning of it, such as"), "{answer:#?}");
}

#[test]
fn the_beginning_of_an_id_names_a_run_if_no_other_begins_so() {
    let workspace = workspace();
    workspace.file("ill", "");
    workspace.run(&[]).expect_code(1);
    let id = workspace.runs()[0]["run_id"].as_str().unwrap().to_owned();
    for name in [&id[..1], &id[..20], &id] {
        let shown = workspace.turing(&["run", "show", name, "--json"]).expect_code(0).json();
        assert_eq!(shown["run_id"], id.as_str());
    }
    fs::remove_file(workspace.path().join("ill")).unwrap();
    let retry = ["run", "retry", &id[..13], "--workflow", "workflow.toml"];
    workspace.turing(&retry).expect_code(0);
    // both ids begin with the time
    let both = workspace.turing(&["run", "show", &id[..4]]).expect_code(2).stderr;
    assert!(
        both.contains(&format!("2 runs have ids that begin with {}: {id}, ", &id[..4])),
        "{both}"
    );
    let none = workspace.turing(&["run", "show", "f"]).expect_code(1).stderr;
    assert!(none.contains("no run has an id that begins with f"), "{none}");
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
        pause();
    }
    let second = workspace.run(&[]);
    workspace.file("asked", "");
    assert!(first.wait().unwrap().success());
    let second = second.expect_code(4);
    let told = format!("is being run in this store by process {}", first.id());
    assert!(second.stderr.contains(&told), "{}", second.stderr);
    workspace.run(&[]).expect_code(0);
}
