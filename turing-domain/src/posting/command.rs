//! What a posting is told: how an attempt ended.

use std::fmt;
use std::time::Duration;

use es_core::event::Timestamp;

use crate::ids::{ConversationId, PostingId, RunId};
use crate::names::FailureType;

/// The `status` of every execution that this program records as completed.
pub const SUCCESS: &str = "SUCCESS";

/// One attempt at one conversation: what an actor was started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// The run in which the posting is.
    pub run_id: RunId,
    /// The conversation.
    pub conversation_id: ConversationId,
    /// Which execution of the conversation this is in the run, from 1.
    pub execution: u32,
    /// How many attempts of this execution failed before.
    pub retries: u32,
}

impl Attempt {
    /// The idempotency key of the attempt's result: made of what is done, never of when.
    pub fn idempotency_key(&self, posting: PostingId) -> String {
        format!("{}/{posting}/{self}", self.run_id)
    }
}

impl fmt::Display for Attempt {
    /// Conversation, execution and attempt, such as `9101/1/0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { conversation_id, execution, retries, .. } = self;
        write!(f, "{conversation_id}/{execution}/{retries}")
    }
}

/// An attempt that succeeded.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// Which attempt.
    pub attempt: Attempt,
    /// What the actor answered, as it answered.
    pub output: String,
    /// How long it took.
    pub duration: Option<Duration>,
    /// What a language model reported about its answer.
    pub llm: LlmUsage,
}

/// What a language model, or its endpoint, reports about an answer, or about the lack of one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LlmUsage {
    /// The model that answered.
    pub model: Option<String>,
    /// The tokens of the input.
    pub prompt_tokens: Option<u64>,
    /// The tokens of the answer.
    pub completion_tokens: Option<u64>,
    /// Why the answer ends where it ends, in the words of the endpoint.
    pub finish_reason: Option<String>,
    /// The tokens of the input that the endpoint had read before.
    pub cached_tokens: Option<u64>,
    /// The tokens of the answer that the model thought.
    pub reasoning_tokens: Option<u64>,
    /// How long it took to the first piece of a text, in milliseconds.
    pub first_token_ms: Option<u64>,
    /// How the endpoint calls the request.
    pub request_id: Option<String>,
}

/// An attempt that failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// Which attempt.
    pub attempt: Attempt,
    /// The kind of failure, which decides what follows.
    pub failure_type: FailureType,
    /// What went wrong, for people.
    pub error: String,
    /// What a script wrote to its standard error.
    pub stderr: Option<String>,
    /// What a language model reported all the same.
    pub llm: LlmUsage,
    /// Whether the actor did as it was asked, and its answer will not do: asked the same, it would
    /// answer the same. Such a failure is not repeated.
    pub is_final: bool,
    /// How long it took.
    pub duration: Option<Duration>,
    /// The pause that the actor asked for: the least delay before a repeat.
    pub retry_after: Option<Duration>,
    /// When it failed: the delay before a repeat counts from here.
    pub now: Timestamp,
    /// Chance for the delay before a repeat, from 0 to 1.
    pub jitter: f64,
    /// The consecutive failures of the actor, if this one opened its circuit breaker.
    pub breaker_opened: Option<u32>,
}
