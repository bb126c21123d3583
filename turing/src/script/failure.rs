//! Why a call of a script failed.

use std::error::Error;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::Signal;
use turing_domain::FailureType;

use super::program::StartError;
use crate::descriptors;

/// The reason, worded to follow the program's path; a [`StartError`] names it itself.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("ran longer than its time limit of {0:?} and was ended with all that it had started")]
    TimedOut(Duration),
    #[error("printed more than the {0} bytes that an output may have and was killed")]
    OutputLimit(usize),
    #[error("printed bytes that are not UTF-8, the first at byte offset {0}")]
    OutputEncoding(usize),
    #[error("printed U+0000 at byte offset {0}, which no store can hold")]
    OutputNul(usize),
    #[error("exited with code {0}{hint}", hint = code_hint(*.0))]
    Exit(i32),
    #[error("was killed by {name}{hint}", name = signal_name(*.0), hint = signal_hint(*.0))]
    Killed(i32),
    #[error("lost one of its pipes to us")]
    Pipe(#[source] io::Error),
    #[error("lost its supervisor, which {0}, and was ended with it")]
    Unsupervised(String),
    #[error("ended in a way that could not be learned: {0}")]
    Status(ExitStatus),
}

impl CallError {
    pub(super) fn failure_type(&self) -> FailureType {
        match self {
            Self::Start(error) => error.failure_type(),
            Self::TimedOut(_) => FailureType::Timeout,
            Self::OutputLimit(_) | Self::OutputEncoding(_) | Self::OutputNul(_) => {
                FailureType::InvalidOutput
            }
            Self::Exit(code) if is_interruption(code - 128) => FailureType::Interrupted,
            Self::Killed(signal) if is_interruption(*signal) => FailureType::Interrupted,
            Self::Exit(_) | Self::Killed(_) => FailureType::ScriptError,
            Self::Pipe(_) | Self::Unsupervised(_) => FailureType::Interrupted,
            Self::Status(_) => FailureType::Unknown,
        }
    }

    /// The whole chain as one line for an event.
    pub(super) fn describe(&self, program: &Path) -> String {
        let mut text = match self {
            Self::Start(error) => error.to_string(),
            other => format!("`{}` {other}", program.display()),
        };
        let mut source = self.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    }
}

/// Exit code 0 is success, and nothing else is.
pub(super) fn judge(status: ExitStatus) -> Result<(), CallError> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(CallError::Exit(code)),
        (None, Some(signal)) => Err(CallError::Killed(signal)),
        (None, None) => Err(CallError::Status(status)),
    }
}

/// How a supervisor ended that told nothing.
pub(super) fn of_supervisor(status: &io::Result<ExitStatus>) -> String {
    let status = match status {
        Ok(status) => status,
        Err(error) => return format!("ended in a way that could not be learned: {error}"),
    };
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => {
            format!("was killed by {}{}", signal_name(signal), signal_hint(signal))
        }
        (None, None) => status.to_string(),
    }
}

/// True for what the system has too little of now, and will have more of.
pub(super) fn is_scarcity(error: &io::Error) -> bool {
    let scarce = [Errno::AGAIN, Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::TOOMANYREFS];
    Errno::from_io_error(error).is_some_and(|error| scarce.contains(&error))
}

/// What the system said, and what is to be done about it; `descriptors` is the limit of open files of
/// whoever was refused.
pub(super) fn refusal(error: &io::Error, descriptors: Option<u64>) -> String {
    let cure = match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::TOOMANYREFS) => descriptors::cure(descriptors),
        Some(Errno::NFILE) => {
            "the whole system has no more open files to give; end programs, or raise `fs.file-max`"
                .to_owned()
        }
        Some(Errno::AGAIN) => {
            "there are as many processes as the user, or the control group, may have; end some, or \
             raise the limit, with `ulimit -u` or where it is set (`pids.max`)"
                .to_owned()
        }
        Some(Errno::NOMEM) => "memory is short; end programs, or attempt less at once".to_owned(),
        Some(Errno::NOENT) if !Path::new("/proc/self").exists() => {
            "there is no /proc here, by which `turing` starts itself; mount it, with `mount -t proc \
             proc /proc`"
                .to_owned()
        }
        _ => return error.to_string(),
    };
    format!("{error}: {cure}")
}

/// Signals by which operators, service managers and the kernel end a process that did no wrong.
fn is_interruption(signal: i32) -> bool {
    [Signal::HUP, Signal::INT, Signal::KILL, Signal::TERM]
        .iter()
        .any(|known| known.as_raw() == signal)
}

fn code_hint(code: i32) -> String {
    match code {
        126 => " (by which a shell says that a command is not executable)".to_owned(),
        127 => " (by which a shell says that a command was not found)".to_owned(),
        129..=192 => format!(
            " (by which a shell says that its command was killed by {name}{hint})",
            name = signal_name(code - 128),
            hint = signal_hint(code - 128)
        ),
        _ => String::new(),
    }
}

fn signal_hint(signal: i32) -> &'static str {
    if signal == Signal::KILL.as_raw() { ", as the kernel does when memory runs out" } else { "" }
}

fn signal_name(signal: i32) -> String {
    const NAMES: [(Signal, &str); 14] = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::TERM, "SIGTERM"),
        (Signal::XCPU, "SIGXCPU"),
    ];
    match NAMES.iter().find(|(known, _)| known.as_raw() == signal) {
        Some((_, name)) => format!("signal {signal} ({name})"),
        None => format!("signal {signal}"),
    }
}
