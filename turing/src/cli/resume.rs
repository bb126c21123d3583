//! `turing run resume`: a run that was interrupted, with the postings that it began with.

use std::collections::BTreeMap;

use es_core::Repository;
use turing_domain::{EndReason, RunId, WorkflowId, WorkflowRun, WorkflowRuns};

use super::Failure;
use super::call::Call;
use super::retry::registered;
use crate::account::{RunAccount, Status, account_of};
use crate::proposal::command;
use crate::run::{Intake, postings_of};
use crate::store::Store;

/// A run in progress, and the postings that have entered it.
pub(super) struct Interrupted {
    account: RunAccount,
    intake: Intake,
}

/// The run of a workflow that is in progress, if there is one.
pub(super) async fn open_run(
    store: &Store,
    workflow: WorkflowId,
) -> Result<Option<WorkflowRun>, Failure> {
    let runs = Repository::<WorkflowRuns>::new(store.events.clone());
    Ok(runs.load(&workflow).await?.state.open_run().cloned())
}

/// The run that is meant, which must be in progress.
pub(super) async fn interrupted(
    call: &Call<'_>,
    store: &Store,
    run_id: Option<RunId>,
) -> Result<Interrupted, Failure> {
    let account = account_of(store, run_id, Some(call.definition.workflow.id)).await?;
    let run_id = account.run_id;
    if account.status != Status::InProgress {
        let what = format!("run {run_id} is over; nothing is left of it to go on with");
        return Err(Failure::NotFound { what });
    }
    let mut postings = BTreeMap::new();
    let entered = postings_of(store, run_id).await?;
    for posting in &entered {
        let (going, read) = (call.signs.going(), postings.len());
        going.phase("reading the postings of the run", read, Some(entered.len()));
        postings.insert(*posting, registered(&*store.postings, *posting).await?.digest());
    }
    let read = postings.len();
    Ok(Interrupted { account, intake: Intake { postings, read, ..Intake::default() } })
}

impl Interrupted {
    /// True if all postings had entered it that it began with.
    pub(super) fn is_whole(&self) -> bool {
        let entered = self.intake.postings.len();
        self.account.postings.is_none_or(|count| count as usize == entered)
    }

    /// True if giving it up for these postings loses nothing: not all that it began with had entered,
    /// nothing was done in it, and those that had are among these.
    pub(super) fn is_lost(&self, given: &Intake) -> bool {
        let is_given = |posting| given.postings.contains_key(posting);
        !self.is_whole() && is_untouched(&self.account) && self.intake.postings.keys().all(is_given)
    }

    /// What the run began with, if that is known: if all of its postings had entered it.
    pub(super) fn intake(self) -> Result<Intake, Failure> {
        let Self { account, intake } = self;
        let entered = intake.postings.len();
        let Some(postings) = account.postings.filter(|count| *count as usize != entered) else {
            return Ok(intake);
        };
        let run_id = account.run_id;
        let done = match is_untouched(&account) {
            true => ", which loses nothing: none of them was executed",
            false => "",
        };
        let what = format!(
            "run {run_id} was interrupted when {entered} of its {postings} postings had entered it, \
             and the others are not known here; run the command that began it, or give it up with \
             `{}`{done}",
            command("run … --abandon")
        );
        Err(Failure::InTheWay { what })
    }
}

/// True if no attempt is recorded in the run, and no posting has ended in it but by somebody who was
/// giving it up.
fn is_untouched(account: &RunAccount) -> bool {
    let mut conversations = account.conversations.values();
    let mut reasons = account.ended.keys();
    reasons.all(|reason| *reason == EndReason::Abandoned)
        && conversations.all(|one| one.done == 0 && one.failed.is_empty())
}
