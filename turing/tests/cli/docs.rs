//! What `docs/workflow-format.md` and `docs/script-actors.md` say, held against the program.

#[allow(dead_code, reason = "its `main` is for readers")]
#[path = "../../../docs/examples/word_count.rs"]
mod word_count;

mod findings;
mod models;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use turing::script::{ScriptCall, ScriptLimits, ScriptOutcome, Supervisors};
use turing_domain::{
    ConversationId, EndReason, FailureType, On, ProblemKind, Workflow, check, firing_rules,
};

use crate::support::{RUN, Workspace, find};

const FORMAT: &str = "workflow-format.md";
const ACTORS: &str = "script-actors.md";

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

fn page(name: &str) -> String {
    fs::read_to_string(docs().join(name)).unwrap()
}

/// A fenced block, and the table right after it.
struct Block {
    info: String,
    text: String,
    table: Vec<Vec<String>>,
}

fn blocks(name: &str) -> Vec<Block> {
    let page = page(name);
    let mut parts = page.split("\n```");
    parts.next();
    let mut blocks = Vec::new();
    while let (Some(block), Some(after)) = (parts.next(), parts.next()) {
        let (info, text) = block.split_once('\n').unwrap();
        let after = after.trim_start().lines();
        let table = after.take_while(|line| line.starts_with('|')).collect::<Vec<_>>().join("\n");
        let (info, text) = (info.to_owned(), format!("{text}\n"));
        blocks.push(Block { info, text, table: rows(&table) });
    }
    assert!(!blocks.is_empty());
    blocks
}

/// The text of the only block with this info string.
fn block(name: &str, info: &str) -> String {
    let mut found = blocks(name).into_iter().filter(|block| block.info == info);
    let block = found.next().unwrap_or_else(|| panic!("{name} has no block `{info}`"));
    assert!(found.next().is_none(), "{name} has several blocks `{info}`");
    block.text
}

/// The cells of a table, without its header.
fn rows(table: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| {
        let cells = line.trim_matches('|').split(" | ");
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    table.lines().filter(|line| line.starts_with('|')).skip(2).map(cells).collect()
}

/// The table whose header begins with these cells.
fn table(name: &str, header: &str) -> Vec<Vec<String>> {
    let page = page(name);
    let (_, rest) = page.split_once(&format!("\n| {header} |")).unwrap_or_else(|| {
        panic!("{name} has no table that begins with `{header}`");
    });
    let table: Vec<_> = rest.lines().skip(1).take_while(|line| line.starts_with('|')).collect();
    rows(&format!("| {header} |\n{}", table.join("\n")))
}

fn code(cell: &str) -> &str {
    cell.trim_matches('`')
}

/// True if the text is the pattern, in which `…` stands for anything.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let parts: Vec<_> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

const HEADER: &str = "[workflow]\nid = 1\nname = \"w\"\nentry = 1\n";
const ACTOR: &str = "[[actors]]\nid = 1\nname = \"a\"\ntype = \"script\"\ncommand = [\"./a\"]\n";
const CONVERSATION: &str = "[[conversations]]\nid = 1\nname = \"c\"\nactor = 1\n";

fn workflow(text: &str) -> Workflow {
    toml::from_str(text).unwrap_or_else(|error| panic!("{error}\nin\n{text}"))
}

/// A definition around a part of one.
fn completed(part: &str) -> Workflow {
    match part.starts_with("[[conversations.branches]]") {
        true => workflow(&[HEADER, CONVERSATION, part].concat()),
        false => workflow(&[HEADER, part].concat()),
    }
}

#[test]
fn every_definition_is_read_and_whole_ones_have_no_problem() {
    let (mut whole, mut parts) = (0, 0);
    for block in [FORMAT, ACTORS].into_iter().flat_map(blocks) {
        match block.info.as_str() {
            "toml" => {
                let mut problems = check(&workflow(&block.text));
                // a failure that no rule follows is told of by the run, and hides from nobody
                problems.retain(|problem| problem.kind != ProblemKind::MissingFailureBranch);
                assert_eq!(problems, [], "{}", block.text);
                whole += 1;
            }
            info if info.starts_with("toml ") => {
                completed(&block.text);
                parts += 1;
            }
            _ => {}
        }
    }
    assert!((whole, parts) >= (2, 5), "{whole} and {parts}");
}

#[test]
fn the_rules_that_are_said_to_be_taken_are_taken() {
    let mut examples = 0;
    for block in blocks(FORMAT) {
        let on = match block.info.as_str() {
            "toml routing" => On::Success,
            "toml routing failure" => On::Failure,
            _ => continue,
        };
        let workflow = completed(&block.text);
        let conversation = workflow.conversation(ConversationId(1)).unwrap();
        assert!(!block.table.is_empty(), "no table after\n{}", block.text);
        for row in &block.table {
            let fired = firing_rules(conversation, on, code(&row[0]));
            let taken: Vec<_> = fired.iter().map(|fired| fired.number.to_string()).collect();
            let taken = if taken.is_empty() { "none".to_owned() } else { taken.join(", ") };
            assert_eq!(taken, row[1], "{row:?}");
            for target in fired.iter().filter_map(|fired| fired.rule.target) {
                assert!(row[2].contains(&target.to_string()), "{row:?}");
            }
            examples += 1;
        }
    }
    assert!(examples >= 10, "{examples}");
}

#[test]
fn failure_types_and_end_reasons_are_those_of_the_domain() {
    let failures = table(FORMAT, "failure type | repeated");
    assert_eq!(failures.len(), 16);
    for row in failures {
        let failure_type = FailureType::from(code(&row[0]));
        assert!(!matches!(failure_type, FailureType::Other(_)), "{row:?}");
        assert_eq!(row[1], if failure_type.is_retried() { "yes" } else { "no" }, "{row:?}");
    }
    let reasons = table(FORMAT, "reason | what happened | normal");
    let order: Vec<_> = reasons.iter().map(|row| EndReason::from(code(&row[0]))).collect();
    assert_eq!(order.len(), 7);
    assert!(order.is_sorted(), "{order:?}");
    for (reason, row) in order.iter().zip(&reasons) {
        assert!(!matches!(reason, EndReason::Other(_)), "{row:?}");
        assert_eq!(row[2], if reason.is_normal() { "yes" } else { "no" }, "{row:?}");
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to),
            // permissions are copied too
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// The worked example in a folder of its own.
fn example() -> Workspace {
    let workspace = Workspace::new();
    copy(&docs().join("examples/teasers"), workspace.path());
    workspace
}

#[test]
fn the_worked_example_runs_as_it_is_told() {
    let workspace = example();
    let definition = workspace.workflow();
    assert!(page(FORMAT).contains(&definition), "copy examples/teasers/workflow.toml to {FORMAT}");

    let transcript = block(FORMAT, "console");
    let (command, expected) = transcript.split_once('\n').unwrap();
    let arguments: Vec<_> = command.split(' ').skip(2).collect();
    let answer = workspace.turing(&arguments).expect_code(1);
    let told = [answer.stderr.as_str(), &answer.stdout].concat();
    let (told, expected): (Vec<_>, Vec<_>) = (told.lines().collect(), expected.lines().collect());
    let fit = |(pattern, line): (&&str, &&str)| fits(pattern, line);
    let is_same = told.len() == expected.len() && expected.iter().zip(&told).all(fit);
    assert!(is_same, "told:\n{}\nexpected:\n{}", told.join("\n"), expected.join("\n"));

    let outputs: Value = serde_json::from_str(&block(FORMAT, "json outputs 501")).unwrap();
    assert_eq!(workspace.state(501)["outputs"], outputs);
}

fn document() -> Value {
    serde_json::from_str(&block(ACTORS, "json document")).unwrap()
}

#[test]
fn a_script_gets_the_document_that_is_shown() {
    let workspace = example();
    workspace.script("actors/grade_title.sh", "tee seen.json; mv seen.json $$.seen.json");
    let postings = "postings/baker.json";
    workspace.turing(&[&RUN[..4], &[postings]].concat());
    let first = fs::read_dir(workspace.path()).unwrap().map(|entry| entry.unwrap().path());
    let seen = first.filter(|path| path.to_str().unwrap().ends_with(".seen.json"));
    let mut seen: Vec<Value> =
        seen.map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap()).collect();
    seen.sort_by_key(|document| document["execution"].as_u64());
    let mut shown = document();
    shown["run_id"] = seen[0]["run_id"].clone();
    assert_eq!(seen[0], shown);

    let keys = table(ACTORS, "key | type | meaning");
    let mut keys: Vec<_> = keys.iter().map(|row| code(&row[0]).to_owned()).collect();
    keys.sort();
    assert_eq!(keys, shown.as_object().unwrap().keys().cloned().collect::<Vec<_>>());
}

/// Runs an example actor on the document that is shown.
async fn answer_of(name: &str, text: &str) -> Value {
    let workspace = example();
    // a script with the run bit, whose content is replaced
    let program = workspace.script(&format!("actors/{name}"), "");
    fs::write(&program, text).unwrap();
    let path = "/usr/bin:/bin".to_owned();
    let outcome = Supervisors::new(env!("CARGO_BIN_EXE_turing"))
        .run(&ScriptCall {
            program,
            arguments: vec!["10".into()],
            folder: workspace.path().to_owned(),
            environment: BTreeMap::from([
                ("LC_ALL".to_owned(), "C".to_owned()),
                ("PATH".into(), path),
            ]),
            input: document().to_string().into_bytes(),
            limits: ScriptLimits::default(),
        })
        .await;
    match outcome {
        ScriptOutcome::Completed { output, .. } => serde_json::from_str(&output).unwrap(),
        failed => panic!("{name}: {failed:?}"),
    }
}

fn expected_answer() -> Value {
    serde_json::from_str(&block(ACTORS, "json answer")).unwrap()
}

#[tokio::test]
async fn the_shell_example_answers_as_it_is_told() {
    let answer = answer_of("word_count.sh", &block(ACTORS, "sh actor")).await;
    assert_eq!(answer, expected_answer());
}

#[tokio::test]
async fn the_python_example_answers_as_it_is_told() {
    let text = block(ACTORS, "python actor");
    let mut look = Command::new("/bin/sh");
    let look = look.args(["-c", "command -v python3"]).env_clear().env("PATH", "/usr/bin:/bin");
    if !look.output().unwrap().status.success() {
        eprintln!("NOT CHECKED: there is no python3 in /usr/bin or /bin to run this with:\n{text}");
        return;
    }
    assert_eq!(answer_of("word_count.py", &text).await, expected_answer());
}

#[test]
fn the_rust_example_answers_as_it_is_told() {
    let text = fs::read_to_string(docs().join("examples/word_count.rs")).unwrap();
    assert_eq!(block(ACTORS, "rust actor"), text, "copy examples/word_count.rs to {ACTORS}");
    assert_eq!(word_count::answer(&document(), 10).unwrap(), expected_answer());
    assert!(word_count::answer(&json!({}), 10).is_err());
}

#[test]
fn exit_codes_fail_as_they_are_said_to() {
    let listed = table(ACTORS, "what happens | failure type | repeated");
    let cell = |beginning: &str| {
        let row = listed.iter().find(|row| row[0].starts_with(beginning)).unwrap();
        code(&row[1]).to_owned()
    };
    let (asked, other) = (cell("exit code 129, 130, 137 or 143"), cell("any other exit code"));
    let workspace = Workspace::new();
    let policy = "[workflow.retry]\nretries = 0\n[workflow.circuit_breaker]\nfailures = 1000\n";
    let actor = ACTOR.replace("./a", "./exit.sh");
    let rest = "input = \"{code}\"\nbranches = [{}]\n";
    workspace.file("workflow.toml", [HEADER, policy, &actor, CONVERSATION, rest].concat());
    workspace.script("exit.sh", r#"exit $(sed 's/.*"input":"\([0-9]*\)".*/\1/')"#);
    let codes = [1, 75, 126, 127, 128, 129, 130, 131, 137, 141, 143, 255];
    for code in codes {
        let text = format!(r#"{{"posting_id":{code},"code":{code}}}"#);
        workspace.file(&format!("postings/{code}.json"), text);
    }
    workspace.run(&[]).expect_code(1);
    for code in codes {
        let expected = if [129, 130, 137, 143].contains(&code) { &asked } else { &other };
        let events = workspace.events(code);
        let failed = find(&events, "script_execution_failed");
        assert_eq!(failed["payload"]["failure_type"], *expected, "{code}");
    }
}

#[test]
fn links_lead_somewhere() {
    let anchors = |page: &str| {
        let headings = page.lines().filter(|line| line.starts_with('#'));
        let anchor = |heading: &str| {
            let text = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.collect::<String>().replace(' ', "-")
        };
        headings.map(anchor).collect::<Vec<_>>()
    };
    for name in [FORMAT, ACTORS, "moving-over.md", "troubleshooting.md"] {
        let text = page(name);
        let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        let links: Vec<_> = links.map(|(link, _)| link).collect();
        assert!(!links.is_empty(), "{name} has none");
        for link in links {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let file = if file.is_empty() { name } else { file };
            assert!(docs().join(file).exists(), "{name}: {link}");
            let found = anchor.is_empty() || anchors(&page(file)).iter().any(|one| one == anchor);
            assert!(found, "{name}: {link}");
        }
    }
}
