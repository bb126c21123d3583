//! The process group of a running script: watched, signalled, always reaped.

use std::io;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::task::JoinHandle;

/// The script and what it started; dropping it kills the whole group.
pub(super) struct Group {
    leader: Arc<Leader>,
    pipes: Option<StdPipes>,
    watcher: JoinHandle<io::Result<ExitStatus>>,
    status: Option<io::Result<ExitStatus>>,
}

type StdPipes = (std::process::ChildStdin, std::process::ChildStdout, std::process::ChildStderr);

/// The leader's id names the group until the leader is reaped; afterwards it may name a stranger's,
/// so the signals and the reaping exclude each other.
struct Leader {
    pid: Pid,
    reaped: Mutex<bool>,
}

impl Leader {
    fn signal(&self, signal: Signal) {
        let reaped = self.lock();
        if !*reaped {
            self.signal_unreaped(signal);
        }
    }

    fn signal_unreaped(&self, signal: Signal) {
        // It fails only for a group that has no living member any more.
        let _ = kill_process_group(self.pid, signal);
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.reaped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks until the leader exits, then kills the rest of the group and reaps the leader.
    fn reap(&self, mut child: Child) -> io::Result<ExitStatus> {
        let exited = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let seen = rustix::io::retry_on_intr(|| waitid(WaitId::Pid(self.pid), exited));
        let mut reaped = self.lock();
        *reaped = true;
        seen?;
        self.signal_unreaped(Signal::KILL);
        child.wait()
    }
}

impl Group {
    /// Takes a child that was started as the leader of its own group.
    pub(super) fn watch(mut child: Child) -> Self {
        let leader = Arc::new(Leader { pid: Pid::from_child(&child), reaped: Mutex::new(false) });
        let pipes = match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
            (Some(stdin), Some(stdout), Some(stderr)) => Some((stdin, stdout, stderr)),
            _ => None,
        };
        // A thread of its own reaps, so that a dropped call leaves no zombie either.
        let watcher = tokio::task::spawn_blocking({
            let leader = Arc::clone(&leader);
            move || leader.reap(child)
        });
        Self { leader, pipes, watcher, status: None }
    }

    /// The three pipes, once.
    pub(super) fn pipes(&mut self) -> io::Result<(ChildStdin, ChildStdout, ChildStderr)> {
        let (stdin, stdout, stderr) = self.pipes.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok((
            ChildStdin::from_std(stdin)?,
            ChildStdout::from_std(stdout)?,
            ChildStderr::from_std(stderr)?,
        ))
    }

    pub(super) fn signal(&self, signal: Signal) {
        self.leader.signal(signal);
    }

    /// Waits until the leader has exited and the group is killed.
    pub(super) async fn exited(&mut self) {
        if self.status.is_none() {
            let joined = (&mut self.watcher).await;
            self.status = Some(joined.map_err(io::Error::other).flatten());
        }
    }

    /// Kills what still runs, and returns how the leader ended.
    pub(super) async fn end(mut self) -> io::Result<ExitStatus> {
        self.signal(Signal::KILL);
        self.exited().await;
        self.status.take().unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
