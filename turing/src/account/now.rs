//! Whether a process carries a run out now, which no event says.

use std::collections::BTreeMap;
use std::time::Duration;

use es_core::Repository;
use es_core::environment::{Clock, SystemClock};
use es_core::event::Timestamp;
use serde::Serialize;
use turing_domain::{Cancellation, ConversationId, Pause, RunId, WorkflowId, WorkflowRuns};

use super::{AccountError, RunAccount, Status, read};
use crate::lock::Holder;
use crate::store::Store;
use crate::why::Stories;

/// What is known of a run in progress beside its events. Of a run that is over it says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Now {
    /// The process that carries it out, as it names itself.
    pub process: Option<String>,
    /// True if no process carries it out: it was interrupted. Absent if that cannot be known.
    pub is_interrupted: Option<bool>,
    /// When the server began, if that was since the last event and a short time ago: whoever carries
    /// the run out has lost its lock by that, and takes it again before its next attempt.
    pub server_began: Option<Timestamp>,
    /// How long ago its last event was recorded.
    #[serde(rename = "last_event_age_ms", serialize_with = "milliseconds")]
    pub last_event_age: Option<Duration>,
    /// How many failed attempts wait for their time to be repeated.
    pub waiting_attempts: usize,
    /// When the first of them is.
    pub next_due_at: Option<Timestamp>,
    /// That somebody wants no attempt of it to begin, if that is not over.
    pub pause: Option<Pause>,
    /// The same of single conversations.
    pub conversation_pauses: BTreeMap<ConversationId, Pause>,
    /// That somebody has cancelled it, so that it is about to be over.
    pub cancelling: Option<Cancellation>,
}

/// For how long after the server's beginning a run may come back that has lost its lock by it:
/// attempts that were in progress may take as long as models have by themselves, and more.
const RETURNS: Duration = Duration::from_secs(15 * 60);

/// True if the server began since the last event that is known of a run, and a short time ago: whoever
/// carried the run out may have lost its lock by that.
pub(crate) fn may_return(began: Timestamp, last_event: Timestamp, now: Timestamp) -> bool {
    began > last_event && now.since(began) < RETURNS
}

fn milliseconds<S: serde::Serializer>(
    time: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let millis = time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    millis.serialize(serializer)
}

impl Now {
    fn of(account: &RunAccount, holder: Holder) -> Self {
        let now = SystemClock.now();
        let (process, is_interrupted, server_began) = match holder {
            Holder::Process(process) => (Some(process), Some(false), None),
            Holder::NobodySince(began) if may_return(began, account.last_event, now) => {
                (None, None, Some(began))
            }
            Holder::Nobody | Holder::NobodySince(_) => (None, Some(true), None),
            Holder::Unknown => (None, None, None),
        };
        let due = account.waiting_attempts.iter().map(|waiting| waiting.due_at);
        let due: Vec<_> = due.filter(|due_at| *due_at > now).collect();
        Self {
            process,
            is_interrupted,
            server_began,
            last_event_age: Some(now.since(account.last_event)),
            waiting_attempts: due.len(),
            next_due_at: due.into_iter().min(),
            ..Self::default()
        }
    }

    /// The same with what operators asked of the run; nothing of that if its events cannot be read.
    async fn with_operators(self, store: &Store, workflow: WorkflowId, run_id: RunId) -> Self {
        let runs = Repository::<WorkflowRuns>::new(store.events.clone());
        let Ok(loaded) = runs.load(&workflow).await else { return self };
        let Some(run) = loaded.state.run(run_id) else { return self };
        let now = SystemClock.now();
        let goes_on = |pause: &&Pause| !pause.is_over(now);
        let conversations = run.conversation_pauses.iter();
        let conversations = conversations.filter(|(_, pause)| goes_on(pause));
        Self {
            pause: run.pause.as_ref().filter(goes_on).cloned(),
            conversation_pauses: conversations.map(|(id, pause)| (*id, pause.clone())).collect(),
            cancelling: run.cancellation.clone(),
            ..self
        }
    }
}

/// The account of a run as [`account_of`](super::account_of) gives it, and whether a process carries it out now.
///
/// # Errors
///
/// [`AccountError`].
pub async fn account_now(store: &Store, run_id: Option<RunId>) -> Result<RunAccount, AccountError> {
    look(store, run_id, None).await
}

/// The same, and where the open postings stand.
pub(crate) async fn account_following(
    store: &Store,
    run_id: Option<RunId>,
) -> Result<(RunAccount, Stories), AccountError> {
    let mut stories = Stories::default();
    let account = look(store, run_id, Some(&mut stories)).await?;
    Ok((account, stories))
}

async fn look(
    store: &Store,
    run_id: Option<RunId>,
    mut stories: Option<&mut Stories>,
) -> Result<RunAccount, AccountError> {
    let mut account = read(store, run_id, None, stories.as_deref_mut()).await?;
    let Ok(workflow) = account.workflow_id.parse::<WorkflowId>() else { return Ok(account) };
    if account.status != Status::InProgress {
        return Ok(account);
    }
    let holder = store.run_holder(workflow).await;
    if matches!(holder, Holder::Nobody | Holder::NobodySince(_)) {
        // whoever carried it out may have ended it since its events were read
        let left_out = std::mem::take(&mut account.left_out);
        if let Some(stories) = &mut stories {
            **stories = Stories::default();
        }
        account = read(store, Some(account.run_id), None, stories).await?;
        account.left_out = left_out;
    }
    if account.status == Status::InProgress {
        let now = Now::of(&account, holder);
        account.now = Box::pin(now.with_operators(store, workflow, account.run_id)).await;
    }
    Ok(account)
}
