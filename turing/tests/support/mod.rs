//! A folder with a workflow, scripts and postings, and the `turing` program run in it.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

pub(crate) mod gates;
pub(crate) mod jumping;
pub(crate) mod model;
pub(crate) mod old_store;
pub(crate) mod preload;
pub(crate) mod process;
pub(crate) mod processes;
pub(crate) mod python;
pub(crate) mod within;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A folder that is gone with the test.
pub(crate) struct Workspace {
    folder: tempfile::TempDir,
}

/// What a call of the program answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Answer {
    /// The answer, which must have this exit code.
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// What was told, without the time before each line.
    pub(crate) fn told(&self) -> String {
        let lines = self.stderr.split_inclusive('\n');
        let told = lines.map(|line| match line.split_once("Z ") {
            Some((time, rest)) if time.len() == "2026-11-29T12:00:00".len() => rest,
            _ => line,
        });
        told.collect()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    pub(crate) fn json_lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Workspace {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("postings")).unwrap();
        Self { folder }
    }

    /// So many postings through one conversation, the rest of whose table is given; its actor is
    /// `NAME.sh`, a script with this body.
    pub(crate) fn with_script(postings: usize, name: &str, conversation: &str, body: &str) -> Self {
        let workspace = Self::new();
        workspace.postings(postings);
        workspace.script(&format!("{name}.sh"), body);
        workspace.definition(10, &[(10, name, conversation)]);
        workspace
    }

    /// So many postings through two conversations with scripts of these bodies; the second one gets
    /// what the first one printed.
    pub(crate) fn with_two_scripts(postings: usize, [first, second]: [&str; 2]) -> Self {
        let workspace = Self::new();
        workspace.postings(postings);
        workspace.script("a.sh", first);
        workspace.script("b.sh", second);
        let onward = format!("{END}to = 20\n");
        let end = "input = \"{conversation_10_output}\"\n[[conversations.branches]]\n";
        workspace.definition(10, &[(10, "a", &onward), (20, "b", end)]);
        workspace
    }

    /// So many postings through so many conversations, one after the other, whose actor is one
    /// script.
    pub(crate) fn with_chain(postings: usize, steps: i32) -> Self {
        let workspace = Self::new();
        workspace.postings(postings);
        workspace.script("step.sh", "echo ok");
        let mut text = "[workflow]\nid = 3001\nname = \"chain\"\nentry = 1\n\
                        [[actors]]\nid = 1\nname = \"step\"\ntype = \"script\"\n\
                        command = [\"./step.sh\"]\nenv = { PATH = \"/usr/bin:/bin\" }\n"
            .to_owned();
        for id in 1..=steps {
            let to = if id < steps { format!("to = {}\n", id + 1) } else { String::new() };
            text += &format!(
                "[[conversations]]\nid = {id}\nname = \"step {id}\"\nactor = 1\n\
                 execution_order = {id}\ninput = \"{{posting_id}}\"\n\
                 [[conversations.branches]]\n{to}"
            );
        }
        workspace.file("workflow.toml", text);
        workspace
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// An executable `sh` script.
    pub(crate) fn script(&self, name: &str, body: &str) -> PathBuf {
        let path = self.file(name, format!("#!/bin/sh\n{body}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// `count` postings with the ids from 1.
    pub(crate) fn postings(&self, count: usize) {
        for id in 1..=count {
            let text = format!(r#"{{"posting_id":{id},"job_description":"advert {id}"}}"#);
            self.file(&format!("postings/{id:03}.json"), text);
        }
    }

    /// A definition with one script actor for each conversation, `NAME.sh`; `conversations` are
    /// TOML tables that begin with their name.
    pub(crate) fn definition(&self, entry: i32, conversations: &[(i32, &str, &str)]) {
        let mut text = format!(
            "[workflow]\nid = 3001\nname = \"test\"\nentry = {entry}\n\
             [workflow.retry]\nretries = 2\nbase_seconds = 0.01\n"
        );
        for (id, name, _) in conversations {
            text += &format!(
                "[[actors]]\nid = {id}\nname = \"{name}\"\ntype = \"script\"\n\
                 command = [\"./{name}.sh\"]\nenv = {{ PATH = \"/usr/bin:/bin\" }}\n"
            );
        }
        for (id, name, rest) in conversations {
            text += &format!(
                "[[conversations]]\nid = {id}\nname = \"{name}\"\nactor = {id}\n\
                 execution_order = {id}\n{rest}\n"
            );
        }
        self.file("workflow.toml", text);
    }

    /// The text of the definition.
    pub(crate) fn workflow(&self) -> String {
        fs::read_to_string(self.path().join("workflow.toml")).unwrap()
    }

    /// Puts one text in the place of another in the definition.
    #[track_caller]
    pub(crate) fn amend(&self, from: &str, to: &str) {
        let text = self.workflow();
        assert!(text.contains(from), "{text}");
        self.file("workflow.toml", text.replacen(from, to, 1));
    }

    /// Makes another definition of it, which says the same.
    pub(crate) fn redefine(&self) {
        self.file("workflow.toml", format!("# other\n{}", self.workflow()));
    }

    /// Gives the actors a circuit breaker that opens at so many failures, for so many seconds.
    pub(crate) fn breaker(&self, failures: u32, seconds: f64) {
        let breaker = format!(
            "[workflow.circuit_breaker]\nfailures = {failures}\ncooldown_seconds = {seconds}\n\
             [workflow.retry]"
        );
        self.amend("[workflow.retry]", &breaker);
    }

    /// Another workflow with the same conversations, in `other.toml`.
    pub(crate) fn other_workflow(&self) {
        self.file("other.toml", self.workflow().replace("id = 3001", "id = 4001"));
    }

    /// The program with these arguments, in this folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_turing"));
        command.args(arguments).current_dir(self.path()).env_remove("TURING_STORE");
        command
    }

    pub(crate) fn turing(&self, arguments: &[&str]) -> Answer {
        self.command(arguments).output().unwrap().into()
    }

    pub(crate) fn run(&self, more: &[&str]) -> Answer {
        self.turing(&[&RUN, more].concat())
    }

    /// The runs of all workflows, none of which was left out.
    pub(crate) fn runs(&self) -> Value {
        let mut listed = self.turing(&["runs", "--json"]).expect_code(0).json();
        assert_eq!(listed["left_out"], serde_json::json!([]), "{listed}");
        listed["runs"].take()
    }

    /// The events of one posting.
    pub(crate) fn events(&self, posting: i32) -> Vec<Value> {
        let id = posting.to_string();
        self.turing(&["events", "posting", &id, "--json"]).expect_code(0).json_lines()
    }

    /// The state of one posting.
    pub(crate) fn state(&self, posting: i32) -> Value {
        let id = posting.to_string();
        self.turing(&["state", "posting", &id, "--json"]).expect_code(0).json()["state"].take()
    }
}

/// The rest of a conversation that gets the advert, and after which nothing comes.
pub(crate) const END: &str = "input = \"{job_description}\"\n[[conversations.branches]]\n";

/// The rest of a conversation that gets the posting's id, and after which nothing comes.
pub(crate) const ID_END: &str = "input = \"{posting_id}\"\n[[conversations.branches]]\n";

/// In a script, the id of the program that runs the workflow: the parent of the script's supervisor.
pub(crate) const PROGRAM_PID: &str = "$(sed -n 's/^PPid:[[:space:]]*//p' /proc/$PPID/status)";

/// The arguments that run the workspace's definition over its postings.
pub(crate) const RUN: [&str; 5] = ["run", "--workflow", "workflow.toml", "--postings", "postings"];

/// The stored names of events, in order.
pub(crate) fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event_type"].as_str().unwrap()).collect()
}

/// The first event of this name.
pub(crate) fn find<'a>(events: &'a [Value], name: &str) -> &'a Value {
    let found = events.iter().find(|event| event["event_type"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {:?}", names(events)))
}
