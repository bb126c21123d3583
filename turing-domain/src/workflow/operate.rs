//! What operators ask of a run: that it pauses, or that it comes to nothing.

use crate::ids::{ConversationId, RunId, WorkflowId};
use crate::pause::{Pause, text};
use crate::workflow::command::Cancellation;
use crate::workflow::event::WorkflowEvent;
use crate::workflow::rejection::WorkflowRejection;
use crate::workflow::state::{RunStatus, WorkflowRun, WorkflowRuns};

impl WorkflowRuns {
    /// Has no attempt of a run begin from now on, at one conversation or at any, in the place of such a
    /// pause that it may have. Nothing happens if that asks for the same and is not over.
    ///
    /// # Errors
    ///
    /// When there is no such run, it is over, or it is being cancelled.
    pub fn pause(
        &self,
        workflow_id: WorkflowId,
        run_id: RunId,
        conversation: Option<ConversationId>,
        pause: &Pause,
    ) -> Result<Vec<WorkflowEvent>, WorkflowRejection> {
        let run = self.going(run_id)?;
        if run.cancellation.is_some() {
            return Err(WorkflowRejection::BeingCancelled { run_id });
        }
        let goes_on = |known: &Pause| pause.since.is_none_or(|now| !known.is_over(now));
        let known = run.pause_at(conversation);
        if known.is_some_and(|known| known.asks_for_the_same(pause) && goes_on(known)) {
            return Ok(Vec::new());
        }
        Ok(vec![WorkflowEvent::WorkflowPaused {
            run_id: run_id.into(),
            workflow_id: workflow_id.into(),
            conversation_id: conversation.into(),
            by: pause.by.clone().into(),
            because: pause.because.clone().into(),
            paused_at: pause.since.into(),
            until: pause.until.into(),
        }])
    }

    /// Ends a pause of a run, whether its time is over or not: that of one conversation, or that of the
    /// run. Nothing happens if there is none.
    ///
    /// # Errors
    ///
    /// When there is no such run, or it is over.
    pub fn end_pause(
        &self,
        workflow_id: WorkflowId,
        run_id: RunId,
        conversation: Option<ConversationId>,
        by: &str,
    ) -> Result<Vec<WorkflowEvent>, WorkflowRejection> {
        if self.going(run_id)?.pause_at(conversation).is_none() {
            return Ok(Vec::new());
        }
        Ok(vec![WorkflowEvent::WorkflowPauseEnded {
            run_id: run_id.into(),
            workflow_id: workflow_id.into(),
            conversation_id: conversation.into(),
            by: text(by).into(),
        }])
    }

    /// Has a run come to nothing: that it [failed](Self::fail) is recorded once its postings have ended.
    /// Nothing happens if that was asked for and this does not ask for more, or if it was done.
    ///
    /// # Errors
    ///
    /// When there is no such run, or it is over for another reason.
    pub fn cancel(
        &self,
        workflow_id: WorkflowId,
        run_id: RunId,
        cancellation: &Cancellation,
    ) -> Result<Vec<WorkflowEvent>, WorkflowRejection> {
        let run = self.run(run_id).ok_or(WorkflowRejection::UnknownRun { run_id })?;
        match (&run.status, &run.cancellation) {
            (RunStatus::Failed(_), Some(_)) => return Ok(Vec::new()),
            (RunStatus::Open, Some(known)) if known.at_once || !cancellation.at_once => {
                return Ok(Vec::new());
            }
            (RunStatus::Open, _) => {}
            (RunStatus::Completed | RunStatus::Failed(_), _) => {
                return Err(WorkflowRejection::RunOver { run_id });
            }
        }
        Ok(vec![WorkflowEvent::WorkflowCancellationRequested {
            run_id: run_id.into(),
            workflow_id: workflow_id.into(),
            by: text(&cancellation.by).into(),
            because: text(&cancellation.because).into(),
            at_once: cancellation.at_once.into(),
        }])
    }

    /// The run of this id, which is to go on.
    fn going(&self, run_id: RunId) -> Result<&WorkflowRun, WorkflowRejection> {
        let run = self.run(run_id).ok_or(WorkflowRejection::UnknownRun { run_id })?;
        match run.status {
            RunStatus::Open => Ok(run),
            RunStatus::Completed | RunStatus::Failed(_) => {
                Err(WorkflowRejection::RunOver { run_id })
            }
        }
    }
}
