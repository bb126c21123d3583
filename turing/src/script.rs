//! Script actors: one call of a script is one process group, held to its limits.

mod capture;
mod failure;
mod group;
mod program;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::pin::pin;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::AsyncWriteExt;
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::time::sleep;
use turing_domain::FailureType;

use capture::{Bounded, Tail, drain, pump};
use failure::CallError;
use group::Group;

pub use program::{StartError, resolve_program};

/// How often a program that another process still writes is tried again.
const BUSY_TRIES: u32 = 20;
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// What one call of a script needs: nothing else reaches the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptCall {
    /// The path of the executable, as [`resolve_program`] finds it; no search path is consulted.
    pub program: PathBuf,
    /// What follows the program on its command line.
    pub arguments: Vec<OsString>,
    /// The working directory.
    pub folder: PathBuf,
    /// The whole environment: nothing of our own is inherited.
    pub environment: BTreeMap<String, String>,
    /// What the script can read on standard input.
    pub input: Vec<u8>,
    /// How long it may run and how much it may print.
    pub limits: ScriptLimits,
}

/// The bounds of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScriptLimits {
    /// From the start to the exit of the script.
    pub time: Duration,
    /// Between SIGTERM at the time limit and SIGKILL.
    pub grace: Duration,
    /// What standard output may hold; one byte more fails the call.
    pub output_bytes: usize,
    /// How much of the end of standard error is kept.
    pub stderr_bytes: usize,
}

impl Default for ScriptLimits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(300),
            grace: Duration::from_secs(2),
            output_bytes: 1024 * 1024,
            stderr_bytes: 64 * 1024,
        }
    }
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScriptOutcome {
    /// The script exited with code 0 and printed text.
    Completed {
        /// Standard output byte for byte, without one final line feed.
        output: String,
        /// From the start to the end of the call.
        duration: Duration,
    },
    /// Anything else, a script that could not be started included.
    Failed {
        /// What decides whether it is worth trying again.
        failure_type: FailureType,
        /// What happened, with the program's path.
        error: String,
        /// The end of standard error; bytes that no text column can hold are replaced by U+FFFD.
        stderr: String,
        /// From the start to the end of the call.
        duration: Duration,
    },
}

/// Runs a script to its end.
///
/// The script leads a process group of its own, which never outlives the call:
/// - At the time limit the group gets SIGTERM, and SIGKILL once the grace is over.
/// - Past the output limit it gets SIGKILL at once, so that memory stays bounded.
/// - When the script exits, SIGKILL ends what it left running in its group. Then what is already
///   in its pipes is read without waiting for their end: a descendant that moved to another
///   session survives, but cannot hold the call by keeping a pipe open.
///
/// Input is written while output is read, and a script need not read it.
///
/// A death by SIGKILL, SIGTERM, SIGINT or SIGHUP that was not sent from here is `interrupted`,
/// and so are the exit codes (137, 143, …) by which a shell reports such a death of its own child.
/// The kernel gives no sign by which its out-of-memory killer could be told from any other SIGKILL,
/// so `out_of_memory` is never guessed from one. Other signals and exit codes are `script_error`.
///
/// # Cancellation
///
/// Dropping the future sends SIGKILL to the group; the process is still reaped. If this process is
/// itself killed, the script goes on until it next writes to its broken pipe.
///
/// # Panics
///
/// Outside a tokio runtime with its I/O and time drivers enabled.
pub async fn run_script(call: &ScriptCall) -> ScriptOutcome {
    let started = Instant::now();
    let mut errors = Tail::new(call.limits.stderr_bytes);
    let result = supervise(call, &mut errors).await;
    let duration = started.elapsed();
    match result {
        Ok(output) => ScriptOutcome::Completed { output, duration },
        Err(reason) => ScriptOutcome::Failed {
            failure_type: reason.failure_type(),
            error: reason.describe(&call.program),
            stderr: errors.into_text(),
            duration,
        },
    }
}

async fn supervise(call: &ScriptCall, errors: &mut Tail) -> Result<String, CallError> {
    let mut group = start(call).await?;
    let (stdin, mut stdout, mut stderr) = group.pipes().map_err(CallError::Pipe)?;
    let mut output = Bounded::new(call.limits.output_bytes);

    let violation = {
        let mut traffic =
            pin!(traffic(&call.input, stdin, (&mut stdout, &mut output), (&mut stderr, errors),));
        tokio::select! {
            biased;
            () = group.exited() => None,
            violation = &mut traffic => Some(violation),
            () = sleep(call.limits.time) => {
                group.signal(Signal::TERM);
                tokio::select! {
                    biased;
                    () = group.exited() => {}
                    _ = &mut traffic => {}
                    () = sleep(call.limits.grace) => {}
                }
                Some(CallError::TimedOut(call.limits.time))
            }
        }
    };
    let status = group.end().await;

    // What the script wrote before its exit is in the pipes by now.
    drain(&stderr, errors).map_err(CallError::Pipe)?;
    if let Some(violation) = violation {
        return Err(violation);
    }
    drain(&stdout, &mut output).map_err(CallError::Pipe)?;
    failure::judge(status)?;
    output.into_text()
}

/// Starts the script, and waits a little while its file is still being written: between a fork and
/// an exec elsewhere in this process, a copy of the writer's descriptor is open for a moment.
async fn start(call: &ScriptCall) -> Result<Group, CallError> {
    let program = std::path::absolute(&call.program)
        .map_err(|error| StartError::diagnose(&call.program, error))?;
    program::check(&program, &call.folder)?;
    let mut command = Command::new(&program);
    command
        .args(&call.arguments)
        .current_dir(&call.folder)
        .env_clear()
        .envs(&call.environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    for _ in 1..BUSY_TRIES {
        match command.spawn() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                sleep(BUSY_PAUSE).await;
            }
            spawned => return watch(call, spawned),
        }
    }
    watch(call, command.spawn())
}

fn watch(
    call: &ScriptCall,
    spawned: std::io::Result<std::process::Child>,
) -> Result<Group, CallError> {
    match spawned {
        Ok(child) => Ok(Group::watch(child)),
        Err(error) => Err(StartError::diagnose(&call.program, error).into()),
    }
}

/// Moves bytes both ways until a limit is passed; at the end of both outputs it waits for ever,
/// because only the exit says that the script is over.
async fn traffic(
    input: &[u8],
    stdin: ChildStdin,
    (stdout, output): (&mut ChildStdout, &mut Bounded),
    (stderr, errors): (&mut ChildStderr, &mut Tail),
) -> CallError {
    let moved = tokio::try_join!(feed(stdin, input), pump(stdout, output), pump(stderr, errors));
    match moved {
        Ok(_) => std::future::pending().await,
        Err(violation) => violation,
    }
}

async fn feed(mut stdin: ChildStdin, input: &[u8]) -> Result<(), CallError> {
    match stdin.write_all(input).await {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(CallError::Pipe(error)),
        _ => Ok(()),
    }
}
