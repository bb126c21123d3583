//! Where a run begins in the log, and how it stands at its end.

use std::collections::BTreeMap;
use std::time::Duration;

use es_core::event::{EventFilter, EventStoreExt, Position, ReadLog, RecordedEvent};
use futures_util::TryStreamExt;
use turing_domain::fields::{ACTOR_NAMES, CONVERSATION_NAMES, WORKFLOW_NAME};
use turing_domain::{RunId, WorkflowEvent, WorkflowId, WorkflowRuns};

use super::{AccountError, Now, RunAccount, Status};
use crate::left_out::LeftOut;
use crate::store::Store;

/// The run as it began, and the place in the log of that.
pub(super) async fn begun(
    store: &Store,
    run_id: Option<RunId>,
    workflow: Option<WorkflowId>,
) -> Result<(RunAccount, Position), AccountError> {
    let is_meant = |id: &str| workflow.is_none_or(|workflow| workflow.to_string() == id);
    let filter = EventFilter::all().aggregate::<WorkflowRuns>();
    let mut events = store.events.log(ReadLog::from_start().filter(filter));
    let (mut found, mut left_out) = (None, Vec::new());
    while let Some(event) = events.try_next().await? {
        if !is_meant(event.stream.aggregate_id()) {
            continue;
        }
        let decoded = event.decode_one::<WorkflowEvent>();
        if let Err(error) = &decoded {
            left_out.push(LeftOut::undecoded(&event, error));
        }
        if let Ok(WorkflowEvent::WorkflowStarted { run_id: started, posting_count, .. }) = decoded
            && let Some(started) = started.0
            && run_id.is_none_or(|run_id| run_id == started)
        {
            // what stands before it is no later beginning
            left_out.clear();
            let account = RunAccount {
                run_id: started,
                workflow_id: event.stream.aggregate_id().to_owned(),
                workflow_name: event.metadata.get(WORKFLOW_NAME),
                names: event.metadata.get(CONVERSATION_NAMES).unwrap_or_default(),
                actors: event.metadata.get(ACTOR_NAMES).unwrap_or_default(),
                status: Status::InProgress,
                began: event.recorded_at,
                last_event: event.recorded_at,
                took: None,
                now: Now::default(),
                postings: posting_count.0,
                not_entered: None,
                open: 0,
                open_postings: Vec::new(),
                ended: BTreeMap::new(),
                conversations: BTreeMap::new(),
                errors: Vec::new(),
                failed_postings: Vec::new(),
                other_errors: Vec::new(),
                other_failures: Vec::new(),
                waiting: Vec::new(),
                waiting_attempts: Vec::new(),
                left_out: Vec::new(),
            };
            found = Some((account, event.position));
        }
    }
    match (found, run_id) {
        (Some((mut account, place)), None) => {
            // those of its own workflow are met again
            left_out.retain(|event| event.stream.aggregate_id() != account.workflow_id);
            account.left_out = left_out;
            Ok((account, place))
        }
        (Some(found), Some(_)) => Ok(found),
        (None, _) if !left_out.is_empty() => Err(AccountError::Unreadable(left_out)),
        (None, Some(run_id)) => Err(AccountError::NoSuchRun { run_id }),
        (None, None) => Err(AccountError::NoRun),
    }
}

pub(super) fn take_end(account: &mut RunAccount, recorded: &RecordedEvent, event: WorkflowEvent) {
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
        // it is not over by that
        _ => return,
    };
    if run_id.0 == Some(account.run_id) {
        (account.status, account.took) = (status, took);
        account.last_event = recorded.recorded_at;
    }
}
