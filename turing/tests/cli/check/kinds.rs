//! Each kind of problem by a definition that has it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{ACTOR, HEADER, check, conversation, marked, sound, workspace};

/// A definition with a marked line, and what is found there.
struct Case {
    kind: &'static str,
    text: String,
    ids: Value,
    message: &'static str,
    cure: &'static str,
}

fn case(
    kind: &'static str,
    ids: Value,
    message: &'static str,
    cure: &'static str,
    text: String,
) -> Case {
    Case { kind, text, ids, message, cure }
}

fn errors() -> Vec<Case> {
    let end = || conversation(1, "", &[""]);
    let there = |id: i32| json!([null, id, null]);
    let actor = || json!([74, null, null]);
    let with_actor = |settings: &str| {
        let actor = format!("[[actors]]\nid = 74\nname = \"a\"\n{settings}\n");
        [HEADER, &actor, &end()].concat()
    };
    vec![
        case(
            "id_out_of_range",
            json!([null, null, null]),
            "the id 0 is not positive",
            "use an id from 1",
            sound(&[end()]).replace("id = 3001", "id = 0 # here"),
        ),
        case(
            "duplicate_id",
            there(1),
            "the id 1 is used twice",
            "give each its own id",
            sound(&[end(), end().replace("id = 1", "id = 1 # here")]),
        ),
        case(
            "duplicate_id",
            actor(),
            "the id 74 is used twice",
            "give each its own id",
            [HEADER, ACTOR, &ACTOR.replace("id = 74", "id = 74 # here"), &end()].concat(),
        ),
        case(
            "missing_entry",
            json!([null, null, null]),
            "the entry 9 is no conversation of the workflow",
            "set `entry` to the conversation where postings begin",
            sound(&[end()]).replace("entry = 1", "entry = 9 # here"),
        ),
        case(
            "missing_target",
            json!([null, 1, 2]),
            "it leads to 8, which is no conversation",
            "correct `to`, or leave it out to end the path here",
            sound(&[conversation(1, "", &["when = \"a\"\npriority = 1", "to = 8 # here"])]),
        ),
        case(
            "unknown_actor",
            there(1),
            "there is no actor 75",
            "describe it under [[actors]], or name another",
            sound(&[end().replace("actor = 74", "actor = 75 # here")]),
        ),
        case(
            "unusable_actor",
            actor(),
            "`command` names no program",
            "name it as the first element",
            with_actor("type = \"script\"\ncommand = [] # here"),
        ),
        case(
            "unusable_actor",
            actor(),
            "`env` sets \"A=B\", which cannot stand in an environment",
            "use a name without `=`, and no U+0000",
            with_actor(
                "type = \"script\"\ncommand = [\"./work.sh\"]\n[actors.env] # here\n\"A=B\" = \"1\"",
            ),
        ),
        case(
            "unusable_actor",
            actor(),
            "the environment variable `TURING_CHECK_NO_SUCH_KEY` is not set",
            "it should hold the key of http://localhost:11434",
            with_actor(
                "type = \"llm\"\nmodel = \"m\"\nendpoint = \"http://localhost:11434\"\n\
                 api_key_env = \"TURING_CHECK_NO_SUCH_KEY\" # here",
            ),
        ),
        case(
            "unusable_actor",
            actor(),
            "`endpoint` is \"localhost\", which is no address",
            "use an address such as http://localhost:11434",
            with_actor("type = \"llm\"\nmodel = \"m\"\nendpoint = \"localhost\" # here"),
        ),
        case(
            "unusable_schema",
            there(1),
            "`schema` is for language models, and the actor is none",
            "name another actor, or remove it",
            sound(&[conversation(1, "schema = {} # here", &[""])]),
        ),
        case(
            "unusable_actor",
            actor(),
            "`between_tokens_seconds` is set, and `stream` is false",
            "remove it, or have the answer streamed",
            with_actor(
                "type = \"llm\"\nmodel = \"m\"\nendpoint = \"http://localhost:11434\"\n\
                 stream = false\nbetween_tokens_seconds = 9 # here",
            ),
        ),
        case(
            "zero_limit",
            json!([null, null, null]),
            "`circuit_breaker.failures` is 0, so nothing could ever happen",
            "use at least 1, or leave it out",
            sound(&["[workflow.circuit_breaker]\nfailures = 0 # here\n".to_owned(), end()]),
        ),
        case(
            "zero_limit",
            json!([null, 1, 1]),
            "`max_iterations` is 0, so nothing could ever happen",
            "use at least 1, or leave it out",
            sound(&[conversation(1, "", &["max_iterations = 0 # here"])]),
        ),
        case(
            "unlimited_cycle",
            there(1),
            "postings can go round without a limit: 1, 2",
            "give a rule of the cycle `max_iterations`",
            sound(&[
                conversation(1, "", &["when = \"a\"\npriority = 1", "to = 2"])
                    .replace("[[conversations]]", "[[conversations]] # here"),
                conversation(2, "", &["to = 1"]),
            ]),
        ),
        case(
            "unknown_group",
            there(1),
            "it waits for group `g`, which has no member",
            "set `parallel_group` where the group is run, or correct the name",
            sound(&[conversation(1, "wait_for_group = \"g\" # here", &[""])]),
        ),
        case(
            "wait_cycle",
            there(1),
            "members of these groups wait for each other: g",
            "let no conversation wait for its own group, directly or through another",
            sound(&[conversation(
                1,
                "parallel_group = \"g\"\nwait_for_group = \"g\" # here",
                &[""],
            )]),
        ),
        case(
            "unfillable_placeholder",
            there(1),
            "{conversation_7_output} asks for a conversation that does not exist",
            "correct the name, or remove the placeholder",
            sound(&[conversation(1, "input = \"{conversation_7_output}\" # here", &[""])]),
        ),
    ]
}

fn warnings() -> Vec<Case> {
    let there = |id: i32| json!([null, id, null]);
    let at_header = |text: String| text.replace("[[conversations]]", "[[conversations]] # here");
    vec![
        case(
            "doubtful_placeholder",
            there(3),
            "{conversation_2_output} stays empty for postings that come here before conversation 2 \
             completed, and they fail",
            "lead every way through that conversation, or give those postings another input",
            sound(&[
                conversation(1, "", &["when = \"a\"\npriority = 1\nto = 2", "to = 3"]),
                conversation(2, "", &["to = 3"]),
                conversation(3, "input = \"{conversation_2_output}\" # here", &[""]),
            ]),
        ),
        case(
            "unreachable_conversation",
            there(2),
            "no way leads here from the entry",
            "add a branch to it, or remove it",
            sound(&[conversation(1, "", &[""]), at_header(conversation(2, "", &[""]))]),
        ),
        case(
            "dead_end",
            there(1),
            "no rule follows a success, so every posting ends here as no_matching_branch",
            "add a rule; one without `to` ends the path",
            sound(&[at_header(conversation(1, "", &[]))]),
        ),
        case(
            "uncovered_output",
            there(1),
            "an output that matches no rule ends the path as no_matching_branch",
            "add a rule with when = \"*\" at a lower priority",
            sound(&[at_header(conversation(1, "", &["when = \"a\""]))]),
        ),
        case(
            "missing_failure_branch",
            there(1),
            "no rule follows a failure, so a failure ends the path as actor_failed",
            "where something can be done about it, add a rule with on = \"failure\" and a `to`",
            sound(&[at_header(conversation(1, "", &[""]))])
                .replace("[[conversations.branches]]\non = \"failure\"\n", ""),
        ),
        case(
            "catch_all_among_specific",
            json!([null, 1, 2]),
            "it matches always and has the priority 1 of rules that do not, so both are taken when \
             those match",
            "lower its priority, unless the fan-out is meant",
            sound(&[conversation(1, "", &["when = \"a\"\npriority = 1", "priority = 1 # here"])]),
        ),
        case(
            "shadowed_rule",
            json!([null, 1, 2]),
            "a rule of higher priority matches always, so this is never taken",
            "raise its priority above that rule's, or remove it",
            sound(&[conversation(1, "", &["priority = 1", "when = \"a\""])]).replace(
                "[[conversations.branches]]\nwhen",
                "[[conversations.branches]] # here\nwhen",
            ),
        ),
    ]
}

fn shown_place(ids: &Value) -> String {
    match (&ids[0], &ids[1], &ids[2]) {
        (Value::Null, Value::Null, _) => "workflow".to_owned(),
        (Value::Null, id, Value::Null) => format!("conversation {id}"),
        (Value::Null, id, branch) => format!("conversation {id}, branch {branch}"),
        (id, ..) => format!("actor {id}"),
    }
}

#[test]
fn every_kind_of_problem_is_told_with_its_line_and_cure() {
    let workspace = workspace();
    let with = |severity, cases: Vec<Case>| cases.into_iter().map(move |case| (severity, case));
    let mut kinds = BTreeSet::new();
    for (severity, case) in with("error", errors()).chain(with("warning", warnings())) {
        let Case { kind, text, ids, message, cure } = case;
        let code = if severity == "error" { 1 } else { 0 };
        let line = marked(&text);
        let found = check(&workspace, &text, &["--json"]).expect_code(code).json();
        let found = found.as_array().unwrap();
        let expected = json!({
            "file": "workflow.toml", "line": line, "severity": severity, "kind": kind,
            "actor_id": ids[0], "conversation_id": ids[1], "branch": ids[2],
            "message": message, "cure": cure,
        });
        let alike: Vec<_> = found.iter().filter(|finding| finding["kind"] == kind).collect();
        assert_eq!(alike, [&expected], "{text}\n{found:#?}");
        let answer = check(&workspace, &text, &[]).expect_code(code);
        let place = shown_place(&ids);
        let told = format!("workflow.toml:{line}: {severity}: {place}: {message}; {cure}");
        assert!(answer.stdout.lines().any(|line| line == told), "{told}\n{}", answer.stdout);
        kinds.insert(kind);
    }
    assert_eq!(kinds.len(), 19, "{kinds:?}");
}

#[test]
fn what_is_no_schema_is_told_on_the_line_of_its_fault() {
    let workspace = workspace();
    let actor = "[[actors]]\nid = 74\nname = \"a\"\ntype = \"llm\"\nmodel = \"m\"\n\
                 endpoint = \"http://localhost:11434\"\n";
    let tables = "[conversations.schema]\ntype = \"object\"\n\
                  [conversations.schema.properties.grade]\ntype = \"strng\" # here\n";
    let list = "schema = { anyOf = [\n{ type = \"object\" },\n{ type = \"strng\" }, # here\n] }";
    let text = "schema = '{\"type\": \"strng\"}' # here";
    let outside = "[conversations.schema]\n\"$ref\" = \"https://example.com/schema.json\"\n";
    for settings in [tables, list, text] {
        let text = [HEADER, actor, &conversation(1, settings, &[""])].concat();
        let found = check(&workspace, &text, &["--json"]).expect_code(1).json();
        let errors: Vec<_> = found
            .as_array()
            .unwrap()
            .iter()
            .filter(|finding| finding["severity"] == "error")
            .collect();
        let [error] = errors[..] else { panic!("{settings}: {found:#}") };
        assert_eq!(error["kind"], "unusable_schema");
        assert_eq!((&error["conversation_id"], &error["line"]), (&json!(1), &json!(marked(&text))));
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with("`schema` is no JSON schema: at /"), "{message}");
    }
    let text = [HEADER, actor, &conversation(1, outside, &[""])].concat();
    let found = check(&workspace, &text, &["--json"]).expect_code(1).json();
    assert_eq!(found[0]["kind"], "unusable_schema");
}

#[test]
fn a_form_that_is_no_schema_is_told_on_the_line_of_its_fault() {
    let workspace = workspace();
    let actor = "[[actors]]\nid = 74\nname = \"a\"\ntype = \"human\"\n\
                 [actors.form]\ntype = \"object\"\n\
                 [actors.form.properties.grade]\ntype = \"strng\" # here\n";
    let text = [HEADER, actor, &conversation(1, "", &[""])].concat();
    let found = check(&workspace, &text, &["--json"]).expect_code(1).json();
    let [error] = &found.as_array().unwrap()[..] else { panic!("{found:#}") };
    assert_eq!(error["kind"], "unusable_schema");
    assert_eq!((&error["actor_id"], &error["line"]), (&json!(74), &json!(marked(&text))));
    let message = error["message"].as_str().unwrap();
    assert!(
        message.starts_with("`form` is no JSON schema: at /properties/grade/type"),
        "{message}"
    );
}
