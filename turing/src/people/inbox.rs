//! What waits for people, over all runs in progress: the log is read once, from where they began.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use es_core::Repository;
use es_core::event::{EventFilter, EventStoreExt, Position, ReadLog, RecordedEvent, Timestamp};
use es_core::execution::StoreErrorKind;
use futures_util::TryStreamExt;
use serde::Serialize;
use turing_domain::{
    ActorId, Conversation, ConversationId, InputValues, OpenTask, OpenTasks, Posting, PostingEvent,
    PostingId, RunId, Workflow, WorkflowEvent, WorkflowId, WorkflowRuns,
};

use super::{FormField, PeopleError, fields_of};
use crate::definition::{RecordedError, recorded};
use crate::left_out::LeftOut;
use crate::store::Store;

/// What of all that waits is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InboxFilter {
    /// Of this run only.
    pub run: Option<RunId>,
    /// At this conversation only.
    pub conversation: Option<ConversationId>,
    /// Of this posting only.
    pub posting: Option<PostingId>,
    /// Only what this person has claimed, or nobody has.
    pub for_whom: Option<String>,
    /// So many at most; those that are due first.
    pub limit: usize,
    /// Without what is asked, for which the events and the data of each posting are read.
    pub is_brief: bool,
}

/// What waits for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inbox {
    /// The tasks: what is due first comes first, and what has been open longest.
    pub tasks: Vec<InboxTask>,
    /// How many more there are than were asked for.
    pub more: usize,
    /// Runs in progress whose definition is not in the store, or cannot be read, so that it is not known
    /// what waits.
    pub unknown_runs: Vec<RunId>,
    /// Events of these postings that cannot be read; their tasks are not among these.
    pub left_out: Vec<LeftOut>,
}

/// A task that waits for a person.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InboxTask {
    /// The posting.
    pub posting_id: PostingId,
    /// The conversation.
    pub conversation_id: ConversationId,
    /// What people call it.
    pub conversation: String,
    /// Which execution of it this is in the run, from 1.
    pub execution: u32,
    /// The run.
    pub run_id: RunId,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// Whose task it is.
    pub actor_id: ActorId,
    /// What people call them.
    pub actor: Option<String>,
    /// Since when it is open.
    pub since: Timestamp,
    /// When it is overdue, if it ever is.
    pub due_at: Option<Timestamp>,
    /// Who has claimed it.
    pub claimed_by: Option<String>,
    /// Since when.
    pub claimed_at: Option<Timestamp>,
    /// What is asked, if that was to be said.
    pub input: Option<String>,
    /// Why that cannot be said.
    pub no_input: Option<String>,
    /// What the answer must have, if it has a form.
    pub fields: Vec<FormField>,
    /// Whether the answer has a form, which asks for JSON.
    pub has_form: bool,
}

/// A run in progress in which people have something to do.
struct OpenRun {
    workflow: Arc<Workflow>,
    begins_at: Position,
}

/// What waits for people now.
///
/// # Errors
///
/// When the store fails.
pub async fn inbox(store: &Store, filter: &InboxFilter) -> Result<Inbox, PeopleError> {
    let mut inbox =
        Inbox { tasks: Vec::new(), more: 0, unknown_runs: Vec::new(), left_out: Vec::new() };
    let runs = open_runs(store, filter, &mut inbox).await?;
    let starts = runs.values().map(|run| run.begins_at);
    let first = starts.reduce(|first, other| if other < first { other } else { first });
    let Some(start) = first else { return Ok(inbox) };
    let mut open = BTreeMap::<PostingId, (Arc<Workflow>, OpenTasks)>::new();
    let postings = EventFilter::all().aggregate::<Posting>();
    let mut events = store.events.log(ReadLog::after(start).filter(postings));
    while let Some(event) = events.try_next().await? {
        take(&mut open, &runs, &event, &mut inbox);
    }
    let mut found = Vec::new();
    for (posting, (workflow, tasks)) in &open {
        let tasks = tasks.all().values().filter(|task| is_asked_for(filter, *posting, task));
        found.extend(tasks.map(|task| (*posting, workflow.clone(), task.clone())));
    }
    // what is never due comes last
    found.sort_by_key(|(posting, workflow, task)| {
        let due_at = task.due_at(workflow);
        (due_at.is_none(), due_at, task.since, *posting, task.attempt.conversation_id)
    });
    inbox.more = found.len().saturating_sub(filter.limit);
    found.truncate(filter.limit);
    let postings = Repository::<Posting>::new(&store.events);
    for (posting, workflow, task) in found {
        let asked = match filter.is_brief {
            true => None,
            false => match postings.load(&posting).await {
                Ok(loaded) => Some(asked(store, posting, &loaded.state, &workflow, &task).await?),
                // of an event before the run: nobody can answer it
                Err(error) => {
                    let left_out = LeftOut::of(error)?;
                    if !inbox.left_out.contains(&left_out) {
                        inbox.left_out.push(left_out);
                    }
                    continue;
                }
            },
        };
        inbox.tasks.push(shown(posting, &workflow, &task, asked));
    }
    Ok(inbox)
}

/// The runs in progress in whose definitions people have something to do.
async fn open_runs(
    store: &Store,
    filter: &InboxFilter,
    inbox: &mut Inbox,
) -> Result<HashMap<RunId, OpenRun>, PeopleError> {
    let of_workflows = EventFilter::all().aggregate::<WorkflowRuns>();
    let mut events = store.events.log(ReadLog::from_start().filter(of_workflows));
    let mut begun = BTreeMap::<RunId, (Position, Option<String>)>::new();
    while let Some(event) = events.try_next().await? {
        match event.decode_one() {
            Ok(WorkflowEvent::WorkflowStarted { run_id, definition_digest, .. }) => {
                if let Some(run_id) = run_id.0 {
                    begun.entry(run_id).or_insert((event.position, definition_digest.0));
                }
            }
            Ok(WorkflowEvent::WorkflowMovedToDefinition { run_id, definition_digest, .. }) => {
                let run = run_id.0.and_then(|run_id| begun.get_mut(&run_id));
                if let (Some((_, digest)), Some(moved)) = (run, definition_digest.0) {
                    *digest = Some(moved);
                }
            }
            Ok(
                WorkflowEvent::WorkflowCompleted { run_id, .. }
                | WorkflowEvent::WorkflowFailed { run_id, .. },
            ) => {
                if let Some(run_id) = run_id.0 {
                    begun.remove(&run_id);
                }
            }
            // people may answer whatever is paused
            Ok(_) => {}
            Err(error) => inbox.left_out.push(LeftOut::undecoded(&event, &error)),
        }
    }
    let mut known = HashMap::<String, Option<Arc<Workflow>>>::new();
    let mut runs = HashMap::new();
    begun.retain(|run_id, _| filter.run.is_none_or(|run| run == *run_id));
    for (run_id, (begins_at, digest)) in begun {
        let known_one = digest.as_ref().and_then(|digest| known.get(digest));
        let workflow = match (known_one, digest) {
            (Some(known), _) => known.clone(),
            (None, None) => None,
            (None, Some(digest)) => {
                let kept = match recorded(store, &digest).await {
                    Ok(kept) => kept.map(|kept| Arc::new(kept.workflow)),
                    Err(RecordedError::Store(error)) => return Err(error.into()),
                    // what waits in other runs is known all the same
                    Err(_) => None,
                };
                known.insert(digest, kept.clone());
                kept
            }
        };
        match workflow {
            None => inbox.unknown_runs.push(run_id),
            Some(workflow) if asks_people(&workflow) => {
                runs.insert(run_id, OpenRun { workflow, begins_at });
            }
            Some(_) => {}
        }
    }
    Ok(runs)
}

fn asks_people(workflow: &Workflow) -> bool {
    workflow.conversations.iter().any(|one| workflow.person_at(one).is_some())
}

/// Takes the next event of a posting.
fn take(
    open: &mut BTreeMap<PostingId, (Arc<Workflow>, OpenTasks)>,
    runs: &HashMap<RunId, OpenRun>,
    event: &RecordedEvent,
    inbox: &mut Inbox,
) {
    let Ok(posting) = event.aggregate_id::<Posting>() else { return };
    let decoded = match event.decode::<PostingEvent>() {
        Ok(decoded) => decoded,
        Err(error) => {
            // nobody can load it any more
            if open.remove(&posting).is_some() {
                inbox.left_out.push(LeftOut::undecoded(event, &error));
            }
            return;
        }
    };
    for decoded in decoded {
        if let PostingEvent::PostingEnteredRun { run_id, .. } = &decoded {
            match runs.get(run_id) {
                Some(run) => {
                    open.insert(posting, (run.workflow.clone(), OpenTasks::default()));
                }
                None => {
                    open.remove(&posting);
                }
            }
        }
        let Some((workflow, tasks)) = open.get_mut(&posting) else { continue };
        tasks.take(workflow, event.event_id, event.recorded_at, &decoded);
        if tasks.run().is_none() {
            open.remove(&posting);
        }
    }
}

fn is_asked_for(filter: &InboxFilter, posting: PostingId, task: &OpenTask) -> bool {
    let is_theirs = |name: &String| task.claim.as_ref().is_none_or(|claim| claim.by == *name);
    filter.conversation.is_none_or(|id| id == task.attempt.conversation_id)
        && filter.posting.is_none_or(|id| id == posting)
        && filter.for_whom.as_ref().is_none_or(is_theirs)
}

fn conversation_of<'a>(workflow: &'a Workflow, task: &OpenTask) -> &'a Conversation {
    let conversation = workflow.conversation(task.attempt.conversation_id);
    conversation.expect("a task is one of a conversation of the definition")
}

/// What is asked, by the definition that the run began with, or why that cannot be said.
async fn asked(
    store: &Store,
    posting: PostingId,
    state: &Posting,
    workflow: &Workflow,
    task: &OpenTask,
) -> Result<Result<String, String>, PeopleError> {
    let conversation = conversation_of(workflow, task);
    Ok(match store.postings.data(posting).await {
        Ok(None) => Err("the posting is not registered in this store".to_owned()),
        Ok(Some(data)) => {
            let workflow_id = workflow.id;
            let values =
                InputValues { posting_id: posting, workflow_id, data: &data, posting: state };
            values.render(conversation).map_err(|unresolved| unresolved.to_string())
        }
        Err(error) if error.kind() == StoreErrorKind::Corrupt => Err(error.to_string()),
        Err(error) => return Err(error.into()),
    })
}

/// A task with what is asked, if that was to be said.
fn shown(
    posting: PostingId,
    workflow: &Workflow,
    task: &OpenTask,
    asked: Option<Result<String, String>>,
) -> InboxTask {
    let attempt = task.attempt;
    let conversation = conversation_of(workflow, task);
    let person = workflow.person_at(conversation);
    let form = person.and_then(|person| person.form.as_ref());
    let (input, no_input) = match asked {
        None => (None, None),
        Some(Ok(input)) => (Some(input), None),
        Some(Err(reason)) => (None, Some(reason)),
    };
    InboxTask {
        posting_id: posting,
        conversation_id: conversation.id,
        conversation: conversation.name.clone(),
        execution: attempt.execution,
        run_id: attempt.run_id,
        workflow_id: workflow.id,
        actor_id: conversation.actor,
        actor: workflow.actor(conversation.actor).map(|actor| actor.name.clone()),
        since: task.since,
        due_at: task.due_at(workflow),
        claimed_by: task.claim.as_ref().map(|claim| claim.by.clone()),
        claimed_at: task.claim.as_ref().map(|claim| claim.since),
        input,
        no_input,
        fields: form.map(fields_of).unwrap_or_default(),
        has_form: form.is_some(),
    }
}
