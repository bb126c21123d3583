//! What steps cost on this machine: workflows of no use, run in stores of their own.
//!
//! The same is done for each kind of actor: so many postings go through a few conversations, each of
//! which costs what a step costs beside its actor. Then one posting goes through many conversations,
//! one after the other, beside the least that this could cost by hand.

mod by_hand;
mod endpoint;
mod ground;
mod times;
mod work;

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use es_core::execution::StoreError;
use serde::Serialize;
use tokio::sync::watch;

use crate::definition::{Definition, DefinitionError};
use crate::lock::LockError;
use crate::postings::PostingSource;
use crate::run::{IntakeError, RunError, RunOptions, peak_memory_bytes, run, take_in};
use crate::script::THIS_PROGRAM;
use crate::store::{Access, Store};

use endpoint::Endpoint;
pub(crate) use ground::Ground;
use times::Watch;
use work::{Actor, Work};

/// Through how many conversations each posting goes.
const STEPS: u32 = 4;

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// How many postings there are for each kind of actor.
    pub(crate) postings: u32,
    /// How many steps one posting makes, one after the other.
    pub(crate) sequence: u32,
    /// How many postings are attempted side by side.
    pub(crate) parallelism: NonZeroUsize,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    /// Where the stores were.
    pub(crate) store: String,
    /// How many postings were attempted side by side.
    pub(crate) parallel: usize,
    /// For each kind of actor.
    pub(crate) actors: Vec<Steps>,
    /// Of one posting.
    pub(crate) sequence: Sequence,
    /// The largest amount of memory that this process ever held, where the system tells it.
    pub(crate) peak_memory_bytes: Option<u64>,
}

/// The steps of many postings.
#[derive(Debug, Serialize)]
pub(crate) struct Steps {
    /// Who made them.
    pub(crate) actor: &'static str,
    /// How many postings there were.
    pub(crate) postings: u32,
    /// How many steps they made.
    pub(crate) steps: usize,
    /// From the first beginning of a step to the last end.
    pub(crate) seconds: f64,
    /// How many ended in a second.
    pub(crate) steps_per_second: f64,
    /// How long one took, from its beginning until all that follows was recorded.
    pub(crate) median_ms: f64,
    /// How long 99 of 100 took at most.
    pub(crate) p99_ms: f64,
}

/// The steps of one posting, beside the least that they could cost.
#[derive(Debug, Serialize)]
pub(crate) struct Sequence {
    /// How many steps there were.
    pub(crate) steps: usize,
    /// How long they took.
    pub(crate) seconds: f64,
    /// As often: start the same program and wait for it, and write one row durably.
    pub(crate) by_hand_seconds: f64,
    /// How many times as long the steps took.
    pub(crate) ratio: f64,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// The definition that is made cannot be run.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// The postings that are made cannot be taken.
    #[error(transparent)]
    Intake(#[from] IntakeError),
    /// The store cannot be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A run failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system refused something.
    #[error("{what}")]
    System {
        /// What.
        what: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Something of a store could not be removed.
    #[error("{left} could not be removed; remove it by hand")]
    LeftBehind {
        /// What, and where.
        left: String,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// It was asked to end.
    #[error("ended before all was measured; nothing is left of it")]
    Interrupted,
    /// Not all steps succeeded, so their times say nothing.
    #[error("of {steps} steps by `{actor}` {succeeded} succeeded, so their times say nothing")]
    Incomplete {
        /// Who made them.
        actor: &'static str,
        /// How many steps there were to be.
        steps: usize,
        /// How many succeeded.
        succeeded: usize,
    },
}

impl BenchError {
    /// What the system refused.
    fn system(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::System { what, source }
    }
}

/// Measures all of it, until a signal is `heard`; `tell` is told what comes next.
pub(crate) async fn measure(
    ground: &mut Ground,
    plan: &Plan,
    heard: &mut watch::Receiver<u32>,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<Measured, BenchError> {
    let endpoint = Endpoint::start().await?;
    let mut actors = Vec::new();
    for actor in [Actor::Nobody, Actor::True, Actor::Model(endpoint.address()), Actor::Cat] {
        let work = Work { actor, postings: plan.postings, steps: STEPS };
        tell(&format!("{} postings through {STEPS} steps by {}", work.postings, work.actor.name()));
        let watch = done(ground, plan, &work, heard).await?;
        let (seconds, steps) = (watch.whole().as_secs_f64(), watch.steps());
        actors.push(Steps {
            actor: work.actor.name(),
            postings: work.postings,
            steps,
            seconds,
            steps_per_second: steps as f64 / seconds.max(f64::MIN_POSITIVE),
            median_ms: millis(watch.percentile(50)),
            p99_ms: millis(watch.percentile(99)),
        });
    }
    let work = Work { actor: Actor::True, postings: 1, steps: plan.sequence };
    tell(&format!("one posting through {} steps by {}", work.steps, work.actor.name()));
    let watch = done(ground, plan, &work, heard).await?;
    tell("the same by hand");
    let url = ground.fresh().await?;
    let by_hand = unless(heard, by_hand::seconds(&url, plan.sequence)).await?;
    let seconds = watch.whole().as_secs_f64();
    Ok(Measured {
        store: ground.place(),
        parallel: plan.parallelism.get(),
        actors,
        sequence: Sequence {
            steps: watch.steps(),
            seconds,
            by_hand_seconds: by_hand,
            ratio: seconds / by_hand.max(f64::MIN_POSITIVE),
        },
        peak_memory_bytes: peak_memory_bytes(),
    })
}

/// Does some work until a signal is heard.
async fn unless<T>(
    heard: &mut watch::Receiver<u32>,
    work: impl Future<Output = Result<T, BenchError>>,
) -> Result<T, BenchError> {
    tokio::select! {
        done = work => done,
        Ok(_) = heard.wait_for(|count| *count > 0) => Err(BenchError::Interrupted),
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Does some work in a store of its own, and answers how long its steps took.
async fn done(
    ground: &mut Ground,
    plan: &Plan,
    work: &Work,
    heard: &mut watch::Receiver<u32>,
) -> Result<Watch, BenchError> {
    let url = ground.fresh().await?;
    let (definition, postings) = work.write_to(ground.folder())?;
    let store = Store::open(&url, Access::Write).await?;
    let watched = Box::pin(watched(&store, plan, work, &definition, postings));
    let watched = unless(heard, watched).await;
    // an interrupted one, too: its files are removed when nobody writes them any more
    store.close().await;
    ground.clear(&url).await?;
    let watch = watched?;
    let steps = work.postings as usize * work.steps as usize;
    match watch.succeeded() == steps {
        true => Ok(watch),
        false => Err(BenchError::Incomplete {
            actor: work.actor.name(),
            steps,
            succeeded: watch.succeeded(),
        }),
    }
}

async fn watched(
    store: &Store,
    plan: &Plan,
    work: &Work,
    definition: &Path,
    postings: PostingSource,
) -> Result<Watch, BenchError> {
    let definition = Definition::load(definition)?;
    let lock = store.lock_run(definition.workflow.id).await?;
    let intake = take_in(&*store.postings, &postings).await?;
    let mut options = RunOptions::new(THIS_PROGRAM);
    options.parallelism = plan.parallelism;
    options.calls_nobody = work.actor == Actor::Nobody;
    let (_stop, stopped) = watch::channel(false);
    let mut watch = Watch::default();
    run(store, &lock, definition, intake, options, stopped, &mut watch).await?;
    Ok(watch)
}
