//! Script actors: one call of a script is one process and all that it starts, held to its limits.

mod capture;
mod children;
mod failure;
mod parent;
mod pool;
mod program;
mod supervised;
mod supervisor;
mod wire;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::time::sleep;
use turing_domain::FailureType;

use crate::descriptors;
use capture::{Bounded, Tail, drain, pump};
use failure::{CallError, is_scarcity};
use supervised::{Ending, StartFailure, Supervised};

pub(crate) use parent::{adopt_orphans, run_plainly, wait_for_supervisors};
pub use pool::Supervisors;
pub use program::{StartError, resolve_program};
pub use supervisor::supervise_if_asked;
pub(crate) use supervisor::take_name;

/// The program that runs now, also when its file was replaced meanwhile: the supervisor of a program
/// that calls [`supervise_if_asked`].
pub const THIS_PROGRAM: &str = "/proc/self/exe";

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
    /// The system has too little of something to start the script now, or the supervisor cannot be
    /// started: that is no failure of the script, which nobody has executed.
    NotStarted {
        /// Whether it is worth trying again later, as it is where a supervisor was started before.
        passes: bool,
        /// What is missing.
        error: String,
    },
    /// Anything else, a script that cannot be started included.
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

impl Supervisors {
    /// Runs a script to its end.
    ///
    /// The script leads a process group of its own, below a supervisor that the kernel makes the
    /// parent of every process that the script started and left, whatever groups and sessions these
    /// made. Nothing of that outlives the call:
    /// - At the time limit all of it gets SIGTERM, and SIGKILL once the grace is over.
    /// - Past the output limit it gets SIGKILL at once, so that memory stays bounded.
    /// - When the script exits, SIGKILL ends what it left running. Then what is in its pipes is read.
    ///
    /// What may not be killed, because it runs as another user, is left, and cannot hold the call by
    /// keeping a pipe open.
    ///
    /// Input is written while output is read, and a script need not read it.
    ///
    /// A death by SIGKILL, SIGTERM, SIGINT or SIGHUP that was not sent from here is `interrupted`,
    /// and so are the exit codes (137, 143, …) by which a shell reports such a death of its own child.
    /// The kernel gives no sign by which its out-of-memory killer could be told from any other
    /// SIGKILL, so `out_of_memory` is never guessed from one. Other signals and exit codes are
    /// `script_error`.
    ///
    /// # Cancellation
    ///
    /// Dropping the future, and the end of this process, however it ends, make the supervisor kill
    /// all that the script started. A supervisor that is killed itself makes the attempt
    /// `interrupted`; `turing` then kills what it left, and other programs do not.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its I/O and time drivers enabled.
    pub async fn run(&self, call: &ScriptCall) -> ScriptOutcome {
        let started = Instant::now();
        let mut errors = Tail::new(call.limits.stderr_bytes);
        let result = supervise(self, call, &mut errors).await;
        let duration = started.elapsed();
        match result {
            Ok(output) => ScriptOutcome::Completed { output, duration },
            Err(Unfinished::NotStarted { passes, error }) => {
                // others may need what those take that have nothing to do
                self.end_idle();
                ScriptOutcome::NotStarted { passes, error }
            }
            Err(Unfinished::Failed(reason)) => ScriptOutcome::Failed {
                failure_type: reason.failure_type(),
                error: reason.describe(&call.program),
                stderr: errors.into_text(),
                duration,
            },
        }
    }
}

/// Why a call has no output.
enum Unfinished {
    Failed(CallError),
    NotStarted { passes: bool, error: String },
}

impl From<CallError> for Unfinished {
    fn from(error: CallError) -> Self {
        Self::Failed(error)
    }
}

impl From<StartError> for Unfinished {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Refused { path, source } if is_scarcity(&source) => {
                // its supervisor starts it with the limit that this program was given
                let limit = descriptors::given_limit().or_else(descriptors::limit);
                let why = failure::refusal(&source, limit);
                let error = format!("script `{}` could not be started: {why}", path.display());
                Self::NotStarted { passes: true, error }
            }
            error => Self::Failed(error.into()),
        }
    }
}

async fn supervise(
    supervisors: &Supervisors,
    call: &ScriptCall,
    errors: &mut Tail,
) -> Result<String, Unfinished> {
    let program = std::path::absolute(&call.program)
        .map_err(|error| StartError::diagnose(&call.program, error))?;
    program::check(&program, &call.folder)?;
    let started = Supervised::start(supervisors, call, &program, descriptors::given_limit());
    let (mut script, pipes) =
        started.map_err(|failure| not_supervised(supervisors, call, failure))?;
    let (stdin, mut stdout, mut stderr) = pipes;
    let mut output = Bounded::new(call.limits.output_bytes);

    let violation = {
        let mut traffic =
            pin!(traffic(&call.input, stdin, (&mut stdout, &mut output), (&mut stderr, errors),));
        tokio::select! {
            biased;
            () = script.ended() => None,
            violation = &mut traffic => Some(violation),
            // it may have ended while this process was stopped
            () = sleep(call.limits.time) => match script.has_ended() {
                true => None,
                false => {
                    script.terminate();
                    tokio::select! {
                        biased;
                        () = script.ended() => {}
                        _ = &mut traffic => {}
                        () = sleep(call.limits.grace) => {}
                    }
                    Some(CallError::TimedOut(call.limits.time))
                }
            },
        }
    };
    let ending = script.end().await;

    // What the script wrote before its exit is in the pipes by now.
    drain(&stderr, errors).map_err(CallError::Pipe)?;
    if let Some(violation) = violation {
        return Err(violation.into());
    }
    let status = match ending {
        Ending::Ended(status) => status,
        Ending::Refused(error) => return Err(StartError::diagnose(&call.program, error).into()),
        Ending::Lost { is_started: true, how } => {
            return Err(CallError::Unsupervised(failure::of_supervisor(&how)).into());
        }
        Ending::Lost { is_started: false, how } => {
            let (name, told) = (supervisors.program().display(), failure::of_supervisor(&how));
            let error = format!("supervisor `{name}` {told} before it had started a script");
            // one that was killed, as the kernel does when memory runs out, did no wrong
            let is_killed = how.is_ok_and(|status| status.code().is_none());
            let passes = is_killed || supervisors.is_proven();
            return Err(Unfinished::NotStarted { passes, error });
        }
    };
    drain(&stdout, &mut output).map_err(CallError::Pipe)?;
    failure::judge(status)?;
    Ok(output.into_text()?)
}

fn not_supervised(
    supervisors: &Supervisors,
    call: &ScriptCall,
    failure: StartFailure,
) -> Unfinished {
    match failure {
        StartFailure::Request(error) => StartError::diagnose(&call.program, error).into(),
        StartFailure::Supervisor(error) => {
            let name = supervisors.program().display();
            let passes = is_scarcity(&error) || supervisors.is_proven();
            let why = failure::refusal(&error, descriptors::limit());
            let error = format!("supervisor `{name}` could not be started: {why}");
            Unfinished::NotStarted { passes, error }
        }
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
