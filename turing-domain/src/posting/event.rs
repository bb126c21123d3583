//! What happens to a posting, under the names that are stored.

use std::collections::BTreeMap;

use es_core::Event;
use es_core::event::{Payload, Timestamp};

use crate::ids::{ActorId, ConversationId, RunId, WorkflowId};
use crate::names::{EndReason, FailureType};
use crate::noted::Noted;

/// What happens to a posting.
///
/// The first eight are also written by other programs, so every field of theirs may be absent, and
/// one that does not fit counts as absent.
#[derive(Event, Debug, Clone, PartialEq)]
pub enum PostingEvent {
    /// A script finished successfully.
    ScriptExecutionCompleted {
        /// What it wrote to its standard output, to the last digit; `None` if nobody recorded it.
        output: Option<Payload>,
        /// `SUCCESS`.
        status: Noted<String>,
        /// The conversation that was executed.
        #[event(metadata)]
        conversation_id: Noted<ConversationId>,
        /// Who executed it.
        #[event(metadata)]
        actor_id: Noted<ActorId>,
        /// The conversation's place among the waves.
        #[event(metadata)]
        execution_order: Noted<i32>,
        /// How long it took, in milliseconds.
        #[event(metadata)]
        duration_ms: Noted<u64>,
        /// How many attempts failed before.
        #[event(metadata)]
        retry_count: Noted<u32>,
        /// The run that it belongs to.
        #[event(metadata)]
        run_id: Noted<RunId>,
    },
    /// A language model answered.
    LlmCallCompleted {
        /// The answer, to the last digit; `None` if nobody recorded it.
        output: Option<Payload>,
        /// `SUCCESS`.
        status: Noted<String>,
        /// The model that answered.
        model: Noted<String>,
        /// The tokens of the input and of the answer together.
        tokens: Noted<u64>,
        /// The tokens of the input.
        prompt_tokens: Noted<u64>,
        /// The tokens of the answer.
        completion_tokens: Noted<u64>,
        /// Why the answer ends where it ends, in the words of the endpoint.
        #[serde(default, skip_serializing_if = "Noted::is_absent")]
        finish_reason: Noted<String>,
        /// The tokens of the input that the endpoint had read before.
        #[serde(default, skip_serializing_if = "Noted::is_absent")]
        cached_tokens: Noted<u64>,
        /// The tokens of the answer that the model thought.
        #[serde(default, skip_serializing_if = "Noted::is_absent")]
        reasoning_tokens: Noted<u64>,
        /// How long it took to the first piece of a text, in milliseconds.
        #[serde(default, skip_serializing_if = "Noted::is_absent")]
        first_token_ms: Noted<u64>,
        /// How the endpoint calls the request.
        #[serde(default, skip_serializing_if = "Noted::is_absent")]
        request_id: Noted<String>,
        /// The conversation that was executed.
        #[event(metadata)]
        conversation_id: Noted<ConversationId>,
        /// Who executed it.
        #[event(metadata)]
        actor_id: Noted<ActorId>,
        /// The conversation's place among the waves.
        #[event(metadata)]
        execution_order: Noted<i32>,
        /// How long it took, in milliseconds.
        #[event(metadata)]
        duration_ms: Noted<u64>,
        /// How many attempts failed before.
        #[event(metadata)]
        retry_count: Noted<u32>,
        /// The run that it belongs to.
        #[event(metadata)]
        run_id: Noted<RunId>,
    },
    /// A person gave an answer.
    HumanTaskCompleted {
        /// The answer, to the last digit; `None` if nobody recorded it.
        output: Option<Payload>,
        /// `SUCCESS`.
        status: Noted<String>,
        /// Who gave it, if it was recorded.
        #[serde(default, skip_serializing_if = "Noted::is_absent")]
        by: Noted<String>,
        /// The conversation that was executed.
        #[event(metadata)]
        conversation_id: Noted<ConversationId>,
        /// Who executed it.
        #[event(metadata)]
        actor_id: Noted<ActorId>,
        /// The conversation's place among the waves.
        #[event(metadata)]
        execution_order: Noted<i32>,
        /// How long it took, in milliseconds.
        #[event(metadata)]
        duration_ms: Noted<u64>,
        /// How many attempts failed before.
        #[event(metadata)]
        retry_count: Noted<u32>,
        /// The run that it belongs to.
        #[event(metadata)]
        run_id: Noted<RunId>,
    },
    /// A script failed, or could not be run.
    ScriptExecutionFailed {
        /// What went wrong, for people.
        error: Noted<String>,
        /// The kind of failure.
        failure_type: Noted<FailureType>,
        /// What it wrote to its standard error.
        stderr: Noted<String>,
        /// The conversation that was executed.
        #[event(metadata)]
        conversation_id: Noted<ConversationId>,
        /// Who executed it.
        #[event(metadata)]
        actor_id: Noted<ActorId>,
        /// The conversation's place among the waves.
        #[event(metadata)]
        execution_order: Noted<i32>,
        /// How long it took, in milliseconds.
        #[event(metadata)]
        duration_ms: Noted<u64>,
        /// How many attempts failed before.
        #[event(metadata)]
        retry_count: Noted<u32>,
        /// The run that it belongs to.
        #[event(metadata)]
        run_id: Noted<RunId>,
    },
    /// A language model failed to answer.
    LlmCallFailed {
        /// What went wrong, for people.
        error: Noted<String>,
        /// The kind of failure.
        failure_type: Noted<FailureType>,
        /// The model that was asked.
        model: Noted<String>,
        /// Why what was answered ends where it ends, in the words of the endpoint.
        #[serde(default, skip_serializing_if = "Noted::is_absent")]
        finish_reason: Noted<String>,
        /// The tokens of the input that the endpoint had read before.
        #[serde(default, skip_serializing_if = "Noted::is_absent")]
        cached_tokens: Noted<u64>,
        /// The tokens of what was answered that the model thought.
        #[serde(default, skip_serializing_if = "Noted::is_absent")]
        reasoning_tokens: Noted<u64>,
        /// How long it took to the first piece of a text, in milliseconds.
        #[serde(default, skip_serializing_if = "Noted::is_absent")]
        first_token_ms: Noted<u64>,
        /// How the endpoint calls the request.
        #[serde(default, skip_serializing_if = "Noted::is_absent")]
        request_id: Noted<String>,
        /// The conversation that was executed.
        #[event(metadata)]
        conversation_id: Noted<ConversationId>,
        /// Who executed it.
        #[event(metadata)]
        actor_id: Noted<ActorId>,
        /// The conversation's place among the waves.
        #[event(metadata)]
        execution_order: Noted<i32>,
        /// How long it took, in milliseconds.
        #[event(metadata)]
        duration_ms: Noted<u64>,
        /// How many attempts failed before.
        #[event(metadata)]
        retry_count: Noted<u32>,
        /// The run that it belongs to.
        #[event(metadata)]
        run_id: Noted<RunId>,
    },
    /// A person's task came to nothing.
    HumanTaskFailed {
        /// What went wrong, for people.
        error: Noted<String>,
        /// The kind of failure.
        failure_type: Noted<FailureType>,
        /// Who said so; absent if nobody did in time, or if it was not recorded.
        #[serde(default, skip_serializing_if = "Noted::is_absent")]
        by: Noted<String>,
        /// The conversation that was executed.
        #[event(metadata)]
        conversation_id: Noted<ConversationId>,
        /// Who executed it.
        #[event(metadata)]
        actor_id: Noted<ActorId>,
        /// The conversation's place among the waves.
        #[event(metadata)]
        execution_order: Noted<i32>,
        /// How long it took, in milliseconds.
        #[event(metadata)]
        duration_ms: Noted<u64>,
        /// How many attempts failed before.
        #[event(metadata)]
        retry_count: Noted<u32>,
        /// The run that it belongs to.
        #[event(metadata)]
        run_id: Noted<RunId>,
    },
    /// No open position is left.
    #[event(name = "posting_terminal")]
    PostingTerminal {
        /// The worst reason of the run's paths.
        reason: Noted<EndReason>,
        /// The conversation that ended last.
        final_conversation_id: Noted<ConversationId>,
        /// The run that it belongs to.
        #[event(metadata)]
        run_id: Noted<RunId>,
    },
    /// A failure of this posting opened the circuit breaker of an actor.
    #[event(name = "circuit_breaker_open")]
    CircuitBreakerOpen {
        /// The actor that gets no more calls for a while.
        actor_id: Noted<ActorId>,
        /// Its consecutive failures.
        failure_count: Noted<u32>,
        /// The conversation that failed.
        #[event(metadata)]
        conversation_id: Noted<ConversationId>,
        /// The run that it belongs to.
        #[event(metadata)]
        run_id: Noted<RunId>,
    },
    /// The posting began a run at the workflow's entry; a terminal one is reopened.
    PostingEnteredRun {
        /// The run.
        run_id: RunId,
        /// The workflow.
        workflow_id: WorkflowId,
        /// Where it begins.
        entry_conversation_id: ConversationId,
    },
    /// A branch rule was taken.
    #[event(name = "branch_taken")]
    BranchTaken {
        /// Which rule of the conversation, from 1 in the order of the definition.
        rule: u32,
        /// Its priority.
        priority: i32,
        /// Its condition.
        condition: String,
        /// The conversation that is open now; `null`: the path ended as its author meant it to.
        #[serde(default)]
        to: Option<ConversationId>,
        /// The conversation whose end was routed.
        #[event(metadata)]
        conversation_id: Noted<ConversationId>,
        /// The run that it belongs to.
        #[event(metadata)]
        run_id: Noted<RunId>,
    },
    /// A path ended where no rule ended it.
    PathEnded {
        /// Why.
        reason: EndReason,
        /// The rule that a limit kept from being taken.
        rule: Option<u32>,
        /// The conversation that a limit kept from being opened.
        to: Option<ConversationId>,
        /// The conversation where it ended.
        #[event(metadata)]
        conversation_id: Noted<ConversationId>,
        /// The run that it belongs to.
        #[event(metadata)]
        run_id: Noted<RunId>,
    },
    /// A failed attempt will be repeated.
    RetryScheduled {
        /// Which repeat it will be, from 1.
        attempt: u32,
        /// Not before then.
        due_at: Timestamp,
        /// What the attempt before failed of.
        failure_type: FailureType,
        /// The conversation that is open still.
        #[event(metadata)]
        conversation_id: Noted<ConversationId>,
        /// The run that it belongs to.
        #[event(metadata)]
        run_id: Noted<RunId>,
    },
    /// Another system's state of the posting was taken over. Whoever writes it there takes the posting
    /// out of its run.
    PostingStateImported {
        /// Where it stood, such as `public.posting_state_checkpoints`.
        source: String,
        /// The SHA-256 of what was read there, in hexadecimal digits.
        row_digest: String,
        /// When it was written there, if that was noted.
        #[serde(default)]
        recorded_at: Option<Timestamp>,
        /// Where the posting is.
        #[serde(default)]
        current_conversation_id: Option<ConversationId>,
        /// Whether it has ended.
        is_terminal: bool,
        /// Whether the sequence and the outputs that were known before are forgotten.
        replaces: bool,
        /// The conversations that completed, behind those that were known before.
        execution_sequence: Vec<ConversationId>,
        /// The latest outputs, over those that were known before; `null` is none.
        outputs: BTreeMap<ConversationId, Payload>,
    },
    /// The posting goes on in its run by another definition; where it stands and what was counted stays.
    PostingMovedToDefinition {
        /// What tells the definition from another.
        definition_digest: Noted<String>,
        /// The run that it belongs to.
        #[event(metadata)]
        run_id: Noted<RunId>,
    },
    /// A person took a task, so that others leave it.
    HumanTaskClaimed {
        /// Who.
        by: Noted<String>,
        /// From whom it was taken, if somebody had it.
        taken_from: Noted<String>,
        /// Why it was taken from them.
        reason: Noted<String>,
        /// The conversation whose execution it is.
        #[event(metadata)]
        conversation_id: Noted<ConversationId>,
        /// The run that it belongs to.
        #[event(metadata)]
        run_id: Noted<RunId>,
    },
    /// A person gave a task back.
    HumanTaskReleased {
        /// Who.
        by: Noted<String>,
        /// The conversation whose execution it is.
        #[event(metadata)]
        conversation_id: Noted<ConversationId>,
        /// The run that it belongs to.
        #[event(metadata)]
        run_id: Noted<RunId>,
    },
}
