//! `turing run` from the outside: real scripts, a real file, and what the user is told.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::{END, PROGRAM_PID, Workspace, find, names};

const PASS_OR_FAIL: &str = "input = \"{job_description}\"\n\
     [[conversations.branches]]\nwhen = \"[PASS]\"\nto = 20\n\
     [[conversations.branches]]\nwhen = \"[FAIL]\"\n";

/// Three postings; the second fails the check, the others reach the second conversation.
fn two_steps() -> Workspace {
    let workspace = Workspace::new();
    workspace.postings(3);
    workspace.script("check.sh", "grep -q 'advert 2' && echo '[FAIL]' || echo '[PASS]'");
    workspace.script("save.sh", "cat");
    workspace.definition(10, &[(10, "check", PASS_OR_FAIL), (20, "save", END)]);
    workspace
}

#[test]
fn every_fact_is_recorded_with_its_metadata() {
    let workspace = two_steps();
    workspace.run(&[]).expect_code(0);
    let events = workspace.events(1);
    assert_eq!(
        names(&events),
        [
            "posting_entered_run",
            "script_execution_completed",
            "branch_taken",
            "script_execution_completed",
            "branch_taken",
            "posting_terminal"
        ]
    );
    let completed = &events[1];
    assert_eq!(completed["payload"], json!({"output": "[PASS]", "status": "SUCCESS"}));
    let metadata = &completed["metadata"];
    for (field, value) in [
        ("conversation_id", json!(10)),
        ("actor_id", json!(10)),
        ("execution_order", json!(10)),
        ("retry_count", json!(0)),
        ("correlation_id", json!("workflow_3001_posting_1")),
        ("event_version", json!("1.0")),
        ("causation_id", events[0]["event_id"].clone()),
    ] {
        assert_eq!(metadata[field], value, "{field}");
    }
    assert!(metadata["duration_ms"].is_u64());
    assert_eq!(events[3]["metadata"]["causation_id"], events[2]["event_id"]);
    let run_id = &events[0]["payload"]["run_id"];
    assert!(events.iter().all(|event| event["metadata"]["run_id"] == *run_id), "{events:#?}");

    let waves = workspace.turing(&["events", "conversation", "10", "--json"]).json_lines();
    assert_eq!(names(&waves), ["conversation_started", "conversation_completed"]);
    assert_eq!(waves[1]["payload"]["processed_count"], 3);
    let runs = workspace.turing(&["events", "workflow", "3001", "--json"]).json_lines();
    assert_eq!(names(&runs), ["workflow_started", "workflow_completed"]);
    assert_eq!(runs[1]["payload"]["ended_postings"], json!({"completed": 3}));
}

#[test]
fn the_report_adds_up_and_says_where_postings_ended() {
    let workspace = two_steps();
    workspace.file("postings/900.json", "{\"job_description\":");
    workspace.file("postings/901.json", r#"{"job_description":"a\u0000b"}"#);
    workspace.file("postings/902.json", r#"{"job_description":"advert 1","posting_id":1}"#);
    let answer = workspace.run(&["--json"]).expect_code(1);
    let report = answer.json();
    let count = |field: &str| report[field].as_u64().unwrap();
    let refused = report["refused"].as_array().unwrap();
    assert_eq!(count("read"), count("postings") + refused.len() as u64 + count("repeated"));
    assert_eq!((count("read"), count("repeated"), count("open")), (6, 1, 0));
    let ended = report["ended"].as_array().unwrap();
    let sum: u64 = ended.iter().map(|ending| ending["postings"].as_u64().unwrap()).sum();
    assert_eq!(sum, 3);
    assert!(ended.contains(&json!({"reason": "completed", "conversation": 10, "postings": 1})));
    for text in ["postings/900.json: not JSON", "postings/901.json: the field `job_description`"] {
        assert!(answer.stderr.contains(&format!("refused: {text}")), "{}", answer.stderr);
    }
}

#[test]
fn the_same_run_again_adds_no_event_and_says_why() {
    let workspace = two_steps();
    workspace.run(&[]).expect_code(0);
    let before = workspace.events(1);
    let answer = workspace.run(&[]).expect_code(0);
    assert!(answer.stdout.contains("Nothing to do"), "{answer:#?}");
    assert_eq!(workspace.events(1), before);
    workspace.run(&["--again"]).expect_code(0);
    assert_eq!(workspace.events(1).len(), 2 * before.len());
    let runs = workspace.runs();
    assert_eq!(runs.as_array().unwrap().len(), 2);
}

#[test]
fn outputs_of_an_earlier_run_are_not_used_by_the_next() {
    let workspace = Workspace::new();
    workspace.postings(1);
    // a title somewhere in the data, so that the placeholder could be filled
    workspace.file("postings/2.json", r#"{"posting_id":2,"title":"Cook"}"#);
    workspace.script("a.sh", "echo '{\"title\":\"Baker\"}'");
    let end = "input = \"{title}\"\n[[conversations.branches]]\n";
    workspace.script("b.sh", "cat");
    workspace.definition(
        10,
        &[(10, "a", "input = \"x\"\n[[conversations.branches]]\nto = 20"), (20, "b", end)],
    );
    workspace.run(&[]).expect_code(0);
    // the second run begins at the conversation that needs the first one's output
    workspace.definition(20, &[(20, "b", end)]);
    workspace.run(&[]).expect_code(1);
    let events = workspace.events(1);
    let failed = find(&events, "script_execution_failed");
    assert_eq!(failed["payload"]["failure_type"], "invalid_input");
    assert!(failed["payload"]["error"].as_str().unwrap().contains("title"), "{failed}");
}

#[test]
fn a_json_output_with_a_byte_order_mark_fills_placeholders_and_one_that_is_no_json_is_told() {
    let workspace = Workspace::new();
    workspace.postings(2);
    let marked = r#"printf '\357\273\277{"title":"Baker"}'"#;
    let text = "echo 'Title: Baker'";
    workspace
        .script("a.sh", &format!("case \"$(cat)\" in *'advert 2'*) {text};; *) {marked};; esac"));
    workspace.script("b.sh", r#"sed 's/.*"input":"\([^"]*\)".*/\1/'"#);
    workspace.definition(
        10,
        &[
            (10, "a", "input = \"x\"\n[[conversations.branches]]\nto = 20"),
            (20, "b", "input = \"a {title}\"\n[[conversations.branches]]\n"),
        ],
    );
    workspace.run(&[]).expect_code(1);
    assert_eq!(workspace.state(1)["outputs"]["20"], "a Baker");
    let events = workspace.events(2);
    let failed = &find(&events, "script_execution_failed")["payload"];
    assert_eq!(failed["failure_type"], "invalid_input");
    assert_eq!(
        failed["error"],
        "nothing fills {title}; the output of conversation 10 is no JSON object: expected value at \
         line 1 column 1 (it begins with \"Title: Baker\")"
    );
}

#[test]
fn a_failure_that_passes_is_retried_and_both_attempts_are_facts() {
    let body = "if mkdir tried 2>/dev/null; then kill -9 $$; fi; echo ok";
    let workspace = Workspace::with_script(1, "once", END, body);
    workspace.run(&[]).expect_code(0);
    let events = workspace.events(1);
    assert_eq!(
        names(&events)[1..5],
        [
            "script_execution_failed",
            "retry_scheduled",
            "script_execution_completed",
            "branch_taken"
        ]
    );
    assert_eq!(events[1]["payload"]["failure_type"], "interrupted");
    assert_eq!(events[3]["metadata"]["retry_count"], 1);
    assert_eq!(events[3]["metadata"]["causation_id"], events[2]["event_id"]);
}

/// Runs one posting through one script and answers how its attempts failed.
fn failure_of(body: &str, more: &str) -> (Value, usize) {
    let workspace = Workspace::with_script(1, "bad", &format!("{more}\n{END}"), body);
    let report = workspace.run(&["--json"]).expect_code(1).json();
    assert_eq!(report["ended"][0]["reason"], "actor_failed");
    let events = workspace.events(1);
    let failed = names(&events).iter().filter(|name| **name == "script_execution_failed").count();
    (find(&events, "script_execution_failed")["payload"].clone(), failed)
}

#[test]
fn a_script_that_fails_is_told_with_its_standard_error_and_not_repeated() {
    let (payload, attempts) = failure_of("echo 'no such table' >&2; exit 3", "");
    assert_eq!(payload["failure_type"], "script_error");
    assert!(payload["error"].as_str().unwrap().contains('3'), "{payload}");
    assert!(payload["stderr"].as_str().unwrap().contains("no such table"));
    assert_eq!(attempts, 1);
}

#[test]
fn a_script_that_hangs_is_ended_with_its_children_at_the_time_limit() {
    let (payload, attempts) = failure_of("sleep 1000 & sleep 1000", "timeout_seconds = 0.2");
    assert_eq!((&payload["failure_type"], attempts), (&json!("timeout"), 3));
}

#[test]
fn a_script_whose_output_cannot_be_kept_fails_as_invalid_output() {
    for body in ["printf 'a\\000b'", "printf 'a\\377b'", "head -c 50000000 /dev/zero | tr '\\0' x"]
    {
        let (payload, attempts) = failure_of(body, "");
        assert_eq!((&payload["failure_type"], attempts), (&json!("invalid_output"), 3), "{body}");
    }
}

#[test]
fn one_megabyte_of_output_is_kept_byte_for_byte() {
    let line = "grüße ✓ \"quoted\" \\ \t";
    let text: String = line.chars().cycle().take(850_000).collect();
    assert!((900_000..=1024 * 1024).contains(&text.len()), "{} bytes", text.len());
    let workspace = Workspace::with_script(1, "big", END, "cat big.txt");
    workspace.file("big.txt", &text);
    workspace.run(&[]).expect_code(0);
    let state = workspace.state(1);
    let output = state["outputs"]["10"].as_str().unwrap();
    assert!(output == text, "{} bytes", output.len());
}

#[test]
fn a_script_that_is_missing_or_not_executable_refuses_the_run_and_nothing_is_recorded() {
    let workspace = two_steps();
    fs::remove_file(workspace.path().join("save.sh")).unwrap();
    let check = workspace.path().join("check.sh");
    fs::set_permissions(&check, fs::Permissions::from_mode(0o644)).unwrap();
    let answer = workspace.run(&[]).expect_code(2);
    for text in ["actor 20", "save.sh", "actor 10", "chmod +x"] {
        assert!(answer.stderr.contains(text), "{}", answer.stderr);
    }
    assert!(!workspace.path().join("turing.db").exists());
}

#[test]
fn a_script_that_disappears_during_the_run_is_a_failure_and_other_postings_go_on() {
    let workspace = two_steps();
    workspace.script("check.sh", "rm -f save.sh; echo '[PASS]'");
    let report = workspace.run(&["--json"]).expect_code(1).json();
    assert_eq!(report["conversations"]["20"]["failed"], json!({"not_found": 3}));
    assert_eq!(report["open"], 0);
}

#[test]
fn a_definition_that_is_wrong_is_refused_with_all_its_errors() {
    let workspace = two_steps();
    for (text, expected) in [
        ("[workflow", "unclosed table"),
        ("[workflow]\nid = 1\nname = \"x\"\nentry = 5\nfoo = 1", "foo"),
        ("[workflow]\nid = 99999999999\nname = \"x\"\nentry = 5", "99999999999"),
        ("[workflow]\nid = 1\nname = \"x\"\nentry = 5", "5"),
    ] {
        workspace.file("workflow.toml", text);
        let answer = workspace.run(&[]).expect_code(2);
        assert!(answer.stderr.contains(expected), "{}", answer.stderr);
        assert!(answer.stderr.contains("workflow.toml"), "{}", answer.stderr);
    }
    let missing = workspace.turing(&["run", "--workflow", "no.toml", "--postings", "postings"]);
    assert!(missing.expect_code(2).stderr.contains("no.toml"));
}

#[test]
fn a_run_in_progress_with_other_postings_is_named_and_can_be_abandoned() {
    let workspace = two_steps();
    workspace.script("check.sh", &format!("kill -9 {PROGRAM_PID}"));
    workspace.run(&["--parallel", "1"]);
    workspace.script("check.sh", "echo '[FAIL]'");
    fs::remove_file(workspace.path().join("postings/003.json")).unwrap();
    let answer = workspace.run(&[]).expect_code(6);
    assert!(answer.stderr.contains("is in progress with other postings"), "{answer:#?}");
    assert!(
        answer.stderr.contains("it has 3, and 2 are given; not given: posting 3;"),
        "{answer:#?}"
    );
    assert!(answer.stderr.contains("--abandon"), "{answer:#?}");
    let run_id = workspace.runs()[0]["run_id"].take();
    let answer = workspace.run(&["--abandon", "--json"]).expect_code(0);
    let gave_up =
        format!("run {} is given up; it had 3 postings, 3 abandoned;", run_id.as_str().unwrap());
    assert!(answer.stderr.contains(&gave_up), "{answer:#?}");
    let gave_up = &answer.json()["gave_up"];
    assert_eq!((&gave_up["run_id"], &gave_up["ended"]), (&run_id, &json!({"abandoned": 3})));
    let runs = workspace.runs();
    let statuses: Vec<_> =
        runs.as_array().unwrap().iter().map(|run| run["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["failed", "completed"]);
    assert_eq!(find(&workspace.events(1), "posting_terminal")["payload"]["reason"], "abandoned");
}

#[test]
fn an_interrupted_run_finishes_its_attempts_and_goes_on_with_the_same_command() {
    let workspace = two_steps();
    // the first attempt interrupts the program and then takes its time
    let body =
        format!("mkdir told 2>/dev/null && kill -INT {PROGRAM_PID}; sleep 0.1; echo '[FAIL]'");
    workspace.script("check.sh", &body);
    let answer = workspace.run(&["--parallel", "1"]).expect_code(75);
    assert!(answer.stdout.contains("run the same command to go on"), "{answer:#?}");
    assert_eq!(names(&workspace.events(1)).last(), Some(&"posting_terminal"));
    assert_eq!(names(&workspace.events(2)), ["posting_entered_run"]);
    let report = workspace.run(&["--json"]).expect_code(0).json();
    assert_eq!((&report["is_continued"], &report["open"]), (&json!(true), &json!(0)));
}

#[test]
fn what_is_no_store_is_refused_by_name_and_left_as_it_is() {
    let workspace = two_steps();
    workspace.file("text.db", "hello");
    let answer = workspace.run(&["--store", "sqlite:text.db"]).expect_code(3);
    assert!(answer.stderr.contains("text.db"), "{answer:#?}");
    assert_eq!(fs::read(workspace.path().join("text.db")).unwrap(), b"hello");
    let answer = workspace.turing(&["runs", "--store", "sqlite:none.db"]).expect_code(3);
    assert!(answer.stderr.contains("none.db"), "{answer:#?}");
    assert!(!workspace.path().join("none.db").exists());
    let answer = workspace.run(&["--store", "postgres://u:canary@h:port/d"]).expect_code(2);
    assert!(!answer.stderr.contains("canary"), "{answer:#?}");
}

#[test]
fn asking_for_what_is_not_there_is_answered_by_name() {
    let workspace = two_steps();
    workspace.run(&[]).expect_code(0);
    let answer = workspace.turing(&["events", "posting", "77"]).expect_code(1);
    assert!(answer.stderr.contains("posting 77 has no events"), "{answer:#?}");
    let answer = workspace.turing(&["state", "posting", "77"]).expect_code(1);
    assert!(answer.stderr.contains("posting 77 has no events"), "{answer:#?}");
    workspace.turing(&["state", "posting", "seven"]).expect_code(2);
    workspace.turing(&["state", "posting", "99999999999"]).expect_code(2);
}

#[test]
fn an_actor_that_keeps_failing_gets_no_calls_until_its_breaker_lets_one_through() {
    // three failures in a row open the breaker; the call after the cooldown is the first to succeed
    let body = "n=$(ls calls | wc -l); mkdir -p calls; touch calls/$$; [ \"$n\" -ge 3 ] && echo ok";
    let workspace = Workspace::with_script(8, "ill", END, &format!("mkdir -p calls\n{body}"));
    workspace.breaker(3, 0.3);
    let answer = workspace.run(&["--parallel", "1", "--json"]).expect_code(1);
    let report = answer.json();
    assert_eq!(report["conversations"]["10"]["completed"], 5);
    assert_eq!(report["conversations"]["10"]["failed"], json!({"script_error": 3}));
    assert_eq!(report["open"], 0);
    assert!(answer.stderr.contains("circuit breaker is open"), "{}", answer.stderr);

    let actor = workspace.turing(&["events", "actor", "10", "--json"]).expect_code(0).json_lines();
    assert_eq!(
        names(&actor),
        [
            "actor_call_failed",
            "actor_call_failed",
            "actor_call_failed",
            "circuit_breaker_opened",
            "circuit_breaker_half_opened",
            "circuit_breaker_closed"
        ]
    );
    let third = workspace.events(3);
    assert_eq!(find(&third, "circuit_breaker_open")["payload"]["failure_count"], 3);
}

#[test]
fn a_placeholder_that_nothing_can_fill_refuses_the_run_before_anything_is_recorded() {
    let workspace = two_steps();
    workspace.amend("{job_description}", "{job_descripton}");
    let answer = workspace.run(&[]).expect_code(2);
    assert!(answer.stderr.contains("{job_descripton} is in no posting's data"), "{answer:#?}");
    assert!(!workspace.path().join("turing.db").exists());
}
