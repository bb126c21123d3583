//! The read models: what they hold, that they agree with the events, and how they are repaired.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

mod support;

use std::process::{Child, Stdio};
use std::time::Duration;

use es_core::Timestamp;
use es_core::environment::{Clock, SystemClock};
use es_core::projection::Lease;
use rusqlite::Connection;
use serde_json::{Value, json};

use support::{Answer, Workspace};

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
fn a_row_that_was_changed_by_hand_is_found_by_a_rebuild_and_mended_by_the_switch() {
    let workspace = workspace();
    let before = rows(&workspace, "posting_state");
    tamper(
        &workspace,
        "UPDATE projection_rows SET value = json_set(value, '$.version', 77)
         WHERE key = 'posting/4';
         DELETE FROM projection_rows WHERE key = 'posting/5'",
    );
    assert_ne!(rows(&workspace, "posting_state"), before);
    let rebuilt = projection(&workspace, &["rebuild", "posting_state", "--json"]).expect_code(0);
    let rebuilt = rebuilt.json();
    let differing: Vec<_> =
        rebuilt["differing"].as_array().unwrap().iter().map(|row| row["key"].clone()).collect();
    assert_eq!(differing, ["posting/4", "posting/5"]);
    assert_ne!(rows(&workspace, "posting_state"), before, "the old one is served until the switch");
    projection(&workspace, &["switch", "posting_state"]).expect_code(0);
    assert_eq!(rows(&workspace, "posting_state"), before);
    let nothing = projection(&workspace, &["switch", "posting_state"]).expect_code(1);
    assert!(nothing.stderr.contains("projection rebuild posting_state"), "{nothing:#?}");
    for name in NAMES {
        let again = projection(&workspace, &["rebuild", name, "--switch"]).expect_code(0);
        assert!(again.stdout.contains("0 rows differ"), "{again:#?}");
    }
}

#[test]
fn the_row_of_one_posting_is_mended_alone() {
    let workspace = workspace();
    let before = rows(&workspace, "posting_state");
    tamper(&workspace, "DELETE FROM projection_rows WHERE key IN ('posting/5', 'posting/6')");
    let mend = |id| projection(&workspace, &["rebuild", "posting_state", "--posting", id]);
    assert!(mend("5").expect_code(0).stdout.contains("mended"));
    assert!(mend("5").expect_code(0).stdout.contains("was right"));
    assert!(mend("77").expect_code(0).stdout.contains("was right"), "a posting without events");
    assert_eq!(rows(&workspace, "posting_state").len(), 8);
    mend("6").expect_code(0);
    assert_eq!(rows(&workspace, "posting_state"), before);
    let other = projection(&workspace, &["rebuild", "run_progress", "--posting", "5"]);
    assert!(other.expect_code(2).stderr.contains("posting_state"));
}

#[test]
fn what_cannot_be_taken_is_parked_and_goes_on_after_a_retry_or_without_it() {
    let workspace = workspace();
    let before = rows(&workspace, "posting_state");
    // an event of another program that is none of ours
    let insert = |id: &str, posting: &str, version: &str, name: &str| {
        let statement = format!(
            "INSERT INTO execution_events (event_id, aggregate_type, aggregate_id,
                 aggregate_version, event_type, event_data)
             VALUES ('{id}', 'posting', '{posting}', {version}, '{name}', '{{}}')"
        );
        tamper(&workspace, &statement);
    };
    let version = |id: i32| (workspace.events(id).len() + 1).to_string();
    insert("01a2077e-0ecf-7430-baf5-be8edd359d01", "7", &version(7), "moon_rose");
    insert("01a2077e-0ecf-7430-baf5-be8edd359d02", "8", &version(8), "circuit_breaker_open");
    projection(&workspace, &["run", "--once"]).expect_code(0);
    let parked =
        projection(&workspace, &["parked", "posting_state", "--json"]).expect_code(1).json();
    let [entry] = &parked.as_array().unwrap()[..] else { panic!("{parked}") };
    assert_eq!((&entry["key"], &entry["waits"]), (&json!("posting/7"), &json!(true)));
    assert!(entry["reason"].as_str().unwrap().contains("moon_rose"), "{entry}");
    let listed = projection(&workspace, &["list"]).expect_code(1);
    assert!(listed.stdout.contains("projection parked posting_state"), "{listed:#?}");
    // others went on
    let after = rows(&workspace, "posting_state");
    let row = |rows: &[Value], key: &str| rows.iter().find(|row| row["key"] == key).cloned();
    assert_eq!(row(&after, "posting/7"), row(&before, "posting/7"));
    assert_ne!(row(&after, "posting/8"), row(&before, "posting/8"));

    let again = projection(&workspace, &["retry", "posting_state", "posting/7"]).expect_code(1);
    assert!(again.stdout.contains("still cannot go on"), "{again:#?}");
    let position = entry["position"].as_str().unwrap();
    let discard =
        ["discard", "posting_state", "posting/7", "--position", position, "--reason", "no event"];
    projection(&workspace, &discard).expect_code(0);
    let parked =
        projection(&workspace, &["parked", "posting_state", "--json"]).expect_code(0).json();
    assert_eq!(parked[0]["discard_reason"], "no event");
    let none = projection(&workspace, &["retry", "posting_state", "posting/7"]).expect_code(1);
    assert!(none.stderr.contains("nothing waits under key `posting/7`"), "{none:#?}");
}

/// What validate finds: kind, id of the posting, and the command that repairs it.
fn findings(workspace: &Workspace, code: i32) -> Vec<(String, String, String)> {
    let found = workspace.turing(&["validate", "--json"]).expect_code(code).json();
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap_or("").to_owned();
    let found = found.as_array().unwrap().iter().map(|finding| {
        (text(finding, "kind"), text(finding, "aggregate_id"), text(finding, "repair"))
    });
    found.collect()
}

#[test]
fn planted_faults_are_found_and_repaired_by_the_commands_that_are_named() {
    let workspace = workspace();
    workspace.run(&["--again", "--snapshot-interval", "1"]).expect_code(1);
    assert_eq!(findings(&workspace, 0), []);
    let before = rows(&workspace, "posting_state");
    tamper(
        &workspace,
        "UPDATE projection_rows SET value = json_set(value, '$.version', 77)
         WHERE key = 'posting/4';
         DELETE FROM projection_rows WHERE key = 'posting/5';
         INSERT INTO projection_rows SELECT generation, 'posting/66', value
         FROM projection_rows WHERE key = 'posting/6';
         UPDATE snapshots SET state = json_set(state, '$.is_terminal', json('true'))
         WHERE aggregate_id = '7';
         UPDATE snapshots SET schema = 'of-another-program' WHERE aggregate_id = '8';
         UPDATE snapshots SET aggregate_version = aggregate_version + 100
         WHERE aggregate_id = '9'",
    );
    let found = findings(&workspace, 1);
    let mut kinds: Vec<_> =
        found.iter().map(|(kind, id, _)| (kind.as_str(), id.as_str())).collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(
        kinds,
        [
            ("projection_differs", "4"),
            ("projection_missing", "5"),
            ("projection_phantom", "66"),
            ("snapshot_differs", "7"),
            ("snapshot_newer_than_stream", "9"),
            ("snapshot_of_another_schema", "8"),
        ]
    );
    for (_, _, repair) in found {
        let words: Vec<_> = repair.split(' ').skip(1).collect();
        workspace.turing(&words).expect_code(0);
    }
    assert_eq!(findings(&workspace, 0), []);
    assert_eq!(rows(&workspace, "posting_state"), before);
}

/// When the longest lease ends that is given now, less a minute for clocks.
fn later() -> Timestamp {
    SystemClock.now().plus(Lease::LONGEST - Duration::from_secs(60))
}

/// A time as SQLite keeps it.
fn stored(time: Timestamp) -> String {
    time.to_string().replace('T', " ").replace('Z', "")
}

#[test]
fn a_read_model_of_other_code_is_named_with_its_cure_and_keeps_no_other_from_its_place() {
    let workspace = workspace();
    tamper(
        &workspace,
        "UPDATE projection_models SET fingerprint = 'old' WHERE projection = 'run_progress'",
    );
    let before = rows(&workspace, "conversation_statistics");
    let run = workspace.run(&["--again"]).expect_code(1);
    let cure = "`turing projection rebuild run_progress --switch`";
    assert!(run.stdout.contains(cure), "{run:#?}");
    assert_ne!(rows(&workspace, "conversation_statistics"), before);
    projection(&workspace, &["rebuild", "run_progress", "--switch"]).expect_code(0);
    projection(&workspace, &["run", "--once"]).expect_code(0);
}

#[test]
fn what_a_program_kept_within_its_appends_is_released_for_who_runs_it() {
    let workspace = workspace();
    let hold = |holder: &str| {
        let held = format!("UPDATE projection_models SET holder = '{holder}'");
        tamper(&workspace, &format!("{held}, expires_at = '{}'", stored(later())));
    };
    hold("the append");
    let refused = projection(&workspace, &["run", "run_progress", "--once"]).expect_code(1);
    assert!(
        refused.stderr.contains("the append") && refused.stderr.contains("release"),
        "{refused:#?}"
    );
    for _ in 0..2 {
        let told = projection(&workspace, &["release", "run_progress"]).expect_code(0);
        assert!(told.stdout.contains("projection run run_progress"), "{told:#?}");
    }
    projection(&workspace, &["run", "run_progress", "--once"]).expect_code(0);
    projection(&workspace, &["run", "posting_state", "--once"]).expect_code(1);
    // nobody else's lease ends
    hold("turing 7");
    let told = projection(&workspace, &["release", "run_progress", "--json"]).expect_code(0);
    assert_eq!(told.json()["holder"], "turing 7");
    tamper(&workspace, "DELETE FROM projection_models");
    let none = projection(&workspace, &["release", "run_progress"]).expect_code(1);
    assert!(none.stderr.contains("projection run --once run_progress"), "{none:#?}");
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

/// A program that keeps the read models up to date.
struct Keeper(Child);

impl Keeper {
    fn start(workspace: &Workspace) -> Self {
        let mut command = workspace.command(&["projection", "run"]);
        Self(command.stderr(Stdio::null()).spawn().unwrap())
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // it may have been killed before
        let _ = (self.0.kill(), self.0.wait());
    }
}

#[test]
fn who_was_killed_is_named_until_its_leases_end() {
    let workspace = workspace();
    let health = |index: usize| {
        let listed = projection(&workspace, &["list", "--json"]).expect_code(0).json();
        listed[index]["health"].clone()
    };
    let mut keeper = Keeper::start(&workspace);
    let holder = format!("turing {} (", keeper.0.id());
    let is_held =
        |index| health(index)["holder"].as_str().is_some_and(|it| it.starts_with(&holder));
    while !(0..NAMES.len()).all(is_held) {
        assert_eq!(keeper.0.try_wait().unwrap(), None, "it runs until it is interrupted");
    }
    keeper.kill();
    let until: Timestamp = health(0)["held_until"].as_str().unwrap().parse().unwrap();
    let soon = SystemClock.now().plus(Duration::from_secs(10));
    assert!(until <= soon, "{until} is at most ten seconds from now");
    // as if the program had told that and was killed just now, however slow this machine is
    let at = later();
    let held = format!("UPDATE projection_models SET expires_at = '{}'", stored(at));
    tamper(&workspace, &format!("{held}, rate = 12.5"));
    let at = at.to_string();
    assert_eq!(health(0)["held_until"], at);
    assert_eq!(health(0)["rate"], 12.5);
    let text = projection(&workspace, &["list"]).expect_code(0).stdout;
    for part in [at.trim_end_matches('Z'), holder.as_str(), " 12.5 "] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let ran = workspace.run(&["--again"]).expect_code(1);
    let left = format!("left to `{holder}");
    assert_eq!(ran.stdout.matches(&left).count(), 1, "{ran:#?}");
    for name in NAMES {
        assert!(ran.stdout.contains(name), "{ran:#?}");
    }
    assert!(ran.stdout.contains("turing projection run --once"), "{ran:#?}");
    let told = workspace.run(&["--again", "--json"]).expect_code(1).json()["read_models"].take();
    assert!(told[0].as_str().unwrap().starts_with(&left), "{told}");
    assert!(health(0)["lag_events"].as_u64() > Some(0), "nobody has taken them");
    // its leases end
    tamper(&workspace, "UPDATE projection_models SET expires_at = '2001-01-01 00:00:00.000000'");
    assert_eq!((&health(0)["holder"], &health(0)["rate"]), (&json!(null), &json!(null)));
    projection(&workspace, &["run", "--once"]).expect_code(0);
    assert_eq!(health(0)["lag_events"], 0);
    assert!(!workspace.run(&["--again"]).expect_code(1).stdout.contains("left to"));
}
