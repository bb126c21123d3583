//! What follows from what a posting is told.

mod follow;
mod record;

use es_core::Draft;
use es_core::event::Timestamp;

use crate::definition::{Actor, Conversation, On, Workflow};
use crate::ids::{ConversationId, RunId};
use crate::names::EndReason;
use crate::posting::command::{Attempt, Completion, Failure};
use crate::posting::event::PostingEvent;
use crate::posting::rejection::PostingRejection;
use crate::posting::run::{Outcome, PostingRun};
use crate::posting::state::Posting;
use follow::{Timing, end, repeat_or_route, route};
use record::{completed, failed};

/// What can be done next for a posting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step<'a> {
    /// The conversation to execute.
    pub conversation: &'a Conversation,
    /// The attempt to report on.
    pub attempt: Attempt,
    /// Not before then, if an attempt before failed.
    pub due_at: Option<Timestamp>,
}

impl Posting {
    /// Begins a run at the workflow's entry; a terminal posting is reopened. Nothing happens to a
    /// posting that is, or has ended, in that run.
    ///
    /// # Errors
    ///
    /// A posting that is still open in another run stays there.
    pub fn enter_run(
        &self,
        workflow: &Workflow,
        run_id: RunId,
    ) -> Result<Vec<PostingEvent>, PostingRejection> {
        if self.ended_in(run_id).is_some() {
            return Ok(Vec::new());
        }
        match self.run() {
            Some(run) if run.run_id() == run_id => return Ok(Vec::new()),
            Some(run) if !self.is_terminal() => {
                return Err(PostingRejection::InAnotherRun {
                    run_id: run.run_id(),
                    workflow_id: run.workflow_id(),
                });
            }
            _ => {}
        }
        conversation_in(workflow, workflow.entry)?;
        Ok(vec![PostingEvent::PostingEnteredRun {
            run_id,
            workflow_id: workflow.id,
            entry_conversation_id: workflow.entry,
        }])
    }

    /// What can be executed now, in the order of the waves.
    ///
    /// A conversation that waits for a group is left out while a member of the group is open, and
    /// so is one that the definition lacks; [`settle`](Self::settle) refuses the latter by name.
    pub fn ready<'a>(&self, workflow: &'a Workflow) -> Vec<Step<'a>> {
        let Some(run) = self.run() else {
            return Vec::new();
        };
        let mut steps: Vec<_> = run
            .open()
            .iter()
            .filter_map(|(id, position)| {
                let conversation = workflow.conversation(*id)?;
                let attempt = run.attempt_at(*id)?;
                awaited_group(workflow, run, conversation).is_none().then_some(Step {
                    conversation,
                    attempt,
                    due_at: position.due_at,
                })
            })
            .collect();
        steps.sort_by_key(|step| (step.conversation.execution_order, step.conversation.id));
        steps
    }

    /// Records an answer and what follows from it.
    ///
    /// # Errors
    ///
    /// See [`PostingRejection`]; above all an attempt other than the one that is waited for.
    pub fn complete(
        &self,
        workflow: &Workflow,
        completion: &Completion,
    ) -> Result<Vec<PostingEvent>, PostingRejection> {
        let (run, conversation) = self.attempted(workflow, completion.attempt)?;
        if completion.output.contains('\0') {
            return Err(PostingRejection::UnstorableOutput);
        }
        let actor = actor_of(workflow, conversation)?;
        let mut run = Draft::new(run.clone());
        run.record(completed(actor, conversation, completion));
        route(&mut run, workflow, conversation, On::Success, &completion.output)?;
        Ok(end(run, conversation.id))
    }

    /// Records a failure and what follows from it: a repeat, or the failure rules.
    ///
    /// U+0000 in the error and in standard error is replaced by U+FFFD, since no store keeps it.
    ///
    /// # Errors
    ///
    /// See [`PostingRejection`]; above all an attempt other than the one that is waited for.
    pub fn fail(
        &self,
        workflow: &Workflow,
        failure: &Failure,
    ) -> Result<Vec<PostingEvent>, PostingRejection> {
        let (run, conversation) = self.attempted(workflow, failure.attempt)?;
        let actor = actor_of(workflow, conversation)?;
        let mut run = Draft::new(run.clone());
        run.record(failed(actor, conversation, failure));
        if let Some(failure_count) = failure.breaker_opened {
            run.record(PostingEvent::CircuitBreakerOpen {
                actor_id: actor.id.into(),
                failure_count: failure_count.into(),
                conversation_id: conversation.id.into(),
                run_id: run.run_id().into(),
            });
        }
        let Failure { failure_type, now, jitter, retry_after, .. } = failure;
        match failure.is_final {
            true => {
                let name = failure_type.as_str();
                route(&mut run, workflow, conversation, On::Failure, name)?;
            }
            false => {
                let retries = failure.attempt.retries;
                let timing = Timing { now: *now, jitter: *jitter, retry_after: *retry_after };
                repeat_or_route(&mut run, workflow, conversation, retries, failure_type, timing)?;
            }
        }
        Ok(end(run, conversation.id))
    }

    /// Goes on from results that another program recorded without what follows from them.
    ///
    /// Nothing happens where everything is routed; `now` and `jitter` are as in [`Failure`].
    ///
    /// # Errors
    ///
    /// When the definition is not the one of the run.
    pub fn settle(
        &self,
        workflow: &Workflow,
        now: Timestamp,
        jitter: f64,
    ) -> Result<Vec<PostingEvent>, PostingRejection> {
        let Some(run) = self.run().filter(|_| !self.is_terminal()) else {
            return Ok(Vec::new());
        };
        same_workflow(workflow, run)?;
        for id in run.open().keys() {
            conversation_in(workflow, *id)?;
        }
        let mut draft = Draft::new(run.clone());
        let mut last = None;
        for (id, finished) in run.finished() {
            let conversation = conversation_in(workflow, *id)?;
            match &finished.outcome {
                Outcome::Completed => {
                    let output = self.usable_output(*id).unwrap_or_default();
                    route(&mut draft, workflow, conversation, On::Success, &output)?;
                }
                Outcome::Failed(failure_type) => {
                    repeat_or_route(
                        &mut draft,
                        workflow,
                        conversation,
                        finished.retries,
                        failure_type,
                        Timing { now, jitter, retry_after: None },
                    )?;
                }
            }
            last = Some(*id);
        }
        Ok(match last {
            Some(last) => end(draft, last),
            None => Vec::new(),
        })
    }

    /// Gives the run up for this posting, wherever it stands. Nothing happens to a posting that has
    /// ended.
    ///
    /// # Errors
    ///
    /// A posting that is in no run or in another one stays as it is.
    pub fn abandon_run(&self, run_id: RunId) -> Result<Vec<PostingEvent>, PostingRejection> {
        self.run_of(run_id)?;
        if self.is_terminal() {
            return Ok(Vec::new());
        }
        Ok(vec![PostingEvent::PostingTerminal {
            reason: EndReason::Abandoned.into(),
            final_conversation_id: self.current_conversation_id().into(),
            run_id: run_id.into(),
        }])
    }

    /// Has the posting go on in its run by another definition, if that has all that it stands at; what
    /// was counted stays. Nothing happens to a posting that has ended.
    ///
    /// # Errors
    ///
    /// A posting that is in no run or in another one stays as it is, and so does one that stands at
    /// what the definition lacks.
    pub fn move_to_definition(
        &self,
        workflow: &Workflow,
        run_id: RunId,
        digest: &str,
    ) -> Result<Vec<PostingEvent>, PostingRejection> {
        let run = self.run_of(run_id)?;
        if self.is_terminal() {
            return Ok(Vec::new());
        }
        same_workflow(workflow, run)?;
        for id in run.open().keys().chain(run.finished().keys()) {
            actor_of(workflow, conversation_in(workflow, *id)?)?;
        }
        Ok(vec![PostingEvent::PostingMovedToDefinition {
            definition_digest: digest.to_owned().into(),
            run_id: run_id.into(),
        }])
    }

    fn run_of(&self, given: RunId) -> Result<&PostingRun, PostingRejection> {
        let run = self.run().ok_or(PostingRejection::NotInRun)?;
        if run.run_id() != given {
            let current = run.run_id();
            return Err(PostingRejection::OtherRun { current, given });
        }
        Ok(run)
    }

    /// The run and the conversation of an attempt, if that attempt is the one waited for.
    pub(super) fn attempted<'a>(
        &self,
        workflow: &'a Workflow,
        given: Attempt,
    ) -> Result<(&PostingRun, &'a Conversation), PostingRejection> {
        let conversation_id = given.conversation_id;
        if self.is_terminal() {
            return Err(PostingRejection::AlreadyTerminal);
        }
        let run = self.run_of(given.run_id)?;
        same_workflow(workflow, run)?;
        let conversation = conversation_in(workflow, conversation_id)?;
        let current =
            run.attempt_at(conversation_id).ok_or(PostingRejection::NotOpen { conversation_id })?;
        if let Some(group) = awaited_group(workflow, run, conversation) {
            let group = group.to_owned();
            return Err(PostingRejection::Waiting { conversation_id, group });
        }
        if current != given {
            return Err(PostingRejection::OtherAttempt { current, given });
        }
        Ok((run, conversation))
    }
}

/// The group that keeps a conversation from starting: it waits for it, and a member is open.
pub(super) fn awaited_group<'a>(
    workflow: &Workflow,
    run: &PostingRun,
    conversation: &'a Conversation,
) -> Option<&'a str> {
    let group = conversation.wait_for_group.as_deref()?;
    run.awaited_at(workflow, conversation).next().is_some().then_some(group)
}

fn same_workflow(workflow: &Workflow, run: &PostingRun) -> Result<(), PostingRejection> {
    let (current, given) = (run.workflow_id(), workflow.id);
    match current == given {
        true => Ok(()),
        false => Err(PostingRejection::OtherWorkflow { current, given }),
    }
}

fn conversation_in(
    workflow: &Workflow,
    conversation_id: ConversationId,
) -> Result<&Conversation, PostingRejection> {
    workflow
        .conversation(conversation_id)
        .ok_or(PostingRejection::UnknownConversation { conversation_id, workflow_id: workflow.id })
}

fn actor_of<'a>(
    workflow: &'a Workflow,
    conversation: &Conversation,
) -> Result<&'a Actor, PostingRejection> {
    workflow.actor(conversation.actor).ok_or(PostingRejection::UnknownActor {
        conversation_id: conversation.id,
        workflow_id: workflow.id,
    })
}
