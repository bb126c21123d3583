//! Why a workflow refuses.

use crate::ids::RunId;

/// Why a workflow refuses what it is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkflowRejection {
    /// Another run goes on.
    #[error("run {run_id} is in progress; continue it, or abandon it first")]
    RunInProgress {
        /// The run that goes on.
        run_id: RunId,
    },
    /// The same input went through the same definition already.
    #[error(
        "run {run_id} completed the same input with the same definition; ask for it again to repeat it"
    )]
    AlreadyCompleted {
        /// The run that did it.
        run_id: RunId,
    },
    /// The run has ended and does not begin or end again.
    #[error("run {run_id} is over")]
    RunOver {
        /// The run.
        run_id: RunId,
    },
    /// There is no such run.
    #[error("there is no run {run_id}")]
    UnknownRun {
        /// The run that was spoken of.
        run_id: RunId,
    },
    /// Somebody has asked for the run to come to nothing.
    #[error("run {run_id} is being cancelled")]
    BeingCancelled {
        /// The run.
        run_id: RunId,
    },
    /// The reasons do not account for every posting.
    #[error("run {run_id} has {posting_count} postings, but {ended} are reported as ended")]
    DoesNotAddUp {
        /// The run.
        run_id: RunId,
        /// How many postings it has.
        posting_count: u32,
        /// How many were reported.
        ended: u64,
    },
}
