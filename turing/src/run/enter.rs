//! Bringing every posting into the run, or finding where it stands in it.

use es_core::{
    Aggregate, EventId, EventStoreExt, LoadError, ReadStream, Repository, Timestamp, stream_of,
};
use futures_util::{StreamExt, TryStreamExt, pin_mut};
use tokio::task::JoinSet;
use turing_domain::{
    ConversationId, Posting, PostingEvent, PostingId, RunId, WorkflowEvent, WorkflowId,
    WorkflowRuns,
};

use super::step::{StepError, opened, opened_by};
use super::{Run, RunError, Shared};

/// How many postings enter side by side: their appends share commits.
const SIDE_BY_SIDE: usize = 64;

/// Where a posting stands when the run begins or is continued.
struct Entered {
    posting: PostingId,
    state: Posting,
    causes: Vec<(ConversationId, EventId)>,
}

impl Run<'_> {
    /// Lets every posting enter the run; those that are in it already stay where they are.
    pub(super) async fn enter_all(&mut self, postings: Vec<PostingId>) -> Result<(), RunError> {
        let mut postings = postings.into_iter();
        let mut entering = JoinSet::new();
        loop {
            while entering.len() < SIDE_BY_SIDE
                && let Some(posting) = postings.next()
            {
                entering.spawn(enter(self.shared.clone(), posting));
            }
            let Some(entered) = entering.join_next().await else { return Ok(()) };
            let Entered { posting, state, causes } = entered??;
            self.place(posting, &state, &causes);
            self.report.entered(&state);
        }
    }

    /// Puts a posting where its state says it stands.
    pub(super) fn place(
        &mut self,
        posting: PostingId,
        state: &Posting,
        causes: &[(ConversationId, EventId)],
    ) {
        let steps = state.ready(&self.shared.definition.workflow);
        let cause_of = |conversation| {
            causes.iter().rfind(|(opened, _)| *opened == conversation).map(|(_, cause)| *cause)
        };
        self.agenda.place(posting, &steps, cause_of);
    }
}

async fn enter(shared: std::sync::Arc<Shared>, posting: PostingId) -> Result<Entered, RunError> {
    let (workflow, run_id) = (&shared.definition.workflow, shared.run_id);
    let entering = shared.postings.update(&posting, |state: &Posting| {
        match state.run() {
            // a posting of a run that was given up is released from it first
            Some(old) if old.run_id() != run_id && old.workflow_id() == workflow.id => {
                let mut events = state.abandon_run(old.run_id())?;
                let mut released = state.clone();
                events.iter().for_each(|event| released.evolve(event));
                events.extend(released.enter_run(workflow, run_id)?);
                Ok(events)
            }
            _ => state.enter_run(workflow, run_id),
        }
    });
    let executed = entering.metadata(shared.metadata(posting, shared.started_by)).retries(5).await;
    let executed = executed.map_err(|error| match error {
        es_core::ExecuteError::Rejected(source) => RunError::Posting { posting, source },
        other => StepError::of(posting, other).into(),
    })?;
    if let Some(appended) = &executed.appended {
        shared.count(executed.events.len());
        let causes = opened_by(&executed.events, appended);
        return Ok(Entered { posting, state: executed.state, causes });
    }
    settle(&shared, posting, executed.state).await
}

/// A posting that was in the run already: what its last result leads to is recorded if that is
/// missing, and what opened its positions is looked up.
async fn settle(shared: &Shared, posting: PostingId, state: Posting) -> Result<Entered, RunError> {
    let mut state = state;
    if state.run().is_some_and(|run| !run.finished().is_empty()) {
        let (now, jitter) = (shared.environment.clock.now(), shared.environment.jitter.fraction());
        let settled = shared
            .postings
            .update(&posting, |state: &Posting| {
                state.settle(&shared.definition.workflow, now, jitter)
            })
            .metadata(shared.metadata(posting, None))
            .retries(5)
            .await
            .map_err(|error| StepError::of(posting, error))?;
        state = settled.state;
    }
    let causes = causes_in(shared, posting).await?;
    Ok(Entered { posting, state, causes })
}

/// Which event opened which conversation, the latest last.
async fn causes_in(
    shared: &Shared,
    posting: PostingId,
) -> Result<Vec<(ConversationId, EventId)>, RunError> {
    let stream = stream_of::<Posting>(&posting).map_err(|error| RunError::load(error.into()))?;
    let events = shared.store.events.events(ReadStream::new(stream.clone()));
    events
        .map_err(RunError::Store)
        .try_filter_map(|recorded| {
            let decoded = recorded.decode::<PostingEvent>().map_err(|source| {
                let (stream, version) = (recorded.stream.clone(), recorded.version);
                RunError::load(LoadError::Decode { stream, version, source })
            });
            let cause =
                decoded.map(|event| opened(&event).map(|opened| (opened, recorded.event_id)));
            std::future::ready(cause)
        })
        .try_collect()
        .await
}

/// The event that began a run, and when.
pub(super) async fn started_event(
    runs: &Repository<WorkflowRuns>,
    workflow: WorkflowId,
    run_id: RunId,
) -> Result<Option<(EventId, Timestamp)>, RunError> {
    let stream =
        stream_of::<WorkflowRuns>(&workflow).map_err(|error| RunError::load(error.into()))?;
    let events = runs.store().events(ReadStream::new(stream).backwards());
    pin_mut!(events);
    while let Some(recorded) = events.next().await {
        let recorded = recorded?;
        if let Ok(WorkflowEvent::WorkflowStarted { run_id: found, .. }) =
            recorded.decode::<WorkflowEvent>()
            && found.0 == Some(run_id)
        {
            return Ok(Some((recorded.event_id, recorded.recorded_at)));
        }
    }
    Ok(None)
}
