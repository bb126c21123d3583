//! A folder in which scripts are made and run, and looks at what is left of them.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

pub(crate) use std::collections::BTreeMap;
pub(crate) use std::fs;
pub(crate) use std::os::unix::fs::PermissionsExt;
pub(crate) use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
pub(crate) use std::time::Duration;

pub(crate) use rustix::process::Pid;
pub(crate) use tempfile::TempDir;
pub(crate) use turing::script::{
    ScriptCall, ScriptLimits, ScriptOutcome, Supervisors, resolve_program,
};
pub(crate) use turing_domain::FailureType;

use crate::processes::fifo;
pub(crate) use crate::processes::{Held, PATIENCE, eventually};

/// The supervisors of all calls of a process, so that calls follow one another below one.
static SUPERVISORS: LazyLock<Supervisors> = LazyLock::new(supervisors);

/// Others, which have supervised nothing.
pub(crate) fn supervisors() -> Supervisors {
    Supervisors::new(env!("CARGO_BIN_EXE_turing"))
}

pub(crate) async fn run_script(call: &ScriptCall) -> ScriptOutcome {
    SUPERVISORS.run(call).await
}

/// A folder of its own for one test's scripts and for the files that they write.
pub(crate) struct Sandbox {
    pub(crate) folder: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    /// A call of a shell script with that body, in this folder.
    pub(crate) fn call(&self, body: &str) -> ScriptCall {
        let program = self.write("script.sh", &format!("#!/bin/sh\n{body}\n"), 0o755);
        self.call_of(program)
    }

    pub(crate) fn call_of(&self, program: PathBuf) -> ScriptCall {
        ScriptCall {
            program,
            arguments: Vec::new(),
            folder: self.folder.path().to_owned(),
            environment: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            input: Vec::new(),
            limits: ScriptLimits { time: Duration::from_secs(60), ..ScriptLimits::default() },
        }
    }

    /// A shell script that this process may start itself: it is written by another one, so that it
    /// is never found open for writing.
    pub(crate) fn started_here(&self, name: &str, body: &str) -> PathBuf {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "printf '#!/bin/sh\n%s\n' \"$2\" > \"$1\"; chmod +x \"$1\"", "sh"]);
        shell.args([name, body]).current_dir(self.folder.path());
        assert!(shell.status().unwrap().success());
        self.path(name)
    }

    pub(crate) async fn run(&self, body: &str) -> ScriptOutcome {
        run_script(&self.call(body)).await
    }

    /// A named pipe.
    pub(crate) fn fifo(&self, name: &str) -> PathBuf {
        fifo(self.path(name))
    }

    /// Something that processes hold on to.
    pub(crate) fn held(&self) -> Held {
        Held::new(self.path("held"))
    }

    /// The process ids that a script has written to a file by now, one per line.
    pub(crate) fn pids(&self, name: &str) -> Vec<Pid> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(|line| Pid::from_raw(line.parse().unwrap()).unwrap()).collect()
    }
}

pub(crate) fn output(outcome: ScriptOutcome) -> String {
    match outcome {
        ScriptOutcome::Completed { output, .. } => output,
        failed => panic!("{failed:?}"),
    }
}

pub(crate) fn failure(outcome: ScriptOutcome) -> (FailureType, String, String) {
    match outcome {
        ScriptOutcome::Failed { failure_type, error, stderr, .. } => (failure_type, error, stderr),
        completed => panic!("{completed:?}"),
    }
}

pub(crate) fn duration(outcome: &ScriptOutcome) -> Duration {
    match outcome {
        ScriptOutcome::Completed { duration, .. } | ScriptOutcome::Failed { duration, .. } => {
            *duration
        }
        ScriptOutcome::NotStarted { .. } => panic!("{outcome:?}"),
    }
}

#[track_caller]
pub(crate) fn assert_contains(text: &str, part: &str) {
    assert!(text.contains(part), "{part:?} is not in {text:?}");
}

/// Gone, or dead and waiting for a parent that is not us.
pub(crate) fn is_gone(pid: Pid) -> bool {
    match fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())) {
        Ok(stat) => stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['Z', 'X'])),
        Err(_) => rustix::process::test_kill_process(pid).is_err(),
    }
}

pub(crate) async fn all_gone(pids: &[Pid]) {
    eventually("all processes are gone", || pids.iter().all(|pid| is_gone(*pid))).await;
}
