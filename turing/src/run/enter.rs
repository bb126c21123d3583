//! Bringing every posting into the run, or finding where it stands in it.

use std::future::ready;
use std::sync::Arc;

use es_core::event::EventId;
use es_core::execution::{LoadError, Member};
use es_core::{CommandError, Decided, Draft, Repository};
use futures_util::TryStreamExt;
use tokio::task::JoinSet;
use turing_domain::{
    ConversationId, Posting, PostingId, PostingRejection, RunId, RunStatus, Step, WorkflowId,
    WorkflowRejection, WorkflowRuns,
};

use super::apart::Done;
use super::begin::runs_of;
use super::clocks::Moment;
use super::moved::{opened, opened_by};

use super::{Preparation, Run, RunError, Shared, StepError};

/// How many postings enter side by side: their appends share commits.
const SIDE_BY_SIDE: usize = 64;

/// How many postings enter between two looks at the lock.
const BETWEEN_LOOKS: usize = 500;

/// Where a posting stands when the run begins or is continued.
pub(super) struct Entered {
    pub(super) state: Posting,
    pub(super) causes: Vec<(ConversationId, EventId)>,
}

impl Run<'_> {
    /// Lets every posting enter the run, until it is asked to stop; those that are in it already
    /// stay where they are.
    pub(super) async fn enter_all(&mut self, postings: Vec<PostingId>) -> Result<(), RunError> {
        let count = postings.len();
        let mut postings = postings.into_iter();
        let mut entering = JoinSet::new();
        let mut entered = 0_usize;
        loop {
            self.observer.prepares(Preparation::Entered, entered, count);
            if entered.is_multiple_of(BETWEEN_LOOKS) {
                self.keep_lock_of_open_run().await?;
                // somebody may have cancelled the run
                self.hear().await?;
            }
            while entering.len() < SIDE_BY_SIDE
                && self.goes_on()
                && let Some(posting) = postings.next()
            {
                let shared = self.shared.clone();
                entering.spawn(async move {
                    let recorder = shared.clone();
                    shared.recording(posting, let_enter(recorder, posting)).await
                });
            }
            let Some(done) = self.telling(entering.join_next()).await else { break };
            self.take(done??).await?;
            entered += 1;
        }
        self.report.not_entered += postings.len();
        Ok(())
    }

    /// Keeps the lock; if it was lost, somebody may have given the run up meanwhile, and no posting
    /// enters it any more.
    async fn keep_lock_of_open_run(&mut self) -> Result<(), RunError> {
        let losses = self.losses;
        self.keep_lock().await?;
        if self.losses == losses {
            return Ok(());
        }
        let shared = self.shared.clone();
        let (workflow, run_id) = (shared.definition.workflow.id, shared.run_id);
        let looking = shared.patience.persist(|| is_over(&shared, workflow, run_id));
        match self.telling(looking).await {
            Ok(true) => Err(RunError::Record(Box::new(WorkflowRejection::RunOver { run_id }))),
            Ok(false) | Err(RunError::NotBegun) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Puts a posting where its state says it stands; `seen` is the moment of that state.
    pub(super) fn place(
        &mut self,
        posting: PostingId,
        state: &Posting,
        causes: &[(ConversationId, EventId)],
        seen: Moment,
    ) {
        // a posting that went on to another run stands nowhere in this one
        let steps = match state.is_open_in(self.shared.run_id) {
            true => state.ready(&self.shared.definition.workflow),
            false => {
                self.shared.data.forget(posting);
                Vec::new()
            }
        };
        let (tasks, steps) = match self.shared.calls_nobody {
            true => (Vec::new(), steps),
            false => self.people.set_apart(&self.shared.definition.workflow, posting, steps),
        };
        let cause_of = |conversation| {
            causes.iter().rfind(|(opened, _)| *opened == conversation).map(|(_, cause)| *cause)
        };
        let longest = self.shared.definition.workflow.retry.max_seconds.into();
        let until = |due_at| seen.deadline(due_at, longest);
        let from = |step: &Step<'_>| step.due_at.map_or(seen.at, until);
        let at = steps.iter().map(|step| (step.attempt, from(step)));
        let at: Vec<_> = at.chain(tasks.into_iter().map(|task| (task, seen.at))).collect();
        self.agenda.place(posting, &steps, until, cause_of);
        self.observer.posting_stands(posting, &at);
    }
}

/// Lets a posting enter the run, whenever the store can record that.
async fn let_enter(shared: Arc<Shared>, posting: PostingId) -> Result<Done, RunError> {
    let seen = shared.clocks.moment();
    match shared.patience.persist(|| enter(&shared, posting, seen)).await {
        Err(RunError::NotBegun) => Ok(Done::NotEntered),
        entered => Ok(Done::Entered(entered?, seen)),
    }
}

async fn enter(shared: &Shared, posting: PostingId, seen: Moment) -> Result<Entered, RunError> {
    let executed = match try_enter(shared, posting, None).await {
        // a run that is over holds no posting any more
        Err(CommandError::Rejected(PostingRejection::InAnotherRun { run_id, workflow_id }))
            if is_over(shared, workflow_id, run_id).await? =>
        {
            try_enter(shared, posting, Some(run_id)).await
        }
        tried => tried,
    };
    let executed = executed.map_err(|error| match error {
        CommandError::Rejected(source) => RunError::Posting { posting, source },
        other => StepError::of(posting, other).into(),
    })?;
    if let Some(appended) = &executed.appended {
        shared.count(executed.events.len());
        let causes = opened_by(&executed.events, appended);
        return Ok(Entered { state: executed.state, causes });
    }
    settle(shared, posting, executed.state, seen).await
}

/// Lets a posting enter the run; from the run `over` it is released first.
async fn try_enter(
    shared: &Shared,
    posting: PostingId,
    over: Option<RunId>,
) -> Result<Decided<Member<Posting>>, CommandError<PostingRejection>> {
    let workflow = &shared.definition.workflow;
    let enter = |state: &Posting| match over {
        Some(over) if state.run().is_some_and(|run| run.run_id() == over) => {
            let mut released = Draft::new(state.clone());
            released.record(released.abandon_run(over)?);
            released.record(released.enter_run(workflow, shared.run_id)?);
            Ok(released.into_recorded())
        }
        _ => state.enter_run(workflow, shared.run_id),
    };
    let metadata = shared.metadata(posting, shared.started_by);
    shared.postings.by_id(&posting).decide(enter).metadata(metadata).await
}

/// Whether a run has ended, or is not known to its workflow.
async fn is_over(shared: &Shared, workflow: WorkflowId, run_id: RunId) -> Result<bool, RunError> {
    let runs = Repository::<WorkflowRuns>::new(shared.store.events.clone());
    let state = runs_of(&runs, workflow).await?;
    Ok(state.run(run_id).is_none_or(|run| run.status != RunStatus::Open))
}

/// A posting that was in the run already: what its last result leads to is recorded if that is
/// missing, and what opened its positions is looked up.
pub(super) async fn settle(
    shared: &Shared,
    posting: PostingId,
    state: Posting,
    seen: Moment,
) -> Result<Entered, RunError> {
    let mut state = state;
    if state.is_open_in(shared.run_id) && state.run().is_some_and(|run| !run.finished().is_empty())
    {
        let jitter = shared.environment.jitter.fraction();
        let settled = shared
            .postings
            .by_id(&posting)
            .decide(|state| state.settle(&shared.definition.workflow, seen.wall, jitter))
            .metadata(shared.metadata(posting, None))
            .await
            .map_err(|error| StepError::of(posting, error))?;
        state = settled.state;
    }
    let causes = causes_in(shared, posting).await?;
    Ok(Entered { state, causes })
}

/// Which event opened which conversation, the latest last.
async fn causes_in(
    shared: &Shared,
    posting: PostingId,
) -> Result<Vec<(ConversationId, EventId)>, RunError> {
    let history = shared.postings.history(&posting).map_err(|error| match error {
        LoadError::Store(error) => RunError::Store(error),
        source => StepError::Load { posting, source }.into(),
    });
    let causes = history.try_filter_map(|(recorded, event)| {
        ready(Ok(opened(&event).map(|opened| (opened, recorded.event_id))))
    });
    causes.try_collect().await
}
