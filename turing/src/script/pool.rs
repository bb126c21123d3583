//! The supervisors of a program's scripts, which are used again for one script after the other.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as BlockingStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use rustix::process::{Pid, Signal, kill_process};

use super::parent::{self, part_with};
use super::supervisor::ARGUMENT;

/// What the supervisor needs itself to be started; no script gets it.
const LIBRARIES: &str = "LD_LIBRARY_PATH";

/// Runs scripts, each below a *supervisor*: a process that starts the script and ends what it leaves
/// behind. One that has nothing left to end is kept for the next script, so that there are never more
/// than there were scripts at once.
///
/// Dropping it ends them.
#[derive(Debug)]
pub struct Supervisors {
    program: PathBuf,
    idle: Mutex<Vec<Supervisor>>,
    /// True once the program has been a supervisor: that it cannot be started now will pass.
    is_proven: AtomicBool,
}

/// A process that supervises one script at a time, and the socket over which it is told of it.
#[derive(Debug)]
pub(super) struct Supervisor {
    pub(super) control: BlockingStream,
    pub(super) process: Child,
}

impl Supervisors {
    /// Scripts are started by `program`: `turing`, or [`THIS_PROGRAM`](super::THIS_PROGRAM) where
    /// `main` begins with [`supervise_if_asked`](super::supervise_if_asked). A program that does not
    /// is started once more in its whole.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let (idle, is_proven) = (Mutex::default(), AtomicBool::new(false));
        Self { program: program.into(), idle, is_proven }
    }

    /// The program that supervises.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    pub(super) fn is_proven(&self) -> bool {
        self.is_proven.load(Ordering::Relaxed)
    }

    pub(super) fn prove(&self) {
        self.is_proven.store(true, Ordering::Relaxed);
    }

    /// One that waits for a script.
    pub(super) fn take(&self) -> io::Result<Supervisor> {
        while let Some(supervisor) = self.with_idle(Vec::pop) {
            if supervisor.waits() {
                wake(&supervisor.process);
                return Ok(supervisor);
            }
            // it was killed, and had no child
            drop(supervisor.control);
            part_with(vec![supervisor.process]);
        }
        self.start()
    }

    /// Keeps one whose script has ended and left nothing.
    pub(super) fn keep(&self, supervisor: Supervisor) {
        self.with_idle(|idle| idle.push(supervisor));
    }

    /// Ends those that have nothing to do, where the system has too little of something.
    pub(super) fn end_idle(&self) {
        let processes = self.with_idle(std::mem::take).into_iter().map(|idle| idle.process);
        part_with(processes.collect());
    }

    fn with_idle<T>(&self, look: impl FnOnce(&mut Vec<Supervisor>) -> T) -> T {
        look(&mut self.idle.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn start(&self) -> io::Result<Supervisor> {
        let (control, theirs) = BlockingStream::pair()?;
        control.set_nonblocking(true)?;
        let mut command = Command::new(&self.program);
        if self.program == Path::new(super::THIS_PROGRAM)
            && let Some(name) = std::env::args_os().next()
        {
            // or whoever looks at processes sees a path that says nothing
            command.arg0(name);
        }
        command
            .arg(ARGUMENT)
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // an interruption at the terminal is for this process alone
            .process_group(0);
        if let Some(folders) = std::env::var_os(LIBRARIES) {
            command.env(LIBRARIES, folders);
        }
        Ok(Supervisor { control, process: parent::start(&mut command)? })
    }
}

impl Drop for Supervisors {
    fn drop(&mut self) {
        self.end_idle();
    }
}

impl Supervisor {
    /// True if it lives and has told nothing that it was not asked for.
    fn waits(&self) -> bool {
        let mut told = [0];
        recv(&self.control, &mut told, RecvFlags::PEEK | RecvFlags::DONTWAIT) == Err(Errno::AGAIN)
    }
}

/// Lets a supervisor go on that its script, or somebody else, has stopped.
pub(super) fn wake(supervisor: &Child) {
    // its id is its own until it is reaped
    let _ = kill_process(Pid::from_child(supervisor), Signal::CONT);
}
