//! What follows from the end of an execution: the branch rules, within their limits.
//!
//! They are recorded one after the other in a draft of the run, so that each sees what those before
//! it have used up.

use std::time::Duration;

use es_core::Draft;
use es_core::event::Timestamp;

use super::conversation_in;
use crate::definition::{Conversation, On, Workflow};
use crate::ids::ConversationId;
use crate::names::{EndReason, FailureType};
use crate::posting::event::PostingEvent;
use crate::posting::rejection::PostingRejection;
use crate::posting::run::PostingRun;
use crate::routing::{Fired, firing_rules};

/// What the time of a repeat follows from, beside the workflow's policy.
#[derive(Clone, Copy)]
pub(super) struct Timing {
    pub(super) now: Timestamp,
    pub(super) jitter: f64,
    pub(super) retry_after: Option<Duration>,
}

pub(super) fn repeat_or_route(
    run: &mut Draft<PostingRun>,
    workflow: &Workflow,
    conversation: &Conversation,
    retries: u32,
    failure_type: &FailureType,
    timing: Timing,
) -> Result<(), PostingRejection> {
    let retry = &workflow.retry;
    // nobody is asked again who has answered, or was not there
    let is_asked_again = workflow.person_at(conversation).is_none();
    if is_asked_again && failure_type.is_retried() && retries < retry.retries {
        let least = retry.least_delay(timing.retry_after).unwrap_or_default();
        let delay = retry.delay(retries, timing.jitter).max(least);
        run.record(PostingEvent::RetryScheduled {
            attempt: retries.saturating_add(1),
            due_at: timing.now.plus(delay),
            failure_type: failure_type.clone(),
            conversation_id: conversation.id.into(),
            run_id: run.run_id().into(),
        });
        return Ok(());
    }
    route(run, workflow, conversation, On::Failure, failure_type.as_str())
}

/// Takes the rules that fire, each target once.
pub(super) fn route(
    run: &mut Draft<PostingRun>,
    workflow: &Workflow,
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
        end_path(run, from, reason, None);
    }
    for (index, first) in fired.iter().enumerate() {
        let has_same_target = |other: &&Fired<'_>| other.rule.target == first.rule.target;
        if !fired[..index].iter().any(|other| has_same_target(&other)) {
            let same: Vec<_> = fired.iter().filter(has_same_target).copied().collect();
            follow(run, workflow, from, &same)?;
        }
    }
    Ok(())
}

/// Takes the first of the rules to one target that its limit allows, or ends the path.
fn follow(
    run: &mut Draft<PostingRun>,
    workflow: &Workflow,
    from: &Conversation,
    rules: &[Fired<'_>],
) -> Result<(), PostingRejection> {
    let may_be_taken = |fired: &&Fired<'_>| {
        let taken = run.iterations_of(from.id, fired.number);
        fired.rule.max_iterations.is_none_or(|limit| taken < limit)
    };
    let Some(fired) = rules.iter().find(may_be_taken) else {
        end_path(run, from, EndReason::IterationLimit, rules.first());
        return Ok(());
    };
    if let Some(target) = fired.rule.target
        && let Some(reason) = refusal(run, workflow, target)?
    {
        end_path(run, from, reason, Some(fired));
        return Ok(());
    }
    run.record(PostingEvent::BranchTaken {
        rule: fired.number,
        priority: fired.rule.priority,
        condition: fired.rule.condition.to_string(),
        to: fired.rule.target,
        conversation_id: from.id.into(),
        run_id: run.run_id().into(),
    });
    Ok(())
}

/// The limit that keeps a conversation from being opened. One that is open already is not opened
/// again.
fn refusal(
    run: &PostingRun,
    workflow: &Workflow,
    target: ConversationId,
) -> Result<Option<EndReason>, PostingRejection> {
    let conversation = conversation_in(workflow, target)?;
    Ok(if run.open().contains_key(&target) {
        None
    } else if run.runs_of(target) >= conversation.max_instruction_runs {
        Some(EndReason::LoopGuard)
    } else if run.conversation_runs() >= workflow.max_total_session_runs {
        Some(EndReason::RunBudget)
    } else {
        None
    })
}

fn end_path(
    run: &mut Draft<PostingRun>,
    at: &Conversation,
    reason: EndReason,
    refused: Option<&Fired<'_>>,
) {
    run.record(PostingEvent::PathEnded {
        reason,
        rule: refused.map(|fired| fired.number),
        to: refused.and_then(|fired| fired.rule.target),
        conversation_id: at.id.into(),
        run_id: run.run_id().into(),
    });
}

/// The events, with the end of the posting if no position is left.
pub(super) fn end(mut run: Draft<PostingRun>, last: ConversationId) -> Vec<PostingEvent> {
    if run.open().is_empty() && run.finished().is_empty() {
        let reason = run.ended_paths().keys().next_back().cloned();
        run.record(PostingEvent::PostingTerminal {
            reason: reason.into(),
            final_conversation_id: last.into(),
            run_id: run.run_id().into(),
        });
    }
    run.into_recorded()
}
