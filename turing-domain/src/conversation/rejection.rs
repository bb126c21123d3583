//! Why a conversation refuses.

use crate::ids::RunId;

/// Why a conversation refuses what it is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConversationRejection {
    /// The run has no open wave.
    #[error("run {run_id} has no open wave at this conversation")]
    NoOpenWave {
        /// The run.
        run_id: RunId,
    },
    /// More postings are reported as failed than as executed.
    #[error(
        "{failed_count} postings are reported as failed, but only {processed_count} were executed"
    )]
    DoesNotAddUp {
        /// How many were executed.
        processed_count: u32,
        /// How many of them failed.
        failed_count: u32,
    },
}
