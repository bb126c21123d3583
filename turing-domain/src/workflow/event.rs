//! What happens to a workflow, under the names that are stored.

use std::collections::BTreeMap;

use es_core::Event;
use es_core::event::Timestamp;

use crate::ids::{ConversationId, RunId, WorkflowId};
use crate::names::EndReason;
use crate::noted::Noted;

/// What happens to a workflow.
///
/// Other programs write these too, so every field may be absent.
#[derive(Event, Debug, Clone, PartialEq)]
pub enum WorkflowEvent {
    /// A run began.
    WorkflowStarted {
        /// The run.
        run_id: Noted<RunId>,
        /// The workflow.
        workflow_id: Noted<WorkflowId>,
        /// How many postings it has.
        posting_count: Noted<u32>,
        /// What tells its input from another.
        input_digest: Noted<String>,
        /// What tells its definition from another.
        definition_digest: Noted<String>,
    },
    /// All postings of a run reached a terminal state.
    WorkflowCompleted {
        /// The run.
        run_id: Noted<RunId>,
        /// The workflow.
        workflow_id: Noted<WorkflowId>,
        /// How many postings ended for which reason.
        ended_postings: Noted<BTreeMap<EndReason, u32>>,
        /// How long it took, in milliseconds.
        #[event(metadata)]
        duration_ms: Noted<u64>,
    },
    /// A run came to nothing.
    WorkflowFailed {
        /// The run.
        run_id: Noted<RunId>,
        /// The workflow.
        workflow_id: Noted<WorkflowId>,
        /// What went wrong, for people.
        error: Noted<String>,
    },
    /// A run goes on with another definition.
    WorkflowMovedToDefinition {
        /// The run.
        run_id: Noted<RunId>,
        /// The workflow.
        workflow_id: Noted<WorkflowId>,
        /// What tells the definition of before from another.
        from_digest: Noted<String>,
        /// What tells its definition from another now.
        definition_digest: Noted<String>,
    },
    /// Somebody wants no attempt of a run to begin, at one conversation or at any.
    WorkflowPaused {
        /// The run.
        run_id: Noted<RunId>,
        /// The workflow.
        workflow_id: Noted<WorkflowId>,
        /// The conversation; all of them if there is none.
        conversation_id: Noted<ConversationId>,
        /// Who wants that.
        by: Noted<String>,
        /// Why.
        because: Noted<String>,
        /// Since when, by the clock of who wants it.
        paused_at: Noted<Timestamp>,
        /// Until when at most; until somebody ends it if there is none.
        until: Noted<Timestamp>,
    },
    /// Somebody ended a pause of a run before its time.
    WorkflowPauseEnded {
        /// The run.
        run_id: Noted<RunId>,
        /// The workflow.
        workflow_id: Noted<WorkflowId>,
        /// The conversation whose pause it was; that of the run if there is none.
        conversation_id: Noted<ConversationId>,
        /// Who ended it.
        by: Noted<String>,
    },
    /// Somebody wants a run to come to nothing: no attempt begins any more, and what is open is ended.
    /// That it is over is an event of its own.
    WorkflowCancellationRequested {
        /// The run.
        run_id: Noted<RunId>,
        /// The workflow.
        workflow_id: Noted<WorkflowId>,
        /// Who wants that.
        by: Noted<String>,
        /// Why.
        because: Noted<String>,
        /// Whether attempts in progress are broken off.
        at_once: Noted<bool>,
    },
}
