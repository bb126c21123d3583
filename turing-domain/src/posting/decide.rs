//! What follows from what a posting is told.

use es_core::Timestamp;
use serde_json::Value;

use crate::definition::{Actor, ActorKind, Conversation, On, Workflow};
use crate::duration::milliseconds;
use crate::ids::{ConversationId, RunId};
use crate::names::{EndReason, FailureType};
use crate::posting::command::{Attempt, Completion, Failure, SUCCESS};
use crate::posting::event::PostingEvent;
use crate::posting::rejection::PostingRejection;
use crate::posting::run::{Outcome, PostingRun};
use crate::posting::state::Posting;
use crate::routing::{Fired, firing_rules};

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
        let mut plan = Plan::new(workflow, run);
        plan.record(completed(actor, conversation, completion));
        plan.route(conversation, On::Success, &completion.output)?;
        Ok(plan.end(conversation.id))
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
        let mut plan = Plan::new(workflow, run);
        plan.record(failed(actor, conversation, failure));
        if let Some(failure_count) = failure.breaker_opened {
            plan.record(PostingEvent::CircuitBreakerOpen {
                actor_id: actor.id.into(),
                failure_count: failure_count.into(),
                conversation_id: conversation.id.into(),
                run_id: run.run_id().into(),
            });
        }
        plan.repeat_or_route(
            conversation,
            failure.attempt.retries,
            &failure.failure_type,
            (failure.now, failure.jitter),
        )?;
        Ok(plan.end(conversation.id))
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
        let mut plan = Plan::new(workflow, run);
        let mut last = None;
        for (id, finished) in run.finished() {
            let conversation = conversation_in(workflow, *id)?;
            match &finished.outcome {
                Outcome::Completed => {
                    let output = self.usable_output(*id).unwrap_or_default();
                    plan.route(conversation, On::Success, &output)?;
                }
                Outcome::Failed(failure_type) => {
                    plan.repeat_or_route(
                        conversation,
                        finished.retries,
                        failure_type,
                        (now, jitter),
                    )?;
                }
            }
            last = Some(*id);
        }
        Ok(match last {
            Some(last) => plan.end(last),
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

    fn run_of(&self, given: RunId) -> Result<&PostingRun, PostingRejection> {
        let run = self.run().ok_or(PostingRejection::NotInRun)?;
        if run.run_id() != given {
            let current = run.run_id();
            return Err(PostingRejection::OtherRun { current, given });
        }
        Ok(run)
    }

    /// The run and the conversation of an attempt, if that attempt is the one waited for.
    fn attempted<'a>(
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
fn awaited_group<'a>(
    workflow: &Workflow,
    run: &PostingRun,
    conversation: &'a Conversation,
) -> Option<&'a str> {
    let group = conversation.wait_for_group.as_deref()?;
    let mut members = workflow.members_of(group);
    members.any(|member| run.open().contains_key(&member)).then_some(group)
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

/// The events of one decision, and the run as it is after them.
struct Plan<'a> {
    workflow: &'a Workflow,
    run: PostingRun,
    events: Vec<PostingEvent>,
}

impl<'a> Plan<'a> {
    fn new(workflow: &'a Workflow, run: &PostingRun) -> Self {
        let run = run.clone();
        Self { workflow, run, events: Vec::new() }
    }

    fn record(&mut self, event: PostingEvent) {
        self.run.evolve(&event);
        self.events.push(event);
    }

    fn repeat_or_route(
        &mut self,
        conversation: &Conversation,
        retries: u32,
        failure_type: &FailureType,
        (now, jitter): (Timestamp, f64),
    ) -> Result<(), PostingRejection> {
        let retry = &self.workflow.retry;
        if failure_type.is_retried() && retries < retry.retries {
            let event = PostingEvent::RetryScheduled {
                attempt: retries + 1,
                due_at: now.plus(retry.delay(retries, jitter)),
                failure_type: failure_type.clone(),
                conversation_id: conversation.id.into(),
                run_id: self.run.run_id().into(),
            };
            self.record(event);
            return Ok(());
        }
        self.route(conversation, On::Failure, failure_type.as_str())
    }

    /// Takes the rules that fire, each target once.
    fn route(&mut self, from: &Conversation, on: On, text: &str) -> Result<(), PostingRejection> {
        let fired = firing_rules(from, on, text);
        if fired.is_empty() {
            let reason = match on {
                On::Success => EndReason::NoMatchingBranch,
                On::Failure => EndReason::ActorFailed,
            };
            self.end_path(from, reason, None);
        }
        for (index, first) in fired.iter().enumerate() {
            let has_same_target = |other: &&Fired<'_>| other.rule.target == first.rule.target;
            if !fired[..index].iter().any(|other| has_same_target(&other)) {
                let same: Vec<_> = fired.iter().filter(has_same_target).copied().collect();
                self.follow(from, &same)?;
            }
        }
        Ok(())
    }

    /// Takes the first of the rules to one target that its limit allows, or ends the path.
    fn follow(&mut self, from: &Conversation, rules: &[Fired<'_>]) -> Result<(), PostingRejection> {
        let may_be_taken = |fired: &&Fired<'_>| {
            let taken = self.run.iterations_of(from.id, fired.number);
            fired.rule.max_iterations.is_none_or(|limit| taken < limit)
        };
        let Some(fired) = rules.iter().find(may_be_taken) else {
            self.end_path(from, EndReason::IterationLimit, rules.first());
            return Ok(());
        };
        if let Some(target) = fired.rule.target
            && let Some(reason) = self.refusal(target)?
        {
            self.end_path(from, reason, Some(fired));
            return Ok(());
        }
        self.record(PostingEvent::BranchTaken {
            rule: fired.number,
            priority: fired.rule.priority,
            condition: fired.rule.condition.to_string(),
            to: fired.rule.target,
            conversation_id: from.id.into(),
            run_id: self.run.run_id().into(),
        });
        Ok(())
    }

    /// The limit that keeps a conversation from being opened. One that is open already is not
    /// opened again.
    fn refusal(&self, target: ConversationId) -> Result<Option<EndReason>, PostingRejection> {
        let conversation = conversation_in(self.workflow, target)?;
        Ok(if self.run.open().contains_key(&target) {
            None
        } else if self.run.runs_of(target) >= conversation.max_instruction_runs {
            Some(EndReason::LoopGuard)
        } else if self.run.conversation_runs() >= self.workflow.max_total_session_runs {
            Some(EndReason::RunBudget)
        } else {
            None
        })
    }

    fn end_path(&mut self, at: &Conversation, reason: EndReason, refused: Option<&Fired<'_>>) {
        self.record(PostingEvent::PathEnded {
            reason,
            rule: refused.map(|fired| fired.number),
            to: refused.and_then(|fired| fired.rule.target),
            conversation_id: at.id.into(),
            run_id: self.run.run_id().into(),
        });
    }

    /// The events, with the end of the posting if no position is left.
    fn end(mut self, last: ConversationId) -> Vec<PostingEvent> {
        if self.run.open().is_empty() && self.run.finished().is_empty() {
            let reason = self.run.ended_paths().keys().next_back().cloned();
            self.record(PostingEvent::PostingTerminal {
                reason: reason.into(),
                final_conversation_id: last.into(),
                run_id: self.run.run_id().into(),
            });
        }
        self.events
    }
}

fn completed(actor: &Actor, conversation: &Conversation, completion: &Completion) -> PostingEvent {
    let output = Value::String(completion.output.clone());
    let status = SUCCESS.to_owned().into();
    let conversation_id = conversation.id.into();
    let actor_id = actor.id.into();
    let execution_order = conversation.execution_order.into();
    let duration_ms = completion.duration.map(milliseconds).into();
    let retry_count = completion.attempt.retries.into();
    let run_id = completion.attempt.run_id.into();
    match &actor.kind {
        ActorKind::Script(_) => PostingEvent::ScriptExecutionCompleted {
            output,
            status,
            conversation_id,
            actor_id,
            execution_order,
            duration_ms,
            retry_count,
            run_id,
        },
        ActorKind::Llm(llm) => {
            let usage = &completion.llm;
            let tokens = match (usage.prompt_tokens, usage.completion_tokens) {
                (None, None) => None,
                (prompt, answer) => Some(prompt.unwrap_or(0).saturating_add(answer.unwrap_or(0))),
            };
            PostingEvent::LlmCallCompleted {
                output,
                status,
                model: usage.model.clone().unwrap_or_else(|| llm.model.clone()).into(),
                tokens: tokens.into(),
                prompt_tokens: usage.prompt_tokens.into(),
                completion_tokens: usage.completion_tokens.into(),
                conversation_id,
                actor_id,
                execution_order,
                duration_ms,
                retry_count,
                run_id,
            }
        }
        ActorKind::Human => PostingEvent::HumanTaskCompleted {
            output,
            status,
            conversation_id,
            actor_id,
            execution_order,
            duration_ms,
            retry_count,
            run_id,
        },
    }
}

fn failed(actor: &Actor, conversation: &Conversation, failure: &Failure) -> PostingEvent {
    let error = storable(&failure.error).into();
    let failure_type = failure.failure_type.clone().into();
    let conversation_id = conversation.id.into();
    let actor_id = actor.id.into();
    let execution_order = conversation.execution_order.into();
    let duration_ms = failure.duration.map(milliseconds).into();
    let retry_count = failure.attempt.retries.into();
    let run_id = failure.attempt.run_id.into();
    match &actor.kind {
        ActorKind::Script(_) => PostingEvent::ScriptExecutionFailed {
            error,
            failure_type,
            stderr: failure.stderr.as_deref().map(storable).into(),
            conversation_id,
            actor_id,
            execution_order,
            duration_ms,
            retry_count,
            run_id,
        },
        ActorKind::Llm(llm) => PostingEvent::LlmCallFailed {
            error,
            failure_type,
            model: failure.model.clone().unwrap_or_else(|| llm.model.clone()).into(),
            conversation_id,
            actor_id,
            execution_order,
            duration_ms,
            retry_count,
            run_id,
        },
        ActorKind::Human => PostingEvent::HumanTaskFailed {
            error,
            failure_type,
            conversation_id,
            actor_id,
            execution_order,
            duration_ms,
            retry_count,
            run_id,
        },
    }
}

fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
