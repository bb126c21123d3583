//! A reaction of a runner: what it goes on with, and what keeps it from going on.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_util::future::{Either, select};
use tokio::sync::watch;

use super::{React, Reacting, Reaction, ReactionPolicy, Start};
use crate::environment::{breathe, within};
use crate::projection::{
    Claim, Definition, Means, Parts, SinkError, Slot, StopCause, Stopped, TroubleKind, chain,
    models, telemetry,
};

mod begin;
mod call;
mod commit;
mod held;
mod outage;
mod parked;
mod under_way;

pub(crate) use begin::has_begun;
use held::Held;

/// A reaction without its type, and what is kept of it while a runner has it.
pub(crate) struct Reactor {
    of: Arc<Of>,
    held: Option<Held>,
    /// Why it goes on only after somebody did something about it.
    stopped: Option<StopCause>,
    /// How often in a row the store failed, or the lease was lost.
    failures: u32,
    /// Until when it waits for the store, or for who has the lease.
    wait: Option<Instant>,
    /// True from the beginning of its work to the end, and after it was dropped between.
    is_at_work: bool,
}

/// What does not change.
struct Of {
    definition: Definition,
    reaction: Arc<dyn React>,
    start: Start,
    policy: ReactionPolicy,
    /// How many calls began.
    calls: AtomicU64,
}

/// How long a reactor works.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Until nothing is left to be done, or cannot be done now.
    EndOfLog,
    /// Until the runner is stopped.
    Stop,
}

impl Reactor {
    pub(crate) fn new<R: Reaction>(reaction: R) -> Self {
        let mut definition = Definition::reaction::<R>();
        let policy = definition.asked(|| reaction.policy());
        let parts = Parts::of::<R::Event>(definition.selection());
        let of = Of {
            definition,
            start: R::START,
            policy,
            calls: AtomicU64::new(0),
            reaction: Arc::new(Reacting { reaction, parts }),
        };
        Self {
            of: Arc::new(of),
            held: None,
            stopped: None,
            failures: 0,
            wait: None,
            is_at_work: false,
        }
    }

    pub(crate) fn definition(&self) -> &Definition {
        &self.of.definition
    }

    pub(crate) fn name(&self) -> &str {
        self.of.definition.name()
    }

    /// How many calls began since ever.
    pub(crate) fn calls(&self) -> u64 {
        self.of.calls.load(Ordering::Relaxed)
    }

    /// Works; answers why it does not go on, if it does not. A stop lets calls end for as long as a
    /// store is waited for, and is over after twice that time.
    pub(crate) async fn attend(&mut self, means: &Means, goal: Goal) -> Option<Stopped> {
        self.cut_off();
        self.is_at_work = true;
        let grace = means.settings.grace();
        let ended = {
            let runtime = &*means.environment.runtime;
            let work = pin!(self.attended(means, goal));
            let late = pin!(means.signals.stopped_for(runtime, grace * 2));
            match select(work, late).await {
                Either::Left((stopped, _)) => Some(stopped),
                Either::Right(_) => None,
            }
        };
        if ended.is_none() {
            let reaction = self.name();
            tracing::warn!(reaction, "the store does not answer; the lease is left to expire");
            self.held = None;
        }
        self.is_at_work = false;
        ended.flatten()
    }

    async fn attended(&mut self, means: &Means, goal: Goal) -> Option<Stopped> {
        let mut woken = means.signals.woken();
        if goal == Goal::EndOfLog {
            (self.wait, self.failures) = (None, 0);
            if let Some(held) = &mut self.held {
                held.look_again();
            }
        }
        while !means.signals.is_stopped() {
            if let Some(cause) = &self.stopped {
                return Some(self.because(cause.clone()));
            }
            let Err(cause) = self.work(means, &mut woken, goal).await else {
                if goal == Goal::EndOfLog && !means.signals.is_stopped() {
                    return None;
                }
                continue;
            };
            match self.halt(means, cause).await {
                Some(cause) if goal == Goal::EndOfLog => return Some(self.because(cause)),
                _ => self.rest(means, &mut woken).await,
            }
        }
        self.release(means).await;
        None
    }

    /// Works until the goal is reached, or something fails.
    async fn work(
        &mut self,
        means: &Means,
        woken: &mut watch::Receiver<()>,
        goal: Goal,
    ) -> Result<(), StopCause> {
        if self.held.is_none() {
            self.acquire(means).await?;
        }
        let Some(held) = &mut self.held else { return Ok(()) };
        loop {
            breathe().await;
            if means.signals.is_stopped() {
                return Ok(());
            }
            if let Err(cause) = held.turn(means).await {
                // who catches up is told at once
                if goal == Goal::EndOfLog || !held.waits_out(means, &cause).await {
                    return Err(cause);
                }
            }
            if held.has_more_to_do() {
                continue;
            }
            if goal == Goal::EndOfLog && held.is_at_end() {
                return Ok(());
            }
            held.wait(means, woken).await;
        }
    }

    async fn acquire(&mut self, means: &Means) -> Result<(), StopCause> {
        let of = self.of.clone();
        of.definition.check()?;
        let sink = models(&means.store, of.definition.name())?.clone();
        let settings = &means.settings;
        let claim =
            Claim::of(&of.definition, Slot::Active, &*settings.holder, settings.time_to_live);
        let (runtime, asked_at) = (&*means.environment.runtime, means.now());
        let acquired = within(runtime, means.settings.patience(), sink.acquire(&claim)).await;
        let lease = acquired.ok_or_else(|| held::silent(means))??;
        // whatever is found, there is a lease by now, to tell of it and to be given back
        let held = self.held.insert(Held::new(of, sink, lease, asked_at));
        held.begin(means).await
    }

    /// Sees to a failure; answers what keeps it from going on at once.
    async fn halt(&mut self, means: &Means, cause: StopCause) -> Option<StopCause> {
        telemetry::failure(self.name());
        if self.held.as_ref().is_some_and(Held::has_committed) {
            self.failures = 0;
        }
        let cause = match cause {
            StopCause::Sink(error) => StopCause::Sink(error.of(self.name())),
            other => other,
        };
        match &cause {
            cause if cause.kind() != TroubleKind::Store => {
                let (reaction, reason) = (self.name(), chain(cause));
                tracing::error!(reaction, %reason, "reaction stopped");
                self.report(means, cause, true).await;
                self.stopped = Some(cause.clone());
            }
            StopCause::Sink(SinkError::LeaseLost { .. } | SinkError::ParkedChanged { .. })
                if self.failures == 0 =>
            {
                // what this process knows is old; it asks again at once, but not for ever
                self.failures = 1;
                self.held = None;
                return None;
            }
            cause => {
                if let Some(held) = &mut self.held
                    && outage::is_of_store(cause)
                    && held.has_lease(means)
                {
                    held.settle(means).await;
                }
                let (reaction, reason) = (self.name(), chain(cause));
                tracing::warn!(reaction, %reason, "reaction waits");
                self.report(means, cause, false).await;
                let settings = &means.settings;
                let delay = if let StopCause::Sink(SinkError::Held { .. }) = cause {
                    settings.time_to_live / 3
                } else {
                    self.failures = self.failures.saturating_add(1);
                    settings.backoff.delay(self.failures, means.environment.jitter.fraction())
                };
                self.wait = Some(means.after(delay));
            }
        }
        Some(cause)
    }

    /// Drops what was under way and tells operators why; the next lease tells what was committed.
    async fn report(&mut self, means: &Means, cause: &StopCause, is_final: bool) {
        let Some(held) = self.held.take() else { return };
        let (sink, lease) = held.into_lease();
        let told = async {
            // whether this arrives or not, the cause is answered anyhow
            let _ = sink.report(&lease, Some(&cause.told())).await;
            if is_final {
                // a lease that is not given back expires
                let _ = sink.release(&lease).await;
            }
        };
        within(&*means.environment.runtime, means.settings.grace(), told).await;
    }

    /// Waits before the next attempt.
    async fn rest(&mut self, means: &Means, woken: &mut watch::Receiver<()>) {
        let Some(at) = self.wait.take() else { return };
        let timer = means.environment.runtime.sleep_until(at);
        let stopped = pin!(means.signals.stopped());
        let called = pin!(woken.changed());
        select(timer, select(stopped, called)).await;
    }

    /// Lets calls end for a while, commits, and gives the lease back.
    pub(crate) async fn release(&mut self, means: &Means) {
        let Some(mut held) = self.held.take() else { return };
        held.settle(means).await;
        let (sink, lease) = held.into_lease();
        // a lease that is not given back expires
        let released = sink.release(&lease);
        within(&*means.environment.runtime, means.settings.grace(), released).await;
    }

    /// Drops what work that was dropped has left: else calls would stay that nobody polls, with all
    /// that they hold.
    pub(crate) fn cut_off(&mut self) {
        if std::mem::take(&mut self.is_at_work) {
            self.held = None;
        }
    }

    fn because(&self, cause: StopCause) -> Stopped {
        Stopped { projection: self.name().to_owned(), cause }
    }
}
