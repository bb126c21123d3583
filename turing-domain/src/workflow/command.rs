//! What a workflow is told: that a run begins, or how it ended.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{RunId, WorkflowId};
use crate::names::EndReason;

/// A run that is to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunStart {
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// The run's id, new for each run.
    pub run_id: RunId,
    /// How many postings it has.
    pub posting_count: u32,
    /// What tells this input from another.
    pub input_digest: String,
    /// What tells this definition from another.
    pub definition_digest: String,
    /// Run the same input through the same definition once more.
    pub again: bool,
}

/// A run whose postings are all terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunCompletion {
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// The run.
    pub run_id: RunId,
    /// How many postings ended for which reason.
    pub ended_postings: BTreeMap<EndReason, u32>,
    /// How long it took.
    pub duration: Option<Duration>,
}

/// That somebody wants a run to come to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancellation {
    /// Who.
    pub by: String,
    /// Why.
    pub because: String,
    /// Whether attempts in progress are broken off; otherwise they end by themselves.
    pub at_once: bool,
}

impl fmt::Display for Cancellation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cancelled by {}: {}", self.by, self.because)
    }
}
