//! A script that runs under its supervisor, as the process that asked for it sees it.

use std::io::{self, ErrorKind, pipe};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ExitStatus};

use rustix::io::{Errno, read, retry_on_intr};
use rustix::net::{SendFlags, Shutdown, send, shutdown};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::time::timeout;

use super::ScriptCall;
use super::parent::{UNTIL_ENDED, end_orphans, part_with, reap, reap_left};
use super::pool::{Supervisor, Supervisors, wake};
use super::wire::{Answer, KILL, Request, TERMINATE};

/// A script and its supervisor; dropping it ends all that the script started.
pub(super) struct Supervised<'a> {
    supervisors: &'a Supervisors,
    control: UnixStream,
    /// What is to be started, and how much of it is told.
    request: Vec<u8>,
    told: usize,
    /// What the supervisor has told.
    answers: Vec<u8>,
    /// The supervisor, until it is reaped.
    process: Option<Child>,
    ending: Option<Ending>,
}

/// The script's standard streams.
pub(super) type Pipes = (ChildStdin, ChildStdout, ChildStderr);

/// How a script ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// So.
    Ended(ExitStatus),
    /// The system refused to start it.
    Refused(io::Error),
    /// The supervisor was lost, in this way; whether it may have started the script.
    Lost { is_started: bool, how: io::Result<ExitStatus> },
}

impl<'a> Supervised<'a> {
    /// Has a supervisor start the script.
    pub(super) fn start(
        supervisors: &'a Supervisors,
        call: &ScriptCall,
        program: &Path,
        descriptors: Option<u64>,
    ) -> Result<(Self, Pipes), StartFailure> {
        let request = Request::new(call, program, descriptors).encode();
        let request = request.map_err(StartFailure::Request)?;
        Self::ask(supervisors, request).map_err(StartFailure::Supervisor)
    }

    fn ask(supervisors: &'a Supervisors, request: Vec<u8>) -> io::Result<(Self, Pipes)> {
        let ((input, stdin), (stdout, output), (stderr, errors)) = (pipe()?, pipe()?, pipe()?);
        let pipes = (
            ChildStdin::from_std(OwnedFd::from(stdin).into())?,
            ChildStdout::from_std(OwnedFd::from(stdout).into())?,
            ChildStderr::from_std(OwnedFd::from(stderr).into())?,
        );
        let Supervisor { control, process } = supervisors.take()?;
        // from here on it is reaped whatever happens
        let announced =
            Request::announce(&control, &request, [input.as_fd(), output.as_fd(), errors.as_fd()]);
        let announced = announced.or_else(|error| match error.kind() {
            // it has ended: how tells why
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => Ok(()),
            _ => Err(error),
        });
        let control = announced.and_then(|()| UnixStream::from_std(control));
        let control = match control {
            Ok(control) => control,
            Err(error) => {
                // its socket is closed
                part_with(vec![process]);
                return Err(error);
            }
        };
        let (told, answers, process, ending) = (0, Vec::new(), Some(process), None);
        Ok((Self { supervisors, control, request, told, answers, process, ending }, pipes))
    }

    /// Sends SIGTERM to all that the script started.
    pub(super) fn terminate(&self) {
        // it fails if there is nobody to be ended
        let _ = self.say(TERMINATE);
    }

    /// Says a word about the script, to a supervisor that need not be awake.
    fn say(&self, word: u8) -> io::Result<()> {
        if let Some(supervisor) = &self.process {
            wake(supervisor);
        }
        // a supervisor that does not even know what to start has nothing to end
        if self.told < self.request.len() {
            return Err(ErrorKind::NotConnected.into());
        }
        send(&self.control, &[word], SendFlags::NOSIGNAL)?;
        Ok(())
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
        while !self.is_free() {
            match self.control.read(&mut chunk).await {
                Ok(count @ 1..) => self.answers.extend(&chunk[..count]),
                _ => break,
            }
        }
        self.conclude();
    }

    /// True if the supervisor has ended all that the script left, and waits for the next.
    fn is_free(&self) -> bool {
        matches!(Answer::last(&self.answers), Some(Answer::Ended(_)))
    }

    /// True if the script has ended and nothing of it is left, whatever the runtime knows: that may
    /// lag behind, as after this process was stopped.
    pub(super) fn has_ended(&mut self) -> bool {
        let mut chunk = [0; 64];
        while self.ending.is_none() {
            if self.is_free() {
                self.conclude();
                continue;
            }
            match retry_on_intr(|| read(&self.control, &mut chunk[..])) {
                Ok(count @ 1..) => self.answers.extend(&chunk[..count]),
                Err(Errno::AGAIN) => return false,
                Ok(0) | Err(_) => self.conclude(),
            }
        }
        true
    }

    /// Takes down how it ended. The supervisor is free, or its socket closed, or it was killed and is
    /// as good as gone.
    fn conclude(&mut self) {
        let answer = Answer::last(&self.answers);
        if answer.is_some() {
            self.supervisors.prove();
        }
        let mut how = || match self.process.take() {
            Some(supervisor) => reap(supervisor),
            None => Err(ErrorKind::NotFound.into()),
        };
        let ending = match answer {
            Some(Answer::Ended(status)) => {
                reap_left();
                Ending::Ended(ExitStatus::from_raw(status))
            }
            Some(Answer::Left(status)) => {
                // its exit says the same
                let _ = how();
                Ending::Ended(ExitStatus::from_raw(status))
            }
            Some(Answer::Refused(number)) => {
                // nothing was started
                let _ = how();
                Ending::Refused(match number {
                    0 => io::Error::other("for no reason that is known"),
                    number => io::Error::from_raw_os_error(number),
                })
            }
            Some(Answer::Started) => Ending::Lost { is_started: true, how: how() },
            None => Ending::Lost { is_started: false, how: how() },
        };
        if matches!(ending, Ending::Lost { .. }) {
            // where `/proc` cannot be read, nothing more can be done
            let _ = end_orphans();
        }
        self.ending = Some(ending);
    }

    /// Kills what still runs, and answers how the script ended. A supervisor that cannot do that in
    /// time is killed itself.
    pub(super) async fn end(mut self) -> Ending {
        if self.ending.is_none() && self.say(KILL).is_err() {
            // it fails if the supervisor has ended
            let _ = shutdown(&self.control, Shutdown::Write);
        }
        if timeout(UNTIL_ENDED, self.ended()).await.is_err() {
            if let Some(supervisor) = &mut self.process {
                // it fails for nobody but one that is gone
                let _ = supervisor.kill();
            }
            self.conclude();
        }
        self.ending.take().expect("it has ended")
    }
}

impl Drop for Supervised<'_> {
    fn drop(&mut self) {
        let Some(process) = self.process.take() else { return };
        // the next script's calls may be made in another runtime than this socket's
        if self.is_free()
            && let Ok(control) = self.control.as_fd().try_clone_to_owned()
        {
            self.supervisors.keep(Supervisor { control: control.into(), process });
            return;
        }
        wake(&process);
        let _ = shutdown(&self.control, Shutdown::Both);
        part_with(vec![process]);
    }
}

/// Why no supervisor was asked.
#[derive(Debug)]
pub(super) enum StartFailure {
    /// There can be no such request.
    Request(io::Error),
    /// The system refused to start one, or what is needed to ask it.
    Supervisor(io::Error),
}
