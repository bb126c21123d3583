//! The account of a run, read from its events: what is done, what failed, what is open.

mod begun;
mod error;
mod failed;
mod failures;
mod now;
mod percentile;
mod waiting;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use es_core::Aggregate;
use es_core::event::{EventFilter, EventStoreExt, ReadLog, RecordedEvent, Timestamp};
use futures_util::TryStreamExt;
use serde::Serialize;
use turing_domain::fields::RUN_ID;
use turing_domain::{
    ActorId, ConversationId, EndReason, FailureType, Posting, PostingEvent, PostingId, RunId,
    WorkflowEvent, WorkflowId, WorkflowRuns,
};

use crate::left_out::LeftOut;
use crate::store::Store;
use crate::why::Stories;

use begun::{begun, take_end};
pub use error::AccountError;
pub(crate) use failed::{Cost, FailedEnd, FailedOfRun, failed_of};
pub use failures::{FailedPosting, FrequentError};
use failures::{Failures, frequent};
pub use now::{Now, account_now};
pub(crate) use now::{account_following, may_return};
use percentile::percentile;
pub use waiting::{WaitingAttempt, WaitingError};

/// What a run has done so far.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunAccount {
    /// The run.
    pub run_id: RunId,
    /// The workflow.
    pub workflow_id: String,
    /// The workflow's name, if it was recorded.
    pub workflow_name: Option<String>,
    /// The names of its conversations, as far as they were recorded.
    #[serde(skip)]
    pub names: BTreeMap<ConversationId, String>,
    /// The names of its actors, as far as they were recorded.
    #[serde(skip)]
    pub actors: BTreeMap<ActorId, String>,
    /// Whether it goes on.
    pub status: Status,
    /// When it began.
    pub began: Timestamp,
    /// When its last event was recorded.
    pub last_event: Timestamp,
    /// How long it took, if that was recorded.
    #[serde(skip)]
    pub took: Option<Duration>,
    /// Who carries it out, where that was asked for and it is in progress.
    #[serde(flatten)]
    pub now: Now,
    /// How many postings it was begun with, if it was recorded.
    pub postings: Option<u32>,
    /// How many of them have not entered it yet, if their number was recorded.
    pub not_entered: Option<usize>,
    /// How many postings have an open position.
    pub open: usize,
    /// These, by their ids.
    #[serde(skip)]
    pub open_postings: Vec<PostingId>,
    /// How many postings ended for which reason.
    pub ended: BTreeMap<EndReason, usize>,
    /// What was done, by conversation.
    pub conversations: BTreeMap<ConversationId, ConversationAccount>,
    /// What most of its failed postings ended of: the most frequent first, and few of them.
    pub errors: Vec<FrequentError>,
    /// The postings that ended otherwise than as completed, by their ids.
    #[serde(skip)]
    pub failed_postings: Vec<FailedPosting>,
    /// What most other attempts failed of for good, whatever a rule made of that: their postings may
    /// have completed.
    pub other_errors: Vec<FrequentError>,
    /// The last of these attempts of each posting at each conversation, unless one there succeeded after it;
    /// by the ids of their postings.
    #[serde(skip)]
    pub other_failures: Vec<FailedPosting>,
    /// What most of the attempts failed of that are repeated.
    pub waiting: Vec<WaitingError>,
    /// All attempts that failed last and are repeated, by posting.
    #[serde(skip)]
    pub waiting_attempts: Vec<WaitingAttempt>,
    /// Events that cannot be read and are of this run, or may be.
    pub left_out: Vec<LeftOut>,
}

/// Whether a run goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It has open postings, or was interrupted.
    InProgress,
    /// All its postings are terminal.
    Completed,
    /// It was given up; the text says why.
    Failed(String),
}

/// What was done at one conversation.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct ConversationAccount {
    /// Its name, if it was recorded.
    pub name: Option<String>,
    /// Attempts that succeeded.
    pub done: usize,
    /// Attempts that failed, by their kind of failure.
    pub failed: BTreeMap<FailureType, usize>,
    /// Postings that stand there.
    pub open: usize,
    /// The median duration of an attempt, in milliseconds.
    pub p50_ms: Option<u64>,
    /// The duration that 95 of 100 attempts keep below, in milliseconds.
    pub p95_ms: Option<u64>,
    /// How long all attempts took together, in milliseconds.
    pub total_ms: u64,
    /// Successful attempts a minute, from the run's beginning to its last event.
    pub per_minute: f64,
}

/// The account of a run; of the run that began last, of the workflow if one is given, if none is
/// named.
///
/// Reads the log once, with the memory of open positions and durations. Events that cannot be read are
/// left out, and named.
///
/// # Errors
///
/// [`AccountError`].
pub async fn account_of(
    store: &Store,
    run_id: Option<RunId>,
    workflow: Option<WorkflowId>,
) -> Result<RunAccount, AccountError> {
    read(store, run_id, workflow, None).await
}

/// The same, and where the open postings stand, for who wants to know.
async fn read(
    store: &Store,
    run_id: Option<RunId>,
    workflow: Option<WorkflowId>,
    mut stories: Option<&mut Stories>,
) -> Result<RunAccount, AccountError> {
    let (mut account, start) = begun(store, run_id, workflow).await?;
    let filter = EventFilter::all().aggregate::<Posting>().aggregate::<WorkflowRuns>();
    let mut events = store.events.log(ReadLog::after(start).filter(filter));
    let mut reading = Reading::default();
    while let Some(event) = events.try_next().await? {
        if event.stream.aggregate_type() == WorkflowRuns::TYPE {
            if event.stream.aggregate_id() != account.workflow_id {
                continue;
            }
            match event.decode::<WorkflowEvent>() {
                Ok(decoded) => {
                    for decoded in decoded {
                        take_end(&mut account, &event, decoded);
                    }
                }
                Err(error) => account.left_out.push(LeftOut::undecoded(&event, &error)),
            }
        } else if is_of(&event, account.run_id) {
            match event.decode::<PostingEvent>() {
                Ok(decoded) => {
                    account.last_event = event.recorded_at;
                    for decoded in decoded {
                        reading.take(&mut account, &event, &decoded);
                        if let Some(stories) = &mut stories {
                            stories.take(&event, &decoded);
                        }
                    }
                }
                Err(error) => {
                    account.left_out.push(LeftOut::undecoded(&event, &error));
                    if let Some(stories) = &mut stories {
                        stories.forget(&event);
                    }
                }
            }
        } else if event.is(PostingEvent::POSTING_STATE_IMPORTED)
            && let Ok(import) = event.decode_one::<PostingEvent>()
        {
            // it names no run, and takes the posting out of the one in which it is
            reading.take(&mut account, &event, &import);
            if let Some(stories) = &mut stories {
                stories.take(&event, &import);
            }
        }
    }
    reading.finish(&mut account);
    Ok(account)
}

/// True for the events of a run, and for what cannot be read at all and so may be one.
pub(crate) fn is_of(event: &RecordedEvent, run_id: RunId) -> bool {
    match event.metadata.get(RUN_ID) {
        Some(of) => of == run_id,
        None => event.payload.unreadable_because().is_some(),
    }
}

/// What is remembered while the log is read.
#[derive(Default)]
struct Reading {
    open: HashMap<String, BTreeSet<ConversationId>>,
    durations: HashMap<ConversationId, Vec<u64>>,
    failures: Failures,
}

impl Reading {
    fn take(&mut self, account: &mut RunAccount, recorded: &RecordedEvent, event: &PostingEvent) {
        use PostingEvent::*;
        let posting = recorded.stream.aggregate_id();
        self.failures.take(posting, event);
        match event {
            PostingEnteredRun { entry_conversation_id, .. } => {
                self.open.insert(posting.to_owned(), BTreeSet::from([*entry_conversation_id]));
            }
            ScriptExecutionCompleted { conversation_id, duration_ms, .. }
            | LlmCallCompleted { conversation_id, duration_ms, .. }
            | HumanTaskCompleted { conversation_id, duration_ms, .. } => {
                let Some(id) = conversation_id.0 else { return };
                self.ended_attempt(posting, id, duration_ms.0);
                account.conversations.entry(id).or_default().done += 1;
            }
            ScriptExecutionFailed { conversation_id, duration_ms, failure_type, .. }
            | LlmCallFailed { conversation_id, duration_ms, failure_type, .. }
            | HumanTaskFailed { conversation_id, duration_ms, failure_type, .. } => {
                let Some(id) = conversation_id.0 else { return };
                self.ended_attempt(posting, id, duration_ms.0);
                let failure_type = failure_type.0.clone().unwrap_or(FailureType::Unknown);
                let conversation = account.conversations.entry(id).or_default();
                *conversation.failed.entry(failure_type).or_default() += 1;
            }
            BranchTaken { to, .. } => self.opened(posting, *to),
            RetryScheduled { conversation_id, .. } => self.opened(posting, conversation_id.0),
            PostingTerminal { reason, .. } => {
                self.open.remove(posting);
                let reason = reason.0.clone().unwrap_or(EndReason::Completed);
                *account.ended.entry(reason).or_default() += 1;
            }
            PostingStateImported { .. } => {
                self.open.remove(posting);
            }
            PathEnded { .. }
            | CircuitBreakerOpen { .. }
            | HumanTaskClaimed { .. }
            | HumanTaskReleased { .. }
            | PostingMovedToDefinition { .. } => {}
        }
    }

    fn opened(&mut self, posting: &str, conversation: Option<ConversationId>) {
        if let (Some(open), Some(id)) = (self.open.get_mut(posting), conversation) {
            open.insert(id);
        }
    }

    fn ended_attempt(&mut self, posting: &str, id: ConversationId, duration_ms: Option<u64>) {
        if let Some(open) = self.open.get_mut(posting) {
            open.remove(&id);
        }
        self.durations.entry(id).or_default().extend(duration_ms);
    }

    fn finish(self, account: &mut RunAccount) {
        account.open = self.open.len();
        let open = self.open.keys().filter_map(|id| id.parse::<PostingId>().ok());
        account.open_postings = open.collect();
        account.open_postings.sort_unstable();
        let entered = account.open + account.ended.values().sum::<usize>();
        let count = account.postings.and_then(|count| usize::try_from(count).ok());
        account.not_entered = count.map(|count| count.saturating_sub(entered));
        account.waiting_attempts = self.failures.waiting();
        account.waiting = waiting::frequent(&account.waiting_attempts);
        (account.failed_postings, account.other_failures) = self.failures.into_postings();
        account.errors = frequent(&account.failed_postings);
        account.other_errors = frequent(&account.other_failures);
        for id in self.open.into_values().flatten() {
            account.conversations.entry(id).or_default().open += 1;
        }
        let minutes = account.duration().as_secs_f64() / 60.0;
        for (id, mut durations) in self.durations {
            durations.sort_unstable();
            let conversation = account.conversations.entry(id).or_default();
            conversation.p50_ms = percentile(&durations, 50);
            conversation.p95_ms = percentile(&durations, 95);
            conversation.total_ms = durations.iter().fold(0, |sum, one| sum.saturating_add(*one));
        }
        for (id, conversation) in &mut account.conversations {
            conversation.name = account.names.get(id).cloned();
            let rate = conversation.done as f64 / minutes;
            conversation.per_minute = if rate.is_finite() { rate } else { 0.0 };
        }
    }
}

impl RunAccount {
    /// How many postings ended where the definition's author did not end them.
    pub fn failed(&self) -> usize {
        let failed = self.ended.iter().filter(|(reason, _)| !reason.is_normal());
        failed.map(|(_, count)| count).sum()
    }

    /// How long it took, as whoever completed it recorded it: a clock that was set in between makes
    /// it no other. Where that is not recorded, the time up to the last event.
    pub fn duration(&self) -> Duration {
        self.took.unwrap_or_else(|| self.last_event.since(self.began))
    }
}
