//! A script that runs under its supervisor, as the process that asked for it sees it.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as BlockingStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError, RwLock, mpsc};
use std::thread;
use std::time::Duration;

use rustix::io::{Errno, read, retry_on_intr};
use rustix::net::{SendFlags, Shutdown, send, shutdown};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, getpid, kill_process, set_child_subreaper, waitid,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::time::timeout;

use super::ScriptCall;
use super::children::{end_all, has_children, has_ended_within, reap_dead};
use super::supervisor::ARGUMENT;
use super::wire::{Ending, Request, TERMINATE};

/// The supervisors of this process that are not reaped. Who starts one reads the lock until it is
/// in the set, so that who holds the lock knows them all.
static SUPERVISORS: LazyLock<RwLock<Mutex<HashSet<Pid>>>> = LazyLock::new(RwLock::default);

/// True if a supervisor that was killed leaves its orphans to this process.
static ADOPTS: AtomicBool = AtomicBool::new(false);

/// True once a supervisor has left something: what it could not kill, or all of it when it was
/// killed itself.
static IS_LEFT: AtomicBool = AtomicBool::new(false);

/// The programs that have been supervisors of this process.
static PROVEN: LazyLock<Mutex<HashSet<PathBuf>>> = LazyLock::new(Mutex::default);

/// How long a supervisor may take to end all that its script started, and this process to end what
/// a supervisor left.
const UNTIL_ENDED: Duration = Duration::from_secs(5);

/// What the supervisor needs itself to be started; no script gets it.
const LIBRARIES: &str = "LD_LIBRARY_PATH";

/// Makes this process the parent of what a supervisor leaves behind that is itself killed, and ends
/// that. A process that starts other children than scripts must not call it.
pub(crate) fn adopt_orphans() {
    // Where that cannot be done such orphans live on, as they do where a library runs scripts. The
    // orphans of children that whoever was this process before has left to it are strangers.
    if !has_children() && set_child_subreaper(Some(getpid())).is_ok() {
        ADOPTS.store(true, Ordering::Relaxed);
    }
}

/// True if this program has been a supervisor of this process: that it cannot be started now will
/// pass.
pub(super) fn is_proven(supervisor: &Path) -> bool {
    PROVEN.lock().unwrap_or_else(PoisonError::into_inner).contains(supervisor)
}

/// Waits until every supervisor has ended whose call was given up, but no longer than this.
pub(crate) fn wait_for_supervisors(longest: Duration) {
    let known = with_supervisors(|known| known.iter().copied().collect::<Vec<_>>());
    if known.is_empty() {
        return;
    }
    let (ended, wait) = mpsc::channel();
    let waiting = thread::Builder::new().spawn(move || {
        known.into_iter().for_each(wait_for_end);
        ended.send(())
    });
    if waiting.is_ok() {
        let _ = wait.recv_timeout(longest);
    }
}

fn with_supervisors<T>(look: impl FnOnce(&mut HashSet<Pid>) -> T) -> T {
    let supervisors = SUPERVISORS.read().unwrap_or_else(PoisonError::into_inner);
    look(&mut supervisors.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Blocks until a child has ended, and leaves it to be reaped.
fn wait_for_end(child: Pid) {
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    // it fails for a child that was reaped meanwhile
    let _ = retry_on_intr(|| waitid(WaitId::Pid(child), ended));
}

/// Blocks until a supervisor has ended, and reaps it.
fn reap(mut supervisor: Child) -> io::Result<ExitStatus> {
    let pid = Pid::from_child(&supervisor);
    wait_for_end(pid);
    let status = with_supervisors(|known| {
        known.remove(&pid);
        supervisor.wait()
    });
    if !status.as_ref().is_ok_and(ExitStatus::success) {
        IS_LEFT.store(true, Ordering::Relaxed);
    }
    // What could not be killed ends some day. While a supervisor is being started or reaped, that is
    // for whoever reaps next.
    if ADOPTS.load(Ordering::Relaxed)
        && IS_LEFT.load(Ordering::Relaxed)
        && let Ok(mut supervisors) = SUPERVISORS.try_write()
    {
        let known = supervisors.get_mut().unwrap_or_else(PoisonError::into_inner);
        // where `/proc` cannot be read, the dead stay
        let _ = reap_dead(|child| known.contains(&child));
    }
    status
}

/// Ends what a supervisor left behind that was killed.
fn end_orphans() -> io::Result<()> {
    if !ADOPTS.load(Ordering::Relaxed) {
        return Ok(());
    }
    let mut supervisors = SUPERVISORS.write().unwrap_or_else(PoisonError::into_inner);
    let known = supervisors.get_mut().unwrap_or_else(PoisonError::into_inner);
    end_all(UNTIL_ENDED, |child| known.contains(&child))
}

/// A script and its supervisor; dropping it ends all that the script started.
pub(super) struct Supervised {
    control: UnixStream,
    program: PathBuf,
    /// What is to be started, and how much of it is told.
    request: Vec<u8>,
    told: usize,
    /// What the supervisor has told.
    answers: Vec<u8>,
    supervisor: Option<Child>,
    ending: Option<(Ending, io::Result<ExitStatus>)>,
}

/// The script's standard streams.
pub(super) type Pipes = (ChildStdin, ChildStdout, ChildStderr);

impl Supervised {
    /// Starts the supervisor that starts the script.
    pub(super) fn start(
        call: &ScriptCall,
        program: &Path,
        descriptors: Option<u64>,
    ) -> Result<(Self, Pipes), StartFailure> {
        let request = Request::new(call, program, descriptors).encode();
        let request = request.map_err(StartFailure::Request)?;
        Self::spawn(call, request).map_err(StartFailure::Supervisor)
    }

    fn spawn(call: &ScriptCall, request: Vec<u8>) -> io::Result<(Self, Pipes)> {
        let (ours, theirs) = BlockingStream::pair()?;
        let (input, writer) = io::pipe()?;
        Request::announce(&ours, &request, input.as_fd())?;
        drop(input);
        ours.set_nonblocking(true)?;
        let control = UnixStream::from_std(ours)?;
        let stdin = ChildStdin::from_std(OwnedFd::from(writer).into())?;
        let mut command = Command::new(&call.supervisor);
        command
            .arg(ARGUMENT)
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // an interruption at the terminal is for this process alone
            .process_group(0);
        if let Some(folders) = std::env::var_os(LIBRARIES) {
            command.env(LIBRARIES, folders);
        }
        let mut supervisor = {
            let supervisors = SUPERVISORS.read().unwrap_or_else(PoisonError::into_inner);
            let supervisor = command.spawn()?;
            let mut known = supervisors.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(Pid::from_child(&supervisor));
            supervisor
        };
        let (stdout, stderr) = (supervisor.stdout.take(), supervisor.stderr.take());
        // from here on it is reaped whatever happens
        let (told, answers, ending) = (0, Vec::new(), None);
        let (program, supervisor) = (call.supervisor.clone(), Some(supervisor));
        let this = Self { control, program, request, told, answers, supervisor, ending };
        let stdout = stdout.expect("a piped stream has a pipe");
        let stderr = stderr.expect("a piped stream has a pipe");
        let pipes = (stdin, ChildStdout::from_std(stdout)?, ChildStderr::from_std(stderr)?);
        Ok((this, pipes))
    }

    /// Sends SIGTERM to all that the script started.
    pub(super) fn terminate(&self) {
        // a supervisor that does not even know what to start has nothing to end
        if self.told == self.request.len() {
            self.wake();
            // it fails if the supervisor has ended
            let _ = send(&self.control, &[TERMINATE], SendFlags::NOSIGNAL);
        }
    }

    /// Lets a supervisor go on that its script, or somebody else, has stopped.
    fn wake(&self) {
        if let Some(supervisor) = &self.supervisor {
            // its id is its own until it is reaped
            let _ = kill_process(Pid::from_child(supervisor), Signal::CONT);
        }
    }

    /// Waits until the script has ended and nothing of it is left. It may be asked again after it
    /// was given up.
    pub(super) async fn ended(&mut self) {
        if self.ending.is_some() {
            return;
        }
        while let Some(rest) = self.request.get(self.told..).filter(|rest| !rest.is_empty()) {
            match self.control.write(rest).await {
                Ok(count) => self.told += count,
                // it has ended: what it told tells why
                Err(_) => break,
            }
        }
        let mut chunk = [0; 64];
        while let Ok(count @ 1..) = self.control.read(&mut chunk).await {
            self.answers.extend(&chunk[..count]);
        }
        self.conclude();
    }

    /// True if the script has ended and nothing of it is left, whatever the runtime knows: that may
    /// lag behind, as after this process was stopped.
    pub(super) fn has_ended(&mut self) -> bool {
        let mut chunk = [0; 64];
        while self.ending.is_none() {
            match retry_on_intr(|| read(&self.control, &mut chunk[..])) {
                Ok(count @ 1..) => self.answers.extend(&chunk[..count]),
                Err(Errno::AGAIN) => return false,
                Ok(0) | Err(_) => self.conclude(),
            }
        }
        true
    }

    /// Takes down how it ended. The socket is closed, or the supervisor killed, and so as good as
    /// gone.
    fn conclude(&mut self) {
        let status = match self.supervisor.take() {
            Some(supervisor) => reap(supervisor),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        let ending = Ending::read(&self.answers);
        if !matches!(ending, Ending::Lost { is_started: false }) && !is_proven(&self.program) {
            let mut proven = PROVEN.lock().unwrap_or_else(PoisonError::into_inner);
            proven.insert(self.program.clone());
        }
        if matches!(ending, Ending::Lost { .. }) {
            // where `/proc` cannot be read, nothing more can be done
            let _ = end_orphans();
        }
        self.ending = Some((ending, status));
    }

    /// Kills what still runs, and answers how the script and its supervisor ended. A supervisor that
    /// cannot do that in time is killed itself.
    pub(super) async fn end(mut self) -> (Ending, io::Result<ExitStatus>) {
        // it fails if the supervisor has ended
        let _ = shutdown(&self.control, Shutdown::Write);
        self.wake();
        if timeout(UNTIL_ENDED, self.ended()).await.is_err() {
            if let Some(supervisor) = &mut self.supervisor {
                // it fails for nobody but one that is gone
                let _ = supervisor.kill();
            }
            self.conclude();
        }
        self.ending.take().expect("it has ended")
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.wake();
        if let Some(mut supervisor) = self.supervisor.take() {
            let _ = shutdown(&self.control, Shutdown::Both);
            // without a thread it stays to be reaped by whoever outlives this process
            let _ = thread::Builder::new().spawn(move || {
                let is_killed = !has_ended_within(Pid::from_child(&supervisor), UNTIL_ENDED)
                    && supervisor.kill().is_ok();
                let _ = reap(supervisor);
                if is_killed {
                    let _ = end_orphans();
                }
            });
        }
    }
}

/// Why no supervisor was started.
#[derive(Debug)]
pub(super) enum StartFailure {
    /// There can be no such request.
    Request(io::Error),
    /// The system refused to start one.
    Supervisor(io::Error),
}
