//! What the events of a workflow say of one of its runs, behind its beginning.

use std::time::Duration;

use es_core::event::RecordedEvent;
use turing_domain::WorkflowEvent;
use turing_domain::fields::{ACTOR_NAMES, CONVERSATION_NAMES};

use super::{RunAccount, Status};

/// Takes how the run ended, or what its conversations and actors are called by another definition.
pub(super) fn take(account: &mut RunAccount, recorded: &RecordedEvent, event: WorkflowEvent) {
    let (run_id, status, took) = match event {
        WorkflowEvent::WorkflowCompleted { run_id, duration_ms, .. } => {
            (run_id, Status::Completed, duration_ms.0.map(Duration::from_millis))
        }
        WorkflowEvent::WorkflowFailed { run_id, error, .. } => {
            (run_id, Status::Failed(error.0.unwrap_or_default()), None)
        }
        WorkflowEvent::WorkflowMovedToDefinition { run_id, .. } => {
            if run_id.0 == Some(account.run_id) {
                // what is no more keeps its name: attempts are told that were made there
                account.names.extend(recorded.metadata.get(CONVERSATION_NAMES).unwrap_or_default());
                account.actors.extend(recorded.metadata.get(ACTOR_NAMES).unwrap_or_default());
            }
            return;
        }
        WorkflowEvent::WorkflowStarted { .. } => return,
    };
    if run_id.0 == Some(account.run_id) {
        (account.status, account.took) = (status, took);
        account.last_event = recorded.recorded_at;
    }
}
