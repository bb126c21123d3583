//! Moving a run in progress to another definition: its open postings stay where they stand.
//!
//! What refuses is found before anything is written. Then the run is pinned to the definition, by one
//! event, and from there on it goes on by that alone; that each posting goes on by it is an event of the
//! posting, too. Who is interrupted in between writes the rest by the same call.

use std::collections::BTreeMap;

use es_core::event::{EventId, EventStoreExt, Metadata, ReadStream};
use es_core::execution::{IdempotencyKey, LoadError, stream_of};
use es_core::{Repository, transact};
use futures_util::TryStreamExt;
use serde::Serialize;
use turing_domain::fields::{DEFINITION_FOLDER, RUN_ID};
use turing_domain::{
    ConversationId, ConversationWaves, Posting, PostingId, RunId, WaveCompletion, WorkflowEvent,
    WorkflowId, WorkflowRejection, WorkflowRuns, correlation_id,
};

use super::begin::{names, started_event};
use super::error::told;
use super::give_up::entered;
use super::keep_definition::{Refused, folder_of, place_of};
use super::noted::run_metadata;
use super::{Left, RETRY, RunError, StepError};
use crate::definition::{Definition, RecordedError, recorded};
use crate::lock::RunLock;
use crate::store::Store;

/// How many postings are moved between two looks at the lock.
const BETWEEN_LOOKS: usize = 100;

/// What moving a run to another definition does, or would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunMove {
    /// The run.
    pub run_id: RunId,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// The digest of the definition by which the run was carried out, if it was recorded.
    pub from_digest: Option<String>,
    /// The digest of the definition that was given.
    pub to_digest: String,
    /// The postings that are open, by where they stand; one that stands at several is at each.
    pub open: BTreeMap<ConversationId, Vec<PostingId>>,
    /// How many postings they are.
    pub postings: usize,
    /// Which of them cannot be moved, and why. As long as there is one, nothing is written.
    pub refused: Vec<Left>,
    /// How many postings this call has moved.
    pub moved: usize,
    /// Whether the run is carried out by the definition that was given now.
    pub is_done: bool,
}

/// Moves a run in progress to a definition, or answers what refuses; `lock` is what
/// [`Store::lock_run`] gave for its workflow. With `is_dry_run` nothing is written.
///
/// # Errors
///
/// [`RunError`]: above all if the definition is of another workflow, or the run is over.
pub async fn move_run(
    store: &Store,
    lock: &RunLock,
    run_id: RunId,
    definition: &Definition,
    is_dry_run: bool,
) -> Result<RunMove, RunError> {
    let workflow_id = definition.workflow.id;
    if lock.workflow() != workflow_id {
        return Err(RunError::OtherLock { locked: lock.workflow(), asked: workflow_id });
    }
    let runs = Repository::<WorkflowRuns>::new(store.events.clone());
    let postings = Repository::<Posting>::new(&store.events).with_retry(RETRY);
    let state = runs.load(&workflow_id).await.map_err(RunError::load)?.state;
    let refused = |rejection: WorkflowRejection| RunError::Record(Box::new(rejection));
    state.move_to_definition(workflow_id, run_id, &definition.digest).map_err(refused)?;
    let mut moving = RunMove {
        run_id,
        workflow_id,
        from_digest: state.run(run_id).and_then(|run| run.definition_digest.clone()),
        to_digest: definition.digest.clone(),
        open: BTreeMap::new(),
        postings: 0,
        refused: Vec::new(),
        moved: 0,
        is_done: false,
    };
    let mut open = Vec::new();
    for (posting, _) in entered(store, run_id).await? {
        if moving.look(&postings, posting, definition).await? {
            open.push(posting);
        }
    }
    if is_dry_run || !moving.refused.is_empty() {
        return Ok(moving);
    }
    lock.check().await?;
    if let Some(before) = &moving.from_digest {
        Box::pin(end_waves(store, &runs, run_id, before, definition)).await?;
    }
    pin(store, &runs, run_id, definition).await?;
    moving.is_done = true;
    // none if the run began with it: then every posting goes on by it anyway
    let Some(pinned) = pinned_by(&runs, workflow_id, run_id).await? else { return Ok(moving) };
    for (number, posting) in open.into_iter().enumerate() {
        if number.is_multiple_of(BETWEEN_LOOKS) {
            lock.check().await?;
        }
        let moved = move_posting(&postings, posting, run_id, definition, pinned).await;
        match moved {
            Err(error) if error.concerns_one_posting() => {
                moving.refused.push(Left { posting, reason: error.told() });
            }
            moved => moving.moved += usize::from(moved?),
        }
    }
    Ok(moving)
}

impl RunMove {
    /// Looks whether a posting can be moved, and answers whether it is open.
    async fn look(
        &mut self,
        postings: &Repository<Posting>,
        posting: PostingId,
        definition: &Definition,
    ) -> Result<bool, RunError> {
        let state = match postings.load(&posting).await {
            Ok(loaded) => loaded.state,
            Err(error) => match RunError::load(error) {
                RunError::Record(error) => {
                    self.refused.push(Left { posting, reason: told(&*error) });
                    return Ok(false);
                }
                error => return Err(error),
            },
        };
        let Some(run) = state.run().filter(|_| state.is_open_in(self.run_id)) else {
            return Ok(false);
        };
        self.postings += 1;
        for conversation in run.open().keys().chain(run.finished().keys()) {
            self.open.entry(*conversation).or_default().push(posting);
        }
        let (workflow, digest) = (&definition.workflow, &definition.digest);
        if let Err(rejection) = state.move_to_definition(workflow, self.run_id, digest) {
            self.refused.push(Left { posting, reason: rejection.to_string() });
        }
        Ok(true)
    }
}

/// Ends the waves that an interruption left open at conversations that the definition lacks: who goes on
/// ends those of its own conversations. Nobody stands at these any more, so all went on who stood there.
async fn end_waves(
    store: &Store,
    runs: &Repository<WorkflowRuns>,
    run_id: RunId,
    before: &str,
    definition: &Definition,
) -> Result<(), RunError> {
    let before = match recorded(store, before).await {
        Ok(before) => before,
        Err(RecordedError::Store(error)) => return Err(RunError::Store(error)),
        // waves tell of the work, and are not needed to go on with it
        Err(_) => None,
    };
    let conversations = before.map_or_else(Vec::new, |before| before.workflow.conversations);
    let left = conversations.iter().map(|conversation| conversation.id);
    let left = left.filter(|id| definition.workflow.conversation(*id).is_none());
    let waves = Repository::<ConversationWaves>::new(&store.events).with_retry(RETRY);
    for conversation_id in left {
        let state = match waves.load(&conversation_id).await {
            Err(LoadError::Decode { .. }) => continue,
            loaded => loaded.map_err(RunError::load)?.state,
        };
        let Some(wave) = state.open_wave(run_id) else { continue };
        let over = WaveCompletion {
            conversation_id,
            run_id,
            processed_count: wave.posting_count.unwrap_or(0),
            failed_count: 0,
            duration: None,
        };
        let started_by = started_event(runs, definition.workflow.id, run_id).await?;
        let metadata = run_metadata(run_id, started_by.map(|(event, _)| event));
        let ending = waves.by_id(&conversation_id).decide(|waves| waves.complete_wave(&over));
        ending.metadata(metadata).await.map_err(RunError::record)?;
    }
    Ok(())
}

/// Records that the run goes on by the definition, with the definition itself.
async fn pin(
    store: &Store,
    runs: &Repository<WorkflowRuns>,
    run_id: RunId,
    definition: &Definition,
) -> Result<(), RunError> {
    let workflow_id = definition.workflow.id;
    let recording = definition.recording();
    let metadata = names(&definition.workflow).with(RUN_ID, run_id);
    let metadata = metadata.with(DEFINITION_FOLDER, folder_of(definition).to_owned());
    let runs = runs.clone().with_metadata(metadata);
    let members = (runs.by_id(&workflow_id), place_of(store, definition));
    let pinning = transact(members, |(runs, definitions)| {
        runs.record(runs.move_to_definition(workflow_id, run_id, &recording.digest)?);
        definitions.record(definitions.record_once(&recording)?);
        Ok::<_, Refused>(())
    });
    pinning.await.map_err(RunError::record)?;
    Ok(())
}

/// The event that moved the run last.
async fn pinned_by(
    runs: &Repository<WorkflowRuns>,
    workflow: WorkflowId,
    run_id: RunId,
) -> Result<Option<EventId>, RunError> {
    let stream =
        stream_of::<WorkflowRuns>(&workflow).map_err(|error| RunError::load(error.into()))?;
    let mut events = runs.store().events(ReadStream::new(stream).backwards());
    while let Some(recorded) = events.try_next().await? {
        if let Ok(WorkflowEvent::WorkflowMovedToDefinition { run_id: found, .. }) =
            recorded.decode_one::<WorkflowEvent>()
            && found.0 == Some(run_id)
        {
            return Ok(Some(recorded.event_id));
        }
    }
    Ok(None)
}

/// Records for a posting that it goes on by the definition, once for each move of its run; answers
/// whether that was done now.
async fn move_posting(
    postings: &Repository<Posting>,
    posting: PostingId,
    run_id: RunId,
    definition: &Definition,
    pinned: EventId,
) -> Result<bool, RunError> {
    let (workflow, digest) = (&definition.workflow, &definition.digest);
    let mut metadata = Metadata::new();
    metadata.correlation_id = Some(correlation_id(workflow.id, posting));
    metadata.causation_id = Some(pinned);
    let key = IdempotencyKey::new(&format!("{run_id}/moved/{pinned}"));
    let key = key.map_err(|source| StepError::Invalid { posting, source })?;
    let decision = postings.by_id(&posting).decide(|state: &Posting| {
        match state.is_open_in(run_id) {
            true => state.move_to_definition(workflow, run_id, digest),
            // it has ended since it was looked at
            false => Ok(Vec::new()),
        }
    });
    let decided = decision.metadata(metadata).idempotency_key(key).await;
    let decided = decided.map_err(|error| StepError::of(posting, error))?;
    Ok(!decided.is_repeat() && !decided.events.is_empty())
}
