//! The runs of a workflow.
//!
//! Invariants, which the decisions keep:
//!
//! 1. A workflow has at most one open run.
//! 2. The same input and definition are not run twice unless somebody asks for it.
//! 3. A run completes when all its postings are accounted for, each with a reason.
//! 4. Only a run that goes on is paused or cancelled, and who asks for the same again changes nothing.
//! 5. A run whose cancellation was asked for is not paused any more.

mod command;
mod decide;
mod event;
mod operate;
mod rejection;
mod state;

pub use command::{Cancellation, RunCompletion, RunStart};
pub use event::WorkflowEvent;
pub use rejection::WorkflowRejection;
pub use state::{RunStatus, WorkflowRun, WorkflowRuns};

#[cfg(test)]
mod tests;
