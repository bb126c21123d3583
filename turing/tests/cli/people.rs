//! People as actors: what waits for them, who answers first, and what becomes of a run meanwhile.

use std::fs;
use std::io::Write;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::support::process::Process;
use crate::support::processes::{fifo, wait_until};
use crate::support::{Answer, PROGRAM_PID, RUN, Workspace, find, names};

/// A person at conversation 10, with these settings, and a script behind them at 20.
fn definition(entry: i32, settings: &str, more: &str) -> String {
    format!(
        "[workflow]\nid = 3001\nname = \"test\"\nentry = {entry}\n\
         [workflow.circuit_breaker]\nfailures = 1\ncooldown_seconds = 100000\n\
         [[actors]]\nid = 10\nname = \"reviewer\"\ntype = \"human\"\n{settings}\n\
         [[actors]]\nid = 20\nname = \"after\"\ntype = \"script\"\ncommand = [\"./after.sh\"]\n\
         env = {{ PATH = \"/usr/bin:/bin\" }}\n{more}\n\
         [[conversations]]\nid = 10\nname = \"review\"\nactor = 10\n\
         input = \"Is this well: {{job_description}}?\"\n\
         branches = [{{ when = \"again\", priority = 1, to = 10, max_iterations = 1 }}, {{ to = 20 }}, \
         {{ on = \"failure\", when = \"overdue\", to = 20 }}, {{ on = \"failure\" }}]\n\
         [[conversations]]\nid = 20\nname = \"after\"\nactor = 20\nexecution_order = 20\n\
         input = \"{{posting_id}}\"\nbranches = [{{}}]\n"
    )
}

/// A script at a conversation of the same number.
fn script(id: i32, name: &str, input: &str, branches: &str) -> String {
    format!(
        "[[actors]]\nid = {id}\nname = \"{name}\"\ntype = \"script\"\n\
         command = [\"./{name}.sh\"]\nenv = {{ PATH = \"/usr/bin:/bin\" }}\n\
         [[conversations]]\nid = {id}\nname = \"{name}\"\nactor = {id}\n\
         execution_order = {id}\ninput = \"{input}\"\nbranches = [{branches}]\n"
    )
}

/// So many postings for a person with these settings, and a run that waits for them.
fn waiting(postings: usize, settings: &str) -> Workspace {
    let workspace = Workspace::new();
    workspace.postings(postings);
    workspace.script("after.sh", "cat");
    workspace.file("workflow.toml", definition(10, settings, ""));
    workspace.run(&[]).expect_code(7);
    workspace
}

/// An answer of somebody, on its way.
fn begin_answer(workspace: &Workspace, by: &str, text: &str) -> Child {
    let mut command = workspace.command(&["answer", "1", "10", "--output", "-", "--by", by]);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child
}

fn answer(workspace: &Workspace, by: &str, text: &str) -> Answer {
    begin_answer(workspace, by, text).wait_with_output().unwrap().into()
}

fn inbox(workspace: &Workspace) -> Vec<Value> {
    let mut inbox = workspace.turing(&["inbox", "--json"]).expect_code(0).json();
    assert_eq!((&inbox["left_out"], &inbox["unknown_runs"]), (&json!([]), &json!([])));
    match inbox["tasks"].take() {
        Value::Array(tasks) => tasks,
        other => panic!("{other}"),
    }
}

#[test]
fn a_run_ends_its_call_when_only_people_are_waited_for_and_goes_on_when_they_have_answered() {
    let workspace = waiting(2, "");
    let told = workspace.run(&[]).expect_code(7).stdout;
    assert!(told.contains("people are waited for:\n  2 tasks at 10 review (reviewer)\n"), "{told}");
    assert!(told.contains("`turing inbox` lists what is asked"), "{told}");
    assert!(told.contains("when they have answered, run the same command to go on"), "{told}");
    let events = workspace.events(1);
    assert_eq!(names(&events), ["posting_entered_run"], "nobody attempts it");

    let tasks = inbox(&workspace);
    assert_eq!(tasks.len(), 2);
    let first = tasks.iter().find(|task| task["posting_id"] == 1).unwrap();
    assert_eq!(
        (&first["input"], &first["execution"]),
        (&json!("Is this well: advert 1?"), &json!(1))
    );
    assert_eq!((&first["due_at"], &first["claimed_by"]), (&Value::Null, &Value::Null));
    let ids = workspace.turing(&["inbox", "--ids"]).expect_code(0).stdout;
    let mut ids: Vec<_> = ids.lines().collect();
    ids.sort_unstable();
    assert_eq!(ids, ["1 10", "2 10"]);
    let one = workspace.turing(&["inbox", "--limit", "1"]).expect_code(0).stdout;
    assert!(one.contains("and 1 more; --limit N lists more of them"), "{one}");

    let told = answer(&workspace, "anna", "well").expect_code(0).stdout;
    assert!(told.contains("conversation 10 of posting 1 is answered by anna; next: 20"), "{told}");
    let events = workspace.events(1);
    assert_eq!(names(&events)[1..], ["human_task_completed", "branch_taken"]);
    let answered = find(&events, "human_task_completed");
    assert_eq!(answered["payload"]["by"], "anna");
    assert_eq!(answered["payload"]["output"], "well");

    let report = workspace.run(&["--json"]).expect_code(7).json();
    assert_eq!((&report["open"], &report["people"][0]["tasks"]), (&json!(1), &json!(1)));
    assert_eq!(workspace.state(1)["is_terminal"], true);
    let fail = ["answer", "2", "10", "--fail", "refused", "--because", "not mine", "--by", "ben"];
    workspace.turing(&fail).expect_code(0);
    let report = workspace.run(&["--json"]).expect_code(0).json();
    assert_eq!((&report["open"], &report["people"]), (&json!(0), &json!([])));
    let failed = &workspace.events(2)[1];
    assert_eq!(failed["event_type"], "human_task_failed");
    assert_eq!(failed["payload"]["failure_type"], "refused");
    assert!(inbox(&workspace).is_empty());
}

#[test]
fn of_two_people_who_answer_at_once_one_wins_and_the_others_are_told() {
    let workspace = waiting(1, "");
    let people = ["anna", "ben", "cleo", "dan"];
    let answering = people.map(|name| begin_answer(&workspace, name, name));
    let answers = answering.map(|child| Answer::from(child.wait_with_output().unwrap()));
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|one| one.code == Some(0));
    assert_eq!(won.len(), 1, "{won:#?}");
    let events = workspace.events(1);
    let winner = find(&events, "human_task_completed")["payload"]["by"].as_str().unwrap();
    for one in lost {
        let told = one.expect_code(1).stderr;
        let why = "posting 1 does not wait for conversation 10: ";
        assert!(told.contains(&format!("{why}{winner} answered it at ")), "{told}");
    }
    let is_answer = |event: &&Value| event["event_type"] == "human_task_completed";
    assert_eq!(events.iter().filter(is_answer).count(), 1);
}

#[test]
fn the_same_answer_again_is_none_and_another_one_is_refused() {
    let workspace = waiting(1, "");
    answer(&workspace, "anna", "well").expect_code(0);
    let events = workspace.events(1);
    let told = answer(&workspace, "anna", "well").expect_code(0).stdout;
    assert!(told.starts_with("nothing to do: anna gave this answer at "), "{told}");
    answer(&workspace, "anna", "bad").expect_code(1);
    answer(&workspace, "ben", "well").expect_code(1);
    assert_eq!(workspace.events(1), events);
}

#[test]
fn an_answer_to_one_execution_is_none_to_the_next() {
    let workspace = waiting(1, "");
    let once = |text: &str| {
        workspace.file("answer.txt", text);
        let arguments = ["answer", "1", "10", "--output", "answer.txt", "--by", "anna"];
        workspace.turing(&[&arguments[..], &["--execution", "1"]].concat())
    };
    once("again").expect_code(0);
    assert_eq!(inbox(&workspace)[0]["execution"], 2);
    let told = once("again").expect_code(0).stdout;
    assert!(told.starts_with("nothing to do"), "{told}");
    once("well").expect_code(1);
    assert_eq!(inbox(&workspace)[0]["execution"], 2);
    answer(&workspace, "anna", "well").expect_code(0);
}

#[test]
fn who_claims_a_task_keeps_it_until_it_is_given_back_or_taken_over() {
    let workspace = waiting(1, "");
    let hold = |what: &str, more: &[&str]| {
        workspace.turing(&[&["inbox", what, "1", "10", "--by"], more].concat())
    };
    hold("claim", &["anna"]).expect_code(0);
    assert_eq!(inbox(&workspace)[0]["claimed_by"], "anna");
    let told = hold("claim", &["ben"]).expect_code(1).stderr;
    assert!(told.contains("anna has claimed conversation 10 of posting 1 at "), "{told}");
    assert!(told.contains("--take-over"), "{told}");
    answer(&workspace, "ben", "well").expect_code(1);
    hold("release", &["ben"]).expect_code(1);
    let theirs = |name: &str| {
        workspace.turing(&["inbox", "--ids", "--for", name]).expect_code(0).stdout.lines().count()
    };
    assert_eq!((theirs("anna"), theirs("ben")), (1, 0));
    hold("release", &["anna"]).expect_code(0);
    hold("claim", &["ben"]).expect_code(0);
    let told = hold("claim", &["cleo", "--take-over", "ben is ill"]).expect_code(0).stdout;
    assert!(
        told.contains("cleo has conversation 10 of posting 1 now, and ben no longer"),
        "{told}"
    );
    answer(&workspace, "cleo", "well").expect_code(0);
    let events = workspace.events(1);
    let claims = ["claimed", "released", "claimed", "claimed"].map(|it| format!("human_task_{it}"));
    assert_eq!(names(&events)[1..5], claims);
    assert_eq!(events[4]["payload"]["taken_from"], "ben");
    workspace.turing(&["validate"]).expect_code(0);
}

#[test]
fn an_answer_to_a_form_is_made_of_fields_and_checked() {
    let form = "form = { type = \"object\", required = [\"verdict\"], additionalProperties = false, \
                properties = { verdict = { enum = [\"pass\", \"fail\"] }, score = { type = \"integer\" } } }";
    let workspace = waiting(1, form);
    let task = &inbox(&workspace)[0];
    assert_eq!(task["has_form"], true);
    let verdict = task["fields"].as_array().unwrap().iter().find(|it| it["name"] == "verdict");
    assert_eq!(verdict.unwrap()["is_required"], true);
    let fields = |fields: &[&str]| {
        let fields = fields.iter().flat_map(|field| ["--field", *field]);
        let arguments = ["answer", "1", "10", "--by", "anna"].into_iter().chain(fields);
        workspace.turing(&arguments.collect::<Vec<_>>())
    };
    let told = fields(&["verdict=perhaps"]).expect_code(2).stderr;
    assert!(told.contains("field `verdict` is one of pass, fail, not `perhaps`"), "{told}");
    let told = fields(&["score=seven"]).expect_code(2).stderr;
    assert!(told.contains("field `score` is a whole number, not `seven`"), "{told}");
    for wrong in [fields(&["score=7"]), answer(&workspace, "anna", r#"{"verdict": 7}"#)] {
        let told = wrong.expect_code(2).stderr;
        let asked = "the answer is not as the form of conversation 10 asks for: ";
        assert!(told.contains(asked), "{told}");
    }
    answer(&workspace, "anna", "pass").expect_code(2);
    fields(&["verdict=pass", "score=7"]).expect_code(0);
    let events = workspace.events(1);
    let output = find(&events, "human_task_completed")["payload"]["output"].as_str().unwrap();
    let output: Value = serde_json::from_str(output).unwrap();
    assert_eq!(output, json!({"verdict": "pass", "score": 7}));
}

#[test]
fn what_nobody_answers_in_time_follows_its_rule_and_is_answered_no_more() {
    let workspace = Workspace::new();
    workspace.postings(1);
    workspace.script("after.sh", "cat");
    workspace.file("workflow.toml", definition(10, "due_seconds = 0.000001", ""));
    // whether the first call meets the time or the second is a matter of microseconds
    workspace.run(&[]);
    workspace.run(&[]).expect_code(0);
    let events = workspace.events(1);
    let names = names(&events);
    let is_overdue = |name: &&&str| **name == "human_task_failed";
    assert_eq!(names.iter().filter(is_overdue).count(), 1, "{names:?}");
    let failed = find(&events, "human_task_failed");
    assert_eq!(failed["payload"]["failure_type"], "overdue");
    assert_eq!(failed["payload"]["by"], Value::Null);
    assert_eq!(failed["metadata"]["causation_id"], events[0]["event_id"]);
    assert!(names.contains(&"script_execution_completed"), "{names:?}");
    let told = answer(&workspace, "anna", "well").expect_code(1).stderr;
    assert!(told.contains("nobody had answered it in time"), "{told}");
}

#[test]
fn what_is_answered_before_its_time_is_over_is_not_overdue() {
    let workspace = waiting(1, "due_seconds = 1000000");
    let task = &inbox(&workspace)[0];
    assert!(task["due_at"].as_str() > task["since"].as_str(), "{task}");
    answer(&workspace, "anna", "well").expect_code(0);
    workspace.run(&[]).expect_code(0);
    assert!(!names(&workspace.events(1)).contains(&"human_task_failed"));
}

#[test]
fn a_task_is_answered_after_the_run_was_killed() {
    let workspace = Workspace::new();
    workspace.postings(2);
    workspace.script("after.sh", "cat");
    let kill = format!(
        "if grep -q 'advert 2' && [ ! -e healed ]; then kill -9 {PROGRAM_PID}; exit 1; fi; echo ok"
    );
    workspace.script("before.sh", &kill);
    let before = "[[actors]]\nid = 5\nname = \"before\"\ntype = \"script\"\n\
                  command = [\"./before.sh\"]\nenv = { PATH = \"/usr/bin:/bin\" }\n\
                  [[conversations]]\nid = 5\nname = \"before\"\nactor = 5\n\
                  input = \"{job_description}\"\nbranches = [{ to = 10 }]\n";
    workspace.file("workflow.toml", definition(5, "", before));
    workspace.run(&["--parallel", "1"]);
    answer(&workspace, "anna", "well").expect_code(0);
    workspace.file("healed", "");
    let report = workspace.run(&["--json"]).expect_code(7).json();
    assert_eq!((&report["is_continued"], &report["open"]), (&json!(true), &json!(1)));
    assert_eq!(workspace.state(1)["is_terminal"], true);
    let asked: Vec<_> = inbox(&workspace).iter().map(|it| it["posting_id"].clone()).collect();
    assert_eq!(asked, [json!(2)]);
}

#[test]
fn a_run_that_waits_for_something_else_goes_on_at_once_with_what_is_answered() {
    let workspace = Workspace::new();
    workspace.postings(3);
    workspace.script("after.sh", "echo > heard; cat");
    workspace.script("sort.sh", "if grep -q 'advert 1'; then echo person; else echo machine; fi");
    workspace.script("machine.sh", "[ -e mended ] && exec cat; exit 3");
    let sort = "{ when = \"person\", priority = 1, to = 10 }, { to = 30 }";
    let before =
        script(5, "sort", "{job_description}", sort) + &script(30, "machine", "{posting_id}", "{}");
    workspace.file("workflow.toml", definition(5, "", &before));
    let mut command = workspace.command(&[&RUN[..], &["--parallel", "1"]].concat());
    let mut run = Process::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut told = run.told();
    // the breaker of actor 30 is open for a day, and posting 3 waits for it
    told.up_to("circuit breaker is open");
    answer(&workspace, "anna", "well").expect_code(0);
    run.made(&workspace.path().join("heard"));
    workspace.file("mended", "");
    workspace.turing(&["actor", "reset", "30"]).expect_code(0);
    let report = run.stdout();
    assert_eq!(run.code(), Some(1), "posting 2 failed: {report}");
    assert!(report.contains("3 postings = 3 ended + 0 open"), "{report}");
    let heard = fs::read_to_string(workspace.path().join("heard")).unwrap();
    assert_eq!(heard.lines().count(), 1);
}

#[test]
fn an_answer_is_gone_on_with_while_an_attempt_of_another_posting_is_in_progress() {
    let workspace = Workspace::new();
    workspace.postings(2);
    workspace.script("after.sh", "echo > heard; cat");
    let go = fifo(workspace.path().join("go"));
    let sort = "if grep -q 'advert 1'; then echo person; else read line < go; echo machine; fi";
    workspace.script("sort.sh", sort);
    let branches = "{ when = \"person\", priority = 1, to = 10 }, {}";
    let before = script(5, "sort", "{job_description}", branches);
    workspace.file("workflow.toml", definition(5, "", &before));
    let mut command = workspace.command(&[&RUN[..], &["--parallel", "2"]].concat());
    let mut run = Process::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    // it is refused until the posting has come there
    wait_until("an answer", || answer(&workspace, "anna", "well").code == Some(0));
    run.made(&workspace.path().join("heard"));
    fs::write(go, "\n").unwrap();
    let report = run.stdout();
    assert_eq!(run.code(), Some(0), "{report}");
    assert!(report.contains("2 postings = 2 ended + 0 open"), "{report}");
}

#[test]
fn a_posting_that_waits_for_a_person_goes_on_where_else_it_stands() {
    let workspace = Workspace::new();
    workspace.postings(1);
    workspace.script("after.sh", "cat");
    for name in ["fan.sh", "other.sh"] {
        workspace.script(name, "cat");
    }
    let more = script(5, "fan", "{posting_id}", "{ to = 10 }, { to = 30 }")
        + &script(30, "other", "{posting_id}", "{}");
    workspace.file("workflow.toml", definition(5, "", &more));
    workspace.run(&[]).expect_code(7);
    let count = |events: &[Value]| {
        names(events).iter().filter(|name| **name == "script_execution_completed").count()
    };
    assert_eq!(count(&workspace.events(1)), 2, "it was at both scripts");
    assert_eq!(inbox(&workspace).len(), 1);
    answer(&workspace, "anna", "well").expect_code(0);
    workspace.run(&[]).expect_code(0);
    assert_eq!(count(&workspace.events(1)), 3);
    let events = workspace.events(1);
    let answered = events.iter().position(|one| one["event_type"] == "human_task_completed");
    let version = (answered.unwrap() + 1).to_string();
    let given = workspace.turing(&["state", "posting", "1", "--given", "--at-version", &version]);
    assert_eq!(given.expect_code(0).stdout, "Is this well: advert 1?");
}

#[test]
fn what_cannot_be_answered_is_said_so() {
    let workspace = waiting(1, "");
    let told = |arguments: &[&str], code: i32| {
        workspace.turing(&[arguments, &["--by", "anna"]].concat()).expect_code(code).stderr
    };
    workspace.file("a.txt", "well");
    let output = ["--output", "a.txt"];
    let is_not = told(&[&["answer", "1", "20"][..], &output].concat(), 1);
    assert!(is_not.contains("it is not a person's; the run executes it"), "{is_not}");
    let no_such = told(&[&["answer", "1", "99"][..], &output].concat(), 1);
    assert!(no_such.contains("workflow 3001 has no such conversation"), "{no_such}");
    let nobody = told(&[&["answer", "7", "10"][..], &output].concat(), 1);
    assert!(nobody.contains("posting 7 is in no run"), "{nobody}");
    let nothing = told(&["answer", "1", "10"], 2);
    assert!(nothing.contains("give the answer: --output FILE"), "{nothing}");
    told(&["answer", "1", "10", "--fail", "Not mine", "--because", "x"], 2);
    told(&["answer", "1", "10", "--fail", "refused"], 2);
    workspace.turing(&["inbox", "show", "1", "20"]).expect_code(1);
    let shown = workspace.turing(&["inbox", "show", "1", "10"]).expect_code(0).stdout;
    assert!(shown.contains("posting 1, conversation 10 review (reviewer): open since "), "{shown}");
    assert!(shown.contains("  asked: Is this well: advert 1?"), "{shown}");
}
