//! The runs of a workflow.
//!
//! Invariants, which the decisions keep:
//!
//! 1. A workflow has at most one open run.
//! 2. The same input and definition are not run twice unless somebody asks for it.
//! 3. A run completes when all its postings are accounted for, each with a reason.

mod command;
mod decide;
mod event;
mod rejection;
mod state;

pub use command::{RunCompletion, RunStart};
pub use event::WorkflowEvent;
pub use rejection::WorkflowRejection;
pub use state::{RunStatus, WorkflowRun, WorkflowRuns};

#[cfg(test)]
mod tests;
