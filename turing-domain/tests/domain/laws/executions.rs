//! Events that say how an execution ended.

use es_core::event::Payload;
use proptest::prelude::*;
use turing_domain::{ActorId, ConversationId, FailureType, Noted, PostingEvent, RunId};

use super::shared::{ACTOR, CONVERSATION, RUN, conversation_ids, noted, run_ids};
use super::told::Told;

/// The metadata of an execution.
#[derive(Debug, Clone)]
pub(super) struct Execution {
    conversation_id: Noted<ConversationId>,
    actor_id: Noted<ActorId>,
    execution_order: Noted<i32>,
    duration_ms: Noted<u64>,
    retry_count: Noted<u32>,
    run_id: Noted<RunId>,
}

impl Execution {
    /// The specification's example.
    pub(super) fn example() -> Self {
        Self {
            conversation_id: CONVERSATION.into(),
            actor_id: ACTOR.into(),
            execution_order: 2.into(),
            duration_ms: 245.into(),
            retry_count: 0.into(),
            run_id: RUN.into(),
        }
    }

    // boxed, here and below: the trees of so many fields would not fit a test's stack
    pub(super) fn any() -> BoxedStrategy<Self> {
        (
            noted(conversation_ids()),
            noted(any::<i32>().prop_map(ActorId)),
            noted(any::<i32>()),
            noted(any::<u64>()),
            noted(any::<u32>()),
            noted(run_ids()),
        )
            .prop_map(
                |(conversation_id, actor_id, execution_order, duration_ms, retry_count, run_id)| {
                    Self {
                        conversation_id,
                        actor_id,
                        execution_order,
                        duration_ms,
                        retry_count,
                        run_id,
                    }
                },
            )
            .boxed()
    }

    pub(super) fn script_completed(
        self,
        output: Option<Payload>,
        status: Noted<String>,
    ) -> PostingEvent {
        PostingEvent::ScriptExecutionCompleted {
            output,
            status,
            conversation_id: self.conversation_id,
            actor_id: self.actor_id,
            execution_order: self.execution_order,
            duration_ms: self.duration_ms,
            retry_count: self.retry_count,
            run_id: self.run_id,
        }
    }

    pub(super) fn llm_completed(
        self,
        output: Option<Payload>,
        (status, model): (Noted<String>, Noted<String>),
        [tokens, prompt_tokens, completion_tokens]: [Noted<u64>; 3],
        told: Told,
    ) -> PostingEvent {
        PostingEvent::LlmCallCompleted {
            output,
            status,
            model,
            tokens,
            prompt_tokens,
            completion_tokens,
            finish_reason: told.finish_reason,
            cached_tokens: told.cached_tokens,
            reasoning_tokens: told.reasoning_tokens,
            first_token_ms: told.first_token_ms,
            request_id: told.request_id,
            conversation_id: self.conversation_id,
            actor_id: self.actor_id,
            execution_order: self.execution_order,
            duration_ms: self.duration_ms,
            retry_count: self.retry_count,
            run_id: self.run_id,
        }
    }

    pub(super) fn human_completed(
        self,
        output: Option<Payload>,
        status: Noted<String>,
        by: Noted<String>,
    ) -> PostingEvent {
        PostingEvent::HumanTaskCompleted {
            output,
            status,
            by,
            conversation_id: self.conversation_id,
            actor_id: self.actor_id,
            execution_order: self.execution_order,
            duration_ms: self.duration_ms,
            retry_count: self.retry_count,
            run_id: self.run_id,
        }
    }

    pub(super) fn script_failed(
        self,
        error: Noted<String>,
        failure_type: Noted<FailureType>,
        stderr: Noted<String>,
    ) -> PostingEvent {
        PostingEvent::ScriptExecutionFailed {
            error,
            failure_type,
            stderr,
            conversation_id: self.conversation_id,
            actor_id: self.actor_id,
            execution_order: self.execution_order,
            duration_ms: self.duration_ms,
            retry_count: self.retry_count,
            run_id: self.run_id,
        }
    }

    pub(super) fn llm_failed(
        self,
        error: Noted<String>,
        failure_type: Noted<FailureType>,
        model: Noted<String>,
        told: Told,
    ) -> PostingEvent {
        PostingEvent::LlmCallFailed {
            error,
            failure_type,
            model,
            finish_reason: told.finish_reason,
            cached_tokens: told.cached_tokens,
            reasoning_tokens: told.reasoning_tokens,
            first_token_ms: told.first_token_ms,
            request_id: told.request_id,
            conversation_id: self.conversation_id,
            actor_id: self.actor_id,
            execution_order: self.execution_order,
            duration_ms: self.duration_ms,
            retry_count: self.retry_count,
            run_id: self.run_id,
        }
    }

    pub(super) fn human_failed(
        self,
        error: Noted<String>,
        failure_type: Noted<FailureType>,
        by: Noted<String>,
    ) -> PostingEvent {
        PostingEvent::HumanTaskFailed {
            error,
            failure_type,
            by,
            conversation_id: self.conversation_id,
            actor_id: self.actor_id,
            execution_order: self.execution_order,
            duration_ms: self.duration_ms,
            retry_count: self.retry_count,
            run_id: self.run_id,
        }
    }
}
