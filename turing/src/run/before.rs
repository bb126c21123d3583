//! How postings ended in earlier runs of the workflow.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use es_core::Repository;
use es_core::execution::LoadError;
use futures_util::future::join_all;
use turing_domain::{EndReason, Posting, PostingId, RunId, WorkflowRuns};

use super::patience::Patience;
use super::{GivenUp, Intake, Preparation, RunError};

/// How many postings are looked at side by side.
const SIDE_BY_SIDE: usize = 64;

/// How postings ended in earlier runs of the workflow. Each is counted once: where it completed, or,
/// if it completed in none of them, where it failed last.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Before {
    postings: usize,
    ended: BTreeMap<EndReason, usize>,
    /// By their place among all runs of the workflow.
    runs: BTreeMap<usize, RunId>,
    failed_in: Option<(usize, RunId)>,
    /// The run that was given up by who asked.
    pub(super) gave_up: Option<GivenUp>,
}

impl Before {
    /// The run that was given up by who asked.
    pub fn gave_up(&self) -> Option<&GivenUp> {
        self.gave_up.as_ref()
    }

    /// How many postings it is about.
    pub fn postings(&self) -> usize {
        self.postings
    }

    /// How many of them ended for which reason.
    pub fn ended(&self) -> &BTreeMap<EndReason, usize> {
        &self.ended
    }

    /// How many of them never ended where the definition's author ended them.
    pub fn failed(&self) -> usize {
        self.postings - self.ended.get(&EndReason::Completed).copied().unwrap_or_default()
    }

    /// True if all of them completed, and there are some.
    pub(super) fn is_completed(&self) -> bool {
        self.postings > 0 && self.failed() == 0
    }

    /// The runs in which they ended, the one that began first at the front.
    pub fn runs(&self) -> impl DoubleEndedIterator<Item = RunId> + ExactSizeIterator {
        self.runs.values().copied()
    }

    /// The last run in which one of them failed that never completed.
    pub fn failed_in(&self) -> Option<RunId> {
        self.failed_in.map(|(_, run_id)| run_id)
    }

    fn take(&mut self, ending: &Ending) {
        *self.ended.entry(ending.reason.clone()).or_default() += 1;
        self.runs.insert(ending.place, ending.run_id);
        if !ending.reason.is_normal() {
            self.failed_in = self.failed_in.max(Some((ending.place, ending.run_id)));
        }
    }
}

/// What earlier runs have done with the postings of an intake.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// How they ended under the definition that is to be run.
    pub(super) here: Before,
    /// Those that completed, under whichever definition, and how.
    pub(super) completed: BTreeSet<PostingId>,
    pub(super) completions: Before,
}

/// How a posting ended in a run.
struct Ending {
    place: usize,
    run_id: RunId,
    is_here: bool,
    reason: EndReason,
}

impl Ending {
    /// What completed counts more than what failed, then the later more than the earlier.
    fn rank(&self) -> (bool, usize) {
        (self.reason.is_normal(), self.place)
    }
}

/// Looks at every posting of an intake, besides what one run has done. One whose events cannot be
/// read has ended nowhere.
pub(super) async fn look(
    postings: &Repository<Posting>,
    runs: &WorkflowRuns,
    definition_digest: &str,
    intake: &Intake,
    besides: Option<RunId>,
    patience: &Patience,
) -> Result<Looked, RunError> {
    let others = runs.all().iter().enumerate().filter(|(_, run)| Some(run.run_id) != besides);
    let known = others.map(|(place, run)| {
        let is_here = run.definition_digest.as_deref() == Some(definition_digest);
        (run.run_id, (place, is_here))
    });
    let known: HashMap<RunId, (usize, bool)> = known.collect();
    let ids: Vec<PostingId> = intake.postings.keys().copied().collect();
    let mut looked = Looked::default();
    looked.here.postings = ids.len();
    let mut done = 0;
    for some in ids.chunks(SIDE_BY_SIDE) {
        patience.prepares(Preparation::LookedAt, done, ids.len());
        done += some.len();
        let loading: Vec<_> = some.iter().map(|id| state_of(postings, *id, patience)).collect();
        for (posting, state) in some.iter().zip(join_all(loading).await) {
            let Some(state) = state? else { continue };
            let endings = state.ended_runs().iter().filter_map(|(run_id, terminal)| {
                let (place, is_here) = *known.get(run_id)?;
                let reason = terminal.reason.clone().unwrap_or(EndReason::Completed);
                Some(Ending { place, run_id: *run_id, is_here, reason })
            });
            let endings: Vec<Ending> = endings.collect();
            let here = endings.iter().filter(|ending| ending.is_here);
            if let Some(ending) = here.max_by_key(|ending| ending.rank()) {
                looked.here.take(ending);
            }
            let completed = endings.iter().filter(|ending| ending.reason.is_normal());
            if let Some(ending) = completed.max_by_key(|ending| ending.rank()) {
                looked.completed.insert(*posting);
                looked.completions.postings += 1;
                looked.completions.take(ending);
            }
        }
    }
    Ok(looked)
}

async fn state_of(
    postings: &Repository<Posting>,
    posting: PostingId,
    patience: &Patience,
) -> Result<Option<Posting>, RunError> {
    match patience.is_stopped() {
        true => Err(RunError::NotBegun),
        false => patience.persist(|| load(postings, posting)).await,
    }
}

async fn load(
    postings: &Repository<Posting>,
    posting: PostingId,
) -> Result<Option<Posting>, RunError> {
    match postings.load(&posting).await {
        Ok(loaded) => Ok(Some(loaded.state)),
        Err(LoadError::Store(error)) => Err(RunError::Store(error)),
        Err(_) => Ok(None),
    }
}
