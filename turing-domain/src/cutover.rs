//! The move of an old system to events, in five phases, and the way back from each.
//!
//! Invariants, which the decisions keep:
//!
//! 1. A phase begins behind the one before it, and behind no other; whoever asks for another one is
//!    told which command is the next.
//! 2. Reads are switched, and the old table is taken out of use, only while no discrepancy is open.
//! 3. Validation is passed only when all that the old table had was imported.
//! 4. The way back is open from every phase, until the old table is dropped.
//! 5. The old table is dropped only when it is archived, the archive is the one that was recorded, and
//!    it was out of use for sixty days.
//!
//! Each event says who did it and why. What the database is told to do in a phase is none of this: it
//! commits together with the event.

mod command;
mod decide;
mod event;
mod phase;
mod rejection;
mod state;

pub use command::{BackfillCounts, CutoverArchive, CutoverCreation, ReadTimes, Resolved, Who};
pub use decide::KEPT_FOR;
pub use event::CutoverEvent;
pub use phase::{CutoverPhase, CutoverStep, PhaseError};
pub use rejection::CutoverRejection;
pub use state::{BackfillStatus, Cutover};

#[cfg(test)]
mod tests;
