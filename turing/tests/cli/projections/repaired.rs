//! Rows that are wrong, and events that could not be taken: found, shown and mended.

use serde_json::{Value, json};

use super::{NAMES, projection, rows, tamper, workspace};
use crate::support::{ID_END, Workspace};

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
fn rows_that_differ_only_near_their_end_are_shown_there() {
    // an output of 900 characters, and what is last in it
    let body = "cat > /dev/null; printf '%0900drebuilt' 0";
    let workspace = Workspace::with_script(1, "read", ID_END, body);
    workspace.run(&[]).expect_code(0);
    tamper(
        &workspace,
        "UPDATE projection_rows SET value = replace(value, 'rebuilt', 'served')
         WHERE key = 'posting/1'",
    );
    let rebuilt = projection(&workspace, &["rebuild", "posting_state"]).expect_code(0).stdout;
    let before = "0".repeat(60);
    let told = format!(
        "  posting/1\n    /state/outputs/10\n    - …{before}served\"\n    + …{before}rebuilt\"\n"
    );
    assert!(rebuilt.starts_with(&told), "{rebuilt}");
    assert!(rebuilt.contains("1 rows differ from what is served"), "{rebuilt}");
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
