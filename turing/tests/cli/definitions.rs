//! What needs no file of a definition: looking, drawing, repeating, going on, prompts; and what gives a
//! run another one.

use std::fs;

use serde_json::{Value, json};
use turing::postings::digest_of;

use crate::support::gates::Gated;
use crate::support::{END, PROGRAM_PID, Workspace, find, names};

/// Takes the file of the definition away, and answers what it said.
fn without_file(workspace: &Workspace) -> String {
    let text = workspace.workflow();
    fs::remove_file(workspace.path().join("workflow.toml")).unwrap();
    text
}

/// The id of the run that began last.
fn last_run(workspace: &Workspace) -> String {
    let runs = workspace.runs();
    runs.as_array().unwrap().last().unwrap()["run_id"].as_str().unwrap().to_owned()
}

/// How many definitions the store has.
fn definitions(workspace: &Workspace) -> i64 {
    let store = rusqlite::Connection::open(workspace.path().join("turing.db")).unwrap();
    let count = "SELECT count(*) FROM execution_events WHERE aggregate_type = 'definition'";
    store.query_row(count, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_run_is_shown_drawn_and_repeated_without_its_file() {
    let workspace = Workspace::with_script(2, "a", END, "exit 3");
    workspace.run(&[]).expect_code(1);
    let draw = ["check", "workflow.toml", "--graph", "mermaid"];
    let drawn = workspace.turing(&draw).expect_code(0).stdout;
    let (text, run_id) = (without_file(&workspace), last_run(&workspace));

    let shown = workspace.turing(&["run", "show", "--definition", &run_id]).expect_code(0);
    assert_eq!(shown.stdout, text);
    let shown = workspace.turing(&["run", "show", "--definition", "--json"]).expect_code(0).json();
    let expected = (&json!(text), &json!(digest_of(&text)), &json!("workflow.toml"));
    assert_eq!((&shown["text"], &shown["digest"], &shown["file_name"]), expected);
    let again = ["check", "--run", &run_id, "--graph", "mermaid"];
    assert_eq!(workspace.turing(&again).expect_code(0).stdout, drawn);
    let told = workspace.turing(&["check", "--run", &run_id]).expect_code(0).stdout;
    assert!(told.contains("0 errors"), "{told}");

    workspace.script("a.sh", "echo ok");
    let report = workspace.turing(&["run", "retry", &run_id, "--json"]).expect_code(0).json();
    let ended = json!([{"reason": "completed", "conversation": 10, "postings": 2}]);
    assert_eq!(report["ended"], ended);
    assert_eq!(definitions(&workspace), 1, "it is recorded once for both runs");
    workspace.turing(&["validate"]).expect_code(0);
}

#[test]
fn an_interrupted_run_goes_on_without_its_file() {
    let workspace = Workspace::with_script(2, "a", END, &format!("kill -9 {PROGRAM_PID}"));
    workspace.run(&["--parallel", "1"]);
    workspace.script("a.sh", "echo ok");
    without_file(&workspace);
    workspace.turing(&["run", "resume"]).expect_code(0);
    assert_eq!(workspace.runs()[0]["status"], "completed");
}

#[test]
fn scripts_are_looked_for_where_the_file_was_or_where_it_is_said() {
    let workspace = Workspace::with_script(1, "a", END, "exit 3");
    workspace.run(&[]).expect_code(1);
    without_file(&workspace);
    fs::create_dir(workspace.path().join("moved")).unwrap();
    fs::rename(workspace.path().join("a.sh"), workspace.path().join("moved/a.sh")).unwrap();
    let told = workspace.turing(&["run", "retry"]).expect_code(2).stderr;
    let there = format!("{}/a.sh` does not exist", workspace.path().display());
    assert!(told.contains(&there) && told.contains("--folder DIR"), "{told}");
    workspace.script("moved/a.sh", "echo ok");
    workspace.turing(&["run", "retry", "--folder", "moved"]).expect_code(0);

    workspace.file("workflow.toml", "");
    let both = ["run", "retry", "--workflow", "workflow.toml", "--folder", "moved"];
    let told = workspace.turing(&both).expect_code(2).stderr;
    assert!(told.contains("cannot be used with"), "{told}");
}

#[test]
fn a_run_goes_on_with_the_scripts_of_the_folder_that_it_began_in() {
    let workspace = Workspace::with_script(1, "a", END, "exit 3");
    workspace.run(&[]).expect_code(1);
    // the same text elsewhere, as in another checkout
    fs::create_dir(workspace.path().join("other")).unwrap();
    workspace.file("other/workflow.toml", workspace.workflow());
    workspace.script("other/a.sh", "exit 3");
    let run = ["run", "--workflow", "other/workflow.toml", "--postings", "postings", "--again"];
    workspace.turing(&run).expect_code(1);
    assert_eq!(definitions(&workspace), 1);
    let shown = workspace.turing(&["run", "show", "--definition", "--json"]).expect_code(0).json();
    assert_eq!(shown["folder"], json!(workspace.path().join("other")));

    workspace.script("other/a.sh", "echo ok");
    workspace.turing(&["run", "retry"]).expect_code(0);
    // and so does what was begun by that
    let shown = workspace.turing(&["run", "show", "--definition", "--json"]).expect_code(0).json();
    assert_eq!(shown["folder"], json!(workspace.path().join("other")));
}

#[test]
fn what_is_no_run_has_no_definition() {
    let workspace = Workspace::with_script(1, "a", END, "echo ok");
    workspace.turing(&["check"]).expect_code(2);
    workspace.run(&[]).expect_code(0);
    for command in [&["check", "--run", "0"][..], &["run", "show", "--definition", "0"]] {
        workspace.turing(command).expect_code(0);
    }
    for command in [&["check", "--run", "f"][..], &["run", "show", "--definition", "f"]] {
        let told = workspace.turing(command).expect_code(1).stderr;
        assert!(told.contains("no run has an id that begins with f"), "{told}");
    }
}

/// One posting that goes twice from `a` to `b` and back; the first attempt of each at `a` is broken off.
/// What each attempt was given is in `given`, by its number.
fn in_a_loop() -> Workspace {
    let workspace = Workspace::new();
    let keep = "n=$(ls given | wc -l); n=$((n)); cat > given/$n";
    fs::create_dir(workspace.path().join("given")).unwrap();
    workspace.script(
        "a.sh",
        &format!("{keep}; [ $((n % 3)) -ne 0 ] || kill -TERM $$; echo \"{{\\\"n\\\": $n}}\""),
    );
    workspace.script("b.sh", &format!("{keep}; echo \"ä \\\" $n\""));
    let text = json!({ "posting_id": 1, "job_description": "Bäcker\n\"m/w/d\"", "pay": 2500.50 });
    workspace.file("postings/1.json", text.to_string());
    let (onward, back) = (
        "input = \"{job_description} für {pay}\"\n[[conversations.branches]]\nto = 20\n",
        "input = \"{n} {conversation_10_output} {posting_id}\"\n\
         [[conversations.branches]]\nto = 10\nmax_iterations = 2\n",
    );
    workspace.definition(10, &[(10, "a", onward), (20, "b", back)]);
    workspace
}

#[test]
fn what_an_actor_was_given_is_made_again_to_the_last_byte() {
    let workspace = in_a_loop();
    workspace.run(&[]).expect_code(1);
    let (text, events) = (without_file(&workspace), workspace.events(1));
    let is_attempt = |name: &str| name.starts_with("script_execution_");
    let attempts = names(&events).into_iter().zip(1..).filter(|(name, _)| is_attempt(name));
    let versions: Vec<u64> = attempts.map(|(_, version)| version).collect();
    assert_eq!(versions.len(), 9, "{:?}", names(&events));
    let ask = |more: &[&str]| {
        workspace.turing(&[&["state", "posting", "1", "--given"][..], more].concat()).expect_code(0)
    };
    let kept = |number: usize| {
        fs::read_to_string(workspace.path().join(format!("given/{number}"))).unwrap()
    };
    for (number, version) in versions.iter().enumerate() {
        let version = version.to_string();
        assert_eq!(ask(&["--at-version", &version]).stdout, kept(number), "event {version}");
    }
    assert_eq!(ask(&[]).stdout, kept(8), "the last one, if none is named");
    let last = ask(&["--json"]).json();
    assert_eq!(last["given"], kept(8));
    assert_eq!(last["definition_digest"], digest_of(&text));
    let document: Value = serde_json::from_str(&kept(8)).unwrap();
    for field in ["input", "execution", "attempt", "conversation_id", "run_id"] {
        assert_eq!(last[field], document[field], "{field}");
    }

    let told = workspace.turing(&["state", "posting", "1", "--given", "--at-version", "1"]);
    assert!(told.expect_code(1).stderr.contains("does not say how an attempt ended"));
    workspace.turing(&["state", "workflow", "3001", "--given"]).expect_code(2);
}

#[test]
fn what_a_script_was_given_has_no_answer_of_a_person_that_came_while_it_worked() {
    let workspace = Workspace::new();
    workspace.postings(1);
    workspace.script("a.sh", "echo ok");
    // it answers in the place of the person
    let answer = format!("{} answer 1 30 --output - --by anna", env!("CARGO_BIN_EXE_turing"));
    workspace.script("b.sh", &format!("cat > seen; echo well | {answer} >&2; echo ok"));
    let both = "[[conversations.branches]]\nto = 20\n[[conversations.branches]]\nto = 30\n";
    workspace.definition(10, &[(10, "a", both), (20, "b", END)]);
    let person = "[[actors]]\nid = 30\nname = \"reviewer\"\ntype = \"human\"\n\
                  [[conversations]]\nid = 30\nname = \"review\"\nactor = 30\nbranches = [{}]\n";
    workspace.file("workflow.toml", workspace.workflow() + person);
    workspace.run(&[]).expect_code(0);
    let events = workspace.events(1);
    let place = |name: &str| events.iter().rposition(|it| it["event_type"] == name).unwrap();
    let end = place("script_execution_completed");
    assert!(place("human_task_completed") < end, "{:?}", names(&events));
    let version = (end + 1).to_string();
    let given = ["state", "posting", "1", "--given", "--at-version", &version];
    let seen = fs::read_to_string(workspace.path().join("seen")).unwrap();
    assert_eq!(workspace.turing(&given).expect_code(0).stdout, seen);
}

/// A run of two postings that was interrupted when both stood at the second conversation.
fn interrupted() -> Workspace {
    let workspace = Workspace::with_two_scripts(2, ["echo ok", &format!("kill -9 {PROGRAM_PID}")]);
    workspace.run(&["--parallel", "1"]);
    workspace.script("b.sh", "cat > seen; echo ok");
    assert_eq!(workspace.runs()[0]["status"], "in progress");
    workspace
}

#[test]
fn a_run_in_progress_goes_on_by_another_definition() {
    let workspace = interrupted();
    let (text, run_id) = (workspace.workflow(), last_run(&workspace));
    let moved = text.replace("{conversation_10_output}", "moved {conversation_10_output}");
    workspace.file("new.toml", &moved);
    let migrate = ["run", "migrate", &run_id, "--definition", "new.toml"];
    let ask = |more: &[&str]| workspace.turing(&[&migrate[..], more].concat()).expect_code(0);
    let before = workspace.events(1);
    let told = ask(&["--dry-run"]).stdout;
    assert!(told.contains("would go on by definition") && told.contains("at 20 b: 1, 2"), "{told}");
    let open = json!({"20": [1, 2]});
    let dry = ask(&["--dry-run", "--json"]).json();
    assert_eq!((&dry["open"], &dry["is_done"]), (&open, &json!(false)));
    assert_eq!((workspace.events(1), definitions(&workspace)), (before, 1));

    let done = ask(&["--json"]).json();
    assert_eq!((&done["open"], &done["is_done"], &done["moved"]), (&open, &json!(true), &json!(2)));
    let again = ask(&["--json"]).json();
    assert_eq!((&again["is_done"], &again["moved"]), (&json!(true), &json!(0)));
    let told = workspace.turing(&["run", "resume", "--workflow", "workflow.toml"]).expect_code(6);
    assert!(told.stderr.contains("is in progress with another definition"), "{told:#?}");

    fs::remove_file(workspace.path().join("new.toml")).unwrap();
    workspace.turing(&["run", "resume", &run_id]).expect_code(0);
    let events = workspace.events(2);
    let moves = names(&events).into_iter().filter(|name| *name == "posting_moved_to_definition");
    assert_eq!(moves.count(), 1);
    let event = find(&events, "posting_moved_to_definition");
    assert_eq!(event["payload"]["definition_digest"], digest_of(&moved));
    let seen: Value =
        serde_json::from_slice(&fs::read(workspace.path().join("seen")).unwrap()).unwrap();
    assert_eq!(seen["input"], "moved ok");

    // each attempt by the definition of then
    let given = |more: &[&str]| {
        let ask = ["state", "posting", "2", "--given", "--json"];
        workspace.turing(&[&ask[..], more].concat()).expect_code(0).json()
    };
    let first = events.iter().position(|it| it["event_type"] == "script_execution_completed");
    let first = given(&["--at-version", &(first.unwrap() + 1).to_string()]);
    assert_eq!(first["definition_digest"], digest_of(&text));
    let last = given(&[]);
    assert_eq!(last["definition_digest"], digest_of(&moved));
    assert_eq!(last["input"], "moved ok");
    workspace.turing(&["validate"]).expect_code(0);
    let over = workspace.turing(&["run", "migrate", &run_id, "--definition", "workflow.toml"]);
    assert!(over.expect_code(1).stderr.contains("is over"));
}

#[test]
fn a_run_that_was_moved_goes_on_with_the_scripts_beside_the_definition_of_its_last_move() {
    let workspace = interrupted();
    let run_id = last_run(&workspace);
    let moved = format!("# moved\n{}", workspace.workflow());
    fs::create_dir(workspace.path().join("moved")).unwrap();
    workspace.file("new.toml", &moved);
    workspace.file("moved/new.toml", &moved);
    workspace.script("moved/a.sh", "echo ok");
    workspace.script("moved/b.sh", "echo there");
    for definition in ["new.toml", "workflow.toml", "moved/new.toml"] {
        workspace.turing(&["run", "migrate", &run_id, "--definition", definition]).expect_code(0);
    }
    assert_eq!(definitions(&workspace), 2);
    workspace.turing(&["run", "resume", &run_id]).expect_code(0);
    assert_eq!(workspace.state(1)["outputs"]["20"], "there");
    assert!(!workspace.path().join("seen").exists());
}

#[test]
fn a_run_that_was_moved_is_told_by_the_names_of_its_definition() {
    let workspace = interrupted();
    let run_id = last_run(&workspace);
    workspace.file("new.toml", workspace.workflow().replace("name = \"b\"", "name = \"renamed\""));
    let before = workspace.turing(&["run", "show", &run_id]).expect_code(0).stdout;
    assert!(before.contains("20 b") && !before.contains("renamed"), "{before}");
    workspace.turing(&["run", "migrate", &run_id, "--definition", "new.toml"]).expect_code(0);
    workspace.turing(&["run", "resume", &run_id]).expect_code(0);
    let after = workspace.turing(&["run", "show", &run_id]).expect_code(0).stdout;
    assert!(after.contains("10 a") && after.contains("20 renamed"), "{after}");
}

#[test]
fn a_definition_that_lacks_where_a_posting_stands_moves_nobody() {
    let workspace = interrupted();
    let (text, run_id) = (workspace.workflow(), last_run(&workspace));
    workspace.definition(10, &[(10, "a", END)]);
    workspace.file("lacking.toml", workspace.workflow());
    workspace.file("workflow.toml", &text);
    let before = workspace.events(1);
    for more in [&[][..], &["--dry-run"]] {
        let migrate = ["run", "migrate", &run_id, "--definition", "lacking.toml"];
        let told = workspace.turing(&[&migrate[..], more].concat()).expect_code(1).stdout;
        assert!(told.contains("stays as it is"), "{told}");
        for posting in [1, 2] {
            let refusal = format!("posting {posting} cannot be moved: ");
            assert!(told.contains(&refusal) && told.contains("has no conversation 20"), "{told}");
        }
    }
    assert_eq!((workspace.events(1), definitions(&workspace)), (before, 1));
    workspace.other_workflow();
    let other = ["run", "migrate", &run_id, "--definition", "other.toml"];
    let told = workspace.turing(&other).expect_code(2).stderr;
    assert!(told.contains("is of workflow 3001, and other.toml defines workflow 4001"), "{told}");
    workspace.turing(&["run", "resume"]).expect_code(0);
}

#[test]
fn nobody_moves_a_run_that_a_process_carries_out() {
    let gated = Gated::new(1);
    let mut run = gated.start("sqlite:turing.db");
    let gate = gated.gate(1, &mut run);
    let workspace = &gated.workspace;
    let run_id = last_run(workspace);
    workspace.file("new.toml", format!("# other\n{}", workspace.workflow()));
    workspace.turing(&["run", "migrate", &run_id, "--definition", "new.toml"]).expect_code(4);
    gate.open();
    run.end().expect_code(0);
    assert_eq!(definitions(workspace), 1);
}
