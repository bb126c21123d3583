//! What follows from the end of an execution: the branch rules, within their limits.

use std::time::Duration;

use es_core::Timestamp;

use super::conversation_in;
use crate::definition::{Conversation, On, Workflow};
use crate::ids::ConversationId;
use crate::names::{EndReason, FailureType};
use crate::posting::event::PostingEvent;
use crate::posting::rejection::PostingRejection;
use crate::posting::run::PostingRun;
use crate::routing::{Fired, firing_rules};

/// The events of one decision, and the run as it is after them.
pub(super) struct Plan<'a> {
    workflow: &'a Workflow,
    run: PostingRun,
    events: Vec<PostingEvent>,
}

/// What the time of a repeat follows from, beside the workflow's policy.
#[derive(Clone, Copy)]
pub(super) struct Timing {
    pub(super) now: Timestamp,
    pub(super) jitter: f64,
    pub(super) retry_after: Option<Duration>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(workflow: &'a Workflow, run: &PostingRun) -> Self {
        let run = run.clone();
        Self { workflow, run, events: Vec::new() }
    }

    pub(super) fn record(&mut self, event: PostingEvent) {
        self.run.evolve(&event);
        self.events.push(event);
    }

    pub(super) fn repeat_or_route(
        &mut self,
        conversation: &Conversation,
        retries: u32,
        failure_type: &FailureType,
        timing: Timing,
    ) -> Result<(), PostingRejection> {
        let retry = &self.workflow.retry;
        if failure_type.is_retried() && retries < retry.retries {
            let least = retry.least_delay(timing.retry_after).unwrap_or_default();
            let delay = retry.delay(retries, timing.jitter).max(least);
            let event = PostingEvent::RetryScheduled {
                attempt: retries.saturating_add(1),
                due_at: timing.now.plus(delay),
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
    pub(super) fn route(
        &mut self,
        from: &Conversation,
        on: On,
        text: &str,
    ) -> Result<(), PostingRejection> {
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
    pub(super) fn end(mut self, last: ConversationId) -> Vec<PostingEvent> {
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
