//! Every finding that the format's page lists, in the words of the program.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use turing_domain::{check, check_with_data};

use super::{ACTOR, CONVERSATION, FORMAT, HEADER, block, example, fits, table, workflow};
use crate::support::Workspace;

/// Definitions that have every problem between them.
fn broken() -> Vec<String> {
    let actors = |actors: &str| [HEADER, actors, CONVERSATION].concat();
    let actor = |rest: &str| actors(&format!("[[actors]]\nid = 1\nname = \"a\"\n{rest}\n"));
    let from = |rest: &str| [HEADER, ACTOR, CONVERSATION, rest].concat();
    let second = "[[conversations]]\nid = 2\nname = \"d\"\nactor = 1\n";
    vec![
        [&HEADER.replace("id = 1", "id = 0"), ACTOR, CONVERSATION].concat(),
        actors(&ACTOR.repeat(2)),
        [&HEADER.replace("entry = 1", "entry = 9"), ACTOR, CONVERSATION].concat(),
        actors(""),
        actor("type = \"script\"\ncommand = []"),
        actor("type = \"script\"\ncommand = [\"a\\u0000\"]"),
        actor("type = \"script\"\ncommand = [\"a\"]\nenv = { \"A=B\" = \"1\" }"),
        actor("type = \"llm\"\nmodel = \"\"\nendpoint = \"http://localhost\""),
        actor("type = \"llm\"\nmodel = \"m\\u0000\"\nendpoint = \"http://localhost\""),
        actor("type = \"llm\"\nmodel = \"m\"\nendpoint = \"localhost\""),
        actor(
            "type = \"llm\"\nmodel = \"m\"\nendpoint = \"http://localhost\"\n\
             max_completion_tokens = 9",
        ),
        actor(
            "type = \"llm\"\nmodel = \"m\"\nendpoint = \"http://localhost\"\n\
             protocol = \"openai_chat\"\nmax_tokens = 9\nmax_completion_tokens = 9",
        ),
        actor(
            "type = \"llm\"\nmodel = \"m\"\nendpoint = \"http://localhost\"\nstream = false\n\
             first_token_seconds = 9",
        ),
        actor("type = \"llm\"\nmodel = \"m\"\nendpoint = \"http://localhost\"")
            + "schema = {}\nrepair = 2\n",
        from("schema = {}"),
        from("repair = 1"),
        from("max_instruction_runs = 0\ntimeout_seconds = 0\nbranches = [{ to = 8 }]"),
        actor("type = \"human\"\ndue_seconds = 0"),
        from("branches = [{ to = 1 }]"),
        from("wait_for_group = \"g\"\nbranches = [{ when = \"a\" }, {}]"),
        from("wait_for_group = \"g\"\nparallel_group = \"g\"\nbranches = [{ when = \"a\" }]"),
        from("input = \"{conversation_9_output} {conversation_1_output}\""),
        from(&format!(
            "branches = [{{ when = \"a\", to = 2 }}, {{ to = 3 }}, {{ priority = -1 }}]\n{second}\
             branches = [{{ to = 3 }}]\n{}input = \"{{conversation_2_output}}\"\n",
            second.replace('2', "3")
        )),
        from(second),
    ]
}

/// A definition whose placeholders only data, or perhaps an output, can fill.
fn asking() -> String {
    let first = "input = \"{a}\"\nbranches = [{ to = 2 }]\n";
    let second = CONVERSATION.replace("id = 1", "id = 2") + "input = \"{b} {c}\"\nbranches = [{}]";
    [HEADER, ACTOR, CONVERSATION, first, &second].concat()
}

#[test]
fn every_problem_is_listed_in_its_words() {
    let listed = table(FORMAT, "severity | message | what to do");
    let mut seen = vec![false; listed.len()];
    let mut problems: Vec<_> = broken().iter().flat_map(|text| check(&workflow(text))).collect();
    let workflow = workflow(&asking());
    for keys in [BTreeSet::new(), BTreeSet::from(["title".to_owned()])] {
        problems.extend(check_with_data(&workflow, &keys));
    }
    for problem in problems {
        let severity = problem.severity().to_string();
        let place = listed.iter().position(|row| {
            row[0] == severity && fits(&row[1], &problem.message) && row[2] == problem.cure
        });
        seen[place.unwrap_or_else(|| panic!("not listed: {problem}"))] = true;
    }
    let unseen: Vec<_> = listed.iter().zip(&seen).filter(|(_, seen)| !**seen).collect();
    assert!(unseen.is_empty(), "nothing has these problems: {unseen:#?}");
}

/// Actors that cannot be executed here, in every way between them.
const FAULTY: [&str; 17] = [
    "type = \"script\"\ncommand = [\"./gone.sh\"]",
    "type = \"script\"\ncommand = [\"./plain.sh\"]",
    "type = \"script\"\ncommand = [\"./postings\"]",
    "type = \"script\"\ncommand = [\"cat\"]",
    "endpoint = \"http://localhost?a\"",
    "endpoint = \"http://localhost:99999\"",
    "endpoint = \"http://localhost/api/generate\"",
    "endpoint = \"http://a b\"",
    "endpoint = \"http://:80\"",
    "endpoint = \"http://me:secret@localhost\"",
    "endpoint = \"http://localhost\"\napi_key_env = \"DOCS_KEY_UNSET\"",
    "endpoint = \"http://localhost\"\napi_key_env = \"DOCS_KEY_EMPTY\"",
    "endpoint = \"http://localhost\"\napi_key_env = \"DOCS_KEY_UNUSABLE\"",
    "endpoint = \"http://models.example.com\"\napi_key_env = \"DOCS_KEY\"",
    "endpoint = \"https://models.example.com\"",
    "endpoint = \"http://localhost\"\ntemperature = inf",
    "endpoint = \"http://localhost\"\ntemperature = nan",
];

#[test]
fn every_fault_of_an_actor_is_listed_in_its_words() {
    let listed = table(FORMAT, "message | cure");
    let mut seen = vec![false; listed.len()];
    let workspace = Workspace::new();
    let plain = workspace.file("plain.sh", "#!/bin/sh\n");
    fs::set_permissions(plain, fs::Permissions::from_mode(0o644)).unwrap();
    for settings in FAULTY {
        let kind =
            if settings.starts_with("type") { "" } else { "type = \"llm\"\nmodel = \"m\"\n" };
        let actor = format!("[[actors]]\nid = 1\nname = \"a\"\n{kind}{settings}\n");
        workspace.file("workflow.toml", [HEADER, &actor, CONVERSATION].concat());
        let mut command = workspace.command(&["check", "workflow.toml", "--json"]);
        command.env("DOCS_KEY", "sk-1").env("DOCS_KEY_EMPTY", " ").env("DOCS_KEY_UNUSABLE", "a\nb");
        command.env("SSL_CERT_FILE", "/nonexistent").env("SSL_CERT_DIR", "/nonexistent");
        let answer: crate::support::Answer = command.output().unwrap().into();
        let found = answer.expect_code(1).json();
        let errors: Vec<_> =
            found.as_array().unwrap().iter().filter(|one| one["severity"] == "error").collect();
        let [fault] = errors[..] else { panic!("{settings}: {found:#}") };
        let text = |key: &str| fault[key].as_str().unwrap().to_owned();
        let place = listed
            .iter()
            .position(|row| fits(&row[0], &text("message")) && fits(&row[1], &text("cure")));
        seen[place.unwrap_or_else(|| panic!("not listed: {fault:#}"))] = true;
    }
    let unseen: Vec<_> = listed.iter().zip(&seen).filter(|(_, seen)| !**seen).collect();
    assert!(unseen.is_empty(), "nothing has these faults: {unseen:#?}");
}

#[test]
fn a_check_answers_as_it_is_told() {
    let workspace = example();
    let transcript = block(FORMAT, "console check");
    let (command, expected) = transcript.split_once('\n').unwrap();
    let arguments: Vec<_> = command.split(' ').skip(2).collect();
    assert_eq!(workspace.turing(&arguments).expect_code(0).stdout, expected);
    let found = workspace.turing(&[&arguments[..], &["--json"]].concat()).expect_code(0).json();
    let shown: Value = serde_json::from_str(&block(FORMAT, "json finding")).unwrap();
    assert_eq!(found[0], shown);
    // nothing is registered, so the same ids may bring other content to a run
    assert!(!workspace.path().join("turing.db").exists());
}
