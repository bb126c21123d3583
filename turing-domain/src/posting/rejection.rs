//! Why a posting refuses.

use crate::ids::{ConversationId, RunId, WorkflowId};
use crate::posting::Attempt;

/// Why a posting refuses what it is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PostingRejection {
    /// The posting has ended; only a new run reopens it.
    #[error("the posting is terminal; only a new run reopens it")]
    AlreadyTerminal,
    /// The posting is in no run.
    #[error("the posting is in no run; let it enter one first")]
    NotInRun,
    /// The posting is in another run than the one that is spoken of.
    #[error("the posting is in run {current}, not in run {given}")]
    OtherRun {
        /// The run in which it is.
        current: RunId,
        /// The run that was spoken of.
        given: RunId,
    },
    /// The posting cannot enter a run before it has left another.
    #[error(
        "the posting is still in run {run_id} of workflow {workflow_id}; \
         finish or abandon that run first"
    )]
    InAnotherRun {
        /// The run in which it is.
        run_id: RunId,
        /// That run's workflow.
        workflow_id: WorkflowId,
    },
    /// The definition is of another workflow than the run's.
    #[error("the run is of workflow {current}, not of workflow {given}")]
    OtherWorkflow {
        /// The run's workflow.
        current: WorkflowId,
        /// The workflow of the definition.
        given: WorkflowId,
    },
    /// The posting stands at a conversation, or begins at one, that the definition lacks.
    #[error(
        "workflow {workflow_id} has no conversation {conversation_id}; was it changed during the run?"
    )]
    UnknownConversation {
        /// The conversation.
        conversation_id: ConversationId,
        /// The workflow.
        workflow_id: WorkflowId,
    },
    /// The conversation's actor is not in the definition.
    #[error("conversation {conversation_id} names an actor that workflow {workflow_id} lacks")]
    UnknownActor {
        /// The conversation.
        conversation_id: ConversationId,
        /// The workflow.
        workflow_id: WorkflowId,
    },
    /// The posting does not stand at the conversation.
    #[error("conversation {conversation_id} is not open for the posting")]
    NotOpen {
        /// The conversation.
        conversation_id: ConversationId,
    },
    /// The conversation may not start yet.
    #[error("conversation {conversation_id} waits for members of group `{group}`")]
    Waiting {
        /// The conversation.
        conversation_id: ConversationId,
        /// The group that it waits for.
        group: String,
    },
    /// The posting is at another attempt than the one that is reported.
    #[error("attempt {given} is reported, the posting is at {current}")]
    OtherAttempt {
        /// The attempt at which the posting is.
        current: Attempt,
        /// The attempt that was reported.
        given: Attempt,
    },
    /// The output cannot be stored.
    #[error("the output contains U+0000; record the attempt as failed with invalid_output")]
    UnstorableOutput,
}
