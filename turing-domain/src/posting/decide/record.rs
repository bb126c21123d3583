//! Which event records the end of an attempt.

use serde_json::Value;

use crate::definition::{Actor, ActorKind, Conversation};
use crate::duration::milliseconds;
use crate::noted::Noted;
use crate::posting::command::{Completion, Failure, SUCCESS};
use crate::posting::event::PostingEvent;

/// The event that records an answer, by the kind of its actor.
pub(super) fn completed(
    actor: &Actor,
    conversation: &Conversation,
    completion: &Completion,
) -> PostingEvent {
    let output = Some(Value::String(completion.output.clone()).into());
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
                model: storable(usage.model.as_ref().unwrap_or(&llm.model)).into(),
                tokens: tokens.into(),
                prompt_tokens: usage.prompt_tokens.into(),
                completion_tokens: usage.completion_tokens.into(),
                finish_reason: usage.finish_reason.as_deref().map(storable).into(),
                cached_tokens: usage.cached_tokens.into(),
                reasoning_tokens: usage.reasoning_tokens.into(),
                first_token_ms: usage.first_token_ms.into(),
                request_id: usage.request_id.as_deref().map(storable).into(),
                conversation_id,
                actor_id,
                execution_order,
                duration_ms,
                retry_count,
                run_id,
            }
        }
        ActorKind::Human(_) => PostingEvent::HumanTaskCompleted {
            output,
            status,
            by: Noted::ABSENT,
            conversation_id,
            actor_id,
            execution_order,
            duration_ms,
            retry_count,
            run_id,
        },
    }
}

/// The event that records a failure, by the kind of its actor.
pub(super) fn failed(
    actor: &Actor,
    conversation: &Conversation,
    failure: &Failure,
) -> PostingEvent {
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
            model: storable(failure.llm.model.as_ref().unwrap_or(&llm.model)).into(),
            finish_reason: failure.llm.finish_reason.as_deref().map(storable).into(),
            cached_tokens: failure.llm.cached_tokens.into(),
            reasoning_tokens: failure.llm.reasoning_tokens.into(),
            first_token_ms: failure.llm.first_token_ms.into(),
            request_id: failure.llm.request_id.as_deref().map(storable).into(),
            conversation_id,
            actor_id,
            execution_order,
            duration_ms,
            retry_count,
            run_id,
        },
        ActorKind::Human(_) => PostingEvent::HumanTaskFailed {
            error,
            failure_type,
            by: Noted::ABSENT,
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
