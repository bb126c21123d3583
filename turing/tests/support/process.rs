//! A program that goes on while the test looks at it: its signals, and what it says.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

use std::fs;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::processes::wait_until;

/// A process that is killed if the test ends before it does.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// Whether the process has this signal in a set of `/proc/PID/status`, such as `SigIgn`.
    pub(crate) fn has(&self, set: &str, signal: Signal) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix(set)).unwrap();
        let mask = u64::from_str_radix(mask.trim_start_matches(':').trim(), 16).unwrap();
        (mask >> (signal.as_raw() - 1)) & 1 == 1
    }

    pub(crate) fn is_over(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// The exit code, once it has ended by itself; `None` if a signal ended it.
    #[track_caller]
    pub(crate) fn code(&mut self) -> Option<i32> {
        wait_until("the program ends", || self.0.try_wait().unwrap().is_some());
        self.0.wait().unwrap().code()
    }

    /// Asks it to end until it has.
    #[track_caller]
    pub(crate) fn end_with(&mut self, signal: Signal) {
        wait_until("the program ends", || {
            self.is_over() || {
                self.signal(signal);
                false
            }
        });
    }

    /// Everything that it prints, up to its end.
    pub(crate) fn stdout(&mut self) -> String {
        let mut text = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    /// The lines that it tells.
    pub(crate) fn told(&mut self) -> Told {
        Told::of(self.0.stderr.take().unwrap())
    }

    /// Waits until a script has made this file.
    #[track_caller]
    pub(crate) fn made(&mut self, file: &Path) {
        wait_until("the script begins", || {
            assert!(!self.is_over(), "the program ended early");
            file.exists()
        });
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // it has ended, or nobody needs it any more
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a program tells on standard error.
pub(crate) struct Told(BufReader<ChildStderr>);

impl Told {
    pub(crate) fn of(stderr: ChildStderr) -> Self {
        Self(BufReader::new(stderr))
    }

    /// Reads up to a line with this part.
    #[track_caller]
    pub(crate) fn up_to(&mut self, part: &str) -> String {
        let mut told = String::new();
        loop {
            let before = told.len();
            self.0.read_line(&mut told).unwrap();
            assert!(told.len() > before, "{part:?} was never told, but:\n{told}");
            if told[before..].contains(part) {
                return told;
            }
        }
    }

    /// Reads up to the end.
    pub(crate) fn rest(mut self) -> String {
        let mut told = String::new();
        self.0.read_to_string(&mut told).unwrap();
        told
    }
}

/// A pipe that nobody reads, and into which nothing fits.
pub(crate) fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let size = rustix::pipe::fcntl_setpipe_size(&writer, 4096).unwrap();
    writer.write_all(&vec![b'.'; size]).unwrap();
    (reader, writer)
}

/// The writing end of a pipe whose reader has gone.
pub(crate) fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}
