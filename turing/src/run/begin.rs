//! Beginning a run, or finding the one that goes on.

use es_core::{EventId, ExecuteError, Metadata, Repository, Timestamp};
use tokio::sync::watch;
use turing_domain::{RunId, RunStart, WorkflowRejection, WorkflowRuns};

use crate::definition::Definition;
use crate::store::Store;

use super::{Intake, Left, Observer, RunError, RunOptions, enter};

/// What a call finds.
pub(super) enum Begin {
    /// The run has completed.
    Done(RunId),
    /// There is work.
    Run(Begun),
}

/// A run that is to be carried out.
pub(super) struct Begun {
    pub(super) run_id: RunId,
    pub(super) is_continued: bool,
    pub(super) started_by: Option<EventId>,
    /// When the run began, if it began before this call.
    pub(super) began: Option<Timestamp>,
    /// Which postings could not be ended in the run that was given up for this one.
    pub(super) not_released: Vec<Left>,
}

/// Begins a run, or finds the one that is to be continued.
pub(super) async fn begin(
    store: &Store,
    runs: &Repository<WorkflowRuns>,
    definition: &Definition,
    intake: &Intake,
    options: &RunOptions,
    stop: &watch::Receiver<bool>,
    observer: &mut dyn Observer,
) -> Result<Begin, RunError> {
    let workflow_id = definition.workflow.id;
    let state = runs.load(&workflow_id).await.map_err(RunError::load)?.state;
    let input_digest = intake.digest();
    let mut not_released = Vec::new();
    if let Some(open) = state.open_run() {
        let difference = match () {
            _ if open.input_digest.as_ref() != Some(&input_digest) => "other postings",
            _ if open.definition_digest.as_ref() != Some(&definition.digest) => {
                "another definition"
            }
            _ => {
                let run_id = open.run_id;
                let found = enter::started_event(runs, workflow_id, run_id).await?;
                let (started_by, began) = found.unzip();
                let (is_continued, not_released) = (true, Vec::new());
                let begun = Begun { run_id, is_continued, started_by, began, not_released };
                return Ok(Begin::Run(begun));
            }
        };
        if !options.abandon {
            let (run_id, workflow) = (open.run_id, workflow_id);
            return Err(RunError::OtherRunOpen { run_id, workflow, difference });
        }
        let run_id = open.run_id;
        not_released = enter::release_all(store, run_id, stop, observer).await?;
        let give_up = |runs: &WorkflowRuns| runs.fail(workflow_id, run_id, "abandoned");
        runs.update(&workflow_id, give_up).retries(3).await.map_err(RunError::record)?;
    }
    let run_id = RunId(options.environment.event_ids.next_id().as_uuid());
    let start = RunStart {
        workflow_id,
        run_id,
        posting_count: u32::try_from(intake.postings.len()).unwrap_or(u32::MAX),
        input_digest,
        definition_digest: definition.digest.clone(),
        again: options.again,
    };
    let metadata = Metadata::new().with("run_id", run_id.to_string());
    let begun = runs.update(&workflow_id, |runs: &WorkflowRuns| runs.start(&start));
    match begun.metadata(metadata).retries(3).await {
        Ok(executed) => {
            let receipt = executed
                .appended
                .and_then(|appended| Some(*appended.streams.first()?.events.first()?));
            let started_by = receipt.map(|receipt| receipt.event_id);
            let (is_continued, began) = (false, None);
            Ok(Begin::Run(Begun { run_id, is_continued, started_by, began, not_released }))
        }
        Err(ExecuteError::Rejected(WorkflowRejection::AlreadyCompleted { run_id })) => {
            Ok(Begin::Done(run_id))
        }
        Err(error) => Err(RunError::record(error)),
    }
}
