//! Stores that cannot be used: told by name, left as they are, and the run goes on afterwards.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::gates::Gated;
use crate::support::{Answer, END, RUN, Workspace};

fn workspace() -> Workspace {
    Workspace::with_script(30, "echo", END, "cat")
}

#[test]
fn a_store_of_a_newer_version_is_refused_and_not_touched() {
    let workspace = workspace();
    workspace.run(&[]).expect_code(0);
    let path = workspace.path().join("turing.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let before = fs::read(&path).unwrap();
    for arguments in [&RUN[..], &["runs"]] {
        let answer = workspace.turing(arguments).expect_code(3);
        assert!(answer.stderr.contains("turing.db"), "{answer:#?}");
        assert!(answer.stderr.contains("newer"), "{answer:#?}");
    }
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn another_programs_database_is_refused_and_not_touched() {
    let workspace = workspace();
    let path = workspace.path().join("turing.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute("CREATE TABLE theirs (x)", []).unwrap();
    drop(connection);
    let before = fs::read(&path).unwrap();
    let answer = workspace.run(&[]).expect_code(3);
    assert!(
        answer.stderr.contains("turing.db is a SQLite database of another program"),
        "{answer:#?}"
    );
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn an_empty_variable_names_no_store() {
    let workspace = workspace();
    let mut command = workspace.command(&RUN);
    let run: Answer = command.env("TURING_STORE", "").output().unwrap().into();
    run.expect_code(0);
    assert!(workspace.path().join("turing.db").exists());
    // who writes it out has not left it empty
    workspace.turing(&["runs", "--store", ""]).expect_code(2);
}

#[test]
fn a_file_that_a_first_run_left_empty_is_the_right_one() {
    let workspace = workspace();
    // as a disk leaves it that was full
    workspace.file("turing.db", "");
    let looked = workspace.turing(&["runs"]).expect_code(3);
    assert!(looked.stderr.contains("turing.db yet: the file has nothing in it"), "{looked:#?}");
    assert!(!looked.stderr.contains("another file"), "{looked:#?}");
    workspace.run(&[]).expect_code(0);
    workspace.turing(&["runs"]).expect_code(0);
}

#[test]
fn a_missing_folder_is_named() {
    let workspace = workspace();
    let answer = workspace.run(&["--store", "sqlite:no/where/turing.db"]).expect_code(3);
    assert!(answer.stderr.contains("no/where"), "{answer:#?}");
}

/// The program under a limit of the size of its files, in blocks of 512 bytes, past which writing
/// fails as it does on a full disk, whether the signal for it is ignored or not.
fn run_with_room(workspace: &Workspace, blocks: u32, trap: &str) -> Answer {
    let program = env!("CARGO_BIN_EXE_turing");
    let script = format!("{trap} ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, program]).args(RUN).current_dir(workspace.path());
    command.env_remove("TURING_STORE").stdin(Stdio::null()).output().unwrap().into()
}

#[test]
fn a_run_that_met_the_end_of_the_disk_goes_on_when_there_is_room() {
    for trap in ["trap '' XFSZ;", ""] {
        goes_on_when_there_is_room(trap);
    }
}

fn goes_on_when_there_is_room(trap: &str) {
    let workspace = workspace();
    // enough for the tables and the first events, not for all
    let answer = run_with_room(&workspace, 300, trap).expect_code(3);
    assert!(answer.stderr.contains("turing.db"), "{answer:#?}");
    assert!(answer.stderr.contains("files may have 153600 bytes at most here"), "{answer:#?}");
    let report = workspace.run(&["--json"]).expect_code(0).json();
    assert_eq!((&report["postings"], &report["open"]), (&json!(30), &json!(0)));
    for posting in [1, 30] {
        let completed = workspace.events(posting);
        let completed =
            completed.iter().filter(|event| event["event_type"] == "script_execution_completed");
        assert_eq!(completed.count(), 1, "posting {posting}");
    }
}

/// A file as an older program has left it: with the first migrations only.
fn old_file(workspace: &Workspace, migrations: usize) {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../es-sqlite/migrations"));
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > migrations, "it would be no old file");
    let connection = rusqlite::Connection::open(workspace.path().join("turing.db")).unwrap();
    for file in &files[..migrations] {
        connection.execute_batch(&fs::read_to_string(file).unwrap()).unwrap();
    }
}

#[test]
fn who_only_reads_a_file_of_an_older_program_is_told_the_command_that_migrates_it() {
    let readers: [&[&str]; 5] = [
        &["state", "posting", "1"],
        &["runs"],
        &["validate"],
        &["projection", "list"],
        &["snapshot", "list"],
    ];
    for migrations in [1, 5] {
        let workspace = Workspace::new();
        old_file(&workspace, migrations);
        for reader in readers {
            let answer = workspace.turing(reader).expect_code(3);
            let command = "turing migrate --store sqlite:turing.db";
            assert!(answer.stderr.contains(command), "{reader:?}: {answer:#?}");
            assert!(answer.stderr.contains(&format!("version {migrations}")), "{answer:#?}");
        }
        let migrated = workspace.turing(&["migrate"]).expect_code(0);
        assert!(migrated.stdout.contains("was brought up to date"), "{migrated:#?}");
        let again = workspace.turing(&["migrate", "--json"]).expect_code(0).json();
        assert_eq!(again, json!({ "migrated": false }));
        workspace.turing(&["validate"]).expect_code(0);
    }
}

#[test]
fn nobody_is_told_that_what_was_recorded_stays_in_a_file_that_is_gone() {
    let gated = Gated::new(1);
    let mut run = gated.start("sqlite:turing.db");
    let gate = gated.gate(1, &mut run);
    fs::remove_file(gated.workspace.path().join("turing.db")).unwrap();
    gate.open();
    let told = run.end().expect_code(3).stderr;
    let gone = "what was recorded is gone with turing.db, unless it is at another place by now";
    assert!(told.contains(gone) && !told.contains("what was recorded stays"), "{told}");
}

#[test]
fn who_looks_for_a_file_that_is_gone_is_told_of_the_log_that_is_left() {
    let workspace = Workspace::new();
    let looks: [&[&str]; 2] = [&["runs"], &["validate"]];
    for look in looks {
        let told = workspace.turing(look).expect_code(3).stderr;
        assert!(told.contains("there is no such file"), "{told}");
    }
    workspace.file("turing.db-wal", "the newest events");
    for look in looks {
        let told = workspace.turing(look).expect_code(3).stderr;
        assert!(told.contains("the write-ahead log of one is beside it"), "{told}");
    }
    assert!(workspace.path().join("turing.db-wal").exists());
}

#[test]
fn a_file_that_is_too_short_for_a_database_is_no_store() {
    let workspace = Workspace::new();
    workspace.file("turing.db", "x");
    for command in [&["validate"], &["migrate"]] {
        let answer = workspace.turing(command).expect_code(3);
        assert!(answer.stderr.contains("it is no SQLite database"), "{answer:#?}");
    }
    assert_eq!(fs::read(workspace.path().join("turing.db")).unwrap(), b"x");
}
