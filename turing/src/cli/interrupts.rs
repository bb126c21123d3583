//! The signals that ask a command to end, and what they mean while it goes on.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::telling::{drain, tell};
use super::{Failure, Verdict};

/// SIGINT and SIGTERM, but for those that were ignored when the program was started: whoever did
/// that, such as `nohup` or a shell that starts a job in the background, means them to be.
#[derive(Debug)]
pub(super) struct Interrupts {
    kinds: Vec<SignalKind>,
    phase: Arc<Mutex<Option<Phase>>>,
    heard: watch::Sender<u32>,
}

/// What a signal means.
#[derive(Debug, Clone, Copy)]
enum Phase {
    /// Nothing has begun: the program ends at once, and says so.
    Before,
    /// The command counts them.
    Going,
    /// The exit code is certain: whatever is still being printed, the program ends with it.
    Over(u8),
}

impl Interrupts {
    /// Nothing is listened to yet: until then signals do what the system does.
    pub(super) fn new() -> Self {
        let ignored = ignored();
        let is_heard = |kind: &SignalKind| (ignored >> (kind.as_raw_value() - 1)) & 1 == 0;
        let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
        Self {
            kinds: kinds.into_iter().filter(is_heard).collect(),
            phase: Arc::default(),
            heard: watch::Sender::new(0),
        }
    }

    /// From now on a signal ends the program at once, because nothing has begun.
    pub(super) fn before(&self) -> Result<(), Failure> {
        self.enter(Phase::Before).map_err(Failure::Signals)
    }

    /// From now on signals are counted.
    pub(super) fn going(&self) -> Result<watch::Receiver<u32>, Failure> {
        self.heard.send_replace(0);
        // before anything is counted, so that nothing counted is taken for seen
        let heard = self.heard.subscribe();
        self.enter(Phase::Going).map_err(Failure::Signals)?;
        Ok(heard)
    }

    /// From now on a signal ends the program at once with this exit code.
    pub(super) fn over(&self, code: u8) {
        // if they cannot be listened to, they do what the system does
        let _ = self.enter(Phase::Over(code));
    }

    fn enter(&self, phase: Phase) -> io::Result<()> {
        let before = locked(&self.phase).replace(phase);
        if before.is_none() {
            for kind in &self.kinds {
                let signals = signal(*kind)?;
                tokio::spawn(listen(signals, Arc::clone(&self.phase), self.heard.clone()));
            }
        }
        Ok(())
    }
}

async fn listen(mut signals: Signal, phase: Arc<Mutex<Option<Phase>>>, heard: watch::Sender<u32>) {
    while signals.recv().await.is_some() {
        let now = *locked(&phase);
        match now {
            Some(Phase::Before) => {
                tell("ended before anything was run; the same command begins again");
                drain(super::PATIENCE);
                std::process::exit(Verdict::Stopped.exit_code().into());
            }
            Some(Phase::Over(code)) => std::process::exit(code.into()),
            Some(Phase::Going) | None => heard.send_modify(|count| *count += 1),
        }
    }
}

fn locked(phase: &Mutex<Option<Phase>>) -> MutexGuard<'_, Option<Phase>> {
    phase.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on SIGUSR1, which asks a run how far it is, ends no command, whether it can answer or not.
/// What it starts has the default again.
pub(super) fn outlive_questions() {
    // the handler stays when nobody listens
    drop(signal(SignalKind::user_defined1()));
}

/// From now on a write past the largest size of a file (`ulimit -f`) fails, and what wanted to write
/// can say so; before, the system ends the program. What it starts has the default again.
///
/// Whoever ignores the signal has this already, and what is started keeps it.
pub(super) fn outlive_large_files() {
    let kind = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    if (ignored() >> (kind.as_raw_value() - 1)) & 1 == 0 {
        // without a handler the system ends the program, as it does every other one
        drop(signal(kind));
    }
}

/// The signals that are ignored, one bit each from 1; none where the system does not tell.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
