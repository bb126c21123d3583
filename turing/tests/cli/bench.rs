//! `turing bench`: it measures what it says, and leaves nothing behind.

use std::fs;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::json;

use crate::support::Workspace;
use crate::support::process::Process;

/// A folder with a store in it that is no store, which must stay as it is.
fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.file("turing.db", "not to be read");
    workspace
}

/// That what was there is as it was, and nothing else.
#[track_caller]
fn nothing_is_left(workspace: &Workspace) {
    let entries = fs::read_dir(workspace.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["postings", "turing.db"]);
    let store = fs::read_to_string(workspace.path().join("turing.db")).unwrap();
    assert_eq!(store, "not to be read");
}

#[test]
fn steps_are_measured_in_stores_of_their_own() {
    let workspace = workspace();
    for store in ["sqlite:turing.db", "memory:"] {
        let few = ["bench", "--postings", "3", "--sequence", "5", "--parallel", "2"];
        let more = ["--store", store, "--json"];
        let measured = workspace.turing(&[&few[..], &more].concat()).expect_code(0).json();
        assert_eq!(measured["parallel"], 2);
        let actors = measured["actors"].as_array().unwrap();
        let names: Vec<_> = actors.iter().map(|steps| steps["actor"].as_str().unwrap()).collect();
        assert_eq!(names, ["nobody", "true", "an endpoint", "cat"]);
        for steps in actors {
            assert_eq!((&steps["postings"], &steps["steps"]), (&json!(3), &json!(12)));
            let figure = |name: &str| steps[name].as_f64().unwrap();
            assert!(figure("steps_per_second") > 0.0, "{steps}");
            assert!(figure("p99_ms") >= figure("median_ms"), "{steps}");
            assert!(figure("seconds") * 1000.0 >= figure("p99_ms"), "{steps}");
        }
        let sequence = &measured["sequence"];
        assert_eq!(sequence["steps"], 5);
        assert!(sequence["by_hand_seconds"].as_f64().unwrap() > 0.0, "{sequence}");
        assert!(sequence["ratio"].as_f64().unwrap() > 0.0, "{sequence}");
        assert!(measured["peak_memory_bytes"].as_u64().unwrap() > 1024 * 1024);
        nothing_is_left(&workspace);
    }
    let text = workspace.turing(&["bench", "--postings", "1", "--sequence", "1"]).expect_code(0);
    let beside = "SQLite files beside turing.db; ";
    assert!(text.stdout.starts_with(beside), "{text:#?}");
    for part in ["steps/s", "one posting, 1 step one after the other", "ratio: ", "peak memory: "] {
        assert!(text.stdout.contains(part), "{part}: {text:#?}");
    }
    nothing_is_left(&workspace);
}

#[test]
fn what_is_interrupted_or_cannot_begin_leaves_nothing_behind() {
    let workspace = workspace();
    let mut command = workspace.command(&["bench", "--postings", "1000000"]);
    let mut bench = Process::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut told = bench.told();
    told.up_to("measuring 1000000 postings through 4 steps by nobody");
    bench.signal(Signal::TERM);
    told.up_to("error: ended before all was measured; nothing is left of it");
    assert_eq!(bench.code(), Some(75));
    nothing_is_left(&workspace);

    let nowhere = workspace.turing(&["bench", "--store", "sqlite:no/where.db"]).expect_code(3);
    assert!(nowhere.stderr.contains("beside sqlite:no/where.db"), "{nowhere:#?}");
    for wrong in [["--postings", "0"], ["--sequence", "2001"], ["--parallel", "0"]] {
        workspace.turing(&[&["bench"], &wrong[..]].concat()).expect_code(2);
    }
    nothing_is_left(&workspace);
}

#[test]
fn what_cannot_be_removed_is_told_however_the_measuring_ended() {
    let workspace = workspace();
    let mut command = workspace.command(&["bench", "--postings", "1000000"]);
    let mut bench = Process::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut told = bench.told();
    told.up_to("measuring 1000000 postings through 4 steps by nobody");
    let entries = fs::read_dir(workspace.path()).unwrap().map(|entry| entry.unwrap());
    let known = ["postings", "turing.db"];
    let mut made = entries.filter(|entry| known.iter().all(|name| entry.file_name() != *name));
    let folder = made.next().unwrap().path();
    fs::rename(&folder, workspace.path().join("aside")).unwrap();
    bench.signal(Signal::TERM);
    told.up_to(&format!("{} cannot be removed", folder.file_name().unwrap().display()));
    assert_ne!(bench.code(), Some(75));
}
