//! Beginning a run, or finding the one that goes on.

use std::collections::BTreeMap;
use std::path::PathBuf;

use es_core::event::{EventId, EventStoreExt, Metadata, ReadStream, Timestamp};
use es_core::execution::{Appended, stream_of};
use es_core::{CommandError, Repository, transact};
use futures_util::TryStreamExt;
use turing_domain::fields::{
    ACTOR_NAMES, CONVERSATION_NAMES, DEFINITION_FOLDER, RUN_ID, WORKFLOW_NAME,
};
use turing_domain::{
    Posting, RunId, RunStart, Workflow, WorkflowEvent, WorkflowId, WorkflowRejection, WorkflowRuns,
};

use crate::definition::Definition;
use crate::store::Store;

use super::before::{Before, look};
use super::difference::{Difference, other_postings};
use super::give_up::{GivenUp, entered, give_up};
use super::keep_definition::{Refused, folder_of, keep, place_of, unkept};
use super::patience::Patience;
use super::{Intake, RunError, RunOptions};

/// What a call finds, and the run that it gave up before.
pub(super) struct Begin {
    pub(super) gave_up: Option<GivenUp>,
    pub(super) found: Found,
}

/// So much of a name is recorded with a run.
const NAME_CHARS: usize = 60;

/// So many bytes of names of conversations and of actors are, or none of these: the metadata of an
/// event have a limit.
const NAMES_BYTES: usize = 32 * 1024;

/// What a call finds.
pub(super) enum Found {
    /// The postings have ended in this way before.
    Done(Before),
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
    /// Which of its postings completed before, and are executed again.
    pub(super) before: Before,
    /// How many events this call has recorded for it.
    pub(super) events: usize,
    /// Why the store has no record of its definition, if what stands in its place cannot be read.
    pub(super) unkept: Option<String>,
}

/// A run that was begun just now.
struct Started {
    /// By this event.
    by: Option<EventId>,
    events: usize,
    /// As that of [`Begun`].
    unkept: Option<String>,
}

/// Where it is read what came before.
#[derive(Clone, Copy)]
pub(super) struct Histories<'a> {
    pub(super) runs: &'a Repository<WorkflowRuns>,
    pub(super) postings: &'a Repository<Posting>,
}

/// Begins a run, or finds the one that is to be continued.
pub(super) async fn begin(
    store: &Store,
    Histories { runs, postings }: Histories<'_>,
    definition: &Definition,
    intake: &mut Intake,
    options: &RunOptions,
    patience: &Patience,
) -> Result<Begin, RunError> {
    let workflow_id = definition.workflow.id;
    let state = patience.persist(|| runs_of(runs, workflow_id)).await?;
    let (mut here, mut before) = (Before::default(), Before::default());
    if options.only_new && !state.all().is_empty() {
        // what has completed in the run that goes on belongs to what it began with
        let goes_on = state.open_run().filter(|run| !options.abandon && run.cancellation.is_none());
        let goes_on = goes_on.map(|run| run.run_id);
        let looked = look(postings, &state, &definition.digest, intake, goes_on, patience).await?;
        intake.leave_out(&looked.completed);
        here = looked.completions;
    }
    let input_digest = intake.digest();
    let mut gave_up = None;
    if let Some(open) = state.open_run() {
        let run_id = open.run_id;
        let (others, is_whole) = match open.input_digest.as_ref() == Some(&input_digest) {
            true => (None, true),
            false => {
                let entered = patience.persist(|| entered(store, run_id)).await?;
                let is_whole =
                    open.posting_count.is_none_or(|count| count as usize == entered.len());
                (other_postings(open, &entered, intake), is_whole)
            }
        };
        let is_other_definition = open.definition_digest.as_ref() != Some(&definition.digest);
        if others.is_none() && !is_other_definition {
            let looking = patience.persist(|| started_event(runs, workflow_id, run_id));
            let (started_by, began) = looking.await?.unzip();
            let (events, unkept) = patience.persist(|| keep(store, definition)).await?;
            let is_continued = true;
            let begun = Begun { run_id, is_continued, started_by, began, before, events, unkept };
            return Ok(Begin { gave_up, found: Found::Run(begun) });
        }
        let cancelled = open.cancellation.as_ref();
        if !options.abandon && cancelled.is_none() {
            let began_with = open.definition_digest.clone();
            let difference = Difference { others, is_other_definition, began_with, is_whole };
            let workflow = workflow_id;
            // who has it from the store needs no file to go on
            let file = match definition.is_recorded {
                true => PathBuf::new(),
                false => definition.path.clone(),
            };
            return Err(RunError::OtherRunOpen { run_id, workflow, difference, file });
        }
        gave_up = Some(give_up(store, open, patience).await?);
        let reason = cancelled.map_or_else(|| "abandoned".to_owned(), ToString::to_string);
        patience.persist(|| fail(runs, workflow_id, run_id, &reason)).await?;
    }
    // who asks for it again, or for what is new, wants it whatever came before
    let again = options.again || options.only_new;
    if !again && !state.all().is_empty() {
        let looked = look(postings, &state, &definition.digest, intake, None, patience).await?;
        (here, before) = (looked.here, looked.completions);
    }
    let is_done = if again { intake.postings.is_empty() } else { here.is_completed() };
    if is_done {
        return Ok(Begin { gave_up, found: Found::Done(here) });
    }
    let run_id = RunId(options.environment.event_ids.next_id().as_uuid());
    let start = RunStart {
        workflow_id,
        run_id,
        posting_count: u32::try_from(intake.postings.len()).unwrap_or(u32::MAX),
        input_digest,
        definition_digest: definition.digest.clone(),
        again,
    };
    let metadata = names(&definition.workflow).with(RUN_ID, run_id);
    let metadata = metadata.with(DEFINITION_FOLDER, folder_of(definition).to_owned());
    let starting = || start_run(store, runs, &start, definition, &metadata);
    let found = match patience.persist(starting).await? {
        Ok(Started { by: started_by, events, unkept }) => {
            let (is_continued, began) = (false, None);
            Found::Run(Begun { run_id, is_continued, started_by, began, before, events, unkept })
        }
        Err(_) => Found::Done(here),
    };
    Ok(Begin { gave_up, found })
}

/// The runs of a workflow as they are now.
pub(super) async fn runs_of(
    runs: &Repository<WorkflowRuns>,
    workflow_id: WorkflowId,
) -> Result<WorkflowRuns, RunError> {
    Ok(runs.load(&workflow_id).await.map_err(RunError::load)?.state)
}

/// How people know the workflow, its conversations and its actors, for whoever looks at the run
/// without the definition.
pub(super) fn names(workflow: &Workflow) -> Metadata {
    let short =
        |name: &str| -> String { name.chars().filter(|c| *c != '\0').take(NAME_CHARS).collect() };
    let conversations: BTreeMap<_, _> = workflow
        .conversations
        .iter()
        .map(|conversation| (conversation.id, short(&conversation.name)))
        .collect();
    let metadata = Metadata::new().with(WORKFLOW_NAME, short(&workflow.name));
    let actors: BTreeMap<_, _> =
        workflow.actors.iter().map(|actor| (actor.id, short(&actor.name))).collect();
    let with_conversations = metadata.clone().with(CONVERSATION_NAMES, conversations);
    let with_actors = with_conversations.clone().with(ACTOR_NAMES, actors);
    let bytes =
        |name: &str| with_actors.document(name).map_or(usize::MAX, |names| names.as_str().len());
    let of_conversations = bytes(CONVERSATION_NAMES.name());
    match of_conversations.saturating_add(bytes(ACTOR_NAMES.name())) {
        ..=NAMES_BYTES => with_actors,
        _ if of_conversations <= NAMES_BYTES => with_conversations,
        _ => metadata,
    }
}

/// Records that a run begins, with its definition where that is not recorded already, and can be. Answers
/// by which event, and how many there are; or which run has done the same.
async fn start_run(
    store: &Store,
    runs: &Repository<WorkflowRuns>,
    start: &RunStart,
    definition: &Definition,
    metadata: &Metadata,
) -> Result<Result<Started, RunId>, RunError> {
    let &RunStart { workflow_id, run_id, .. } = start;
    let recording = definition.recording();
    // the names are those of the run
    let named = runs.clone().with_metadata(metadata.clone());
    let members = (named.by_id(&workflow_id), place_of(store, definition));
    let begun = transact(members, |(runs, definitions)| {
        runs.record(runs.start(start)?);
        definitions.record(definitions.record_once(&recording)?);
        Ok::<_, Refused>(())
    });
    let (by, events, unkept) = match begun.await {
        Ok(executed) => {
            let (started, recorded) = &executed.events;
            // without a start there is nothing: both are recorded together
            let by = first_event(executed.appended.as_ref()).filter(|_| !started.is_empty());
            (by, started.len().saturating_add(recorded.len()), None)
        }
        Err(CommandError::Rejected(Refused::Workflow(WorkflowRejection::AlreadyCompleted {
            run_id,
        }))) => return Ok(Err(run_id)),
        Err(error) => {
            let Some(reason) = unkept(&error) else { return Err(RunError::record(error)) };
            let alone = Box::pin(async {
                named.by_id(&workflow_id).decide(|runs| runs.start(start)).await
            });
            let begun = alone.await;
            if let Err(CommandError::Rejected(WorkflowRejection::AlreadyCompleted { run_id })) =
                begun
            {
                return Ok(Err(run_id));
            }
            let begun = begun.map_err(RunError::record)?;
            (first_event(begun.appended.as_ref()), begun.events.len(), Some(reason))
        }
    };
    Ok(Ok(match by {
        Some(_) => Started { by, events, unkept },
        // it was recorded before, and the answer was lost
        None => {
            let started = started_event(runs, workflow_id, run_id).await?;
            Started { by: started.map(|(event_id, _)| event_id), events: 1, unkept }
        }
    }))
}

/// The first event of an append.
fn first_event(appended: Option<&Appended>) -> Option<EventId> {
    appended?.streams.first()?.events.first().map(|event| event.event_id)
}

/// Records that a run is given up, for this reason.
pub(super) async fn fail(
    runs: &Repository<WorkflowRuns>,
    workflow_id: WorkflowId,
    run_id: RunId,
    reason: &str,
) -> Result<(), RunError> {
    let failed = runs.by_id(&workflow_id).decide(|runs| runs.fail(workflow_id, run_id, reason));
    failed.await.map_err(RunError::record)?;
    Ok(())
}

/// The event that began a run, and when.
pub(super) async fn started_event(
    runs: &Repository<WorkflowRuns>,
    workflow: WorkflowId,
    run_id: RunId,
) -> Result<Option<(EventId, Timestamp)>, RunError> {
    let stream =
        stream_of::<WorkflowRuns>(&workflow).map_err(|error| RunError::load(error.into()))?;
    let mut events = runs.store().events(ReadStream::new(stream).backwards());
    while let Some(recorded) = events.try_next().await? {
        if let Ok(WorkflowEvent::WorkflowStarted { run_id: found, .. }) =
            recorded.decode_one::<WorkflowEvent>()
            && found.0 == Some(run_id)
        {
            return Ok(Some((recorded.event_id, recorded.recorded_at)));
        }
    }
    Ok(None)
}
