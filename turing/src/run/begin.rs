//! Beginning a run, or finding the one that goes on.

use es_core::{
    Aggregate, EventFilter, EventId, EventStoreExt, ExecuteError, Metadata, ReadLog, ReadStream,
    Repository, Timestamp, stream_of,
};
use futures_util::{StreamExt, TryStreamExt, pin_mut};
use serde_json::{Map, Value};
use turing_domain::{
    Posting, PostingEvent, PostingId, RunId, RunStart, Workflow, WorkflowEvent, WorkflowId,
    WorkflowRejection, WorkflowRuns, correlation_id,
};

use crate::definition::Definition;
use crate::store::Store;

use super::patience::Patience;
use super::{Intake, Left, RunError, RunOptions, StepError};

/// So much of a name is recorded with a run.
const NAME_CHARS: usize = 60;

/// So many bytes of names of conversations are, or none: the metadata of an event have a limit.
const NAMES_BYTES: usize = 32 * 1024;

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
    patience: &Patience,
) -> Result<Begin, RunError> {
    let workflow_id = definition.workflow.id;
    let state = patience.persist(|| runs_of(runs, workflow_id)).await?;
    let input_digest = intake.digest();
    let mut not_released = Vec::new();
    if let Some(open) = state.open_run() {
        let run_id = open.run_id;
        let difference = match () {
            _ if open.input_digest.as_ref() != Some(&input_digest) => "other postings",
            _ if open.definition_digest.as_ref() != Some(&definition.digest) => {
                "another definition"
            }
            _ => {
                let looking = patience.persist(|| started_event(runs, workflow_id, run_id));
                let (started_by, began) = looking.await?.unzip();
                let (is_continued, not_released) = (true, Vec::new());
                let begun = Begun { run_id, is_continued, started_by, began, not_released };
                return Ok(Begin::Run(begun));
            }
        };
        if !options.abandon {
            return Err(RunError::OtherRunOpen { run_id, workflow: workflow_id, difference });
        }
        not_released = release_all(store, run_id, patience).await?;
        patience.persist(|| fail(runs, workflow_id, run_id, "abandoned")).await?;
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
    let metadata = names(&definition.workflow).with("run_id", run_id.to_string());
    Ok(match patience.persist(|| start_run(runs, &start, &metadata)).await? {
        Ok(started_by) => {
            let (is_continued, began) = (false, None);
            Begin::Run(Begun { run_id, is_continued, started_by, began, not_released })
        }
        Err(done) => Begin::Done(done),
    })
}

/// The runs of a workflow as they are now.
pub(super) async fn runs_of(
    runs: &Repository<WorkflowRuns>,
    workflow_id: WorkflowId,
) -> Result<WorkflowRuns, RunError> {
    Ok(runs.load(&workflow_id).await.map_err(RunError::load)?.state)
}

/// How people know the workflow and its conversations, for whoever looks at the run without the
/// definition.
fn names(workflow: &Workflow) -> Metadata {
    let short =
        |name: &str| -> String { name.chars().filter(|c| *c != '\0').take(NAME_CHARS).collect() };
    let conversations: Map<String, Value> = workflow
        .conversations
        .iter()
        .map(|conversation| (conversation.id.to_string(), short(&conversation.name).into()))
        .collect();
    let conversations = Value::Object(conversations);
    let metadata = Metadata::new().with("workflow_name", short(&workflow.name));
    match conversations.to_string().len() <= NAMES_BYTES {
        true => metadata.with("conversation_names", conversations),
        false => metadata,
    }
}

/// Records that a run begins, and answers by which event; or which run has done the same.
async fn start_run(
    runs: &Repository<WorkflowRuns>,
    start: &RunStart,
    metadata: &Metadata,
) -> Result<Result<Option<EventId>, RunId>, RunError> {
    let &RunStart { workflow_id, run_id, .. } = start;
    let begun = runs.update(&workflow_id, |runs: &WorkflowRuns| runs.start(start));
    let executed = match begun.metadata(metadata.clone()).retries(3).await {
        Err(ExecuteError::Rejected(WorkflowRejection::AlreadyCompleted { run_id })) => {
            return Ok(Err(run_id));
        }
        executed => executed.map_err(RunError::record)?,
    };
    let receipt = executed.appended.and_then(|appended| {
        let first = appended.streams.first()?.events.first()?;
        Some(first.event_id)
    });
    Ok(Ok(match receipt {
        Some(event_id) => Some(event_id),
        // it was recorded before, and the answer was lost
        None => started_event(runs, workflow_id, run_id).await?.map(|(event_id, _)| event_id),
    }))
}

/// Records that a run is given up, for this reason.
pub(super) async fn fail(
    runs: &Repository<WorkflowRuns>,
    workflow_id: WorkflowId,
    run_id: RunId,
    reason: &str,
) -> Result<(), RunError> {
    let fail = |runs: &WorkflowRuns| runs.fail(workflow_id, run_id, reason);
    runs.update(&workflow_id, fail).retries(3).await.map_err(RunError::record)?;
    Ok(())
}

/// The event that began a run, and when.
async fn started_event(
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

/// Ends a run's postings that are open in it still, as abandoned; answers which cannot be.
async fn release_all(
    store: &Store,
    run_id: RunId,
    patience: &Patience,
) -> Result<Vec<Left>, RunError> {
    let postings = Repository::<Posting>::new(store.events.clone());
    let mut left = Vec::new();
    for (posting, workflow_id) in patience.persist(|| entered(store, run_id)).await? {
        if patience.is_stopped() {
            return Err(RunError::NotBegun);
        }
        let release = || release(&postings, posting, workflow_id, run_id);
        match patience.persist(release).await {
            // a run that is over holds nobody: who enters another is released from this one first
            Err(error) if error.concerns_one_posting() => {
                left.push(Left { posting, reason: error.told() });
            }
            released => released?,
        }
    }
    Ok(left)
}

/// The postings that entered a run.
async fn entered(store: &Store, run_id: RunId) -> Result<Vec<(PostingId, WorkflowId)>, RunError> {
    let filter =
        EventFilter::all().aggregate_type(Posting::TYPE).event(PostingEvent::POSTING_ENTERED_RUN);
    let mut log = store.events.log(ReadLog::from_start().filter(filter));
    let mut entered = Vec::new();
    while let Some(event) = log.try_next().await? {
        if let Ok(PostingEvent::PostingEnteredRun { run_id: found, workflow_id, .. }) =
            event.decode()
            && found == run_id
            && let Ok(posting) = event.stream.aggregate_id().parse()
        {
            entered.push((posting, workflow_id));
        }
    }
    Ok(entered)
}

async fn release(
    postings: &Repository<Posting>,
    posting: PostingId,
    workflow_id: WorkflowId,
    run_id: RunId,
) -> Result<(), RunError> {
    let mut metadata = Metadata::new().with("run_id", run_id.to_string());
    metadata.correlation_id = Some(correlation_id(workflow_id, posting));
    let release = |state: &Posting| match state.is_open_in(run_id) {
        true => state.abandon_run(run_id),
        false => Ok(Vec::new()),
    };
    let released = postings.update(&posting, release).metadata(metadata).retries(5).await;
    released.map(drop).map_err(|error| StepError::of(posting, error).into())
}
