//! Rows that somebody wrote into the store: every command goes on, and says what it goes without.

use rusqlite::Connection;
use serde_json::Value;

use crate::support::Workspace;

/// The demo's store, into which somebody wrote.
fn written(sql: &str) -> Workspace {
    let workspace = Workspace::new();
    workspace.turing(&["demo", "--snapshot-interval", "1"]).expect_code(0);
    let store = Connection::open(workspace.path().join("turing.db")).unwrap();
    store.pragma_update(None, "ignore_check_constraints", true).unwrap();
    store.execute_batch(sql).unwrap();
    workspace
}

/// One event in each kind of stream that is none.
const EVENTS: &str = "
    INSERT INTO execution_events
        (event_id, aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
    VALUES
        ('00000000-0000-4000-8000-000000000001', 'workflow', '3999', 1, 'workflow_started', 'odd'),
        ('00000000-0000-4000-8000-000000000002', 'posting', '901', 1, 'posting_terminal', 'odd'),
        ('00000000-0000-4000-8000-000000000003', 'conversation', '902', 1, 'wave_began', '[]'),
        ('00000000-0000-4000-8000-000000000004', 'actor', '903', 1, 'breaker_opened', '[]')";

#[test]
fn events_that_no_program_reads_are_left_out_and_named() {
    let workspace = written(EVENTS);
    let left_out = |answer: &Value| -> Vec<String> {
        let all = answer["left_out"].as_array().unwrap().iter();
        all.map(|one| format!("{} {}", one["stream"].as_str().unwrap(), one["version"])).collect()
    };
    let runs = workspace.turing(&["runs", "--json"]).expect_code(0).json();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 1, "{runs}");
    assert_eq!(left_out(&runs), ["workflow/3999 1"]);
    let text = workspace.turing(&["runs"]).expect_code(0).stdout;
    assert!(text.contains("left out, because they cannot be read: workflow/3999 1"), "{text}");

    let shown = workspace.turing(&["run", "show", "--json"]).expect_code(0).json();
    assert_eq!(left_out(&shown), ["workflow/3999 1", "posting/901 1"]);
    let text = workspace.turing(&["run", "show"]).expect_code(0).stdout;
    assert!(text.contains("left out, because they cannot be read: workflow/3999 1"), "{text}");
    let unknown = "01890000-0000-7000-8000-000000000000";
    let told = workspace.turing(&["run", "show", unknown]).expect_code(3).stderr;
    assert!(told.contains("workflow/3999 1"), "it may be the run that is meant: {told}");

    let events = workspace.turing(&["events", "posting", "901", "--json"]).expect_code(0);
    let reason = events.json_lines()[0]["unreadable"].as_str().unwrap().to_owned();
    assert!(reason.contains("event_data"), "{reason}");
    let told = workspace.turing(&["validate"]).expect_code(0).stdout;
    for stream in ["workflow 3999", "posting 901", "conversation 902", "actor 903"] {
        assert!(told.contains(&format!("[event_unreadable] {stream}: ")), "{stream}: {told}");
    }
}

#[test]
fn rows_of_models_that_no_program_reads_are_left_out_and_named() {
    let workspace = written(
        "UPDATE projection_rows SET value = 'no JSON' WHERE key = 'posting/12345' OR generation =
             (SELECT generation FROM projection_models WHERE projection = 'run_progress');
         UPDATE snapshots SET last_event_id = '00000000-0000-4000-8000-000000000001'
         WHERE (aggregate_id, aggregate_version) =
             (SELECT aggregate_id, aggregate_version FROM snapshots LIMIT 1)",
    );
    let model = ["projection", "show", "posting_state"];
    let shown = workspace.turing(&[&model[..], &["--json"]].concat()).expect_code(0).json();
    let rows = shown.as_array().unwrap();
    let odd: Vec<_> = rows.iter().filter(|row| row.get("unreadable").is_some()).collect();
    assert_eq!(odd.len(), 1, "{shown}");
    assert_eq!(odd[0]["key"], "posting/12345");
    assert!(rows.len() > 1, "the others are shown: {shown}");
    let text = workspace.turing(&model).expect_code(0).stdout;
    assert!(text.contains("left out, because it cannot be read: posting/12345"), "{text}");
    assert!(text.contains("turing projection rebuild posting_state --switch"), "{text}");
    let told = workspace.turing(&["validate"]).expect_code(1).stdout;
    assert!(told.contains("[projection_differs] posting 12345"), "{told}");
    assert!(told.contains("[row_unreadable]: row `"), "{told}");
    assert!(told.contains("repair: turing projection rebuild run_progress --switch"), "{told}");
    workspace.turing(&["projection", "list"]).expect_code(0);
    workspace.turing(&["projection", "rebuild", "run_progress", "--switch"]).expect_code(0);
    workspace.turing(&["projection", "rebuild", "posting_state", "--switch"]).expect_code(0);
    let shown = workspace.turing(&[&model[..], &["--json"]].concat()).expect_code(0).stdout;
    assert!(!shown.contains("unreadable"), "{shown}");

    let kept = workspace.turing(&["snapshot", "list", "--json"]).expect_code(0).json_lines();
    let foreign = kept.iter().filter(|kept| kept["is_of_stream"] == false).count();
    assert_eq!(foreign, 1, "{kept:?}");
    let text = workspace.turing(&["snapshot", "list"]).expect_code(0).stdout;
    assert_eq!(text.matches("another, so not used").count(), 1, "{text}");
}

#[test]
fn read_models_of_another_history_are_named_with_their_cure() {
    let workspace = written(
        "DROP TRIGGER execution_events_are_not_deleted;
         DELETE FROM execution_events WHERE position > 200",
    );
    let listed = workspace.turing(&["projection", "list"]).expect_code(1).stdout;
    let found = workspace.turing(&["validate"]).expect_code(1).stdout;
    for name in ["posting_state", "run_progress", "conversation_statistics"] {
        let cure = format!("turing projection rebuild {name} --switch");
        assert!(listed.contains(&format!("{name}: diverged: ")), "{name}: {listed}");
        assert!(listed.contains(&cure) && found.contains(&cure), "{name}: {listed}{found}");
        workspace.turing(&["projection", "rebuild", name, "--switch"]).expect_code(0);
    }
    let found = workspace.turing(&["validate"]).expect_code(1).stdout;
    assert!(!found.contains("projection_of_another_history"), "{found}");
    workspace.turing(&["projection", "list"]).expect_code(0);
}

#[test]
fn every_digit_of_an_output_is_shown_as_it_was_written() {
    let (old, new) = ("18446744073709551617", "18446744073709551618.50");
    let workspace = written(&format!(
        r#"INSERT INTO execution_events (event_id, aggregate_type, aggregate_id, aggregate_version,
               event_type, event_data, metadata)
           VALUES
               ('00000000-0000-4000-8000-000000000011', 'posting', '950', 1, 'llm_call_completed',
                '{{"output":{old}}}', '{{"conversation_id":1}}'),
               ('00000000-0000-4000-8000-000000000012', 'posting', '950', 2, 'llm_call_completed',
                '{{"output":{new}}}', '{{"conversation_id":1}}')"#
    ));
    workspace.turing(&["projection", "run", "--once"]).expect_code(0);
    let posting = ["posting", "950"];
    for (command, rest, told) in [
        (&["events"][..], &[][..], &[old, new][..]),
        (&["state"], &[], &[new]),
        (&["state"], &["--json"], &[new]),
        (&["state"], &["--diff", "1..2"], &[old, new]),
    ] {
        let answer = workspace.turing(&[command, &posting, rest].concat()).expect_code(0).stdout;
        for digits in told {
            assert!(answer.contains(digits), "{command:?} {rest:?}: {answer}");
        }
    }
    let model = ["projection", "show", "posting_state", "posting/950", "--json"];
    let answer = workspace.turing(&model).expect_code(0).stdout;
    assert!(answer.contains(new), "{answer}");
    let told = workspace.turing(&["validate"]).expect_code(0).stdout;
    assert!(!told.contains("posting 950"), "{told}");
}

/// A store in which these outputs of conversations 1, 2 and so on follow one another in a posting, as
/// SQL, with its read models brought up to date.
fn with_outputs(posting: i32, outputs: &[&str]) -> Workspace {
    let rows = outputs.iter().zip(1..).map(|(output, version)| {
        format!(
            "INSERT INTO execution_events (event_id, aggregate_type, aggregate_id,
                 aggregate_version, event_type, event_data, metadata)
             VALUES ('00000000-0000-4000-8000-0000000001{version:02}', 'posting', '{posting}',
                 {version}, 'llm_call_completed', '{{\"output\":' || {output} || '}}',
                 '{{\"conversation_id\":{version}}}');"
        )
    });
    let workspace = written(&rows.collect::<String>());
    workspace.turing(&["projection", "run", "--once"]).expect_code(0);
    workspace
}

#[test]
fn a_number_that_no_store_takes_is_read_and_its_row_is_told() {
    let workspace = with_outputs(951, &["'1'", "'1e400'", "'3'"]);
    let state = workspace.turing(&["state", "posting", "951", "--json"]).expect_code(0).stdout;
    assert!(state.contains("1e400") || state.contains(&"0".repeat(400)), "{state}");
    let told = workspace.turing(&["validate"]).expect_code(1).stdout;
    let line = "[projection_stale] posting 951: 2 of its events, the first of them at ";
    assert!(told.contains(line), "{told}");
    assert!(told.contains("the row `posting/951` cannot be stored: the number at byte "), "{told}");
    assert!(told.contains("or discard the event"), "{told}");
    let repair = "turing projection retry posting_state posting/951";
    assert!(told.contains(repair), "{told}");
    let parked = ["projection", "parked", "posting_state", "--json"];
    let parked = workspace.turing(&parked).expect_code(1).json();
    let position = parked[0]["position"].as_str().unwrap();
    let discard = ["projection", "discard", "posting_state", "posting/951", "--reason", "too much"];
    let discard = [&discard[..], &["--position", position]].concat();
    workspace.turing(&discard).expect_code(0);
    let told = workspace.turing(&["validate"]).expect_code(0).stdout;
    assert!(!told.contains("posting 951"), "{told}");
}

#[test]
fn a_row_may_be_as_large_as_a_kept_state() {
    let nine_mib = "'\"' || replace(hex(zeroblob(4718592)), '0', 'x') || '\"'";
    let workspace = with_outputs(952, &[nine_mib, nine_mib]);
    let row = ["projection", "show", "posting_state", "posting/952", "--json"];
    let row = workspace.turing(&row).expect_code(0).stdout;
    assert!(row.len() > 18 * 1024 * 1024, "{} bytes", row.len());
    let told = workspace.turing(&["validate"]).expect_code(0).stdout;
    assert!(!told.contains("posting 952"), "{told}");
}

#[test]
fn kept_states_that_cannot_be_read_are_told_with_their_cure_beside_everything_else() {
    for fault in ["state = '{bad'", "created_at = 'yesterday'"] {
        let workspace = written(&format!(
            "UPDATE snapshots SET {fault} WHERE (aggregate_id, aggregate_version) =
                 (SELECT aggregate_id, max(aggregate_version) FROM snapshots
                  WHERE aggregate_id = '12345');
             DELETE FROM projection_rows WHERE key = 'posting/12346'"
        ));
        let told = workspace.turing(&["validate"]).expect_code(1).stdout;
        assert!(told.contains("[snapshot_unreadable] posting 12345: "), "{fault}: {told}");
        assert!(told.contains("[projection_missing] posting 12346: "), "{fault}: {told}");
        assert!(told.contains("repair: turing snapshot prune --keep 0"), "{fault}: {told}");
        workspace.turing(&["snapshot", "list"]).expect_code(0);
        workspace.turing(&["snapshot", "prune", "--keep", "0"]).expect_code(0);
        let told = workspace.turing(&["validate"]).expect_code(1).stdout;
        assert!(!told.contains("snapshot"), "{fault}: {told}");
    }
}

#[test]
fn streams_whose_ids_no_program_can_ask_for_are_told() {
    const ODD: [&str; 5] = ["007", "abc", "9/9", "+7", "2147483648"];
    let rows = ODD.iter().enumerate().map(|(number, id)| {
        format!(
            "INSERT INTO execution_events
                 (event_id, aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
             VALUES ('00000000-0000-4000-8000-00000000002{number}', 'posting', '{id}', 1,
                 'posting_terminal', '{{}}');
             INSERT INTO snapshots SELECT aggregate_type, '{id}', 1, schema, created_at, state,
                 '00000000-0000-4000-8000-00000000002{number}' FROM snapshots LIMIT 1;"
        )
    });
    let workspace = written(&rows.collect::<String>());
    workspace.turing(&["projection", "run", "--once"]).expect_code(0);
    let told = workspace.turing(&["validate"]).expect_code(0).stdout;
    for id in ODD {
        assert!(told.contains(&format!("[id_unusable] posting {id}: ")), "{id}: {told}");
        assert!(
            told.contains(&format!("[snapshot_of_unusable_id] posting {id}: ")),
            "{id}: {told}"
        );
    }
    assert!(told.contains("repair: turing snapshot prune --keep 0"), "{told}");
    workspace.turing(&["snapshot", "prune", "--keep", "0"]).expect_code(0);
    let told = workspace.turing(&["validate"]).expect_code(0).stdout;
    assert!(told.contains("0 errors, 5 warnings"), "the streams stay known: {told}");
}

#[test]
fn a_missing_event_is_told_by_whoever_lists_its_stream() {
    for (versions, holes) in [
        ("= 1", vec!["event 1 of posting/12345 is missing"]),
        (
            "IN (3, 5, 6)",
            vec![
                "event 3 of posting/12345 is missing",
                "events 5 to 6 of posting/12345 are missing",
            ],
        ),
    ] {
        let workspace = written(&format!(
            "DROP TRIGGER execution_events_are_not_deleted;
             DELETE FROM execution_events
             WHERE aggregate_type = 'posting' AND aggregate_id = '12345'
                 AND aggregate_version {versions}"
        ));
        for rest in [&[][..], &["--json"]] {
            let listing = [&["events", "posting", "12345"], rest].concat();
            let told = workspace.turing(&listing).expect_code(0).stderr;
            for hole in &holes {
                assert!(told.contains(hole), "{hole}: {told}");
            }
            assert_eq!(told.matches("missing").count(), holes.len(), "{told}");
        }
        let others = workspace.turing(&["events", "posting", "12346"]).expect_code(0).stderr;
        assert!(!others.contains("missing"), "{others}");
    }
}
