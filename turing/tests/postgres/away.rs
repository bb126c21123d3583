//! A run whose server is away for a while, again and again.

use std::process::Stdio;

use es_pgtest::Server;
use serde_json::{Value, json};

use crate::database::{Database, turing};
use crate::support::process::Process;
use crate::support::{RUN, Workspace};

const POSTINGS: usize = 100;

#[test]
fn a_server_that_is_away_again_and_again_ends_no_run() {
    let server = Server::private(&[]);
    let (database, workspace) = (Database::on(&server), Workspace::new());
    workspace.postings(POSTINGS);
    for name in ["a.sh", "b.sh"] {
        workspace.script(name, "echo ok");
    }
    let branches = ["to = 20\n", ""].map(|to| format!("[[conversations.branches]]\n{to}"));
    let [first, second] = &branches;
    workspace.definition(10, &[(10, "a", first), (20, "b", second)]);
    turing(&workspace, &database.url(), &["migrate"]).expect_code(0);

    let mut command = workspace.command(&[&RUN[..], &["--parallel", "2", "--json"]].concat());
    command.env("TURING_STORE", database.url());
    let mut run = Process::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut told = run.told();
    // while postings enter, in both waves, and about where one is over
    for events in [1, 50, 100, 150, 250, 300, 310, 400] {
        while database.number("SELECT count(*)::text FROM execution_events") < events {
            assert!(!run.is_over(), "it ended early: {}", told.rest());
        }
        server.stop();
        told.up_to("waiting for the store");
        server.start();
        told.up_to("the store answers again");
    }
    let report: Value = serde_json::from_str(&run.stdout()).unwrap();
    assert_eq!(run.code(), Some(0), "{}", told.rest());
    assert_eq!((&report["postings"], &report["open"]), (&json!(POSTINGS), &json!(0)));
    for (event, count) in [
        ("workflow_started", 1),
        ("posting_entered_run", POSTINGS),
        ("script_execution_completed", 2 * POSTINGS),
        ("posting_terminal", POSTINGS),
        ("workflow_completed", 1),
    ] {
        let recorded = database.number(&format!(
            "SELECT count(*)::text FROM execution_events WHERE event_type = '{event}'"
        ));
        assert_eq!(recorded, i64::try_from(count).unwrap(), "{event}");
    }
}
