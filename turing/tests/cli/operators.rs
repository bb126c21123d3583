//! What operators do: share postings, correct a typo, look at the end of a pipe, ask twice.

use std::fs;
use std::process::Stdio;

use serde_json::json;
use turing::postings::digest_of;

use crate::support::processes::pause;
use crate::support::{END, PROGRAM_PID, RUN, Workspace, names};

fn workspace(body: &str) -> Workspace {
    Workspace::with_script(4, "check", END, body)
}

/// Four postings; the program is killed when it comes to the third one, until that is healed. What
/// was executed is counted.
fn killed_at_the_third() -> Workspace {
    let workspace = workspace(&format!(
        "if grep -q 'advert 3' && [ ! -e healed ]; then kill -9 {PROGRAM_PID}; exit 1; fi\n\
             echo $$ >> calls; echo ok"
    ));
    workspace.run(&["--parallel", "1"]);
    assert_eq!(names(&workspace.events(1)).last(), Some(&"posting_terminal"));
    workspace.file("healed", "");
    workspace
}

fn calls(workspace: &Workspace) -> usize {
    fs::read_to_string(workspace.path().join("calls")).unwrap().lines().count()
}

const RESUME: [&str; 4] = ["run", "resume", "--workflow", "workflow.toml"];

#[test]
fn a_posting_that_another_workflow_took_meanwhile_stays_ended_in_the_run_that_goes_on() {
    let workspace = killed_at_the_third();
    workspace.other_workflow();
    let other = ["run", "--workflow", "other.toml", "--postings", "postings/001.json"];
    workspace.turing(&other).expect_code(0);
    let before = workspace.events(1);

    let report = workspace.run(&["--json"]).expect_code(0).json();
    assert_eq!((&report["postings"], &report["open"]), (&json!(4), &json!(0)));
    assert_eq!(report["ended"][0]["postings"], 4);
    assert_eq!(workspace.events(1), before, "nothing more happens to it");
    assert_eq!(calls(&workspace), 5, "four postings, and one of them in two workflows");
    let account = workspace.turing(&["run", "show", "--json"]).expect_code(0).json();
    assert_eq!(account["workflow_id"], "4001", "the run that began last");
}

#[test]
fn an_interrupted_run_goes_on_without_its_input_though_the_folder_has_more_by_now() {
    let workspace = killed_at_the_third();
    workspace.file("postings/005.json", r#"{"posting_id":5,"job_description":"advert 5"}"#);
    let told = workspace.run(&[]).expect_code(6).stderr;
    let difference = "other postings: it has 4, and 5 are given; not among them: posting 5 \
                      (postings/005.json); finish it as it began with `turing run resume --workflow \
                      workflow.toml`";
    assert!(told.contains(difference), "{told}");
    fs::remove_dir_all(workspace.path().join("postings")).unwrap();
    let report = workspace.turing(&[&RESUME[..], &["--json"]].concat()).expect_code(0).json();
    assert_eq!((&report["is_continued"], &report["postings"]), (&json!(true), &json!(4)));
    assert_eq!((&report["open"], calls(&workspace)), (&json!(0), 4));
    let told = workspace.turing(&RESUME).expect_code(1).stderr;
    assert!(told.contains("is over; nothing is left of it"), "{told}");
}

#[test]
fn the_line_that_a_run_begins_with_names_its_workflow_and_its_store() {
    let workspace = workspace("echo ok");
    let told = workspace.run(&[]).expect_code(0).stderr;
    let store = workspace.path().canonicalize().unwrap().join("turing.db");
    let line =
        format!(" of workflow 3001 (test) in sqlite:{} begins with 4 postings\n", store.display());
    assert!(told.contains(&line), "{told}");
}

#[test]
fn what_has_completed_is_executed_again_with_a_word_or_left_out() {
    let workspace = workspace("echo $$ >> calls; echo ok");
    workspace.run(&["--new"]).expect_code(0);
    let new = |id: i32| {
        let text = format!(r#"{{"posting_id":{id},"job_description":"advert {id}"}}"#);
        workspace.file(&format!("postings/00{id}.json"), text);
    };
    new(5);
    let report = workspace.run(&["--new", "--json"]).expect_code(0).json();
    assert_eq!((&report["postings"], &report["completed_before"]), (&json!(1), &json!(4)));
    assert_eq!((&report["read"], &report["repeated"]), (&json!(5), &json!(0)));
    assert_eq!(calls(&workspace), 5);
    for more in [&["--new"][..], &[]] {
        let told = workspace.run(more).expect_code(0).stdout;
        assert!(told.starts_with("Nothing to do: run "), "{told}");
        assert!(
            told.contains("and 1 before it have completed these postings (5 completed)"),
            "{told}"
        );
    }
    new(6);
    let told = workspace.run(&[]).expect_code(0).stderr;
    assert!(told.contains("5 of the 6 postings have completed in this workflow before"), "{told}");
    assert_eq!(calls(&workspace), 11);
    workspace.run(&["--new", "--again"]).expect_code(2);
}

#[test]
fn what_failed_is_new_until_it_completes() {
    let workspace = workspace("if grep -q 'advert 2' && [ ! -e healed ]; then exit 3; fi; echo ok");
    workspace.run(&["--new"]).expect_code(1);
    for _ in 0..2 {
        let report = workspace.run(&["--new", "--json"]).expect_code(1).json();
        assert_eq!((&report["postings"], &report["completed_before"]), (&json!(1), &json!(3)));
    }
    workspace.file("healed", "");
    workspace.run(&["--new"]).expect_code(0);
    let told = workspace.run(&["--new"]).expect_code(0).stdout;
    assert!(told.contains("(4 completed)"), "{told}");
}

#[test]
fn what_is_new_waits_for_the_run_that_was_interrupted() {
    let workspace = killed_at_the_third();
    workspace.file("postings/005.json", r#"{"posting_id":5,"job_description":"advert 5"}"#);
    let first = workspace.run(&["--new", "--json"]).expect_code(0);
    assert!(first.stderr.contains("was interrupted and goes on first"), "{first:#?}");
    let first = first.json();
    assert_eq!((&first["is_continued"], &first["postings"]), (&json!(true), &json!(4)));
    let second = workspace.run(&["--new", "--json"]).expect_code(0).json();
    assert_eq!((&second["is_continued"], &second["postings"]), (&json!(false), &json!(1)));
    assert_eq!(calls(&workspace), 5);
}

#[test]
fn an_interrupted_run_goes_on_though_its_inbox_is_empty_by_now() {
    let workspace = killed_at_the_third();
    for entry in fs::read_dir(workspace.path().join("postings")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let told = workspace.run(&[]).expect_code(0).stdout;
    assert!(told.starts_with("Nothing to do: "), "{told}");
    let text = workspace.workflow();
    workspace.redefine();
    let told = workspace.run(&["--new"]).expect_code(6).stderr;
    assert!(told.contains("another definition") && !told.contains("goes on first"), "{told}");
    workspace.file("workflow.toml", text);
    let report = workspace.run(&["--new", "--json"]).expect_code(0).json();
    assert_eq!((&report["is_continued"], &report["open"]), (&json!(true), &json!(0)));
    assert_eq!(calls(&workspace), 4);
    let quiet = workspace.run(&["--new", "--quiet"]).expect_code(0);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
}

#[test]
fn an_interrupted_run_does_not_go_on_with_another_definition() {
    let workspace = killed_at_the_third();
    let text = workspace.workflow();
    workspace.redefine();
    let told = workspace.turing(&RESUME).expect_code(6).stderr;
    assert!(told.contains("is in progress with another definition; finish it with"), "{told}");
    // by which it is found among others
    let which = format!("(`sha256sum`) begins with {}", &digest_of(&text)[..16]);
    assert!(told.contains(&which), "{told}");
    // or without it, or by the other one
    let run_id = workspace.runs()[0]["run_id"].as_str().unwrap().to_owned();
    for command in ["run resume ID`", "run migrate ID --definition workflow.toml`"] {
        let command = format!("`turing {}", command.replace("ID", &run_id));
        assert!(told.contains(&command), "no {command} in {told}");
    }
    assert_eq!(calls(&workspace), 2);
    workspace.file("workflow.toml", text);
    workspace.turing(&[&RESUME[..], &[&run_id]].concat()).expect_code(0);
    assert_eq!(calls(&workspace), 4);
}

#[test]
fn a_retry_that_was_killed_goes_on_by_itself() {
    let workspace = workspace("exit 3");
    workspace.run(&[]).expect_code(1);
    workspace.script("check.sh", &format!("kill -9 {PROGRAM_PID}"));
    let retry = ["run", "retry", "--workflow", "workflow.toml"];
    workspace.turing(&[&retry[..], &["--parallel", "1"]].concat());
    workspace.script("check.sh", "echo ok");
    let told = workspace.turing(&retry).expect_code(6).stderr;
    assert!(told.contains("turing run resume"), "{told}");
    workspace.turing(&RESUME).expect_code(0);
    let runs = workspace.runs();
    let statuses: Vec<_> = runs.as_array().unwrap().iter().map(|run| &run["status"]).collect();
    assert_eq!(statuses, ["completed", "completed"]);
}

#[test]
fn a_placeholder_that_was_mistyped_can_be_corrected_in_the_posting() {
    let workspace = Workspace::new();
    workspace.script("check.sh", "cat");
    workspace.definition(10, &[(10, "check", "input = \"{title}\"\n[[conversations.branches]]\n")]);
    workspace.file("postings/p.json", r#"{"posting_id":5,"titel":"Baker"}"#);
    let answer = workspace.run(&[]).expect_code(2);
    assert!(answer.stderr.contains("{title} is in no posting's data"), "{answer:#?}");
    workspace.file("postings/p.json", r#"{"posting_id":5,"title":"Baker"}"#);
    workspace.run(&[]).expect_code(0);
}

#[test]
fn a_posting_that_is_registered_otherwise_is_refused_by_its_keys_and_can_be_looked_at() {
    let workspace = workspace("echo ok");
    workspace.run(&[]).expect_code(0);
    workspace
        .file("postings/001.json", r#"{"posting_id":1,"job_description":"new","town":"Bath"}"#);
    let refused = workspace.run(&[]).expect_code(1).stderr;
    let why = "registered with other content: `job_description` differs, `town` is new; give";
    assert!(refused.contains(why), "{refused}");
    let ask = ["state", "posting", "1", "--data"];
    let shown = workspace.turing(&ask).expect_code(0).json();
    assert_eq!(shown, json!({"job_description": "advert 1"}));
    let shown = workspace.turing(&[&ask[..], &["--json"]].concat()).expect_code(0).json();
    assert_eq!(shown, json!({"posting_id": 1, "data": {"job_description": "advert 1"}}));
    let none = workspace.turing(&["state", "posting", "9", "--data"]).expect_code(1);
    assert!(none.stderr.contains("posting 9 is not registered"), "{none:#?}");
    workspace.turing(&["state", "actor", "10", "--data"]).expect_code(2);
}

#[test]
fn a_run_goes_on_when_nobody_reads_what_it_tells() {
    let workspace = workspace("echo ok");
    for stderr in [Stdio::from(fs::File::options().write(true).open("/dev/full").unwrap()), {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    }] {
        let mut command = workspace.command(&RUN);
        let status = command.arg("--again").stderr(stderr).stdout(Stdio::null()).status().unwrap();
        assert_eq!(status.code(), Some(0));
    }
    let runs = workspace.runs();
    assert!(runs.as_array().unwrap().iter().all(|run| run["status"] == "completed"), "{runs}");
}

#[test]
fn who_watches_over_a_script_is_seen_as_the_program_and_what_it_does() {
    let workspace =
        workspace("tr '\\0' ' ' < /proc/$PPID/cmdline; tr '\\n' ' ' < /proc/$PPID/comm");
    workspace.run(&[]).expect_code(0);
    let seen = workspace.state(1)["outputs"]["10"].take();
    let program = env!("CARGO_BIN_EXE_turing");
    assert_eq!(seen.as_str().unwrap().trim_end(), format!("{program} supervise-a-script turing"));
}

#[test]
fn asking_again_after_a_failed_run_is_not_told_as_success() {
    let workspace = workspace("exit 3");
    workspace.run(&[]).expect_code(1);
    let again = workspace.run(&[]).expect_code(1);
    assert!(again.stdout.contains("Nothing to do"), "{again:#?}");
    assert!(again.stdout.contains("(4 actor_failed)"), "{again:#?}");
    assert!(again.stdout.contains("turing run retry"), "{again:#?}");
}

#[test]
fn a_retry_looks_at_runs_of_its_own_workflow_only() {
    let workspace = workspace("exit 3");
    workspace.run(&[]).expect_code(1);
    workspace.other_workflow();
    let answer = workspace.turing(&["run", "retry", "--workflow", "other.toml"]).expect_code(1);
    assert!(answer.stderr.contains("there is no run"), "{answer:#?}");
}

#[test]
fn one_store_under_two_names_is_one_store() {
    let workspace = workspace("touch begun; while [ ! -e asked ]; do sleep 0.01; done; echo ok");
    let mut command = workspace.command(&RUN);
    let mut first = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !workspace.path().join("begun").exists() {
        assert!(first.try_wait().unwrap().is_none(), "the first run ended early");
        pause();
    }
    let link = workspace.path().join("link.db");
    std::os::unix::fs::symlink(workspace.path().join("turing.db"), link).unwrap();
    let second = workspace.run(&["--store", "sqlite:link.db"]);
    workspace.file("asked", "");
    assert!(first.wait().unwrap().success());
    let told = second.expect_code(4).stderr;
    assert!(told.contains("is being run in this store by process"), "{told}");
}

#[test]
fn abandoning_a_run_ends_all_its_postings() {
    let workspace = workspace(&format!("kill -9 {PROGRAM_PID}"));
    workspace.run(&["--parallel", "1"]);
    workspace.script("check.sh", "echo ok");
    let only = ["run", "--workflow", "workflow.toml", "--postings", "postings/001.json"];
    workspace.turing(&[&only[..], &["--abandon"]].concat()).expect_code(0);
    for posting in 2..=4 {
        let state = workspace.state(posting);
        assert_eq!(
            (&state["is_terminal"], &state["terminal"]["reason"]),
            (&json!(true), &json!("abandoned"))
        );
    }
}

#[test]
fn what_is_no_file_is_refused_by_name_and_nothing_hangs() {
    let workspace = workspace("echo ok");
    std::os::unix::fs::symlink("nowhere", workspace.path().join("postings/link.json")).unwrap();
    let answer = workspace.run(&[]).expect_code(1);
    assert!(answer.stderr.contains("refused: postings/link.json"), "{answer:#?}");
    let made = std::process::Command::new("mkfifo").arg(workspace.path().join("p.json")).status();
    assert!(made.unwrap().success());
    let pipe = ["run", "--workflow", "workflow.toml", "--postings", "p.json"];
    let answer = workspace.turing(&pipe).expect_code(2);
    assert!(answer.stderr.contains("neither a file nor a folder; `-` reads a pipe"), "{answer:#?}");
}
