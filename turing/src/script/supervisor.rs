//! A supervisor: the process that starts one script at a time, and ends all that this has started.

use std::ffi::CString;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream as BlockingStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::socket_type;
use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitOptions, getpid, getrlimit, kill_process,
    kill_process_group, set_child_subreaper, setrlimit, wait, waitpid,
};
use rustix::thread::{name, set_name};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

use super::children::{end_all, has_children, terminate};
use super::wire::{Answer, Request, Streams, Word};
use crate::descriptors;

/// The first argument of a program that is started to supervise a script.
pub(super) const ARGUMENT: &str = "supervise-a-script";

/// How often a program that another process still writes is tried again.
const BUSY_TRIES: u32 = 20;
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// Supervises scripts if this process was started for that, and answers the exit code then.
///
/// A program that names itself to [`Supervisors::new`](super::Supervisors::new) calls this first in
/// its `main`, before it starts a thread.
pub fn supervise_if_asked() -> Option<ExitCode> {
    let is_named = std::env::args_os().nth(1).is_some_and(|argument| argument == ARGUMENT);
    // somebody who types the argument has no socket there
    let is_asked = is_named && socket_type(io::stdin()).is_ok();
    // whoever started this process reads what came of it from the socket
    is_asked.then(|| if supervise().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Gives this process the name of its program, as `ps` and `pgrep` know it, where it was started as
/// `/proc/self/exe`; before it starts a thread, which would have the other name.
pub(crate) fn take_name() {
    if !name().is_ok_and(|name| name.as_bytes() == b"exe") {
        return;
    }
    let program = std::env::args_os().next().map(PathBuf::from);
    let file = program.as_deref().and_then(Path::file_name);
    if let Some(Ok(name)) = file.map(|name| CString::new(name.as_bytes())) {
        // it is for people only
        let _ = set_name(&name);
    }
}

fn supervise() -> io::Result<()> {
    take_name();
    let mut control = BlockingStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let build = |()| tokio::runtime::Builder::new_current_thread().enable_io().build();
    let runtime = match descriptors::check().and_then(build) {
        Ok(runtime) => runtime,
        Err(error) => return control.write_all(&refusal(&error).encode()),
    };
    runtime.block_on(async {
        control.set_nonblocking(true)?;
        let mut control = UnixStream::from_std(control)?;
        match prepare() {
            Ok(deaths) => serve(control, deaths).await,
            Err(error) => control.write_all(&refusal(&error).encode()).await,
        }
    })?;
    // the exit code says so to whom it is left
    if has_children() { Err(io::Error::other("what may not be killed is left")) } else { Ok(()) }
}

/// Makes this process one that can supervise; answers who tells of the deaths of its children.
fn prepare() -> io::Result<Signals> {
    let deaths = signal(SignalKind::child())?;
    outlive_signals()?;
    // whoever loses its parent below this process becomes its child, whatever groups and sessions
    // it made
    set_child_subreaper(Some(getpid()))?;
    Ok(deaths)
}

/// Starts one script after the other, until nobody asks for more or something is left of one.
async fn serve(mut control: UnixStream, mut deaths: Signals) -> io::Result<()> {
    loop {
        let streams = match Word::hear(&control).await? {
            Word::Start(streams) => streams,
            // it came too late for the script before
            Word::Terminate | Word::Kill => continue,
            Word::End => return Ok(()),
        };
        let request = Request::read(&mut control).await?;
        // from here on some of it may have been done
        control.write_all(&Answer::Started.encode()).await?;
        let answer = match spawn(&request, streams) {
            Ok(script) => see_to(Pid::from_child(&script), &mut deaths, &control).await?,
            Err(error) => refusal(&error),
        };
        control.write_all(&answer.encode()).await?;
        if !matches!(answer, Answer::Ended(_)) {
            return Ok(());
        }
    }
}

fn refusal(error: &io::Error) -> Answer {
    Answer::Refused(error.raw_os_error().unwrap_or(0))
}

/// Keeps signals from ending this process by which a service manager asks all processes of a service
/// to end: the script hears them itself, and is not ended before it has cleaned up.
///
/// They are handled rather than ignored, because what is ignored stays so in whatever is started.
fn outlive_signals() -> io::Result<()> {
    for kind in [SignalKind::hangup, SignalKind::interrupt, SignalKind::quit, SignalKind::terminate]
    {
        // the handler stays
        drop(signal(kind())?);
    }
    Ok(())
}

/// Waits until the script has ended, or ends it when nobody waits for it any more; then ends what it
/// left behind. Answers how that went.
async fn see_to(script: Pid, deaths: &mut Signals, control: &UnixStream) -> io::Result<Answer> {
    let (mut is_wanted, mut status) = (true, None);
    while is_wanted && status.is_none() {
        tokio::select! {
            biased;
            _ = deaths.recv() => status = reap_until(script),
            word = Word::hear(control) => match word {
                Ok(Word::Terminate) => terminate(script),
                _ => is_wanted = false,
            },
        }
    }
    let status = match status {
        Some(status) => status,
        None => kill(script)?,
    };
    end_all(Duration::MAX, |_| false)?;
    Ok(if has_children() { Answer::Left(status) } else { Answer::Ended(status) })
}

/// Starts the script, and waits a little while its file is still being written: between a fork and
/// an exec elsewhere, a copy of the writer's descriptor is open for a moment.
fn spawn(request: &Request, [input, output, errors]: Streams) -> io::Result<Child> {
    let mut command = Command::new(&request.program);
    command
        .args(&request.arguments)
        .current_dir(&request.folder)
        .env_clear()
        .envs(request.environment.iter().map(|(key, value)| (key, value)))
        .stdin(Stdio::from(input))
        .stdout(Stdio::from(output))
        .stderr(Stdio::from(errors))
        .process_group(0);
    let ours = getrlimit(Resource::Nofile);
    if let Some(limit) = request.descriptors {
        setrlimit(Resource::Nofile, Rlimit { current: Some(limit), ..ours })?;
    }
    let mut tries = 1;
    let started = loop {
        match command.spawn() {
            Err(error)
                if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < BUSY_TRIES =>
            {
                tries += 1;
                sleep(BUSY_PAUSE);
            }
            // so the system calls a descriptor beyond the limit that is the script's
            Err(error)
                if request.descriptors.is_some()
                    && Errno::from_io_error(&error) == Some(Errno::BADF) =>
            {
                break Err(Errno::MFILE.into());
            }
            started => break started,
        }
    };
    // what it was a moment ago is always allowed
    let _ = setrlimit(Resource::Nofile, ours);
    started
}

/// Reaps whoever has ended, until it is the script; answers its wait status.
fn reap_until(script: Pid) -> Option<i32> {
    while let Ok(Some((pid, status))) = retry_on_intr(|| wait(WaitOptions::NOHANG)) {
        if pid == script {
            return Some(status.as_raw());
        }
    }
    None
}

/// Kills the script with its group, and answers its wait status. One that may not be killed, as it
/// has become a program that `sudo` started, is left, and answered for as if it were dead.
fn kill(script: Pid) -> io::Result<i32> {
    // its id is its own, and its group's, until it is reaped
    let _ = kill_process_group(script, Signal::KILL);
    // it may have gone to another group
    if kill_process(script, Signal::KILL) == Err(Errno::PERM) {
        return Ok(Signal::KILL.as_raw());
    }
    let reaped = retry_on_intr(|| waitpid(Some(script), WaitOptions::empty()))?;
    Ok(reaped.map_or(0, |(_, status)| status.as_raw()))
}
