//! How a run ends: complete, or cancelled.

use std::time::Duration;

use es_core::Repository;
use turing_domain::{RunCompletion, WorkflowRuns};

use super::begin::runs_of;
use super::operators::end_cancelled;
use super::{Cancelled, Report, RunError, Shared};

/// Records that all postings of the run are terminal.
pub(super) async fn complete(
    runs: &Repository<WorkflowRuns>,
    shared: &Shared,
    report: &Report,
    duration: Duration,
) -> Result<(), RunError> {
    let workflow_id = shared.definition.workflow.id;
    let completion = RunCompletion {
        workflow_id,
        run_id: shared.run_id,
        ended_postings: report.ended_by_reason(),
        duration: Some(duration),
    };
    runs.by_id(&workflow_id)
        .decide(|runs| runs.complete(&completion))
        .metadata(shared.run_metadata())
        .await
        .map_err(RunError::record)?;
    Ok(())
}

/// Ends what is open in the run if somebody has cancelled it; that it failed is recorded last.
pub(super) async fn cancel(shared: &Shared) -> Result<Option<Cancelled>, RunError> {
    let workflow_id = shared.definition.workflow.id;
    let runs = Repository::<WorkflowRuns>::new(shared.store.events.clone());
    let state = shared.patience.persist(|| runs_of(&runs, workflow_id)).await?;
    let Some(run) = state.run(shared.run_id) else { return Ok(None) };
    // it may be younger than what was heard last
    let Some(cancellation) = run.cancellation.clone() else { return Ok(None) };
    let patience = &shared.patience;
    patience.hold(&shared.lock).await?;
    let ending = end_cancelled(&shared.store, workflow_id, run, cancellation, patience);
    ending.await.map(Some)
}
