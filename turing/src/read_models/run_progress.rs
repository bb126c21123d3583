//! How each run goes.

use std::collections::BTreeMap;

use es_core::event::{EventFilter, Timestamp};
use es_core::projection::{FailurePolicy, Keying};
use es_core::{BoxError, Envelope, Event, Projection};
use serde::{Deserialize, Serialize};
use turing_domain::{
    EndReason, FailureType, Posting, PostingEvent, RunId, WorkflowEvent, WorkflowId, WorkflowRuns,
};

use super::{POLICY, count, run_of, sum};

/// What happens in a run.
#[derive(Debug, Event)]
#[event(union)]
#[allow(clippy::large_enum_variant, reason = "an event lives as long as it is read")]
pub enum RunEvent {
    /// To a posting of it.
    Posting(PostingEvent),
    /// To its workflow.
    Workflow(WorkflowEvent),
}

/// The progress of a run: postings, rates, failures by their type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRow {
    /// The workflow, if it was recorded.
    pub workflow_id: Option<String>,
    /// Whether it goes on.
    pub status: RunStatus,
    /// Why it failed, if it did.
    pub error: Option<String>,
    /// How many postings it was begun with, if that was recorded.
    pub postings: Option<u32>,
    /// How many postings entered it.
    pub entered: u64,
    /// How many postings were open in it when an older system's state of them was taken over: since then they
    /// are in no run.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub taken_out: u64,
    /// How many postings ended, by the reason.
    pub ended: BTreeMap<EndReason, u64>,
    /// Attempts that succeeded.
    pub completed: u64,
    /// Attempts that failed, by the type of failure.
    pub failed: BTreeMap<FailureType, u64>,
    /// Failed attempts that were to be repeated.
    pub retries: u64,
    /// When its first event was recorded.
    pub began: Timestamp,
    /// When its last event was recorded.
    pub last_event: Timestamp,
}

/// Whether a run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// It has open postings, or was interrupted.
    #[default]
    InProgress,
    /// All its postings are terminal.
    Completed,
    /// It was given up.
    Failed,
}

impl std::fmt::Display for RunStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::InProgress => "in progress",
            Self::Completed => "completed",
            Self::Failed => "failed",
        })
    }
}

/// Rows of runs out of which nothing was taken are those of before.
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl RunRow {
    fn new(began: Timestamp) -> Self {
        Self {
            workflow_id: None,
            status: RunStatus::default(),
            error: None,
            postings: None,
            entered: 0,
            taken_out: 0,
            ended: BTreeMap::new(),
            completed: 0,
            failed: BTreeMap::new(),
            retries: 0,
            began,
            last_event: began,
        }
    }

    /// How many postings have ended.
    pub fn ended(&self) -> u64 {
        sum(self.ended.values())
    }

    /// How many postings entered it, have not ended, and were not taken out of it by an import.
    pub fn open(&self) -> u64 {
        self.entered.saturating_sub(self.ended()).saturating_sub(self.taken_out)
    }

    /// Successful attempts a minute, from its first event to its last.
    pub fn per_minute(&self) -> f64 {
        let minutes = self.last_event.since(self.began).as_secs_f64() / 60.0;
        if minutes > 0.0 { self.completed as f64 / minutes } else { 0.0 }
    }

    fn take_workflow(&mut self, workflow: WorkflowId, event: &WorkflowEvent) {
        match event {
            WorkflowEvent::WorkflowStarted { posting_count, .. } => {
                self.workflow_id = Some(workflow.to_string());
                self.postings = posting_count.0;
            }
            WorkflowEvent::WorkflowCompleted { .. } => self.status = RunStatus::Completed,
            WorkflowEvent::WorkflowFailed { error, .. } => {
                self.status = RunStatus::Failed;
                self.error.clone_from(&error.0);
            }
            WorkflowEvent::WorkflowMovedToDefinition { .. }
            | WorkflowEvent::WorkflowPaused { .. }
            | WorkflowEvent::WorkflowPauseEnded { .. }
            | WorkflowEvent::WorkflowCancellationRequested { .. } => {}
        }
    }

    fn take_posting(&mut self, event: &PostingEvent) {
        use PostingEvent::*;
        match event {
            PostingEnteredRun { .. } => count(&mut self.entered),
            ScriptExecutionCompleted { .. }
            | LlmCallCompleted { .. }
            | HumanTaskCompleted { .. } => count(&mut self.completed),
            ScriptExecutionFailed { failure_type, .. }
            | LlmCallFailed { failure_type, .. }
            | HumanTaskFailed { failure_type, .. } => {
                let failure_type = failure_type.0.clone().unwrap_or(FailureType::Unknown);
                count(self.failed.entry(failure_type).or_default());
            }
            RetryScheduled { .. } => count(&mut self.retries),
            PostingTerminal { reason, .. } => {
                let reason = reason.0.clone().unwrap_or(EndReason::Completed);
                count(self.ended.entry(reason).or_default());
            }
            // it names the run in which the posting was open, and no other
            PostingStateImported { .. } => count(&mut self.taken_out),
            BranchTaken { .. }
            | PathEnded { .. }
            | CircuitBreakerOpen { .. }
            | HumanTaskClaimed { .. }
            | HumanTaskReleased { .. }
            | PostingMovedToDefinition { .. } => {}
        }
    }
}

impl Projection for RunRow {
    const NAME: &'static str = "run_progress";
    const ON_FAILURE: FailurePolicy = POLICY;
    type Event = RunEvent;
    type Key = RunId;

    fn selection() -> EventFilter {
        EventFilter::all().aggregate::<Posting>().aggregate::<WorkflowRuns>()
    }

    fn keying() -> Keying<Self> {
        Keying::by_metadata(run_of)
    }

    fn evolve(
        _: &RunId,
        row: &mut Option<Self>,
        event: &Envelope<'_, RunEvent>,
    ) -> Result<(), BoxError> {
        let row = row.get_or_insert_with(|| Self::new(event.recorded_at));
        match &event.data {
            RunEvent::Posting(of_posting) => row.take_posting(of_posting),
            RunEvent::Workflow(of_workflow) => {
                row.take_workflow(event.aggregate_id::<WorkflowRuns>()?, of_workflow);
            }
        }
        row.last_event = event.recorded_at;
        Ok(())
    }
}
