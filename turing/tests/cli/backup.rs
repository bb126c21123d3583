//! Stores in files: backups of them, and what is told of damage.

use std::fs;
use std::process::{Command, Stdio};

use rusqlite::Connection;

use crate::support::{END, RUN, Workspace};

fn workspace(body: &str) -> Workspace {
    Workspace::with_script(2, "check", END, body)
}

#[test]
fn a_store_is_copied_while_a_run_goes_on_and_the_copy_goes_on_by_itself() {
    let body = "[ -e free ] || { echo > begun; read word < go; }; echo ok";
    let workspace = workspace(body);
    let [begun, go] = ["begun", "go"].map(|name| workspace.path().join(name));
    assert!(Command::new("mkfifo").args([&begun, &go]).status().unwrap().success());
    let mut command = workspace.command(&RUN);
    command.args(["--parallel", "1"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = command.spawn().unwrap();
    // until the script of the first posting has come
    fs::read(&begun).unwrap();
    let backup = workspace.turing(&["backup", "--to", "copy.db", "--json"]).expect_code(0).json();
    workspace.file("free", "");
    fs::write(&go, "on\n").unwrap();
    assert!(running.wait().unwrap().success());

    let copy = ["--store", "sqlite:copy.db"];
    let length = fs::metadata(workspace.path().join("copy.db")).unwrap().len();
    assert_eq!(backup["bytes"], length);
    let count = |name: &str| -> u64 {
        let store = Connection::open(workspace.path().join(name)).unwrap();
        store
            .query_row("SELECT count(*) FROM execution_events", [], |row| row.get::<_, u32>(0))
            .unwrap()
            .into()
    };
    assert_eq!(backup["end"], count("copy.db"));
    assert!(count("copy.db") < count("turing.db"));
    let report = workspace.run(&[&copy[..], &["--json"]].concat()).expect_code(0).json();
    assert_eq!(report["ended"][0]["postings"], 2, "{report}");
    workspace.turing(&[&["validate"], &copy[..]].concat()).expect_code(0);
}

#[test]
fn a_backup_that_cannot_be_made_says_what_to_do() {
    let workspace = workspace("echo ok");
    workspace.turing(&["backup", "--to", "copy.db"]).expect_code(3);
    workspace.run(&[]).expect_code(0);
    let answer = workspace.turing(&["backup", "--to", "copy.db"]).expect_code(0);
    assert!(answer.stdout.contains("sqlite:turing.db was copied to"), "{answer:#?}");
    let before = fs::read(workspace.path().join("copy.db")).unwrap();
    let cases = [
        (&["--to", "copy.db"][..], 2, "name another file"),
        (&["--to", "no/where.db"], 2, "see that its folder is there"),
        (&["--to", "turing.db"], 2, "that is the store itself; name another file"),
        (&["--to", "x.db", "--store", "sqlite:none.db"], 3, "there is no such file"),
        (&["--to", "x.db", "--store", "postgres://nobody@127.0.0.1:1/x"], 2, "use pg_dump"),
        (&["--to", "x.db", "--store", "memory:"], 2, "name a file"),
    ];
    for (arguments, code, words) in cases {
        let answer = workspace.turing(&[&["backup"], arguments].concat()).expect_code(code);
        assert!(answer.stderr.contains(words), "{answer:#?}");
    }
    assert_eq!(fs::read(workspace.path().join("copy.db")).unwrap(), before);
    assert!(!workspace.path().join("x.db").exists());
}

#[test]
fn entries_that_an_index_lacks_are_told_with_the_command_that_mends_them() {
    let workspace = workspace("echo ok");
    workspace.run(&[]).expect_code(0);
    let path = workspace.path().join("turing.db");
    let store = Connection::open(&path).unwrap();
    store
        .execute_batch(
            "CREATE INDEX mine ON execution_events (event_type) WHERE event_type IS NULL;
             PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET sql = replace(sql, ' WHERE event_type IS NULL', '')
             WHERE name = 'mine';
             PRAGMA writable_schema = RESET",
        )
        .unwrap();
    drop(store);
    let told = workspace.turing(&["validate"]).expect_code(1).stdout;
    assert!(told.contains("[file_damaged]") && told.contains("index mine"), "{told}");
    assert!(told.contains("turing.db' REINDEX;\n"), "{told}");
    Connection::open(&path).unwrap().execute_batch("REINDEX").unwrap();
    workspace.turing(&["validate"]).expect_code(0);
}

#[test]
fn damage_of_a_table_is_told_with_where_to_look_for_the_cure() {
    let workspace = workspace("echo ok");
    workspace.run(&[]).expect_code(0);
    let path = workspace.path().join("turing.db");
    let store = Connection::open(&path).unwrap();
    let table = "SELECT rootpage FROM sqlite_schema WHERE name = 'snapshots'";
    let page = store.query_row(table, [], |row| row.get::<_, u32>(0)).unwrap() as usize;
    let size = store.pragma_query_value(None, "page_size", |row| row.get::<_, u32>(0));
    let size = size.unwrap() as usize;
    drop(store);
    let mut bytes = fs::read(&path).unwrap();
    bytes[(page - 1) * size..page * size].fill(0xA5);
    fs::write(&path, bytes).unwrap();
    let told = workspace.turing(&["validate"]).expect_code(1).stdout;
    assert!(told.contains("[file_damaged]"), "{told}");
    assert!(told.contains("repair: restore a backup over"), "{told}");
    assert!(told.contains("as docs/sqlite.md says.\n"), "{told}");
}
