//! The Python package in its environment, and processes in Python that do what they are told.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

use std::io::{BufRead, BufReader, Lines, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

use super::Answer;

fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../python")
}

/// The address as PostgreSQL's own library takes it, which does not know what sqlx adds to one.
pub(crate) fn address(url: &str) -> String {
    url.split("&statement-cache-capacity=").next().unwrap_or(url).to_owned()
}

/// The package's script, which keeps its environments where cargo keeps what it builds.
pub(crate) fn script(url: &str) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_turing"));
    let target = program.ancestors().nth(2).unwrap();
    let mut command = Command::new(package().join("test"));
    command.env("TURING", program).env("TURING_TEST_STORE", url).env("CARGO_TARGET_DIR", target);
    command
}

/// The Python that has what the package needs.
pub(crate) fn interpreter(url: &str) -> String {
    let prepared = Answer::from(script(url).arg("--venv").output().unwrap()).expect_code(0);
    prepared.stdout.trim().to_owned()
}

/// This Python, for programs that import the package.
pub(crate) fn python(interpreter: &str) -> Command {
    let mut command = Command::new(interpreter);
    command
        .env("PYTHONPATH", package().join("src"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONUTF8", "1");
    command
}

/// `child.py`, whose first argument says what it does.
pub(crate) fn child(interpreter: &str, what: &str, url: &str) -> Command {
    let mut command = python(interpreter);
    command.arg(package().join("tests/child.py")).args([what, url]);
    command
}

/// A process in Python, which ends with its standard input.
pub(crate) struct Python {
    child: Child,
    input: ChildStdin,
    /// What it tells, line by line.
    pub(crate) answers: Lines<BufReader<ChildStdout>>,
}

impl Python {
    pub(crate) fn start(python: &str, what: &str, url: &str) -> Self {
        let mut child =
            child(python, what, url).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, input, answers }
    }

    pub(crate) fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.input, "{question}").unwrap();
        let answer = self.answers.next().unwrap_or_else(|| panic!("no answer to {question}"));
        serde_json::from_str(&answer.unwrap()).unwrap()
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
