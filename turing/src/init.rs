//! Process 1 of a container: starts the program as a child, hands signals on, and reaps orphans.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rustix::io::retry_on_intr;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, wait};
use tokio::signal::unix::{SignalKind, signal};

use crate::descriptors;
use crate::script::THIS_PROGRAM;

/// Whether this process gets the orphans of a whole PID namespace.
pub(crate) fn is_process_one() -> bool {
    getpid().is_init()
}

/// Has a child do what this program was asked for, and answers how that ended.
///
/// The child gets the orphans of its own scripts only, which it may kill. Those of strangers, such
/// as what `docker exec` started, come here: they are reaped, and not killed.
///
/// # Errors
///
/// When the child cannot be started.
pub(crate) fn main() -> io::Result<ExitCode> {
    descriptors::check()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(serve()).map(ExitCode::from)
}

async fn serve() -> io::Result<u8> {
    // the kernel keeps signals from process 1 that it has no handler for
    let mut deaths = signal(SignalKind::child())?;
    let mut hangups = signal(SignalKind::hangup())?;
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut quits = signal(SignalKind::quit())?;
    let mut ends = signal(SignalKind::terminate())?;
    let mut questions = signal(SignalKind::user_defined1())?;
    let mut arguments = std::env::args_os();
    let mut command = Command::new(THIS_PROGRAM);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    // in a group of its own, so that what a terminal sends comes once, and from here
    let child = Pid::from_child(&command.args(arguments).process_group(0).spawn()?);
    loop {
        let handed_on = tokio::select! {
            _ = deaths.recv() => match reap_until(child) {
                Some(status) => return Ok(code(status)),
                None => continue,
            },
            _ = hangups.recv() => Signal::HUP,
            _ = interrupts.recv() => Signal::INT,
            _ = quits.recv() => Signal::QUIT,
            _ = ends.recv() => Signal::TERM,
            _ = questions.recv() => Signal::USR1,
        };
        // its id is its own until it is reaped
        let _ = kill_process(child, handed_on);
    }
}

/// Reaps whoever has ended, until it is the child; answers how that ended.
fn reap_until(child: Pid) -> Option<WaitStatus> {
    while let Ok(Some((pid, status))) = retry_on_intr(|| wait(WaitOptions::NOHANG)) {
        if pid == child {
            return Some(status);
        }
    }
    None
}

/// What a shell would answer for it.
fn code(status: WaitStatus) -> u8 {
    let code = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 3,
    };
    u8::try_from(code).unwrap_or(u8::MAX)
}
