//! Giving up a run: its postings that are open in it still end as abandoned.

use std::collections::BTreeMap;
use std::fmt;

use es_core::Repository;
use es_core::event::{EventFilter, EventStoreExt, Metadata, ReadLog};
use futures_util::TryStreamExt;
use serde::Serialize;
use turing_domain::fields::RUN_ID;
use turing_domain::{
    EndReason, Posting, PostingEvent, PostingId, RunId, WorkflowId, WorkflowRun, correlation_id,
};

use super::patience::Patience;
use super::{Left, Preparation, RETRY, RunError, StepError};
use crate::store::Store;

/// A run that was given up, and what was done in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GivenUp {
    /// The run.
    pub run_id: RunId,
    /// How many postings it had, if it was recorded.
    pub postings: Option<u32>,
    /// How they ended in it: what was open still is `abandoned`, and who is not counted had not
    /// entered it.
    pub ended: BTreeMap<EndReason, usize>,
    /// How many conversations its postings had completed.
    pub completed_conversations: usize,
    /// Which postings could not be ended in it.
    pub not_released: Vec<Left>,
}

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run_id, postings, ended, completed_conversations, .. } = self;
        let count = postings.map_or_else(|| "?".to_owned(), |count| count.to_string());
        let s = if *postings == Some(1) { "" } else { "s" };
        write!(f, "run {run_id} is given up; it had {count} posting{s}")?;
        for (reason, count) in ended {
            write!(f, ", {count} {reason}")?;
        }
        write!(f, "; conversations that they had completed: {completed_conversations}")
    }
}

/// Ends a run's postings that are open in it still, as abandoned.
pub(super) async fn give_up(
    store: &Store,
    run: &WorkflowRun,
    patience: &Patience,
) -> Result<GivenUp, RunError> {
    let run_id = run.run_id;
    let postings = Repository::<Posting>::new(&store.events).with_retry(RETRY);
    let mut gave_up = GivenUp {
        run_id,
        postings: run.posting_count,
        ended: BTreeMap::new(),
        completed_conversations: 0,
        not_released: Vec::new(),
    };
    let entered = patience.persist(|| entered(store, run_id)).await?;
    let count = entered.len();
    for (done, (posting, workflow_id)) in entered.into_iter().enumerate() {
        if patience.is_stopped() {
            return Err(RunError::NotBegun);
        }
        patience.prepares(Preparation::GivenUp, done, count);
        let release = || release(&postings, posting, workflow_id, run_id);
        match patience.persist(release).await {
            // a run that is over holds nobody: who enters another is released from this one first
            Err(error) if error.concerns_one_posting() => {
                gave_up.not_released.push(Left { posting, reason: error.told() });
            }
            released => gave_up.take(&released?),
        }
    }
    Ok(gave_up)
}

impl GivenUp {
    fn take(&mut self, posting: &Posting) {
        if let Some(terminal) = posting.ended_in(self.run_id) {
            let reason = terminal.reason.clone().unwrap_or(EndReason::Completed);
            *self.ended.entry(reason).or_default() += 1;
        }
        // of a posting that went on to another run only the end is known
        let run = posting.run().filter(|run| run.run_id() == self.run_id);
        self.completed_conversations += run.map_or(0, |run| run.completed().len());
    }
}

/// The postings that entered a run.
pub(super) async fn entered(
    store: &Store,
    run_id: RunId,
) -> Result<BTreeMap<PostingId, WorkflowId>, RunError> {
    let filter = EventFilter::events([PostingEvent::POSTING_ENTERED_RUN]).aggregate::<Posting>();
    let mut log = store.events.log(ReadLog::from_start().filter(filter));
    let mut entered = BTreeMap::new();
    while let Some(event) = log.try_next().await? {
        if let Ok(PostingEvent::PostingEnteredRun { run_id: found, workflow_id, .. }) =
            event.decode_one()
            && found == run_id
            && let Ok(posting) = event.aggregate_id::<Posting>()
        {
            entered.insert(posting, workflow_id);
        }
    }
    Ok(entered)
}

/// Which postings have entered a run, that is, all that it began with unless it was interrupted
/// before.
///
/// # Errors
///
/// When the store fails.
pub async fn postings_of(store: &Store, run_id: RunId) -> Result<Vec<PostingId>, RunError> {
    Ok(entered(store, run_id).await?.into_keys().collect())
}

async fn release(
    postings: &Repository<Posting>,
    posting: PostingId,
    workflow_id: WorkflowId,
    run_id: RunId,
) -> Result<Posting, RunError> {
    let mut metadata = Metadata::new().with(RUN_ID, run_id);
    metadata.correlation_id = Some(correlation_id(workflow_id, posting));
    let release = |state: &Posting| match state.is_open_in(run_id) {
        true => state.abandon_run(run_id),
        false => Ok(Vec::new()),
    };
    let released = postings.by_id(&posting).decide(release).metadata(metadata);
    Ok(released.await.map_err(|error| StepError::of(posting, error))?.state)
}
