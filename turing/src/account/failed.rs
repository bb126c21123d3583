//! Which postings of a run failed, and what they cost there: without texts, so that a run of any size
//! takes little memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use es_core::Aggregate;
use es_core::event::{EventFilter, EventStoreExt, ReadLog};
use futures_util::TryStreamExt;
use serde::Serialize;
use turing_domain::{
    ConversationId, EndReason, FailureType, Posting, PostingEvent, PostingId, RunId, WorkflowEvent,
    WorkflowId, WorkflowRuns,
};

use super::{AccountError, Failures, Status, begun, is_of, take_end};
use crate::left_out::LeftOut;
use crate::store::Store;

/// The postings of a run, by how they ended.
#[derive(Debug)]
pub(crate) struct FailedOfRun {
    pub(crate) run_id: RunId,
    pub(crate) workflow_id: String,
    /// The names of its conversations, as far as they were recorded.
    pub(crate) names: BTreeMap<ConversationId, String>,
    /// Whether it goes on.
    pub(crate) status: Status,
    /// Those that ended otherwise than as completed.
    pub(crate) failed: BTreeMap<PostingId, FailedEnd>,
    /// Those that ended as completed.
    pub(crate) completed: BTreeSet<PostingId>,
    /// All of which something is recorded in the run.
    pub(crate) entered: BTreeSet<PostingId>,
    /// Events that cannot be read and are of this run, or may be.
    pub(crate) left_out: Vec<LeftOut>,
}

/// How a posting failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailedEnd {
    pub(crate) reason: EndReason,
    /// Where, if that was recorded.
    pub(crate) conversation_id: Option<ConversationId>,
    /// What the last attempt there failed of, if one did.
    pub(crate) failure_type: Option<FailureType>,
    pub(crate) cost: Cost,
}

/// What was done for postings in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Cost {
    /// Attempts of scripts and language models, those that failed included.
    pub(crate) attempts: u64,
    /// Tasks of people that came to an end.
    pub(crate) tasks: u64,
    /// The tokens of all inputs and answers, if some were recorded.
    pub(crate) tokens: Option<u64>,
}

impl Cost {
    pub(crate) fn add(&mut self, other: &Self) {
        self.attempts = self.attempts.saturating_add(other.attempts);
        self.tasks = self.tasks.saturating_add(other.tasks);
        if let Some(tokens) = other.tokens {
            self.tokens = Some(self.tokens.unwrap_or_default().saturating_add(tokens));
        }
    }

    /// What an event says of it.
    fn of(event: &PostingEvent) -> Self {
        use PostingEvent::*;
        let none = Self::default();
        match event {
            ScriptExecutionCompleted { .. }
            | ScriptExecutionFailed { .. }
            | LlmCallFailed { .. } => Self { attempts: 1, ..none },
            LlmCallCompleted { tokens, prompt_tokens, completion_tokens, .. } => {
                let parts = [prompt_tokens.0, completion_tokens.0].into_iter().flatten();
                let tokens = tokens.0.or_else(|| parts.reduce(u64::saturating_add));
                Self { attempts: 1, tokens, ..none }
            }
            HumanTaskCompleted { .. } | HumanTaskFailed { .. } => Self { tasks: 1, ..none },
            _ => none,
        }
    }
}

/// The postings of a run, by how they ended; of the run that began last, of the workflow if one is given,
/// if none is named.
///
/// Reads the log once, with the memory of ids. Events that cannot be read are left out, and named.
///
/// # Errors
///
/// [`AccountError`].
pub(crate) async fn failed_of(
    store: &Store,
    run_id: Option<RunId>,
    workflow: Option<WorkflowId>,
) -> Result<FailedOfRun, AccountError> {
    let (mut account, start) = begun(store, run_id, workflow).await?;
    let filter = EventFilter::all().aggregate::<Posting>().aggregate::<WorkflowRuns>();
    let mut events = store.events.log(ReadLog::after(start).filter(filter));
    let mut reading = Reading::new();
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
                    for decoded in decoded {
                        reading.take(event.stream.aggregate_id(), &decoded);
                    }
                }
                Err(error) => account.left_out.push(LeftOut::undecoded(&event, &error)),
            }
        } else if event.is(PostingEvent::POSTING_STATE_IMPORTED)
            && let Ok(import) = event.decode_one::<PostingEvent>()
        {
            // it names no run, and takes the posting out of the one in which it is
            reading.failures.take(event.stream.aggregate_id(), &import);
        }
    }
    let Reading { failures, costs, completed, entered } = reading;
    let mut failed = BTreeMap::new();
    for one in failures.into_postings().0 {
        // whoever completed afterwards has not failed
        if !completed.contains(&one.posting_id) {
            let cost = costs.get(&one.posting_id).copied().unwrap_or_default();
            let end = FailedEnd {
                reason: one.reason,
                conversation_id: one.conversation_id,
                failure_type: one.failure_type,
                cost,
            };
            failed.insert(one.posting_id, end);
        }
    }
    Ok(FailedOfRun {
        run_id: account.run_id,
        workflow_id: account.workflow_id,
        names: account.names,
        status: account.status,
        failed,
        completed,
        entered,
        left_out: account.left_out,
    })
}

/// What is remembered while the log is read.
#[derive(Debug)]
struct Reading {
    failures: Failures,
    /// Of the postings that have not completed.
    costs: HashMap<PostingId, Cost>,
    completed: BTreeSet<PostingId>,
    entered: BTreeSet<PostingId>,
}

impl Reading {
    fn new() -> Self {
        Self {
            failures: Failures::without_texts(),
            costs: HashMap::new(),
            completed: BTreeSet::new(),
            entered: BTreeSet::new(),
        }
    }

    fn take(&mut self, posting: &str, event: &PostingEvent) {
        self.failures.take(posting, event);
        let Ok(posting) = posting.parse::<PostingId>() else { return };
        self.entered.insert(posting);
        if let PostingEvent::PostingTerminal { reason, .. } = event {
            match reason.0.as_ref().is_none_or(EndReason::is_normal) {
                true => {
                    self.completed.insert(posting);
                    self.costs.remove(&posting);
                }
                false => {
                    self.completed.remove(&posting);
                }
            }
            return;
        }
        let cost = Cost::of(event);
        if cost != Cost::default() {
            self.costs.entry(posting).or_default().add(&cost);
        }
    }
}

#[cfg(test)]
mod tests {
    use turing_domain::Noted;

    use super::*;

    fn answered(tokens: Option<u64>, [prompt, completion]: [Option<u64>; 2]) -> PostingEvent {
        PostingEvent::LlmCallCompleted {
            output: None,
            status: Noted::ABSENT,
            model: Noted::ABSENT,
            tokens: tokens.into(),
            prompt_tokens: prompt.into(),
            completion_tokens: completion.into(),
            finish_reason: Noted::ABSENT,
            cached_tokens: Noted::ABSENT,
            reasoning_tokens: Noted::ABSENT,
            first_token_ms: Noted::ABSENT,
            request_id: Noted::ABSENT,
            conversation_id: ConversationId(10).into(),
            actor_id: Noted::ABSENT,
            execution_order: Noted::ABSENT,
            duration_ms: Noted::ABSENT,
            retry_count: Noted::ABSENT,
            run_id: Noted::ABSENT,
        }
    }

    fn ended(reason: EndReason) -> PostingEvent {
        PostingEvent::PostingTerminal {
            reason: reason.into(),
            final_conversation_id: ConversationId(10).into(),
            run_id: Noted::ABSENT,
        }
    }

    #[test]
    fn a_cost_is_that_of_all_attempts_and_its_tokens_are_known_only_where_some_were_told() {
        let mut cost = Cost::default();
        cost.add(&Cost::of(&ended(EndReason::ActorFailed)));
        assert_eq!(cost, Cost::default());
        cost.add(&Cost::of(&answered(None, [None, None])));
        assert_eq!(cost, Cost { attempts: 1, tasks: 0, tokens: None });
        cost.add(&Cost::of(&answered(None, [Some(12), None])));
        cost.add(&Cost::of(&answered(Some(20), [Some(15), Some(5)])));
        assert_eq!(cost, Cost { attempts: 3, tasks: 0, tokens: Some(32) });
    }

    #[test]
    fn only_of_postings_that_have_not_completed_it_is_remembered_what_they_cost() {
        let mut reading = Reading::new();
        for posting in ["1", "2"] {
            reading.take(posting, &answered(Some(7), [None, None]));
        }
        reading.take("1", &ended(EndReason::Completed));
        reading.take("2", &ended(EndReason::NoMatchingBranch));
        assert_eq!(reading.costs.keys().collect::<Vec<_>>(), [&PostingId(2)]);
        assert_eq!(reading.completed, BTreeSet::from([PostingId(1)]));
        assert_eq!(reading.entered, BTreeSet::from([PostingId(1), PostingId(2)]));
    }
}
