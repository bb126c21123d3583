//! How each run goes.

use std::collections::BTreeMap;

use es_core::projection::{ApplyError, Keying, Projection};
use es_core::{Aggregate, EventFilter, RecordedEvent, Timestamp};
use serde::{Deserialize, Serialize};
use turing_domain::{
    EndReason, FailureType, Posting, PostingEvent, RunId, WorkflowEvent, WorkflowRuns,
};

use super::{count, run_of, sum};

/// The progress of each run: postings, rates, failures by their type. A row has the run's id as its
/// key.
#[derive(Debug, Clone, Copy, Default)]
pub struct RunProgress;

/// The row of one run.
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

impl RunRow {
    fn new(began: Timestamp) -> Self {
        Self {
            workflow_id: None,
            status: RunStatus::default(),
            error: None,
            postings: None,
            entered: 0,
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

    /// How many postings entered it and have not ended.
    pub fn open(&self) -> u64 {
        self.entered.saturating_sub(self.ended())
    }

    /// Successful attempts a minute, from its first event to its last.
    pub fn per_minute(&self) -> f64 {
        let minutes = self.last_event.since(self.began).as_secs_f64() / 60.0;
        if minutes > 0.0 { self.completed as f64 / minutes } else { 0.0 }
    }

    fn take_workflow(&mut self, stream: &str, event: WorkflowEvent) {
        match event {
            WorkflowEvent::WorkflowStarted { posting_count, .. } => {
                self.workflow_id = Some(stream.to_owned());
                self.postings = posting_count.0;
            }
            WorkflowEvent::WorkflowCompleted { .. } => self.status = RunStatus::Completed,
            WorkflowEvent::WorkflowFailed { error, .. } => {
                self.status = RunStatus::Failed;
                self.error = error.0;
            }
        }
    }

    fn take_posting(&mut self, event: PostingEvent) {
        use PostingEvent::*;
        match event {
            PostingEnteredRun { .. } => count(&mut self.entered),
            ScriptExecutionCompleted { .. }
            | LlmCallCompleted { .. }
            | HumanTaskCompleted { .. } => count(&mut self.completed),
            ScriptExecutionFailed { failure_type, .. }
            | LlmCallFailed { failure_type, .. }
            | HumanTaskFailed { failure_type, .. } => {
                let failure_type = failure_type.0.unwrap_or(FailureType::Unknown);
                count(self.failed.entry(failure_type).or_default());
            }
            RetryScheduled { .. } => count(&mut self.retries),
            PostingTerminal { reason, .. } => {
                let reason = reason.0.unwrap_or(EndReason::Completed);
                count(self.ended.entry(reason).or_default());
            }
            BranchTaken { .. } | PathEnded { .. } | CircuitBreakerOpen { .. } => {}
        }
    }
}

impl RunProgress {
    fn keys(&self, event: &RecordedEvent) -> Result<Vec<String>, ApplyError> {
        Ok(run_of(event).iter().map(RunId::to_string).collect())
    }
}

impl Projection for RunProgress {
    const NAME: &'static str = "run_progress";
    const VERSION: u32 = 1;
    type Row = RunRow;

    fn selection(&self) -> EventFilter {
        EventFilter::all().aggregate::<Posting>().aggregate::<WorkflowRuns>()
    }

    fn keying(&self) -> Keying<Self> {
        Keying::Across(Self::keys)
    }

    fn apply(
        &self,
        _key: &str,
        row: Option<RunRow>,
        event: &RecordedEvent,
    ) -> Result<Option<RunRow>, ApplyError> {
        let mut row = row.unwrap_or_else(|| RunRow::new(event.recorded_at));
        match event.stream.aggregate_type() {
            WorkflowRuns::TYPE => {
                for of_workflow in event.decode()? {
                    row.take_workflow(event.stream.aggregate_id(), of_workflow);
                }
            }
            _ => {
                for of_posting in event.decode()? {
                    row.take_posting(of_posting);
                }
            }
        }
        row.last_event = event.recorded_at;
        Ok(Some(row))
    }
}
