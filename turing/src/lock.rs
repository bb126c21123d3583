//! One process at a time runs a workflow in a store.
//!
//! For a file that is a lock on a file beside it. In PostgreSQL it is an advisory lock of a
//! transaction that stays open as long as the run, on a connection of its own.
//!
//! Either can be lost while the process goes on: somebody deletes the file, the server restarts or
//! ends the session, the host was asleep. So a run asks before each attempt whether it still has
//! the lock, and takes it again, unless another process was faster. What rests on the lock is that
//! work is not done twice in vain; what is recorded is judged by the versions of the streams.

mod answers;
mod file;
mod session;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use es_core::event::Timestamp;
use es_core::execution::StoreError;
use es_postgres::PostgresConfig;
use tokio::time::sleep;
use turing_domain::WorkflowId;

use answers::{Answers, Question};
use file::FileLock;
use session::SessionLock;

/// How long a run waits for a store that is away, as while its server restarts, from when that is
/// noticed; for a lock also until the server notices that the session is gone that had it, which it
/// does within 20 s.
pub(crate) const ABSENCE: Duration = Duration::from_secs(30);

/// How long the file of a lock is asked for again that another process holds, and how often: that may
/// be one that is being ended. A server is asked for a second.
const ENDING: Duration = Duration::from_millis(500);
const ONCE_MORE: Duration = Duration::from_millis(10);

/// For how long the answer of a server is as good to an attempt as one that is asked for now: its posting is
/// read behind it, which takes about as long.
const LATELY: Duration = Duration::from_millis(5);

/// The right of this process to run the workflow. The system takes it back when the process ends,
/// however it ends; clones are the same right, and it is given back with the last of them.
#[derive(Debug, Clone)]
pub struct RunLock {
    workflow: WorkflowId,
    losses: Losses,
    answers: Arc<Answers<Holding>>,
    /// When a server was asked last, if the answer was good.
    asked: Option<Arc<Mutex<Option<Instant>>>>,
}

/// Who runs a workflow in a store now, as far as can be seen. Looking keeps nobody from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A process, as it names itself.
    Process(String),
    /// No process: what is in progress was interrupted.
    Nobody,
    /// The same, as far as whoever had the lock did not lose it because the server began then; who
    /// has lost it so takes it again before its next attempt.
    NobodySince(Timestamp),
    /// It cannot be seen.
    Unknown,
}

impl Holder {
    /// Who holds the lock in a PostgreSQL database.
    pub(crate) async fn within(config: &PostgresConfig, workflow: WorkflowId) -> Self {
        session::holder(config, workflow).await.unwrap_or(Self::Unknown)
    }

    /// Who holds the lock beside the store in the file at `store`.
    pub(crate) fn beside(store: &Path, workflow: WorkflowId) -> Self {
        file::holder(store, workflow)
    }
}

/// Why the workflow cannot be run now.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process runs it.
    #[error(
        "workflow {workflow} is being run in this store by process {process}; wait for it, or stop it"
    )]
    Held {
        /// The workflow.
        workflow: WorkflowId,
        /// The process, as it wrote into the lock file.
        process: String,
    },
    /// The database cannot be asked.
    #[error(transparent)]
    Store(StoreError),
    /// The lock file cannot be used.
    #[error("cannot lock {}{cure}", path.display())]
    Unusable {
        /// The lock file.
        path: PathBuf,
        /// What stands in the way, and what is to be done about it, behind a semicolon; or nothing.
        cure: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl Clone for LockError {
    /// The same for somebody else who waits for the same answer.
    fn clone(&self) -> Self {
        match self {
            Self::Held { workflow, process } => {
                Self::Held { workflow: *workflow, process: process.clone() }
            }
            Self::Store(error) => Self::Store(error.clone()),
            Self::Unusable { path, cure, source } => {
                let source = match source.raw_os_error() {
                    Some(number) => io::Error::from_raw_os_error(number),
                    None => io::Error::new(source.kind(), source.to_string()),
                };
                Self::Unusable { path: path.clone(), cure: cure.clone(), source }
            }
        }
    }
}

/// Whether the lock was held all the time since somebody began to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It was.
    Kept,
    /// It was lost and taken again: another process may have had it in between.
    TakenAgain,
}

impl RunLock {
    /// The lock of a store that no other process can reach.
    pub(crate) fn none(workflow: WorkflowId) -> Self {
        Self::holding(workflow, Held::Nothing)
    }

    /// Locks the workflow in a PostgreSQL database.
    pub(crate) async fn within(
        config: &PostgresConfig,
        workflow: WorkflowId,
    ) -> Result<Self, LockError> {
        let lock = SessionLock::take(config, workflow).await?;
        Ok(Self::holding(workflow, Held::Session(Box::new(lock))))
    }

    /// Locks the workflow for the store in the file at `store`, by a file beside it. A holder that has
    /// just been killed is waited for: the system takes a moment to take all back.
    pub(crate) async fn beside(store: &Path, workflow: WorkflowId) -> Result<Self, LockError> {
        let until = Instant::now() + ENDING;
        loop {
            match FileLock::beside(store, workflow) {
                Err(LockError::Held { .. }) if Instant::now() < until => sleep(ONCE_MORE).await,
                taken => return Ok(Self::holding(workflow, Held::File(taken?))),
            }
        }
    }

    fn holding(workflow: WorkflowId, held: Held) -> Self {
        let losses = Losses::default();
        let asked = matches!(held, Held::Session(_)).then(Arc::default);
        let holding = Holding { workflow, held, other: None, losses: losses.clone() };
        Self { workflow, losses, answers: Arc::new(Answers::of(holding)), asked }
    }

    /// The workflow that is locked.
    pub fn workflow(&self) -> WorkflowId {
        self.workflow
    }

    /// Asks whether this process still has the lock, and tries to take it again if not.
    ///
    /// # Errors
    ///
    /// [`LockError::Held`] if another process has it now, from then on for ever. Any other if it
    /// cannot be known or taken now, which the next call asks anew.
    pub(crate) async fn check(&self) -> Result<Standing, LockError> {
        let (before, asked) = (self.losses.count(), Instant::now());
        let answer = self.answers.get().await;
        if let Some(last) = &self.asked {
            *last.lock().unwrap_or_else(PoisonError::into_inner) = answer.is_ok().then_some(asked);
        }
        answer?;
        Ok(match self.losses.count() == before {
            true => Standing::Kept,
            false => Standing::TakenAgain,
        })
    }

    /// The same before an attempt: those that begin together share an answer of the server, with each
    /// other and with the beginning of their wave. A file is looked at each time, which costs nothing.
    pub(crate) async fn check_lately(&self) -> Result<Standing, LockError> {
        let asked = self.asked.as_ref();
        let asked = asked.and_then(|last| *last.lock().unwrap_or_else(PoisonError::into_inner));
        match asked.is_some_and(|asked| asked.elapsed() < LATELY) {
            true => Ok(Standing::Kept),
            false => self.check().await,
        }
    }

    /// How it was lost each time that it was taken again, but for the first `known` times.
    pub(crate) fn losses(&self, known: usize) -> Vec<String> {
        self.losses.list().iter().skip(known).cloned().collect()
    }
}

/// How the lock was lost, each time that it was taken again.
#[derive(Debug, Clone, Default)]
struct Losses(Arc<Mutex<Vec<String>>>);

impl Losses {
    fn list(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self) -> usize {
        self.list().len()
    }
}

/// What this process holds.
#[derive(Debug)]
struct Holding {
    workflow: WorkflowId,
    held: Held,
    /// Who took it when it was lost.
    other: Option<String>,
    losses: Losses,
}

/// What is let go of with the lock.
#[derive(Debug)]
enum Held {
    Nothing,
    File(FileLock),
    Session(Box<SessionLock>),
}

impl Held {
    /// Tries to take the lock again if it was lost; answers how it was.
    async fn keep(&mut self) -> Result<Option<String>, LockError> {
        match self {
            Self::Nothing => Ok(None),
            Self::File(file) => file.keep(),
            Self::Session(session) => session.keep().await,
        }
    }
}

impl Question for Holding {
    type Error = LockError;

    async fn ask(&mut self) -> Result<(), LockError> {
        let workflow = self.workflow;
        if let Some(process) = self.other.clone() {
            return Err(LockError::Held { workflow, process });
        }
        match self.held.keep().await {
            Ok(loss) => {
                self.losses.list().extend(loss);
                Ok(())
            }
            Err(error) => {
                if let LockError::Held { process, .. } = &error {
                    self.other = Some(process.clone());
                }
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_holder_that_is_just_ending_is_waited_for_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("turing.db");
        let workflow = WorkflowId(1);
        let ending = FileLock::beside(&store, workflow).unwrap();
        // it is asked for first
        let taking = RunLock::beside(&store, workflow);
        let (taken, ()) = tokio::join!(biased; taking, async { drop(ending) });
        let _taken = taken.unwrap();
        let refused = RunLock::beside(&store, workflow).await.unwrap_err();
        assert!(matches!(refused, LockError::Held { .. }), "{refused}");
    }
}
