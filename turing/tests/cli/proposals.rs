//! The commands that the program proposes: for the store that was named, and without a password.

use std::fs;
use std::path::Path;

use crate::support::{Answer, END, PROGRAM_PID, RUN, Workspace};

/// A store whose name a shell would take apart.
const STORE: &str = "sqlite:my jobs.db";

/// What stands behind what is proposed for it.
const NAMED: &str = " --store 'sqlite:my jobs.db'";

/// How a call is told which store is meant.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Argument,
    Environment,
}

/// A folder with a store, and how calls are told of that.
struct Scene {
    workspace: Workspace,
    way: Way,
}

impl Scene {
    fn new(way: Way, body: &str) -> Self {
        let workspace = Workspace::with_script(2, "check", END, body);
        let text = workspace.workflow();
        workspace.file("my flow.toml", text);
        Self { workspace, way }
    }

    fn ask(&self, arguments: &[&str]) -> Answer {
        let mut command = self.workspace.command(arguments);
        match self.way {
            Way::Argument => command.args(["--store", STORE]),
            Way::Environment => command.env("TURING_STORE", STORE),
        };
        command.output().unwrap().into()
    }

    /// Asks for something that ends so, and that proposes this, in which `…` stands for an id.
    #[track_caller]
    fn proposes(&self, arguments: &[&str], code: i32, proposed: &str) {
        let answer = self.ask(arguments).expect_code(code);
        let text = answer.stdout + &answer.stderr;
        let store = if self.way == Way::Argument { NAMED } else { "" };
        let commands: Vec<_> = commands(&text).collect();
        assert!(commands.iter().all(|command| command.ends_with(store)), "{commands:#?}");
        assert!(commands.iter().all(|command| command.contains("--store") != store.is_empty()));
        let fits = |command: &&str| {
            let command = command.strip_suffix(store).unwrap_or(*command);
            match proposed.split_once('…') {
                Some((first, last)) => command.starts_with(first) && command.ends_with(last),
                None => command == proposed,
            }
        };
        assert!(commands.iter().any(fits), "no `{proposed}`{store} in {text}");
    }
}

/// What is proposed in a text: up to the end of the line, or of the quotation.
fn commands(text: &str) -> impl Iterator<Item = &str> {
    let proposed = text.match_indices("turing ").map(|(at, _)| &text[at..]);
    proposed.map(|rest| rest.split(['`', '\n', ';']).next().unwrap_or_default())
}

#[test]
fn what_is_proposed_is_for_the_store_that_was_named_on_the_command_line() {
    for way in [Way::Argument, Way::Environment] {
        let scene = Scene::new(way, "exit 3");
        let id = "00000000-0000-7000-8000-000000000000";
        let cases: &[(&[&str], i32, &str)] = &[
            (&RUN, 1, "turing run show … --failed"),
            (&RUN, 1, "turing run retry … --workflow workflow.toml"),
            (&["run", "show"], 0, "turing run show … --failed"),
            (&["run", "show", id], 1, "turing runs"),
            (&["run", "show", "00"], 1, "turing runs"),
            (&["run", "show", "seven"], 2, "turing runs"),
            (&["events", "workflow", "9"], 1, "turing runs"),
            (&["events", "conversation", "9"], 1, "turing run show"),
            (&["trace", "nothing"], 1, "turing events posting ID --json"),
            (&["projection", "list"], 0, "turing projection run"),
            (
                &["projection", "switch", "run_progress"],
                1,
                "turing projection rebuild run_progress",
            ),
            (
                &["projection", "rebuild", "run_progress"],
                0,
                "turing projection switch run_progress",
            ),
            (&["projection", "release", "run_progress"], 0, "turing projection run run_progress"),
        ];
        for (arguments, code, proposed) in cases {
            scene.proposes(arguments, *code, proposed);
        }
        scene.workspace.file("postings/001.json", r#"{"posting_id":1,"job_description":"new"}"#);
        scene.proposes(&RUN, 1, "turing state posting 1 --data");
    }
}

#[test]
fn a_run_in_progress_is_finished_by_what_is_proposed() {
    for way in [Way::Argument, Way::Environment] {
        let scene = Scene::new(way, &format!("[ -e go ] || kill -9 {PROGRAM_PID}; echo ok"));
        let run = ["run", "--workflow", "my flow.toml", "--postings", "postings"];
        let killed = scene.ask(&[&run[..], &["--parallel", "1"]].concat());
        assert_eq!(killed.code, None, "{killed:#?}");
        scene.workspace.file("postings/003.json", r#"{"posting_id":3,"job_description":"new"}"#);
        let resume = "turing run resume --workflow 'my flow.toml'";
        scene.proposes(&run, 6, resume);
        let retry = ["run", "retry", "--workflow", "my flow.toml"];
        scene.proposes(&retry, 6, "turing run resume --workflow 'my flow.toml'");
        scene.workspace.file("go", "");
        // as it is proposed, in a shell
        let told = scene.ask(&run).expect_code(6).stderr;
        let proposed = commands(&told).find(|command| command.starts_with(resume)).unwrap();
        let mut shell = std::process::Command::new("/bin/sh");
        let program = env!("CARGO_BIN_EXE_turing");
        shell.args(["-c", &proposed.replacen("turing", program, 1)]);
        shell.current_dir(scene.workspace.path()).env_remove("TURING_STORE");
        if way == Way::Environment {
            shell.env("TURING_STORE", STORE);
        }
        Answer::from(shell.output().unwrap()).expect_code(0);
    }
}

#[test]
fn an_open_breaker_and_a_store_of_others_have_their_commands() {
    let scene = Scene::new(Way::Argument, "exit 3");
    scene.workspace.breaker(1, 0.01);
    scene.proposes(&RUN, 1, "turing actor reset 10");

    let workspace = &scene.workspace;
    let nothing = workspace.turing(&["runs", "--store", "memory:"]).expect_code(0).stdout;
    assert!(nothing.contains("`turing demo --store memory:`"), "{nothing}");
    let secret = "postgres://u:canary@h:5433/d?password=canary";
    let told = workspace.turing(&["backup", "--to", "x", "--store", secret]).expect_code(2);
    let store = "--store 'postgres://u:PASSWORD@h:5433/d?password=PASSWORD'";
    for command in ["migrate --roles", "validate"] {
        assert!(told.stderr.contains(&format!("`turing {command} {store}`")), "{told:#?}");
    }
    assert!(!format!("{told:?}").contains("canary"), "{told:#?}");
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn only_one_place_writes_commands() {
    let words = [
        "actor",
        "answer",
        "backup",
        "bench",
        "cutover",
        "demo",
        "events",
        "inbox",
        "migrate",
        "projection",
        "run",
        "runs",
        "snapshot",
        "state",
        "trace",
        "validate",
        "why",
    ];
    let commands = words.map(|word| format!("turing {word}"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut looked_at = 0;
    for path in files(&source) {
        // what stands in a lock file is for whoever finds it, and proposes nothing
        let is_allowed = path.ends_with("proposal.rs") || path.ends_with("lock/file.rs");
        let is_test =
            path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests");
        if is_allowed || is_test || path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        looked_at += 1;
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for (number, line) in code.lines().enumerate() {
            let is_comment = line.trim_start().starts_with("//");
            let is_command = commands.iter().any(|command| line.contains(command.as_str()));
            let place = format!("{}:{}", path.display(), number + 1);
            assert!(is_comment || !is_command, "{place} writes a command by hand");
        }
    }
    assert!(looked_at > 100, "{looked_at}");
}
