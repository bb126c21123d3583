//! Why a run could not begin or go on.

use std::path::{Path, PathBuf};

use es_core::CommandError;
use es_core::execution::{Conflict, InvalidRequest, LoadError, StoreError, StoreErrorKind};
use turing_domain::{Attempt, PostingId, PostingRejection, RunId, WorkflowId};

use super::Difference;
use super::held_file;
use super::starts::PATIENCE;
use crate::lock::LockError;
use crate::proposal::{command, quoted};

/// Why a run could not begin or go on. What was recorded stays, and the run can be continued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// No posting is left to run.
    #[error("there is no posting to run; all {refused} that were read are refused")]
    NoPostings {
        /// How many were refused.
        refused: usize,
    },
    /// It was asked to stop before the run began; what was recorded for the run that it was to give
    /// up stays.
    #[error("stopped before the run began; run the same command to go on")]
    NotBegun,
    /// The lock is of another workflow.
    #[error("workflow {asked} cannot be run under the lock of workflow {locked}")]
    OtherLock {
        /// The workflow that is locked.
        locked: WorkflowId,
        /// The workflow that is to be run.
        asked: WorkflowId,
    },
    /// The lock was lost, and another process was faster to take it. What was under way here is
    /// recorded unless it was faster there, too.
    #[error(
        "this process has lost the lock of workflow {workflow}, which is run by process {process} \
         now; what was done here is recorded: wait for the other one, then run the same command"
    )]
    LockLost {
        /// The workflow.
        workflow: WorkflowId,
        /// Who runs it now.
        process: String,
    },
    /// The lock was lost, and the file that it was on cannot be locked any more.
    #[error("the lock of the run cannot be taken again")]
    Lock(#[source] LockError),
    /// Another run of this workflow is in progress.
    #[error(
        "run {run_id} of workflow {workflow} is in progress with {difference}; {}, or give it up with \
         --abandon",
        way_on(*run_id, difference, file)
    )]
    OtherRunOpen {
        /// The run.
        run_id: RunId,
        /// The workflow.
        workflow: WorkflowId,
        /// In what it differs from what was asked for.
        difference: Difference,
        /// The file of the definition that was asked for; none if it came from the store.
        file: PathBuf,
    },
    /// A posting is in a run of another workflow.
    #[error("posting {posting} cannot enter the run")]
    Posting {
        /// The posting.
        posting: PostingId,
        /// Why not.
        #[source]
        source: turing_domain::PostingRejection,
    },
    /// The run's own events could not be read or written.
    #[error("the run's own events could not be recorded")]
    Record(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A posting could not go on.
    #[error(transparent)]
    Step(#[from] StepError),
    /// A task of the run ended by a panic, which is a defect of this program.
    #[error("a task of the run broke off; this is a defect, please report it")]
    Broken(#[from] tokio::task::JoinError),
}

/// How a run in progress is finished that is another one than was asked for.
fn way_on(run_id: RunId, difference: &Difference, file: &Path) -> String {
    match (difference.is_of_definition(), difference.is_whole()) {
        (true, is_whole) => {
            // as many digits as people compare
            let digest = difference.began_with().and_then(|digest| digest.get(..16));
            let which = digest.map_or_else(String::new, |digest| {
                format!(", the file whose SHA-256 (`sha256sum`) begins with {digest}")
            });
            let own = format!("the definition that it began with or was moved to{which}");
            if !is_whole {
                return format!("finish it with {own}");
            }
            let resume = command(format!("run resume {run_id}"));
            let migrate = match difference.others.is_some() || file.as_os_str().is_empty() {
                true => String::new(),
                false => {
                    let file = quoted(file.display());
                    let migrate = command(format!("run migrate {run_id} --definition {file}"));
                    format!(", have it go on by this one with `{migrate}`")
                }
            };
            format!("finish it with `{resume}`, by {own}{migrate}")
        }
        (false, true) => {
            let resume = match file.as_os_str().is_empty() {
                true => format!("run resume {run_id}"),
                false => format!("run resume --workflow {}", quoted(file.display())),
            };
            format!("finish it as it began with `{}`", command(resume))
        }
        (false, false) => "finish it with the postings that it began with".to_owned(),
    }
}

impl From<LockError> for RunError {
    /// What a lost lock means for a run.
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held { workflow, process } => Self::LockLost { workflow, process },
            LockError::Store(error) => Self::Store(error),
            other => Self::Lock(other),
        }
    }
}

/// An error with its causes, on one line.
pub(super) fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.map(ToString::to_string).fold(error.to_string(), |told, cause| {
        // some errors say what their cause says
        match told.contains(cause.trim_end()) {
            true => told,
            false => format!("{told}: {cause}"),
        }
    })
}

/// What a run does not begin once it is asked to stop is no failure of it.
pub(super) fn unless_stopped(done: Result<(), RunError>) -> Result<(), RunError> {
    match done {
        Err(RunError::NotBegun) => Ok(()),
        done => done,
    }
}

impl RunError {
    pub(super) fn record<R>(error: CommandError<R>) -> Self
    where
        R: std::error::Error + Send + Sync + 'static,
    {
        match error {
            CommandError::Store(error) => Self::Store(error),
            other => Self::Record(Box::new(other)),
        }
    }

    /// True if the store ended the run: the same call goes on with it when the store can be used.
    pub fn is_of_store(&self) -> bool {
        self.store_error().is_some()
    }

    /// True if what ended the run is that no script can be started: the same call goes on with it
    /// when they can.
    pub fn is_of_starts(&self) -> bool {
        matches!(self, Self::Step(StepError::Unsupervised { .. } | StepError::NotStarted { .. }))
    }

    /// How the store failed, if it did.
    fn store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error)
            | Self::Step(StepError::Store(error))
            | Self::Step(StepError::Load { source: LoadError::Store(error), .. }) => Some(error),
            _ => None,
        }
    }

    /// True if somebody holds what was to be written for longer than the store waits.
    pub(super) fn is_held_up(&self) -> bool {
        self.store_error().is_some_and(|error| error.kind() == StoreErrorKind::Busy)
    }

    /// True if the store may do the same later without anybody mending anything: it did not answer,
    /// as while its server restarts, or somebody holds it. A posting that is held up is no reason to
    /// wait, because it stands apart.
    pub(super) fn passes(&self) -> bool {
        let passes = |error: &StoreError| {
            error.is_transient() || error.is_outcome_unknown() || held_file::is_held(error)
        };
        let stands_apart = self.is_held_up() && matches!(self, Self::Step(_));
        self.store_error().is_some_and(passes) && !stands_apart
    }

    /// True if other postings can go on.
    pub(super) fn concerns_one_posting(&self) -> bool {
        match self {
            Self::Store(_)
            | Self::Step(
                StepError::Store(_) | StepError::Load { source: LoadError::Store(_), .. },
            ) => self.is_held_up(),
            Self::Step(StepError::Unsupervised { .. } | StepError::NotStarted { .. }) => false,
            Self::Step(_) => true,
            _ => false,
        }
    }

    /// The error with its causes, on one line.
    pub(super) fn told(&self) -> String {
        told(self)
    }

    pub(super) fn load(error: LoadError) -> Self {
        match error {
            LoadError::Store(error) => Self::Store(error),
            other => Self::Record(Box::new(other)),
        }
    }
}

/// What keeps a run from going on; everything recorded stays, and the run can be continued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The events of a posting cannot be read.
    #[error("posting {posting} cannot be loaded")]
    Load {
        /// The posting.
        posting: PostingId,
        /// Why not.
        #[source]
        source: LoadError,
    },
    /// The posting is not registered.
    #[error("posting {posting} is not registered in this store")]
    Unregistered {
        /// The posting.
        posting: PostingId,
    },
    /// Something writes to the posting all the time.
    #[error("posting {posting} is written to by somebody else all the time")]
    Contended {
        /// The posting.
        posting: PostingId,
        /// The last conflict.
        #[source]
        source: Conflict,
    },
    /// The posting refused what the run did, which means that somebody else changed it.
    #[error("posting {posting} refused what this run did; was it changed by another program?")]
    Rejected {
        /// The posting.
        posting: PostingId,
        /// The refusal.
        #[source]
        source: PostingRejection,
    },
    /// The result of the attempt is recorded, and still the posting waits for it.
    #[error("posting {posting} waits for attempt {attempt}, whose result is recorded already")]
    Repeated {
        /// The posting.
        posting: PostingId,
        /// The attempt.
        attempt: Attempt,
    },
    /// No script can be started, by no fault of its own.
    #[error("no script can be started here: {reason}")]
    Unsupervised {
        /// Why not.
        reason: String,
    },
    /// The system refused to start scripts for too long, while nothing else of the run was in
    /// progress that could have freed what is missing. The attempts were not made.
    #[error("no script could be started for {} s: {reason}", PATIENCE.as_secs())]
    NotStarted {
        /// What is missing, and what is to be done about it.
        reason: String,
    },
    /// An event of the posting cannot be stored.
    #[error("an event of posting {posting} cannot be stored")]
    Invalid {
        /// The posting.
        posting: PostingId,
        /// What cannot be stored.
        #[source]
        source: InvalidRequest,
    },
}

impl StepError {
    pub(super) fn of(posting: PostingId, error: CommandError<PostingRejection>) -> Self {
        match error {
            CommandError::Store(error) => Self::Store(error),
            CommandError::Load(source) => Self::Load { posting, source },
            CommandError::Conflict(source) => Self::Contended { posting, source },
            CommandError::Rejected(source) => Self::Rejected { posting, source },
            CommandError::Invalid(source) => Self::Invalid { posting, source },
            other => Self::Store(
                StoreError::new(StoreErrorKind::Other, "the store broke its contract")
                    .caused_by(other),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_error_says_already_is_not_told_again() {
        let full = || StoreError::new(StoreErrorKind::Full, "the disk is full");
        let error = |text: &str| StoreError::new(StoreErrorKind::Other, text).caused_by(full());
        assert_eq!(told(&error("cannot write")), "cannot write: the disk is full");
        let same = "cannot write: the disk is full";
        assert_eq!(told(&error(same)), same);
        assert!(RunError::Store(full()).is_of_store());
        assert!(!RunError::NotBegun.is_of_store());
    }
}
