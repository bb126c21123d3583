//! Why a cutover refuses.

use es_core::event::Timestamp;

use crate::cutover::phase::{CutoverPhase, CutoverStep};

/// Why a cutover refuses what it is told. The command that is the right one is told by
/// [`next`](Self::next).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CutoverRejection {
    /// It is another phase's turn.
    #[error("the cutover is in phase `{phase}`, and this is done in phase `{needed}`")]
    OutOfOrder {
        /// The phase that holds.
        phase: CutoverPhase,
        /// The phase in which it is done.
        needed: CutoverPhase,
        /// The command whose turn it is.
        next: Option<CutoverStep>,
    },
    /// What was there before is imported already.
    #[error("what the old table had before is imported already")]
    BackfilledAlready,
    /// An import that was never begun cannot end.
    #[error("what the old table had before is not being imported")]
    BackfillNotStarted,
    /// The old table and the events do not agree.
    #[error("discrepancies between the old table and the events are open: {open}")]
    DiscrepanciesOpen {
        /// How many.
        open: u64,
    },
    /// The old table is not in a file.
    #[error("the old table is not archived")]
    NotArchived,
    /// The old table was not out of use for long enough.
    #[error("the old table is kept for 60 days, which is until {until}")]
    TooEarly {
        /// From when on it may be dropped.
        until: Timestamp,
    },
    /// The file is not the archive that was recorded.
    #[error("the archive has the SHA-256 {recorded}, and this file has {found}")]
    OtherArchive {
        /// What was recorded when the archive was written.
        recorded: String,
        /// What the file has.
        found: String,
    },
    /// The old table is dropped.
    #[error("the cutover is over: the old table was dropped")]
    Over,
    /// What is to hold again is no phase before the one that holds.
    #[error("the cutover is in phase `{phase}`, from which no way back leads to `{to}`")]
    NoWayBack {
        /// The phase that holds.
        phase: CutoverPhase,
        /// The phase that was asked for.
        to: CutoverPhase,
    },
}

impl CutoverRejection {
    /// The command that is the right one now, if there is one.
    pub fn next(&self) -> Option<CutoverStep> {
        match self {
            Self::OutOfOrder { next, .. } => *next,
            Self::BackfilledAlready | Self::DiscrepanciesOpen { .. } => Some(CutoverStep::Validate),
            Self::BackfillNotStarted => Some(CutoverStep::Backfill),
            Self::NotArchived => Some(CutoverStep::Archive),
            Self::TooEarly { .. }
            | Self::OtherArchive { .. }
            | Self::Over
            | Self::NoWayBack { .. } => None,
        }
    }
}
