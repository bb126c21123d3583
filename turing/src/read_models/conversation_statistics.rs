//! How each conversation does, over all runs.

use std::collections::BTreeMap;

use es_core::event::{EventFilter, MetadataField, RecordedEvent, Timestamp};
use es_core::projection::{FailurePolicy, Keying};
use es_core::{BoxError, Envelope, Projection};
use serde::{Deserialize, Serialize};
use turing_domain::fields::CONVERSATION_ID;
use turing_domain::{ActorId, ConversationId, FailureType, Noted, Posting, PostingEvent};

use super::{Durations, POLICY, count, sum};

/// The conversation as the fold of a posting reads it: also from digits in a text.
const NOTED_CONVERSATION: MetadataField<Noted<ConversationId>> =
    MetadataField::new(CONVERSATION_ID.name());

/// What was done at a conversation: attempts, durations, failures, tokens. Attempts that name no
/// conversation are in none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ConversationRow {
    /// Attempts that succeeded.
    pub completed: u64,
    /// Attempts that failed, by the type of failure.
    pub failed: BTreeMap<FailureType, u64>,
    /// How long attempts took, those that failed included.
    pub durations: Durations,
    /// What language models used, by actor.
    pub tokens: BTreeMap<ActorId, Tokens>,
    /// When its last attempt was recorded.
    pub last_event: Option<Timestamp>,
}

/// What one actor used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tokens {
    /// Calls that told their tokens.
    pub calls: u64,
    /// The tokens of the inputs.
    pub prompt: u64,
    /// The tokens of the answers.
    pub completion: u64,
    /// Both together, as the calls told it.
    pub total: u64,
}

impl ConversationRow {
    /// Attempts, those that failed included.
    pub fn attempts(&self) -> u64 {
        self.completed.saturating_add(sum(self.failed.values()))
    }

    fn failed(&mut self, failure_type: &Noted<FailureType>, duration_ms: Noted<u64>) {
        let failure_type = failure_type.0.clone().unwrap_or(FailureType::Unknown);
        count(self.failed.entry(failure_type).or_default());
        self.took(duration_ms);
    }

    fn took(&mut self, duration_ms: Noted<u64>) {
        if let Some(millis) = duration_ms.0 {
            self.durations.add(millis);
        }
    }

    fn take(&mut self, event: &PostingEvent) {
        use PostingEvent::*;
        match event {
            ScriptExecutionCompleted { duration_ms, .. }
            | HumanTaskCompleted { duration_ms, .. } => {
                count(&mut self.completed);
                self.took(*duration_ms);
            }
            LlmCallCompleted {
                duration_ms,
                actor_id,
                tokens,
                prompt_tokens,
                completion_tokens,
                ..
            } => {
                count(&mut self.completed);
                self.took(*duration_ms);
                if let (Some(actor), Some(total)) = (actor_id.0, tokens.0) {
                    let used = self.tokens.entry(actor).or_default();
                    count(&mut used.calls);
                    used.total = used.total.saturating_add(total);
                    let add = |sum: &mut u64, more: Noted<u64>| {
                        *sum = sum.saturating_add(more.0.unwrap_or(0));
                    };
                    add(&mut used.prompt, *prompt_tokens);
                    add(&mut used.completion, *completion_tokens);
                }
            }
            ScriptExecutionFailed { failure_type, duration_ms, .. }
            | LlmCallFailed { failure_type, duration_ms, .. }
            | HumanTaskFailed { failure_type, duration_ms, .. } => {
                self.failed(failure_type, *duration_ms);
            }
            // not selected
            PostingEnteredRun { .. }
            | BranchTaken { .. }
            | PathEnded { .. }
            | RetryScheduled { .. }
            | PostingTerminal { .. }
            | CircuitBreakerOpen { .. }
            | PostingStateImported { .. }
            | HumanTaskClaimed { .. }
            | HumanTaskReleased { .. }
            | PostingMovedToDefinition { .. } => {}
        }
    }
}

fn conversation_of(recorded: &RecordedEvent) -> Option<ConversationId> {
    recorded.metadata.get(NOTED_CONVERSATION).and_then(|id| id.0)
}

impl Projection for ConversationRow {
    const NAME: &'static str = "conversation_statistics";
    const ON_FAILURE: FailurePolicy = POLICY;
    type Event = PostingEvent;
    type Key = ConversationId;

    fn selection() -> EventFilter {
        EventFilter::events([
            PostingEvent::SCRIPT_EXECUTION_COMPLETED,
            PostingEvent::SCRIPT_EXECUTION_FAILED,
            PostingEvent::LLM_CALL_COMPLETED,
            PostingEvent::LLM_CALL_FAILED,
            PostingEvent::HUMAN_TASK_COMPLETED,
            PostingEvent::HUMAN_TASK_FAILED,
        ])
        .aggregate::<Posting>()
    }

    fn keying() -> Keying<Self> {
        Keying::by_metadata(conversation_of)
    }

    fn evolve(
        _: &ConversationId,
        row: &mut Option<Self>,
        event: &Envelope<'_, PostingEvent>,
    ) -> Result<(), BoxError> {
        let row = row.get_or_insert_default();
        row.take(&event.data);
        row.last_event = Some(event.recorded_at);
        Ok(())
    }
}
