//! People who answer while an attempt of the same posting is in progress.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::process::Process;
use crate::support::processes::fifo;
use crate::support::{RUN, Workspace, names};

/// A script or a person at a conversation of the same number; the rules are inline tables.
fn conversation(id: i32, kind: &str, settings: &str, branches: &str) -> String {
    format!(
        "[[actors]]\nid = {id}\nname = \"a{id}\"\n{kind}\n\
         [[conversations]]\nid = {id}\nname = \"c{id}\"\nactor = {id}\nexecution_order = {id}\n\
         {settings}\nbranches = [{branches}]\n"
    )
}

fn script(name: &str) -> String {
    format!("type = \"script\"\ncommand = [\"./{name}.sh\"]\nenv = {{ PATH = \"/usr/bin:/bin\" }}")
}

#[test]
fn an_answer_that_opens_a_group_again_has_the_attempt_behind_it_made_once_more() {
    let workspace = Workspace::new();
    workspace.postings(1);
    let go = fifo(workspace.path().join("go"));
    workspace.script("quick.sh", "echo quick");
    // only the first attempt waits
    workspace.script("slow.sh", "if [ ! -e begun ]; then : > begun; read line < go; fi; echo slow");
    let conversations = [
        conversation(10, &script("quick"), "", "{ to = 20 }, { to = 30 }"),
        conversation(20, "type = \"human\"", "", "{ to = 40 }, { on = \"failure\" }"),
        conversation(30, &script("slow"), "wait_for_group = \"members\"", "{}"),
        conversation(40, &script("quick"), "parallel_group = \"members\"", "{ to = 30 }"),
    ];
    let header = "[workflow]\nid = 3001\nname = \"test\"\nentry = 10\n";
    workspace.file("workflow.toml", format!("{header}{}", conversations.concat()));
    let mut command = workspace.command(&RUN);
    let mut run = Process::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    run.made(&workspace.path().join("begun"));
    workspace.file("answer.txt", "well");
    let answer = ["answer", "1", "20", "--output", "answer.txt", "--by", "anna"];
    workspace.turing(&answer).expect_code(0);
    fs::write(go, "\n").unwrap();
    let report = run.stdout();
    assert_eq!(run.code(), Some(0), "{report}");
    assert!(report.contains("= 1 ended + 0 open"), "{report}");
    let events = workspace.events(1);
    let is_done = |event: &&Value| event["event_type"] == "script_execution_completed";
    let done = events.iter().filter(is_done);
    let done: Vec<_> = done.map(|event| event["metadata"]["conversation_id"].clone()).collect();
    assert_eq!(done, [json!(10), json!(40), json!(30)], "{:?}", names(&events));
    workspace.turing(&["validate"]).expect_code(0);
}
