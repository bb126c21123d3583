//! Postings whose script notes that it began, and waits at a gate that the test opens.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};

use super::process::Told;
use super::processes::{PATIENCE, pause, wait_until};
use super::{Answer, ID_END, RUN, Workspace};

/// Postings with the ids from 1, one attempt each.
pub(crate) struct Gated {
    pub(crate) workspace: Workspace,
}

/// A script that waits at its gate.
#[must_use = "the script waits"]
pub(crate) struct Gate(File);

impl Gate {
    /// Lets the script go on to its end.
    pub(crate) fn open(mut self) {
        self.0.write_all(b"go\n").unwrap();
    }
}

/// A program that runs; it ends with the test.
pub(crate) struct Running(Option<Child>);

impl Gated {
    pub(crate) fn new(postings: usize) -> Self {
        let workspace = Workspace::new();
        workspace.postings(postings);
        workspace.script("a.sh", &Self::script("echo ok"));
        for id in 1..=postings {
            let gate = workspace.path().join(format!("gate.{id}"));
            assert!(Command::new("mkfifo").arg(gate).status().unwrap().success());
        }
        workspace.definition(10, &[(10, "a", ID_END)]);
        Self { workspace }
    }

    /// The script, which ends in this way behind the gate.
    pub(crate) fn script(end: &str) -> String {
        const BEGIN: &str = r#"id=$(sed 's/.*"input":"\([^"]*\)".*/\1/'); echo "$id" >> begun"#;
        format!("{BEGIN}; read -r line < \"gate.$id\"; {end}")
    }

    /// Starts a run over them, one after the other.
    pub(crate) fn start(&self, store: &str) -> Running {
        self.start_with(store, &[])
    }

    /// The same with more arguments.
    pub(crate) fn start_with(&self, store: &str, more: &[&str]) -> Running {
        let mut command = self.workspace.command(&RUN);
        command.args(["--parallel", "1"]).args(more).env("TURING_STORE", store);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Running(Some(command.spawn().unwrap()))
    }

    /// Waits until a posting's script waits.
    #[track_caller]
    pub(crate) fn gate(&self, posting: usize, run: &mut Running) -> Gate {
        let path = self.workspace.path().join(format!("gate.{posting}"));
        let mut options = File::options();
        options.write(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        let began = Instant::now();
        loop {
            // refused as long as nobody waits to read
            if let Ok(gate) = options.open(&path) {
                return Gate(gate);
            }
            assert!(run.is_running(), "the run ended before posting {posting}: {:#?}", run.end());
            assert!(began.elapsed() < 3 * PATIENCE, "the script of posting {posting} never began");
            pause();
        }
    }

    /// The postings whose script began, in order.
    pub(crate) fn begun(&self) -> Vec<usize> {
        let begun = fs::read_to_string(self.workspace.path().join("begun")).unwrap_or_default();
        begun.lines().map(|line| line.parse().unwrap()).collect()
    }

    /// Starts another run, which must be refused in these words, and begin nothing.
    #[track_caller]
    pub(crate) fn expect_refused(&self, store: &str, words: &str) {
        let begun = self.begun();
        let mut second = self.start(store);
        while second.is_running() {
            assert_eq!(self.begun(), begun, "a second run begins attempts");
            pause();
        }
        assert_eq!(self.begun(), begun, "a second run begins attempts");
        let refused = second.end().expect_code(4);
        assert!(refused.stderr.contains(words), "{refused:#?}");
    }
}

impl Running {
    fn child(&self) -> &Child {
        self.0.as_ref().expect("the program was not waited for")
    }

    pub(crate) fn id(&self) -> u32 {
        self.child().id()
    }

    /// The lines that it tells, which its answer is without then.
    pub(crate) fn told(&mut self) -> Told {
        let child = self.0.as_mut().expect("the program was not waited for");
        Told::of(child.stderr.take().unwrap())
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.0.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child()), signal).unwrap();
    }

    /// Waits for its end, and answers it.
    #[track_caller]
    pub(crate) fn end(&mut self) -> Answer {
        // what it prints fits into its pipes
        wait_until("the program ends", || !self.is_running());
        let child = self.0.take().expect("the program is waited for once");
        child.wait_with_output().unwrap().into()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
