//! What `turing run` and `turing check` say of postings that cannot be read, or are not there.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Answer, PROGRAM_PID, RUN, Workspace};

/// Asks for a key that postings have to bring.
const ASKING: &str = "input = \"{subject}\"\n[[conversations.branches]]\n";

fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.script("a.sh", "cat");
    workspace.definition(10, &[(10, "a", ASKING)]);
    workspace
}

fn run(workspace: &Workspace, postings: &str) -> Answer {
    workspace.turing(&[&RUN[..4], &[postings]].concat())
}

fn check(workspace: &Workspace, postings: &str) -> Answer {
    workspace.turing(&["check", "workflow.toml", "--postings", postings])
}

/// The program with these postings on its standard input.
fn piped(workspace: &Workspace, arguments: &[&str], postings: impl AsRef<[u8]>) -> Answer {
    let mut command = workspace.command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(postings.as_ref()).unwrap();
    child.wait_with_output().unwrap().into()
}

const RUN_PIPED: [&str; 5] = ["run", "--workflow", "workflow.toml", "--postings", "-"];

#[test]
fn what_cannot_be_read_is_told_by_name_and_placeholders_are_not_judged() {
    let utf16: Vec<u8> = "\u{feff}{}\r\n{}\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let broken = "{\"subject\":\n{\"subject\"\n";
    let large = vec![b'x'; 4 * 1024 * 1024 + 1];
    let files: [(&str, &[u8], &str); 6] = [
        ("list.json", br#"[{"subject":"a"}]"#, "list.json: not a JSON object"),
        ("utf16.json", &utf16, "utf16.json: not UTF-8"),
        ("list.csv", b"subject\na\n", "list.csv: unknown kind of file"),
        ("list", br#"{"subject":"a"}"#, "list: unknown kind of file"),
        ("broken.jsonl", broken.as_bytes(), "broken.jsonl:2: not JSON"),
        ("large.txt", &large, "large.txt: larger than 4 MiB"),
    ];
    let workspace = workspace();
    let mut cases = Vec::new();
    for (name, content, reason) in files {
        workspace.file(name, content);
        cases.push((name, reason));
    }
    // a file that can be opened, and not read, whoever the user is
    symlink("/proc/self/mem", workspace.path().join("unreadable.jsonl")).unwrap();
    cases.push(("unreadable.jsonl", "unreadable.jsonl:1: cannot be read"));
    for (name, reason) in cases {
        for answer in [run(&workspace, name), check(&workspace, name)] {
            let Answer { stderr, .. } = answer.expect_code(2);
            assert!(stderr.contains(&format!("refused: {reason}")), "{name}: {stderr}");
            assert!(stderr.contains(&format!("no posting could be read from {name}")), "{stderr}");
            assert!(!stderr.contains("{subject}"), "{name}: {stderr}");
        }
    }
    assert!(!workspace.path().join("turing.db").exists());
}

#[test]
fn placeholders_are_judged_by_those_that_can_be_read_after_the_others_are_refused() {
    let workspace = workspace();
    workspace.file("postings/1.json", "{");
    workspace.file("postings/2.json", r#"{"title":"a"}"#);
    let told = run(&workspace, "postings").expect_code(2).stderr;
    let refused = told.find("refused: postings/1.json: not JSON").unwrap();
    let judged = told.find("{subject} is in no posting's data, which has title").unwrap();
    assert!(refused < judged, "{told}");

    workspace.file("postings/2.json", r#"{"subject":"a"}"#);
    let answer = run(&workspace, "postings").expect_code(1);
    assert_eq!(answer.stderr.matches("refused: ").count(), 1, "{answer:#?}");
}

#[test]
fn a_posting_that_the_store_refuses_is_told_too() {
    let workspace = workspace();
    workspace.file("postings/1.json", r#"{"posting_id":7,"subject":"a"}"#);
    run(&workspace, "postings").expect_code(0);
    workspace.file("postings/1.json", r#"{"posting_id":7,"subject":"b"}"#);
    workspace.file("postings/2.json", "{");
    let told = run(&workspace, "postings").expect_code(2).stderr;
    for refused in ["postings/1.json: posting_id 7 is registered", "postings/2.json: not JSON"] {
        assert_eq!(told.matches(&format!("refused: {refused}")).count(), 1, "{told}");
    }
}

#[test]
fn where_there_are_no_postings_there_is_nothing_to_do() {
    let workspace = workspace();
    workspace.file("empty.ndjson", "");
    workspace.file("blank.jsonl", "\n  \r\n\t\n");
    for place in ["postings", "empty.ndjson", "blank.jsonl"] {
        let answer = run(&workspace, place).expect_code(0);
        assert_eq!(answer.stdout, format!("Nothing to do: {place} holds no postings.\n"));
        let answer = workspace.turing(&[&RUN[..4], &[place, "--json"]].concat()).expect_code(0);
        let told = answer.json();
        let counts = ["read", "postings", "added_events"].map(|name| &told[name]);
        assert_eq!(counts, [&json!(0); 3], "{told}");
        let answer = check(&workspace, place).expect_code(2);
        let told = format!("no posting could be read from {place}: it holds none");
        assert!(answer.stderr.contains(&told), "{answer:#?}");
    }
    assert!(!workspace.path().join("turing.db").exists());
    run(&workspace, "nowhere").expect_code(2);
}

#[test]
fn postings_come_from_standard_input_and_what_is_refused_there_is_told_by_its_line() {
    let workspace = workspace();
    let large = "x".repeat(9 * 1024 * 1024);
    let lines = format!(
        "{{\"posting_id\":1,\"subject\":\"a\"}}\n{{\"subject\":\"{large}\"}}\n\n[1]\n{{\"subject\":\"b\"}}"
    );
    let answer = piped(&workspace, &RUN_PIPED, &lines).expect_code(1);
    for refused in ["standard input:2: larger than 4 MiB", "standard input:4: not a JSON object"] {
        assert!(answer.stderr.contains(&format!("refused: {refused}")), "{answer:#?}");
    }
    assert!(answer.stdout.contains("4 read = 2 postings + 2 refused"), "{answer:#?}");
    assert_eq!(workspace.state(1)["is_terminal"], true);

    let check = ["check", "workflow.toml", "--postings", "-"];
    let answer = piped(&workspace, &check, "{\"title\":1}\n").expect_code(1);
    assert!(answer.stdout.contains("{subject} is in no posting's data"), "{answer:#?}");
    let answer = piped(&workspace, &RUN_PIPED, "").expect_code(0);
    assert_eq!(answer.stdout, "Nothing to do: standard input holds no postings.\n");
    let answer = piped(&workspace, &RUN_PIPED, "{\n").expect_code(2);
    assert!(answer.stderr.contains("no posting could be read from standard input"), "{answer:#?}");
}

#[test]
fn a_run_goes_on_with_the_same_lines_on_standard_input() {
    let workspace = workspace();
    workspace.script(
        "a.sh",
        &format!(
            "if grep -q second && [ ! -e healed ]; then kill -9 {PROGRAM_PID}; exit 1; fi\n\
             echo $$ >> calls; echo ok"
        ),
    );
    let lines = "{\"subject\":\"first\"}\n{\"subject\":\"second\"}\n{\"subject\":\"third\"}\n";
    let arguments = [&RUN_PIPED[..], &["--parallel", "1"]].concat();
    assert_eq!(piped(&workspace, &arguments, lines).code, None);
    workspace.file("healed", "");
    piped(&workspace, &arguments, lines).expect_code(0);
    let calls = fs::read_to_string(workspace.path().join("calls")).unwrap();
    assert_eq!(calls.lines().count(), 3, "the first one is not executed again");
    let runs = workspace.runs();
    assert_eq!((runs.as_array().unwrap().len(), &runs[0]["status"]), (1, &json!("completed")));
    // the same postings, in whatever order and from wherever they come
    workspace.file("postings/1.json", "{\"subject\":\"third\"}");
    workspace.file("postings/2.ndjson", "{\"subject\":\"first\"}\n{\"subject\":\"second\"}");
    let answer = run(&workspace, "postings").expect_code(0);
    assert!(answer.stdout.starts_with("Nothing to do: run "), "{answer:#?}");
}

#[test]
fn the_help_names_every_kind_of_postings() {
    let workspace = workspace();
    for command in ["run", "check"] {
        let help = workspace.turing(&[command, "--help"]).expect_code(0).stdout;
        let help: Vec<_> = help.split_whitespace().collect();
        let told = "a .json, .jsonl, .ndjson, .txt or .md file, a folder of them, or - for JSON \
                    lines on standard input";
        assert!(help.join(" ").contains(told), "{help:?}");
    }
}

#[test]
fn what_is_passed_over_in_a_folder_is_counted_in_one_line() {
    let workspace = workspace();
    for name in ["list.csv", "more.json.gz", ".hidden.csv"] {
        workspace.file(&format!("postings/{name}"), "{}");
    }
    let told = "passed over in postings: 2 that are no .json, .jsonl, .ndjson, .txt or .md files, \
                such as postings/list.csv\n";
    let answer = run(&workspace, "postings").expect_code(0);
    assert_eq!(answer.stdout, "Nothing to do: postings holds no postings.\n");
    assert_eq!(answer.told(), told);
    workspace.file("postings/1.json", r#"{"subject":"a"}"#);
    for answer in [run(&workspace, "postings"), check(&workspace, "postings")] {
        let Answer { stderr, .. } = answer.expect_code(0);
        assert_eq!(stderr.matches(told).count(), 1, "{stderr}");
    }
    let answer = run(&workspace, "postings/1.json").expect_code(0);
    assert!(!answer.stderr.contains("passed over"), "{answer:#?}");
}

#[test]
fn what_stands_in_the_way_of_standard_input_is_told_by_its_own_cure() {
    let workspace = workspace();
    let ask = |change: &dyn Fn(&mut Command)| {
        let mut command = workspace.command(&[&RUN_PIPED[..], &["--json"]].concat());
        change(command.stdin(Stdio::null()));
        Answer::from(command.output().unwrap())
    };
    let answer = ask(&|command: &mut Command| {
        command.env("TMPDIR", "nowhere");
    });
    let answer = answer.expect_code(3);
    let told = "standard input cannot be kept in nowhere; TMPDIR may name another folder";
    assert_eq!(answer.json()["error"], told);
    let folder = File::open(workspace.path()).unwrap();
    let folder = ask(&|command: &mut Command| {
        command.stdin(folder.try_clone().unwrap());
    });
    let folder = folder.expect_code(2);
    let told = "standard input cannot be read to its end; give it a JSON object a line";
    assert_eq!(folder.json()["error"], told);
    assert!(!folder.stderr.contains("TMPDIR"), "{folder:#?}");
}

#[test]
fn a_number_that_is_none_is_told_in_words() {
    let workspace = workspace();
    for number in ["0", "some", "-1"] {
        let parallel = format!("--parallel={number}");
        let answer = workspace.turing(&[&RUN[..], &[&parallel]].concat()).expect_code(2);
        assert!(answer.stderr.contains("it takes a whole number from 1"), "{answer:#?}");
    }
}

#[test]
fn a_call_has_the_same_fields_as_json_whatever_came_of_it() {
    let workspace = workspace();
    workspace.file("postings/1.json", r#"{"posting_id":7,"subject":"a"}"#);
    workspace.file("none.jsonl", "");
    let ask = |postings, code| {
        let told = workspace.turing(&[&RUN[..4], &[postings, "--json"]].concat());
        told.expect_code(code).json()
    };
    let [ran, again, nothing] = ["postings", "postings", "none.jsonl"].map(|it| ask(it, 0));
    workspace.file("postings/2.json", "{");
    let refused = ask("postings", 1);
    let names = |told: &Value| {
        let names = told.as_object().unwrap().keys().cloned();
        names.collect::<BTreeSet<_>>()
    };
    for told in [&again, &nothing, &refused] {
        assert_eq!(names(told), names(&ran));
    }
    let ended = |at: Value| json!([{"reason": "completed", "conversation": at, "postings": 1}]);
    assert_eq!((&ran["ended"], &again["ended"]), (&ended(json!(10)), &ended(json!(null))));
    assert_eq!((&nothing["ended"], &nothing["run_id"]), (&json!([]), &json!(null)));
    assert!(ran["run_id"].is_string() && ran["already_completed"].is_null(), "{ran}");
    for told in [&again, &refused] {
        assert_eq!((&told["run_id"], &told["already_completed"]), (&ran["run_id"], &ran["run_id"]));
        assert_eq!((&told["postings"], &told["open"]), (&json!(1), &json!(0)));
    }
    assert_eq!((&refused["read"], refused["refused"].as_array().unwrap().len()), (&json!(2), 1));
}
