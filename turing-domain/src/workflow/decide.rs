//! When a run may begin and end.

use crate::duration::milliseconds;
use crate::ids::{RunId, WorkflowId};
use crate::workflow::command::{RunCompletion, RunStart};
use crate::workflow::event::WorkflowEvent;
use crate::workflow::rejection::WorkflowRejection;
use crate::workflow::state::{RunStatus, WorkflowRuns};

impl WorkflowRuns {
    /// Begins a run. Nothing happens if that run goes on already.
    ///
    /// # Errors
    ///
    /// When another run goes on, when the run is over, or when a completed run did the same.
    pub fn start(&self, start: &RunStart) -> Result<Vec<WorkflowEvent>, WorkflowRejection> {
        let run_id = start.run_id;
        if let Some(open) = self.open_run() {
            return match open.run_id == run_id {
                true => Ok(Vec::new()),
                false => Err(WorkflowRejection::RunInProgress { run_id: open.run_id }),
            };
        }
        if self.run(run_id).is_some() {
            return Err(WorkflowRejection::RunOver { run_id });
        }
        let done = self.completed_with(&start.input_digest, &start.definition_digest);
        if let Some(done) = done.filter(|_| !start.again) {
            return Err(WorkflowRejection::AlreadyCompleted { run_id: done.run_id });
        }
        Ok(vec![WorkflowEvent::WorkflowStarted {
            run_id: run_id.into(),
            workflow_id: start.workflow_id.into(),
            posting_count: start.posting_count.into(),
            input_digest: start.input_digest.clone().into(),
            definition_digest: start.definition_digest.clone().into(),
        }])
    }

    /// Ends a run whose postings are all terminal. Nothing happens if it is completed already.
    ///
    /// # Errors
    ///
    /// When there is no such run, it failed, or the reasons do not account for every posting.
    pub fn complete(
        &self,
        completion: &RunCompletion,
    ) -> Result<Vec<WorkflowEvent>, WorkflowRejection> {
        let run_id = completion.run_id;
        let run = self.run(run_id).ok_or(WorkflowRejection::UnknownRun { run_id })?;
        match run.status {
            RunStatus::Completed => return Ok(Vec::new()),
            RunStatus::Failed(_) => return Err(WorkflowRejection::RunOver { run_id }),
            RunStatus::Open => {}
        }
        let ended = completion.ended_postings.values().map(|count| u64::from(*count)).sum();
        if let Some(posting_count) = run.posting_count.filter(|count| u64::from(*count) != ended) {
            return Err(WorkflowRejection::DoesNotAddUp { run_id, posting_count, ended });
        }
        Ok(vec![WorkflowEvent::WorkflowCompleted {
            run_id: run_id.into(),
            workflow_id: completion.workflow_id.into(),
            ended_postings: completion.ended_postings.clone().into(),
            duration_ms: completion.duration.map(milliseconds).into(),
        }])
    }

    /// Ends a run that cannot go on, or that somebody gives up. Nothing happens if it failed
    /// already.
    ///
    /// # Errors
    ///
    /// When there is no such run, or it is completed.
    pub fn fail(
        &self,
        workflow_id: WorkflowId,
        run_id: RunId,
        error: &str,
    ) -> Result<Vec<WorkflowEvent>, WorkflowRejection> {
        let run = self.run(run_id).ok_or(WorkflowRejection::UnknownRun { run_id })?;
        match run.status {
            RunStatus::Failed(_) => Ok(Vec::new()),
            RunStatus::Completed => Err(WorkflowRejection::RunOver { run_id }),
            RunStatus::Open => Ok(vec![WorkflowEvent::WorkflowFailed {
                run_id: run_id.into(),
                workflow_id: workflow_id.into(),
                error: error.replace('\0', "\u{fffd}").into(),
            }]),
        }
    }

    /// Has a run go on with another definition. Nothing happens if it does so already.
    ///
    /// # Errors
    ///
    /// When there is no such run, or it is over.
    pub fn move_to_definition(
        &self,
        workflow_id: WorkflowId,
        run_id: RunId,
        digest: &str,
    ) -> Result<Vec<WorkflowEvent>, WorkflowRejection> {
        let run = self.run(run_id).ok_or(WorkflowRejection::UnknownRun { run_id })?;
        if run.status != RunStatus::Open {
            return Err(WorkflowRejection::RunOver { run_id });
        }
        if run.definition_digest.as_deref() == Some(digest) {
            return Ok(Vec::new());
        }
        Ok(vec![WorkflowEvent::WorkflowMovedToDefinition {
            run_id: run_id.into(),
            workflow_id: workflow_id.into(),
            from_digest: run.definition_digest.clone().into(),
            definition_digest: digest.to_owned().into(),
        }])
    }
}
