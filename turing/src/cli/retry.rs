//! `turing run retry`: postings that failed in a run, once more: which ones, and what that would be.

mod preview;
mod wanted;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use turing_domain::{ConversationId, EndReason, FailureType, PostingId, RunId};

use super::Failure;
use super::call::Call;
use super::ids::first_of;
use super::output::{counted, shown};
use super::telling::tell;
use crate::account::{Cost, FailedOfRun, Status, failed_of};
use crate::left_out::{LeftOut, named};
use crate::postings::PostingInput;
use crate::proposal::command;
use crate::registry::PostingRegistry;
use crate::run::{Intake, StepError};
use crate::store::Store;

pub(super) use preview::{Asked, preview};
pub(super) use wanted::{Field, StandardInput, Wanted};

/// How postings failed: where, for which reason, and of what.
type Failed = (Option<ConversationId>, EndReason, Option<FailureType>);

/// What is to be run once more.
#[derive(Debug)]
pub(super) struct Selection {
    /// The run in which they failed.
    pub(super) run_id: RunId,
    workflow_id: String,
    /// The names of its conversations, as far as they were recorded.
    names: BTreeMap<ConversationId, String>,
    /// How many of its postings failed.
    pub(super) failed: usize,
    pub(super) intake: Intake,
    /// Every key that some of their data has.
    pub(super) data_keys: BTreeSet<String>,
    /// How they failed, and how many so.
    kinds: BTreeMap<Failed, usize>,
    /// What they cost in the run.
    cost: Cost,
    /// What was asked for, and what that left out.
    wanted: Wanted,
    /// The postings that were named and did not fail in the run.
    others: BTreeMap<Other, Vec<PostingId>>,
    /// Events that cannot be read and are of the run, or may be.
    left_out: Vec<LeftOut>,
}

/// Why a posting that was named is none that failed in the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Other {
    NotInRun,
    NotEnded,
    Completed,
}

/// The postings of a run that ended where the definition's author did not end them, and that are wanted.
/// What is run once more, and what a dry run says, is this.
pub(super) async fn selected(
    call: &Call<'_>,
    store: &Store,
    run_id: Option<RunId>,
    wanted: Wanted,
) -> Result<Selection, Failure> {
    let of_run = failed_of(store, run_id, Some(call.definition.workflow.id)).await?;
    let run_id = of_run.run_id;
    if of_run.status == Status::InProgress {
        let again = call.again.as_deref().unwrap_or_default();
        let resume = match call.definition.is_recorded {
            true => format!("run resume {run_id}{again}"),
            false => format!("run resume{again}"),
        };
        let what = format!(
            "run {run_id} is in progress; finish it with `{}`, or with the command that began it",
            command(resume)
        );
        return Err(Failure::InTheWay { what });
    }
    if !of_run.left_out.is_empty() {
        tell(shown(&named(&of_run.left_out), 240));
    }
    let going = call.signs.going();
    let mut reads = |count| going.phase("reading the postings that failed", count, None);
    select(of_run, wanted, &*store.postings, &mut reads).await
}

/// Those of the postings that failed that are wanted; tells how many it has before it reads another one.
async fn select(
    of_run: FailedOfRun,
    mut wanted: Wanted,
    registry: &dyn PostingRegistry,
    reads: &mut (dyn FnMut(usize) + Send),
) -> Result<Selection, Failure> {
    let others = others(&of_run, &wanted);
    let FailedOfRun { run_id, workflow_id, names, failed, left_out, .. } = of_run;
    let (mut postings, mut data_keys) = (BTreeMap::new(), BTreeSet::new());
    let (mut kinds, mut cost) = (BTreeMap::<Failed, usize>::new(), Cost::default());
    let all = failed.len();
    for (posting, end) in failed {
        if !wanted.wants_end(posting, &end) {
            continue;
        }
        reads(postings.len());
        let input = registered(registry, posting).await?;
        if !wanted.wants_data(&input.data) {
            continue;
        }
        postings.insert(posting, input.digest());
        data_keys.extend(input.data.into_iter().map(|(key, _)| key));
        *kinds.entry((end.conversation_id, end.reason, end.failure_type)).or_default() += 1;
        cost.add(&end.cost);
    }
    let read = postings.len();
    let intake = Intake { postings, read, ..Intake::default() };
    Ok(Selection {
        run_id,
        workflow_id,
        names,
        failed: all,
        intake,
        data_keys,
        kinds,
        cost,
        wanted,
        others,
        left_out,
    })
}

/// The postings that were named and did not fail.
fn others(of_run: &FailedOfRun, wanted: &Wanted) -> BTreeMap<Other, Vec<PostingId>> {
    let mut others = BTreeMap::<Other, Vec<PostingId>>::new();
    for id in wanted.ids().into_iter().flatten() {
        let why = match id {
            _ if of_run.failed.contains_key(id) => continue,
            _ if of_run.completed.contains(id) => Other::Completed,
            _ if of_run.entered.contains(id) => Other::NotEnded,
            _ => Other::NotInRun,
        };
        others.entry(why).or_default().push(*id);
    }
    others
}

impl Selection {
    /// The postings that were named and did not fail in the run, in words; a line for each reason.
    pub(super) fn others(&self) -> Vec<String> {
        let run_id = self.run_id;
        let line = |(why, ids): (&Other, &Vec<PostingId>)| {
            let (postings, why) = match (ids.len(), why) {
                (1, Other::NotInRun) => ("posting", format!("is not in run {run_id}")),
                (_, Other::NotInRun) => ("postings", format!("are not in run {run_id}")),
                (1, Other::NotEnded) => ("posting", format!("has not ended in run {run_id}")),
                (_, Other::NotEnded) => ("postings", format!("have not ended in run {run_id}")),
                (1, Other::Completed) => ("posting", format!("completed in run {run_id}")),
                (_, Other::Completed) => ("postings", format!("completed in run {run_id}")),
            };
            format!("{postings} {} {why}", first_of(ids))
        };
        self.others.iter().map(line).collect()
    }

    /// Refuses ids of others than those that failed.
    pub(super) fn refuse_others(&self) -> Result<(), Failure> {
        let count: usize = self.others.values().map(Vec::len).sum();
        if count == 0 {
            return Ok(());
        }
        let what = format!(
            "of the ids that were given {count} did not fail in run {}, and nothing is begun; leave \
             them out, or give --ignore-others",
            self.run_id
        );
        Err(Failure::NotFound { what })
    }

    /// Refuses to do nothing, and says what left nothing.
    pub(super) fn refuse_nothing(&self) -> Result<(), Failure> {
        if !self.intake.postings.is_empty() {
            return Ok(());
        }
        let Self { run_id, failed, wanted, .. } = self;
        let has_let_through = |sieve: &&wanted::Sieve| sieve.left_out < sieve.reached;
        let what = match wanted.sieves.iter().find(|sieve| !has_let_through(sieve)) {
            _ if *failed == 0 => {
                format!("run {run_id} has no failed posting; nothing is to be done again")
            }
            Some(_) if wanted.ids().is_some_and(BTreeSet::is_empty) => {
                "no id stands on standard input; nothing is to be done again".to_owned()
            }
            Some(sieve) => {
                let all = counted(*failed, "posting");
                let before = match sieve.reached {
                    reached if reached == *failed => String::new(),
                    reached => format!("the other filters leave {reached} of them, "),
                };
                let found = sieve.found().map_or_else(String::new, |found| format!(": {found}"));
                let name = sieve.name();
                format!(
                    "{all} failed in run {run_id}, {before}and none of these fits {name}{found}"
                )
            }
            None => format!("nothing of run {run_id} is to be done again"),
        };
        Err(Failure::NotFound { what })
    }
}

/// A posting as it is registered.
pub(super) async fn registered(
    registry: &dyn PostingRegistry,
    posting: PostingId,
) -> Result<PostingInput, Failure> {
    let data = registry.data(posting).await?;
    let data = data.ok_or(Failure::Run(StepError::Unregistered { posting }.into()))?;
    Ok(PostingInput { source: String::new(), posting_id: Some(posting), data })
}

#[cfg(test)]
mod tests;
