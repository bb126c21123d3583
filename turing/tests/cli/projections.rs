//! The read models: what they hold, that they agree with the events, and how they are repaired.

mod held;
mod repaired;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{Answer, Workspace};

const NAMES: [&str; 3] = ["conversation_statistics", "posting_state", "run_progress"];

/// A run in which postings succeed, fail and are repeated.
fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.postings(9);
    workspace.script("read.sh", "cat; echo read");
    workspace.script(
        "judge.sh",
        "case $(sed -n 's/.*\"posting_id\":\\([0-9]*\\).*/\\1/p') in
             1|2) exit 1;; 3) echo bad;; *) echo good;;
         esac",
    );
    workspace.definition(
        10,
        &[
            (10, "read", "input = \"{posting_id}\"\n[[conversations.branches]]\nto = 20\n"),
            (
                20,
                "judge",
                "input = \"{posting_id}\"\n[[conversations.branches]]\nwhen = \"good\"\n",
            ),
        ],
    );
    workspace.run(&[]).expect_code(1);
    workspace
}

fn projection(workspace: &Workspace, arguments: &[&str]) -> Answer {
    workspace.turing(&[&["projection"], arguments].concat())
}

fn rows(workspace: &Workspace, name: &str) -> Vec<Value> {
    let shown = projection(workspace, &["show", name, "--json"]).expect_code(0).json();
    shown.as_array().unwrap().clone()
}

/// Changes the store behind the program's back.
fn tamper(workspace: &Workspace, statement: &str) {
    let connection = Connection::open(workspace.path().join("turing.db")).unwrap();
    connection.execute_batch(statement).unwrap();
}

#[test]
fn a_run_leaves_the_read_models_up_to_date_and_nobody_holding_them() {
    let workspace = workspace();
    let listed = projection(&workspace, &["list", "--json"]).expect_code(0).json();
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.iter().map(|row| &row["name"]).collect::<Vec<_>>(), NAMES);
    for row in listed {
        assert_eq!(row["state"], "not running", "{row}");
        assert_eq!(
            (&row["health"]["lag_events"], &row["health"]["holder"]),
            (&json!(0), &json!(null))
        );
    }
}

#[test]
fn the_states_of_postings_are_those_that_the_events_fold_to() {
    let workspace = workspace();
    let states = rows(&workspace, "posting_state");
    assert_eq!(states.len(), 9);
    for posting in 1..=9 {
        let key = format!("posting/{posting}");
        let row = states.iter().find(|row| row["key"] == key.as_str()).unwrap();
        assert_eq!(row["state"], workspace.state(posting), "{key}");
        assert_eq!(row["version"], workspace.events(posting).len());
    }
    let one = projection(&workspace, &["show", "posting_state", "posting/3", "--json"]);
    assert_eq!(one.expect_code(0).json()[0]["key"], "posting/3");
    let text = projection(&workspace, &["show", "posting_state", "3"]).expect_code(0).stdout;
    assert!(text.contains("\nposting/3 "), "{text}");
    let none = projection(&workspace, &["show", "posting_state", "77"]).expect_code(1);
    assert!(none.stderr.contains("no row posting/77"), "{none:#?}");
}

#[test]
fn the_progress_of_a_run_is_what_its_account_says() {
    let workspace = workspace();
    let account = workspace.turing(&["run", "show", "--json"]).expect_code(0).json();
    let [row] = &rows(&workspace, "run_progress")[..] else { panic!("one run was made") };
    assert_eq!(row["key"], account["run_id"]);
    for field in ["workflow_id", "status", "ended", "open", "postings", "began", "last_event"] {
        assert_eq!(row[field], account[field], "{field}");
    }
    let conversations = account["conversations"].as_object().unwrap();
    let done: u64 = conversations.values().map(|one| one["done"].as_u64().unwrap()).sum();
    assert_eq!(row["completed"], done);
    let failed: u64 = (conversations.values())
        .flat_map(|one| one["failed"].as_object().unwrap().values())
        .map(|count| count.as_u64().unwrap())
        .sum();
    let counted = row["failed"].as_object().unwrap().values().map(|count| count.as_u64().unwrap());
    assert_eq!((counted.sum::<u64>(), failed > 0), (failed, true));

    let statistics = rows(&workspace, "conversation_statistics");
    assert_eq!(statistics.len(), conversations.len());
    for row in &statistics {
        let of_run = &conversations[row["key"].as_str().unwrap()];
        assert_eq!((&row["completed"], &row["failed"]), (&of_run["done"], &of_run["failed"]));
        for percentile in ["p50_ms", "p95_ms"] {
            let exact = of_run[percentile].as_f64().unwrap();
            let told = row["durations"][percentile].as_f64().unwrap();
            assert!((told - exact).abs() <= exact * 0.01 + 0.5, "{percentile}: {told} for {exact}");
        }
    }
    let text = projection(&workspace, &["show", "run_progress"]).expect_code(0);
    assert!(text.stdout.contains("per minute"), "{text:#?}");
}

#[test]
fn bad_requests_are_told() {
    let workspace = Workspace::new();
    let no_store = projection(&workspace, &["list"]).expect_code(3);
    assert!(no_store.stderr.contains("turing.db"), "{no_store:#?}");
    assert!(!workspace.path().join("turing.db").exists());
    let unknown = projection(&workspace, &["show", "moons"]).expect_code(2);
    assert!(NAMES.iter().all(|name| unknown.stderr.contains(name)), "{unknown:#?}");
    projection(&workspace, &["rebuild", "run_progress", "--slices", "0"]).expect_code(2);
    projection(&workspace, &["run", "--once"]).expect_code(3);
    assert!(!workspace.path().join("turing.db").exists(), "no store is made by looking after one");
}
