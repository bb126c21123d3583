//! `turing check` from the outside: what it finds, on which line, and the graphs that it draws.

mod support;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Value, json};
use support::{Answer, Workspace};
use turing::definition::{Definition, DefinitionError, Draft};
use turing::graph::{dot, mermaid};

const HEADER: &str = "[workflow]\nid = 3001\nname = \"w\"\nentry = 1\n";
const ACTOR: &str =
    "[[actors]]\nid = 74\nname = \"a\"\ntype = \"script\"\ncommand = [\"./work.sh\"]\n";

/// A conversation whose failures end the path.
fn conversation(id: i32, settings: &str, rules: &[&str]) -> String {
    let mut text =
        format!("[[conversations]]\nid = {id}\nname = \"c{id}\"\nactor = 74\n{settings}\n");
    for rule in rules.iter().chain(&["on = \"failure\""]) {
        text += &format!("[[conversations.branches]]\n{rule}\n");
    }
    text
}

fn sound(conversations: &[String]) -> String {
    [HEADER, ACTOR, &conversations.concat()].concat()
}

fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.script("work.sh", "cat");
    workspace
}

fn check(workspace: &Workspace, text: &str, more: &[&str]) -> Answer {
    workspace.file("workflow.toml", text);
    let answer = workspace.turing(&[&["check", "workflow.toml"], more].concat());
    assert_eq!(answer.stderr, "", "{answer:#?}");
    answer
}

/// The number of the line that ends with this mark.
fn marked(text: &str) -> usize {
    text.lines().position(|line| line.ends_with("# here")).expect("a line is marked") + 1
}

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
            "this version cannot execute actors of type human",
            "use a script",
            with_actor("type = \"human\" # here"),
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
            "add a rule with on = \"failure\"",
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
    assert_eq!(kinds.len(), 18, "{kinds:?}");
}

#[test]
fn errors_come_first_and_are_counted() {
    let workspace = workspace();
    let text = sound(&[conversation(1, "", &["when = \"a\"", "to = 8", "to = 9"])]);
    let answer = check(&workspace, &text, &[]).expect_code(1);
    let lines: Vec<_> = answer.stdout.lines().collect();
    let severities: Vec<_> = lines.iter().map(|line| line.split(": ").nth(1)).collect();
    let (error, warning) = (Some("error"), Some("warning"));
    assert_eq!(severities, [error, error, warning, warning, None], "{answer:#?}");
    assert_eq!(lines[4], "2 errors, 2 warnings");
    let text = sound(&[conversation(1, "", &["when = \"a\""])]);
    let answer = check(&workspace, &text, &[]).expect_code(0);
    assert!(answer.stdout.ends_with("\n0 errors, 1 warning\n"), "{answer:#?}");
}

#[test]
fn the_second_of_two_conversations_with_one_id_has_its_own_lines() {
    let workspace = workspace();
    let second = conversation(1, "", &["", "", "to = 8 # here"]);
    let text = sound(&[conversation(1, "", &[""]), second]);
    let found = check(&workspace, &text, &["--json"]).expect_code(1).json();
    let missing = found.as_array().unwrap().iter().find(|one| one["kind"] == "missing_target");
    assert_eq!(missing.unwrap()["line"], marked(&text));
}

#[test]
fn scripts_that_cannot_be_started_are_errors_on_the_line_of_their_command() {
    let workspace = workspace();
    let not_executable = workspace.file("it's.sh", "#!/bin/sh\n");
    fs::set_permissions(&not_executable, fs::Permissions::from_mode(0o644)).unwrap();
    let folder = workspace.path().display();
    for (command, message, cure) in [
        (
            "./gone.sh",
            format!("script `{folder}/gone.sh` does not exist"),
            "correct the path; it is relative to the definition's folder".to_owned(),
        ),
        (
            "./it's.sh",
            format!("script `{folder}/it's.sh` is not executable"),
            format!("run `chmod +x '{folder}/it'\\''s.sh'`"),
        ),
        (
            "./postings",
            format!("script `{folder}/postings` is not a file"),
            "name the program, not its folder".to_owned(),
        ),
        (
            "cat",
            "program `cat` is in no folder of the actor's PATH ()".to_owned(),
            "write its path, or name PATH in the actor's env".to_owned(),
        ),
    ] {
        let text = sound(&[conversation(1, "", &[""])])
            .replace("[\"./work.sh\"]", &format!("[\"{command}\"] # here"));
        let found = check(&workspace, &text, &["--json"]).expect_code(1).json();
        let told = json!([found[0]["line"], found[0]["message"], found[0]["cure"]]);
        assert_eq!(told, json!([marked(&text), message, cure]));
        // an actor that no conversation names is not looked at
        let unused = text.replace("id = 74", "id = 75") + ACTOR;
        check(&workspace, &unused, &[]).expect_code(0);
    }
}

#[test]
fn text_that_is_no_definition_is_told_by_line_and_is_not_a_finding_but_a_wrong_request() {
    let workspace = workspace();
    let end = conversation(1, "", &[""]);
    for (text, expected) in [
        (sound(&[end.clone()]).replace("entry = 1", "entry == 1 # here"), "="),
        (sound(&[end.clone()]).replace("entry = 1", "entry = 1\nfoo = 1 # here"), "foo"),
        (sound(&[end.clone()]).replace("entry = 1", "entry = \"1\" # here"), "invalid type"),
        (sound(&[end.clone()]).replace("= 74\n\n", "= 74\ntimeout_seconds = -1 # here\n"), "-1"),
        (sound(&[end.clone()]).replace("[[actors]]", "[[actors]] # here\nseed = 1"), "seed"),
        (sound(&[end.clone() + "[[conversations.branches]]\nwen = \"a\" # here"]), "wen"),
        (sound(&[end]).replace("entry = 1", "entry = 1\nentry = 2 # here"), "duplicate key"),
        ("name = 1 # here".to_owned(), "unknown field"),
    ] {
        let found = check(&workspace, &text, &["--json"]).expect_code(2).json();
        let first = &found[0];
        assert_eq!((&first["line"], &first["kind"]), (&json!(marked(&text)), &json!("malformed")));
        assert!(first["message"].as_str().unwrap().contains(expected), "{found:#}");
        let told = check(&workspace, &text, &[]).expect_code(2).stdout;
        assert!(told.starts_with(&format!("workflow.toml:{}: error: ", marked(&text))), "{told}");
    }
    let mut bytes = b"[workflow]\nname = \"".to_vec();
    bytes.push(0xff);
    workspace.file("workflow.toml", bytes);
    let answer = workspace.turing(&["check", "workflow.toml"]).expect_code(2);
    assert!(answer.stdout.starts_with("workflow.toml:2: error: the text is not UTF-8;"));
}

#[test]
fn all_errors_of_the_syntax_are_told_at_once() {
    let workspace = workspace();
    let found = check(&workspace, "a = \nb = 1\nc = [\n1 2]\n", &["--json"]).expect_code(2).json();
    let lines: Vec<_> = found.as_array().unwrap().iter().map(|one| &one["line"]).collect();
    assert_eq!(lines, [1, 4], "{found:#}");
}

#[test]
fn a_file_that_cannot_be_read_is_a_wrong_request() {
    let workspace = workspace();
    let answer = workspace.turing(&["check", "gone.toml"]).expect_code(2);
    assert!(answer.stdout.is_empty(), "{answer:#?}");
    assert!(answer.stderr.starts_with("error: cannot read the workflow definition gone.toml"));
    workspace.file("large.toml", "#".repeat(8 * 1024 * 1024 + 1));
    let answer = workspace.turing(&["check", "large.toml"]).expect_code(2);
    assert!(answer.stderr.contains("large.toml is larger than"), "{answer:#?}");
}

#[test]
fn a_run_tells_the_same_findings() {
    let workspace = workspace();
    workspace.postings(1);
    let text = sound(&[conversation(1, "", &["when = \"advert\""])]);
    let found = check(&workspace, &text, &[]).expect_code(0).stdout;
    let answer = workspace.run(&[]).expect_code(0);
    assert!(answer.stderr.contains(&found), "{found}\n{}", answer.stderr);
    let text = sound(&[conversation(1, "", &["to = 8", "to = 9"])]);
    let found = check(&workspace, &text, &[]).expect_code(1).stdout;
    let answer = workspace.run(&[]).expect_code(2);
    let errors: Vec<_> = found.lines().filter(|line| line.contains(": error: ")).collect();
    assert_eq!(errors.len(), 2);
    assert!(errors.iter().all(|error| answer.stderr.contains(error)), "{answer:#?}");
}

#[test]
fn placeholders_are_judged_by_the_data_of_the_postings() {
    let workspace = workspace();
    let text = sound(&[
        conversation(1, "input = \"{title} {sumary}\" # here", &["to = 2"]),
        conversation(2, "input = \"{a} {title} {b}\"", &[""]),
    ]);
    check(&workspace, &text, &[]).expect_code(0);
    workspace.file("postings/1.json", r#"{"title": "Baker"}"#);
    workspace.file("postings/2.json", r#"{"summary": "bakes"}"#);
    let answer = check(&workspace, &text, &["--postings", "postings"]).expect_code(1);
    let line = marked(&text);
    let expected = [
        format!(
            "workflow.toml:{line}: error: conversation 1: {{sumary}} is in no posting's data, which \
             has summary, title; correct the name, or remove the placeholder"
        ),
        format!(
            "workflow.toml:{}: warning: conversation 2: {{a}}, {{b}} are in no posting's data; only \
             a JSON output of 1 could have it; correct the name, or make sure that the output has \
             this key",
            line + 9
        ),
        "1 error, 1 warning\n".to_owned(),
    ];
    assert_eq!(answer.stdout, expected.join("\n"));
    let definition = Definition::load(&workspace.path().join("workflow.toml")).unwrap();
    let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
    assert_eq!(definition.check_data(&keys(&["title", "summary"])).len(), 2);
    assert_eq!(definition.check_data(&keys(&["title", "sumary", "a", "b"])), []);
}

#[test]
fn postings_of_which_none_can_be_read_say_nothing_about_placeholders() {
    let workspace = workspace();
    workspace.file("workflow.toml", sound(&[conversation(1, "", &[""])]));
    workspace.file("postings/1.json", "{");
    let arguments = ["check", "workflow.toml", "--postings", "postings"];
    let answer = workspace.turing(&arguments).expect_code(2);
    assert!(answer.stderr.contains("refused: postings/1.json"), "{answer:#?}");
    assert!(answer.stderr.contains("no posting could be read from postings"), "{answer:#?}");
}

#[test]
fn the_demo_has_no_findings() {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/workflow.toml");
    let workspace = workspace();
    let answer = workspace.turing(&["check", demo.to_str().unwrap()]).expect_code(0);
    assert_eq!(answer.stdout, "0 errors, 0 warnings\n");
    let answer = workspace.turing(&["check", demo.to_str().unwrap(), "--json"]).expect_code(0);
    assert_eq!(answer.json(), json!([]));
}

/// `count` conversations in one large tangle, all of whose placeholders are looked into.
fn tangle(count: i32) -> String {
    let mut text = [HEADER, ACTOR].concat();
    for id in 1..=count {
        let earlier = (id / 2).max(1);
        let rules = format!(
            "when = \"a\"\npriority = 1\nto = {}\nmax_iterations = 2\n\
             [[conversations.branches]]\npriority = 1\nwhen = \"b\"\nto = {}\n\
             [[conversations.branches]]\nto = {}\nmax_iterations = 3",
            id % count + 1,
            (id + 7) % count + 1,
            id * 3 % count + 1
        );
        let input = format!("input = \"{{title}} {{conversation_{earlier}_output}}\"");
        text += &conversation(id, &input, &[&rules, "priority = -1"]);
    }
    text
}

#[test]
fn large_definitions_are_checked_in_no_time() {
    let workspace = workspace();
    workspace.postings(1);
    for count in [16, 500] {
        workspace.file("workflow.toml", tangle(count));
        let began = Instant::now();
        let arguments = ["check", "workflow.toml", "--postings", "postings", "--json"];
        let answer = workspace.turing(&arguments);
        // unoptimised and beside other tests: a check that is quadratic in rules takes minutes
        assert!(began.elapsed() < Duration::from_secs(20), "{count}: {:?}", began.elapsed());
        assert!(answer.json().as_array().unwrap().len() > 16);
    }
}

/// A definition as it should be: a fan-out, a group that is waited for, and a loop.
const PLAIN: &str = r#"
[workflow]
id = 3001
name = "job-adverts"
entry = 10

[[actors]]
id = 74
name = "work"
type = "script"
command = ["./work.sh"]

[[conversations]]
id = 10
name = "validate"
actor = 74
branches = [
    { priority = 10, when = "[PASS]", to = 20 },
    { priority = 10, when = "[PASS]", to = 30 },
    { when = "*" },
    { on = "failure" },
]

[[conversations]]
id = 20
name = "summarise"
actor = 74
parallel_group = "read"
branches = [{ to = 40 }, { on = "failure", to = 40 }]

[[conversations]]
id = 30
name = "skills"
actor = 74
parallel_group = "read"
branches = [{ to = 40 }, { on = "failure", when = "timeout", priority = 1 }, { on = "failure", to = 40 }]

[[conversations]]
id = 40
name = "grade"
actor = 74
wait_for_group = "read"
branches = [
    { priority = 10, when = "[FAIL]", to = 20, max_iterations = 2 },
    { when = "*" },
    { on = "failure" },
]
"#;

/// A definition that has everything a graph shows, and names that try to break out of it.
const ODD: &str = r##"
[workflow]
id = 7
name = 'a "b" %%{init: {}}%%'
entry = 1

[[actors]]
id = 74
name = '<b>bold</b> & "quoted" \N'
type = "script"
command = ["./work.sh"]

[[actors]]
id = 75
name = "`code` *star* _under_ ~"
type = "llm"
model = "m"
endpoint = "http://localhost:11434"

[[actors]]
id = 76
name = "größe 你好 🦀"
type = "human"

[[conversations]]
id = 1
name = "two\nlines [and] {braces} (round) | bar"
actor = 74
[[conversations.branches]]
priority = 10
when = "contains:[PASS] \"yes\""
to = 2
[[conversations.branches]]
priority = 10
when = "style x:#quot;"
to = 3
max_iterations = 2
[[conversations.branches]]
to = 99
[[conversations.branches]]
on = "failure"
when = "timeout"
to = 4
[[conversations.branches]]
on = "failure"

[[conversations]]
id = 2
name = "end"
actor = 75
parallel_group = 'g "1" <i>'
[[conversations.branches]]
to = 4

[[conversations]]
id = 3
name = "1. list"
actor = 76
parallel_group = 'g "1" <i>'
[[conversations.branches]]
when = "\u0000\u001b[31m"
to = 4

[[conversations]]
id = 4
name = "waits"
actor = 77
wait_for_group = 'g "1" <i>'
[[conversations.branches]]

[[conversations]]
id = 4
name = "again"
actor = 74
[[conversations.branches]]
to = -5
"##;

fn golden(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, actual).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap();
    assert_eq!(actual, expected, "{name}; set UPDATE_GOLDEN=1 to accept a change");
}

#[test]
fn graphs_are_drawn_the_same_every_time_and_names_stay_text() {
    let workspace = workspace();
    workspace.file("workflow.toml", ODD);
    workspace.file("plain.toml", PLAIN);
    for (format, ending) in [("mermaid", "mmd"), ("dot", "dot")] {
        let odd = workspace.turing(&["check", "workflow.toml", "--graph", format]).expect_code(1);
        let line = ODD.lines().position(|line| line == "to = 99").unwrap() + 1;
        let missing =
            format!("workflow.toml:{line}: error: conversation 1, branch 3: it leads to 99");
        assert!(odd.stderr.contains(&missing), "{}", odd.stderr);
        golden(&format!("odd.{ending}"), &odd.stdout);
        let plain = workspace.turing(&["check", "plain.toml", "--graph", format]).expect_code(0);
        assert_eq!(plain.stderr, "");
        golden(&format!("plain.{ending}"), &plain.stdout);
    }
}

#[test]
fn a_graph_is_not_json() {
    let answer = workspace().turing(&["check", "workflow.toml", "--graph", "dot", "--json"]);
    answer.expect_code(2);
}

/// Definitions that are mostly wrong: ids, targets, groups and limits at random.
fn definitions() -> impl Strategy<Value = String> {
    let id = || prop_oneof![8 => 1..6, 1 => Just(0), 1 => Just(i32::MIN)];
    let rule = (id(), -1..2, any::<bool>(), "[a*]?", prop::option::of(0..3u32), any::<bool>());
    let rule = rule.prop_map(|(to, priority, on_failure, when, limit, ends)| {
        let mut text = format!("{{ priority = {priority}, when = {}", json!(when));
        if on_failure {
            text += ", on = \"failure\"";
        }
        if !ends {
            let _ = write!(text, ", to = {to}");
        }
        if let Some(limit) = limit {
            let _ = write!(text, ", max_iterations = {limit}");
        }
        text + " }"
    });
    let group = || prop::option::of("[gh]");
    let rules = prop::collection::vec(rule, 0..4);
    let one = (id(), 74..76, group(), group(), id(), any::<char>(), rules);
    let one = one.prop_map(|(id, actor, own, awaited, source, odd, rules)| {
        let mut text = format!("[[conversations]]\r\nid = {id}\nname = ''' \n{}'''\n", '\n');
        let _ = writeln!(
            text,
            "actor = {actor}\ninput = \"\"\"\n{{conversation_{source}_output}}{{x}}\"\"\""
        );
        let _ = writeln!(text, "# {}", if odd.is_control() { ' ' } else { odd });
        for (name, group) in [("parallel_group", own), ("wait_for_group", awaited)] {
            if let Some(group) = group {
                let _ = writeln!(text, "{name} = \"{group}\"");
            }
        }
        let _ = writeln!(text, "branches = [\n{}\n]", rules.join(",\n"));
        text
    });
    (id(), prop::collection::vec(one, 0..6), 0..3usize).prop_map(
        |(entry, conversations, actors)| {
            let header = HEADER.replace("entry = 1", &format!("entry = {entry}"));
            [header, ACTOR.repeat(actors), conversations.concat()].concat()
        },
    )
}

proptest! {
    #[test]
    fn a_check_never_panics_and_its_lines_exist(text in definitions(), cut in any::<prop::sample::Index>()) {
        let workspace = workspace();
        let path = workspace.file("workflow.toml", &text);
        let draft = Draft::read(&path).unwrap();
        let more = draft.check_data(&BTreeSet::new());
        let lines = text.lines().count();
        for finding in draft.findings.iter().chain(&more) {
            prop_assert!((1..=lines).contains(&finding.line), "{finding}");
            prop_assert!(!finding.to_string().contains('\n'));
        }
        let (dot, mermaid) = (dot(&draft.workflow), mermaid(&draft.workflow));
        prop_assert_eq!(dot.lines().last(), Some("}"));
        prop_assert_eq!(mermaid.lines().next(), Some("flowchart TD"));

        let cut: String = text.chars().take(cut.index(text.chars().count())).collect();
        let path = workspace.file("workflow.toml", &cut);
        if let Err(DefinitionError::Malformed { findings, .. }) = Draft::read(&path) {
            let lines = cut.lines().count().max(1);
            prop_assert!(findings.iter().all(|one| (1..=lines).contains(&one.line)), "{findings:?}");
        }
    }
}
