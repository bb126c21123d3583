//! `turing demo --files` in a folder where something is, and `--quiet`.

use std::fs;

use super::{content, empty};
use crate::support::find;

const DEMO: [&str; 5] = ["demo", "--files", "mine", "--store", "sqlite:turing.db"];

#[test]
fn what_somebody_has_there_is_not_overwritten() {
    let workspace = empty();
    fs::create_dir_all(workspace.path().join("mine/actors")).unwrap();
    let files = ["mine/workflow.toml", "mine/actors/grade.sh", "mine/README.md"];
    for file in files {
        workspace.file(file, "my own");
    }
    let answer = workspace.turing(&DEMO).expect_code(2);
    assert!(answer.stderr.contains("README.md, actors/grade.sh, workflow.toml;"), "{answer:#?}");
    let run = "`turing run --workflow mine/workflow.toml --postings mine/postings --store \
               sqlite:turing.db` runs what is there";
    assert!(answer.stderr.contains(run), "{answer:#?}");
    assert_eq!(answer.stdout, "");
    for file in files {
        assert_eq!(fs::read_to_string(workspace.path().join(file)).unwrap(), "my own");
    }
    assert!(!workspace.path().join("mine/postings").exists());
    assert!(!content(&workspace).contains("turing.db"));
}

#[test]
fn a_change_of_the_written_files_is_kept_and_what_is_missing_comes_back() {
    let workspace = empty();
    workspace.turing(&DEMO).expect_code(0);
    let path = workspace.path().join("mine/workflow.toml");
    let original = fs::read_to_string(&path).unwrap();
    let changed = original.replacen("name = \"", "name = \"my ", 1);
    assert_ne!(changed, original);
    fs::write(&path, &changed).unwrap();
    workspace.turing(&DEMO).expect_code(2);
    assert_eq!(fs::read_to_string(&path).unwrap(), changed);
    assert_eq!(workspace.runs().as_array().unwrap().len(), 1);

    fs::remove_file(&path).unwrap();
    let again = workspace.turing(&DEMO).expect_code(0);
    assert_eq!(fs::read_to_string(&path).unwrap(), original);
    assert!(again.stdout.starts_with("Nothing to do: run "), "{again:#?}");
    let retry = "--workflow mine/workflow.toml --store sqlite:turing.db` repeats only those";
    assert!(again.stdout.contains(retry), "{again:#?}");
}

#[test]
fn what_has_no_file_afterwards_is_not_proposed() {
    let workspace = empty();
    workspace.turing(&["demo"]).expect_code(0);
    let again = workspace.turing(&["demo"]).expect_code(0).stdout;
    assert!(again.starts_with("Nothing to do: run "), "{again}");
    assert!(!again.contains("run retry"), "{again}");
}

#[test]
fn a_quiet_example_says_nothing_of_what_is_meant_to_be() {
    let workspace = empty();
    for _ in 0..2 {
        let answer = workspace.turing(&["demo", "--quiet"]).expect_code(0);
        assert_eq!((answer.stdout.as_str(), answer.stderr.as_str()), ("", ""));
    }
    let events = workspace.events(12345);
    assert_eq!(find(&events, "posting_terminal")["payload"]["reason"], "completed");
}
