//! Claiming a task, giving it back, and answering it.

use es_core::environment::Environment;
use es_core::event::{Metadata, Timestamp};
use es_core::execution::Retry;
use es_core::{CommandError, Repository};
use serde_json::Value;
use turing_domain::fields::RUN_ID;
use turing_domain::{
    ConversationId, EndReason, HumanAnswer, HumanTaskRejection, HumanTasks, OpenTask, Posting,
    PostingEvent, PostingId, RunId, Speaker, correlation_id,
};

use super::{PeopleError, Standing};
use crate::schema::Validator;
use crate::store::Store;

/// How often an answer meets another writer before it gives up: a run may record for the same posting.
const RETRY: Retry = Retry::times(20);

/// Who speaks of which task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The posting.
    pub posting: PostingId,
    /// The conversation.
    pub conversation: ConversationId,
    /// Which execution of it, from 1, if one alone is meant.
    pub execution: Option<u32>,
    /// The name.
    pub by: String,
    /// Why the task is taken from whoever has claimed it; `None`: it is not.
    pub take_over: Option<String>,
}

/// What came of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// The run.
    pub run_id: RunId,
    /// When the same answer was given before, if it was: nothing was added then.
    pub before: Option<Timestamp>,
    /// From whom the task was taken.
    pub taken_from: Option<String>,
    /// The conversations that were opened.
    pub opened: Vec<ConversationId>,
    /// Whether the posting has ended, and how.
    pub ended: Option<EndReason>,
}

/// What came of a claim, or of giving one back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// True if something was recorded: otherwise it was so already.
    pub is_new: bool,
    /// From whom the task was taken.
    pub taken_from: Option<String>,
}

/// Answers a task, and records what follows. The same answer of the same person again is none.
///
/// # Errors
///
/// [`PeopleError`]; above all, the posting does not wait for it any more, which says who was faster.
pub async fn answer(
    store: &Store,
    asked: &Asked,
    answer: &HumanAnswer,
) -> Result<Answered, PeopleError> {
    let standing = Standing::read(store, asked.posting).await?;
    let Some(task) = task_of(&standing, asked) else {
        return answered_before(&standing, asked, answer);
    };
    check_form(&standing, asked.conversation, answer)?;
    let environment = Environment::default();
    let now = environment.clock.now();
    let (workflow, speaker) = (&standing.workflow, speaker(asked, task));
    let open_for = Some(now.since(task.since));
    let decide = |tasks: &HumanTasks| tasks.answer(workflow, &speaker, answer, open_for, now);
    let tasks = Repository::<HumanTasks>::new(&store.events).with_retry(RETRY);
    let tasks = tasks.with_environment(environment);
    let decision = tasks.by_id(&asked.posting).decide(decide);
    let decided = match decision.metadata(metadata(&standing, task)).await {
        Err(CommandError::Rejected(HumanTaskRejection::Posting(_))) => {
            // somebody was faster
            let standing = Standing::read(store, asked.posting).await?;
            return answered_before(&standing, asked, answer);
        }
        decided => decided.map_err(|error| refused(&standing, asked, error))?,
    };
    let mut answered = Answered {
        run_id: standing.run_id,
        before: None,
        taken_from: taken_from(&decided.events),
        opened: Vec::new(),
        ended: None,
    };
    for event in &decided.events {
        match event {
            PostingEvent::BranchTaken { to: Some(to), .. } => answered.opened.push(*to),
            PostingEvent::PostingTerminal { reason, .. } => {
                answered.ended = Some(reason.0.clone().unwrap_or(EndReason::Completed));
            }
            _ => {}
        }
    }
    Ok(answered)
}

/// Claims a task for somebody, so that others leave it.
///
/// # Errors
///
/// [`PeopleError`]; above all, somebody else has it.
pub async fn claim(store: &Store, asked: &Asked) -> Result<Claimed, PeopleError> {
    hold(store, asked, true).await
}

/// Gives a claimed task back.
///
/// # Errors
///
/// [`PeopleError`]; above all, somebody else has it.
pub async fn release(store: &Store, asked: &Asked) -> Result<Claimed, PeopleError> {
    hold(store, asked, false).await
}

async fn hold(store: &Store, asked: &Asked, claims: bool) -> Result<Claimed, PeopleError> {
    let standing = Standing::read(store, asked.posting).await?;
    let Some(task) = task_of(&standing, asked) else {
        return Err(standing.stale(asked.conversation, asked.execution));
    };
    let (workflow, speaker) = (&standing.workflow, speaker(asked, task));
    let decide = |tasks: &HumanTasks| match claims {
        true => tasks.claim(workflow, &speaker),
        false => tasks.release(workflow, &speaker),
    };
    let tasks = Repository::<HumanTasks>::new(&store.events).with_retry(RETRY);
    let decision = tasks.by_id(&asked.posting).decide(decide);
    match decision.metadata(metadata(&standing, task)).await {
        Err(CommandError::Rejected(HumanTaskRejection::Posting(_))) => {
            let standing = Standing::read(store, asked.posting).await?;
            Err(standing.stale(asked.conversation, asked.execution))
        }
        Err(error) => Err(refused(&standing, asked, error)),
        Ok(decided) => Ok(Claimed {
            is_new: !decided.events.is_empty(),
            taken_from: taken_from(&decided.events),
        }),
    }
}

fn taken_from(events: &[PostingEvent]) -> Option<String> {
    events.iter().find_map(|event| match event {
        PostingEvent::HumanTaskClaimed { taken_from, .. } => taken_from.0.clone(),
        _ => None,
    })
}

/// The task that is meant, if it is open.
fn task_of<'a>(standing: &'a Standing, asked: &Asked) -> Option<&'a OpenTask> {
    let task = standing.task(asked.conversation)?;
    let is_meant = asked.execution.is_none_or(|execution| execution == task.attempt.execution);
    is_meant.then_some(task)
}

fn speaker(asked: &Asked, task: &OpenTask) -> Speaker {
    Speaker { attempt: task.attempt, by: asked.by.clone(), take_over: asked.take_over.clone() }
}

/// What every event of the posting carries in its run.
fn metadata(standing: &Standing, task: &OpenTask) -> Metadata {
    let mut metadata = Metadata::new().with(RUN_ID, standing.run_id);
    metadata.correlation_id = Some(correlation_id(standing.workflow.id, standing.posting));
    metadata.causation_id = Some(task.opened_by);
    metadata
}

/// Nothing is added where the same was answered by the same person; else nobody waits for it.
fn answered_before(
    standing: &Standing,
    asked: &Asked,
    answer: &HumanAnswer,
) -> Result<Answered, PeopleError> {
    let Asked { conversation, execution, by, .. } = asked;
    let before = standing
        .same_answer(*conversation, *execution, by, answer)
        .ok_or_else(|| standing.stale(*conversation, *execution))?;
    Ok(Answered {
        run_id: standing.run_id,
        before: Some(before),
        taken_from: None,
        opened: Vec::new(),
        ended: ended_in(&standing.state, standing.run_id),
    })
}

fn ended_in(state: &Posting, run_id: RunId) -> Option<EndReason> {
    let terminal = state.ended_in(run_id)?;
    Some(terminal.reason.clone().unwrap_or(EndReason::Completed))
}

/// Refuses an answer that is not as the form asks for.
fn check_form(
    standing: &Standing,
    id: ConversationId,
    answer: &HumanAnswer,
) -> Result<(), PeopleError> {
    let wrong = |why: String| Err(PeopleError::Form { conversation: id, why });
    let HumanAnswer::Done(output) = answer else { return Ok(()) };
    if output.contains('\0') {
        return wrong("it contains U+0000, which no store keeps".to_owned());
    }
    let workflow = &standing.workflow;
    let person = workflow.conversation(id).and_then(|it| workflow.person_at(it));
    let Some(form) = person.and_then(|person| person.form.as_ref()) else { return Ok(()) };
    let document: Value = match serde_json::from_str(output) {
        Ok(document) => document,
        Err(error) => return wrong(format!("it is no JSON: {error}")),
    };
    let validator = match Validator::new(form) {
        Ok(validator) => validator,
        Err(error) => return wrong(format!("the form is no schema: {error}")),
    };
    match validator.check(&document) {
        Ok(()) => Ok(()),
        Err(mismatch) => wrong(match field_at(&mismatch.pointer) {
            Some(field) => format!("{mismatch} (field `{field}`)"),
            None => mismatch.to_string(),
        }),
    }
}

/// The field that a JSON pointer leads into.
fn field_at(pointer: &str) -> Option<String> {
    let first = pointer.strip_prefix('/')?.split('/').next()?;
    Some(first.replace("~1", "/").replace("~0", "~"))
}

fn refused(
    standing: &Standing,
    asked: &Asked,
    error: CommandError<HumanTaskRejection>,
) -> PeopleError {
    let (posting, conversation) = (asked.posting, asked.conversation);
    match error {
        CommandError::Rejected(HumanTaskRejection::Claimed { by }) => {
            let claim = standing.task(conversation).and_then(|task| task.claim.as_ref());
            let since = claim.filter(|claim| claim.by == by).map(|claim| claim.since);
            PeopleError::Claimed { posting, conversation, by, since }
        }
        error => PeopleError::of(posting, error),
    }
}
