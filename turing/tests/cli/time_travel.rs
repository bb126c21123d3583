//! `turing state` at a version, at an instant, and between two moments.

use serde_json::{Value, json};

use crate::support::{Answer, END, Workspace};

/// A workspace whose postings went through two conversations.
fn workspace() -> Workspace {
    let workspace = Workspace::with_two_scripts(2, ["echo first", "echo second"]);
    workspace.run(&[]).expect_code(0);
    workspace
}

fn state(workspace: &Workspace, more: &[&str]) -> Answer {
    workspace.turing(&[&["state", "posting", "1"], more].concat())
}

fn json_of(workspace: &Workspace, more: &[&str]) -> Value {
    state(workspace, &[more, &["--json"]].concat()).expect_code(0).json()
}

#[test]
fn the_state_at_every_version_and_instant_is_that_of_its_prefix() {
    let workspace = workspace();
    let events = workspace.events(1);
    let count = events.len();
    assert!(count >= 4, "{events:?}");
    for version in 1..=count {
        let at = json_of(&workspace, &["--at-version", &version.to_string()]);
        assert_eq!(at["version"], version);
        let of = |name: &str| {
            let kind = |event: &&Value| event["event_type"] == name;
            events[..version].iter().filter(kind).count()
        };
        let completed = of("script_execution_completed");
        assert_eq!(at["state"]["execution_sequence"].as_array().unwrap().len(), completed);
        assert_eq!(at["state"]["is_terminal"], of("posting_terminal") == 1);
        // several events may be of one instant: the last of them counts
        let instant = events[version - 1]["recorded_at"].as_str().unwrap();
        let last = events.iter().rposition(|event| event["recorded_at"] == instant).unwrap() + 1;
        let at_instant = json_of(&workspace, &["--at", instant]);
        assert_eq!(at_instant["version"], last);
        let at_last = json_of(&workspace, &["--at-version", &last.to_string()]);
        assert_eq!(at_instant["state"], at_last["state"]);
    }
    let now = json_of(&workspace, &[]);
    assert_eq!(now, json_of(&workspace, &["--at-version", &count.to_string()]));
    assert_eq!(now, json_of(&workspace, &["--at", "9999-12-31T23:59:59Z"]));
}

#[test]
fn a_difference_tells_paths_with_the_old_and_the_new_value() {
    let workspace = workspace();
    let events = workspace.events(1);
    let name = "script_execution_completed";
    let first = events.iter().position(|event| event["event_type"] == name).unwrap() + 1;
    let (before, after) = (first - 1, first);
    let changed = json_of(&workspace, &["--diff", &format!("{before}..{after}")]);
    assert_eq!(
        (&changed["stream"], &changed["from_version"], &changed["to_version"]),
        (&json!("posting/1"), &json!(before), &json!(after))
    );
    let differences = changed["differences"].as_array().unwrap();
    let at = |path: &str| {
        let found = differences.iter().find(|difference| difference["path"] == path);
        found.unwrap_or_else(|| panic!("no {path} in {changed}"))
    };
    assert_eq!(*at("/outputs/10"), json!({"path": "/outputs/10", "new": "first"}));
    assert_eq!(*at("/execution_sequence/0"), json!({"path": "/execution_sequence/0", "new": 10}));
    let text = state(&workspace, &["--diff", &format!("{before}..{after}")]).expect_code(0).stdout;
    assert!(text.starts_with(&format!("posting/1 from version {before} to {after}\n")), "{text}");
    assert!(text.contains("\n  /outputs/10: - -> \"first\"\n"), "{text}");
    // the terminal flag has an old value, too
    let whole = state(&workspace, &["--diff", ".."]).expect_code(0).stdout;
    assert!(whole.contains("\n  /is_terminal: false -> true\n"), "{whole}");
    assert_eq!(json_of(&workspace, &["--diff", "0.."]), json_of(&workspace, &["--diff", ".."]));
}

#[test]
fn moments_without_events_between_do_not_differ() {
    let workspace = workspace();
    let last = workspace.events(1).pop().unwrap()["recorded_at"].as_str().unwrap().to_owned();
    let answer = state(&workspace, &["--diff", &format!("{last}..")]).expect_code(0);
    assert!(answer.stdout.ends_with(": no difference\n"), "{answer:#?}");
    let none = json_of(&workspace, &["--diff", &format!("{last}..9999-12-31T23:59:59Z")]);
    assert_eq!(none["differences"], json!([]));
}

#[test]
fn bad_moments_are_told_with_what_to_write() {
    let workspace = workspace();
    let count = workspace.events(1).len();
    let past = (count + 1).to_string();
    let table: [(&[&str], i32, &str); 12] = [
        (
            &["--at-version", &past],
            1,
            &format!("has {count} events, so there is no version {past}"),
        ),
        (&["--diff", &format!("1..{past}")], 1, &format!("there is no version {past}")),
        (&["--diff", &format!("{past}..")], 1, &format!("there is no version {past}")),
        (&["--at", "2001-01-01T00:00:00Z"], 1, "its first was recorded at 2"),
        (&["--at-version", "0"], 2, "--at-version <N>"),
        (&["--at-version", "x"], 2, "--at-version <N>"),
        (&["--at", "yesterday"], 2, "`yesterday` is no point in time; write it like 20"),
        (&["--diff", "3"], 2, "with two dots between"),
        (&["--diff", "2..2"], 2, "nothing lies between"),
        (&["--diff", "3..2"], 2, "write the earlier moment first"),
        (
            &["--diff", "2..2001-01-01T00:00:00Z"],
            2,
            "version 2, and 2001-01-01T00:00:00.000000Z is version 0",
        ),
        (&["--at-version", "1", "--diff", ".."], 2, "cannot be used with"),
    ];
    for (arguments, code, told) in table {
        let answer = state(&workspace, arguments).expect_code(code);
        assert!(answer.stderr.contains(told), "{arguments:?}: {answer:#?}");
        assert_eq!(answer.stdout, "", "{arguments:?}");
    }
    for moment in [&["--at-version", "1"], &["--at", "2001-01-01T00:00:00Z"], &["--diff", ".."]] {
        let answer = workspace.turing(&[&["state", "posting", "99"], &moment[..]].concat());
        let answer = answer.expect_code(1);
        assert!(answer.stderr.contains("posting 99 has no events in sqlite:"), "{answer:#?}");
    }
}

#[test]
fn the_data_of_a_posting_is_json_also_for_people() {
    let workspace = Workspace::with_script(1, "check", END, "echo ok");
    let data = json!({"t\u{1b}[31m": "v\u{7}\u{7f}\u{202e}", "job_description": "a"});
    let mut posting = data.clone();
    posting["posting_id"] = json!(1);
    workspace.file("postings/001.json", posting.to_string());
    workspace.run(&[]).expect_code(0);
    let told = workspace.turing(&["state", "posting", "1", "--data"]).expect_code(0);
    assert_eq!(told.json(), data);
    assert!(!told.stdout.contains(['\u{1b}', '\u{7f}', '\u{202e}']), "{told:#?}");
}
