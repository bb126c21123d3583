//! Keeps models up to date.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, join, join_all, select};
use tokio::time::Instant;

use crate::environment::Environment;
use crate::error::StoreErrorKind;
use crate::position::Position;
use crate::read::{EventFilter, LogPage, ReadLog};
use crate::retry::Retry;
use crate::store::EventStore;

use super::worker::{GRACE, breathe};
use super::{
    BatchLimit, Checkpoint, Definition, FailurePolicy, LogBlockers, ProjectionSink, StopCause,
};

mod handle;
mod member;

pub use handle::RunnerHandle;
use handle::Signals;
use member::Member;

/// Keeps the models of some projections up to date, with one reading of the log for all that stand
/// at the same place.
///
/// A projection that is behind catches up by itself, a page in each round, and then joins the
/// others. Each has a checkpoint, a lease and a failure policy of its own; one that stops does not
/// stop the others.
///
/// # Crashes
///
/// A runner can be dropped or killed at any moment. Who runs the projections next goes on where the
/// models are: at once under the same [`holder`](Self::holder), else when the lease has expired.
#[must_use = "nothing is projected unless the runner runs"]
pub struct Runner {
    store: Arc<dyn EventStore>,
    sink: Arc<dyn ProjectionSink>,
    environment: Environment,
    settings: Settings,
    members: Vec<Member>,
    signals: Arc<Signals>,
    /// The page that was read while the one before it was committed, and what was asked for.
    ahead: Option<(ReadLog, LogPage)>,
}

/// What holds for all projections of a runner.
#[derive(Debug, Clone)]
struct Settings {
    holder: String,
    time_to_live: Duration,
    limit: BatchLimit,
    /// Delays after failures of the store.
    backoff: Retry,
}

impl Settings {
    /// For how long an end waits for a store that does not answer.
    fn grace(&self) -> Duration {
        self.time_to_live.min(GRACE)
    }
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.members.iter().map(|member| member.definition.name()).collect();
        f.debug_struct("Runner")
            .field("holder", &self.settings.holder)
            .field("projections", &names)
            .finish_non_exhaustive()
    }
}

/// Why a runner came to an end by itself.
#[derive(Debug, thiserror::Error)]
#[error("{}", stopped.iter().map(|stopped| stopped.to_string()).collect::<Vec<_>>().join("; "))]
pub struct RunnerError {
    /// The projections that stopped.
    pub stopped: Vec<Stopped>,
}

/// A projection that stopped.
#[derive(Debug, Clone, thiserror::Error)]
#[error("projection `{projection}` stopped: {cause}")]
pub struct Stopped {
    /// Its name.
    pub projection: String,
    /// Why.
    #[source]
    pub cause: StopCause,
}

impl Runner {
    /// A runner without projections, on the system's clock and chance.
    pub fn new(store: Arc<dyn EventStore>, sink: Arc<dyn ProjectionSink>) -> Self {
        let environment = Environment::default();
        let settings = Settings {
            holder: format!("runner-{}", environment.event_ids.next_id()),
            time_to_live: Duration::from_secs(10),
            limit: BatchLimit::default(),
            backoff: Retry {
                retries: u32::MAX,
                base: Duration::from_millis(50),
                longest: Duration::from_secs(10),
            },
        };
        let signals = Arc::new(Signals::new(store.clone(), sink.clone()));
        Self { store, sink, environment, settings, members: Vec::new(), signals, ahead: None }
    }

    /// Adds a projection that stops at an event that it cannot take.
    pub fn projection(self, projection: impl Into<Definition>) -> Self {
        self.projection_with(projection, FailurePolicy::default())
    }

    /// Adds a projection. A runner that has two of one name does not run.
    pub fn projection_with(
        mut self,
        projection: impl Into<Definition>,
        policy: FailurePolicy,
    ) -> Self {
        let definition = projection.into();
        self.signals.add(&definition);
        self.members.push(Member::new(definition, policy));
        self
    }

    /// Names the process, for leases and for operators; unless it is set, the name is unique.
    ///
    /// A process that starts again under its name takes its leases over at once, so two that run at
    /// the same time must not share one.
    pub fn holder(mut self, name: &str) -> Self {
        self.settings.holder = name.to_owned();
        self
    }

    /// For how long leases are taken; they are renewed between two commits, after a third of it. 10
    /// seconds unless set.
    ///
    /// For so long others wait for a process that was killed. A commit should not take that long,
    /// or others may take over from one that is at work; nothing is lost then, but its work.
    pub fn lease(mut self, time_to_live: Duration) -> Self {
        self.settings.time_to_live = time_to_live;
        self
    }

    /// Sets the bounds of a commit.
    pub fn batches(mut self, limit: BatchLimit) -> Self {
        self.settings.limit = limit;
        self
    }

    /// Replaces the delays after failures of the store; its `retries` do not count: a runner that
    /// runs never gives up.
    pub fn backoff(mut self, backoff: Retry) -> Self {
        self.settings.backoff = backoff;
        self
    }

    /// Replaces the sources of time and chance.
    pub fn environment(mut self, environment: Environment) -> Self {
        self.signals.set_clock(environment.clock.clone());
        self.environment = environment;
        self
    }

    /// Lets the health that its handle tells name who holds the log back.
    pub fn blockers(self, blockers: Arc<dyn LogBlockers>) -> Self {
        self.signals.set_blockers(blockers);
        self
    }

    /// A handle to stop, wake and watch the runner.
    pub fn handle(&self) -> RunnerHandle {
        RunnerHandle(self.signals.clone())
    }

    /// Runs until the handle stops it, and then gives its leases back; or until every projection
    /// has stopped. A store that does not answer delays the end by two seconds at most, or by the
    /// time of a lease: then the leases expire.
    ///
    /// A failing store, and a lease that somebody else has, are waited out.
    /// A projection that stopped at an event stays so; its health says why, and a new runner tries
    /// again.
    ///
    /// # Errors
    ///
    /// When every projection stopped by itself, and when two have one name.
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses nothing; its leases expire.
    pub async fn run(self) -> Result<(), RunnerError> {
        let (signals, grace) = (self.signals.clone(), self.settings.grace());
        let work = std::pin::pin!(self.work());
        let late = std::pin::pin!(async {
            signals.stopped().await;
            tokio::time::sleep(grace).await;
        });
        match select(work, late).await {
            Either::Left((ended, _)) => ended,
            Either::Right(_) => {
                tracing::warn!("the store does not answer; leases are left to expire");
                Ok(())
            }
        }
    }

    async fn work(mut self) -> Result<(), RunnerError> {
        self.check_names()?;
        while !self.signals.is_stopped() {
            let is_at_end = self.round().await;
            let stopped: Vec<_> = self.members.iter().filter_map(Member::stopped).collect();
            if !stopped.is_empty() && stopped.len() == self.members.len() {
                return Err(RunnerError { stopped });
            }
            if is_at_end && !self.signals.is_stopped() {
                self.rest().await;
            }
        }
        self.release().await;
        Ok(())
    }

    fn check_names(&self) -> Result<(), RunnerError> {
        let names = self.members.iter().map(|member| member.definition.name());
        let twice = names.enumerate().filter(|(index, name)| {
            self.members[..*index].iter().any(|member| member.definition.name() == *name)
        });
        let stopped: Vec<_> = twice
            .map(|(_, name)| Stopped { projection: name.to_owned(), cause: StopCause::NamedTwice })
            .collect();
        if stopped.is_empty() { Ok(()) } else { Err(RunnerError { stopped }) }
    }

    /// Brings every projection to the end of the log, and deals with parked events that are due; for
    /// tests and for programs that do not stay.
    ///
    /// The leases are kept, for further calls; see [`release`](Self::release). If the handle stops the
    /// runner meanwhile, it ends with what it has taken until then.
    ///
    /// # Errors
    ///
    /// When a projection stopped, when the store failed, or when a lease cannot be had. The others
    /// have come to the end. A further call tries again what was not stopped by an event.
    pub async fn catch_up(&mut self) -> Result<(), RunnerError> {
        self.check_names()?;
        self.signals.wake();
        // what was read for an earlier call may not be all that there is
        self.ahead = None;
        loop {
            if !self.round().await {
                continue;
            }
            if self.signals.is_stopped() {
                join_all(self.members.iter_mut().map(Member::flush)).await;
                return Ok(());
            }
            if let Some(at) = self.members.iter().filter_map(Member::next_retry).min() {
                tokio::time::sleep_until(at).await;
                continue;
            }
            let failed = self.members.iter_mut().filter_map(Member::take_trouble);
            let stopped: Vec<_> = failed.collect();
            return if stopped.is_empty() { Ok(()) } else { Err(RunnerError { stopped }) };
        }
    }

    /// Gives the leases back, so that others can go on at once. A store that does not answer is
    /// waited for as long as by [`run`](Self::run).
    pub async fn release(&mut self) {
        let released = join_all(self.members.iter_mut().map(Member::release));
        if tokio::time::timeout(self.settings.grace(), released).await.is_err() {
            self.members.iter_mut().for_each(Member::abandon);
        }
    }

    /// Renews what must be renewed, and takes one page for each place at which a projection stands.
    /// Answers whether nothing was left to be done.
    async fn round(&mut self) -> bool {
        breathe().await;
        let is_woken = self.signals.take_wake();
        let Self { store, sink, environment, settings, signals, .. } = &*self;
        let means = Means {
            store: store.clone(),
            sink: sink.clone(),
            environment: environment.clone(),
            settings: settings.clone(),
            signals: signals.clone(),
        };
        join_all(self.members.iter_mut().map(|member| member.prepare(&means, is_woken))).await;

        let mut is_at_end = true;
        let mut pending: Vec<usize> = (0..self.members.len()).collect();
        while !self.signals.is_stopped() {
            pending.retain(|index| self.members[*index].checkpoint().is_some());
            let Some(here) = self.hindmost(&pending, None) else { break };
            let next = self.hindmost(&pending, Some(here.position));
            let is_here = |runner: &Self, index: usize| {
                runner.members[index].position() == Some(here.position)
            };
            let group: Vec<_> = pending.iter().copied().filter(|it| is_here(self, *it)).collect();
            let step = self.step(&means, &group, &here, next.as_ref()).await;
            join_all(self.members.iter_mut().map(|member| member.keep_lease(&means))).await;
            is_at_end &= step.is_at_end;
            // who has caught up with others goes on with them
            let joined = next.filter(|_| step.is_joining).map(|next| next.position);
            pending.retain(|it| {
                !group.contains(it) || joined.is_some() && self.members[*it].position() == joined
            });
        }
        is_at_end && self.members.iter().all(|member| !member.is_left_behind())
    }

    /// The checkpoint that is furthest behind, of those behind `floor`.
    fn hindmost(&self, pending: &[usize], floor: Option<Position>) -> Option<Checkpoint> {
        let all = pending.iter().filter_map(|index| self.members[*index].checkpoint());
        let all = all.filter(|it| floor.is_none_or(|floor| it.position > floor));
        all.reduce(|low, it| if it.position < low.position { it } else { low }).cloned()
    }

    /// Takes one page for the members that stand `here`, at most up to where others stand.
    async fn step(
        &mut self,
        means: &Means,
        group: &[usize],
        here: &Checkpoint,
        next: Option<&Checkpoint>,
    ) -> Step {
        let Settings { limit, .. } = self.settings;
        let limit = limit.page(1);
        let selections = group.iter().map(|index| self.members[*index].definition.selection());
        let read = ReadLog::after(here.position).filter(union(selections)).limit(limit);
        let page = match self.ahead.take_if(|(asked, _)| *asked == read) {
            Some((_, page)) => Ok(page),
            None => self.store.read_log(&read).await,
        };
        let members = self.members.iter_mut().enumerate();
        let members = members.filter(|(index, _)| group.contains(index)).map(|(_, member)| member);
        let mut page = match page {
            Ok(page) => page,
            Err(error) => {
                join_all(members.map(|member| member.halt(means, error.clone().into()))).await;
                return Step { is_at_end: true, is_joining: false };
            }
        };
        let bound = next.filter(|next| page.next >= next.position);
        if let Some(bound) = bound {
            page.events.retain(|event| event.position <= bound.position);
        }
        let mark = page.events.last().map(Into::into).or_else(|| here.event.clone());
        let to = bound.cloned().unwrap_or(Checkpoint { position: page.next, event: mark });
        let is_last = page.at_end && bound.is_none();
        let taken = members.map(|member| member.take(means, &page.events, &to, is_last));
        let is_ahead = next.is_none() && !page.at_end;
        let more = ReadLog { after: page.next, ..read };
        let reading = async {
            // one that fails is tried again when it is needed
            if is_ahead { means.store.read_log(&more).await.ok() } else { None }
        };
        let (taken, ahead) = join(join_all(taken), reading).await;
        let is_all_taken = taken.into_iter().all(|taken| taken);
        if let Some(page) = ahead {
            self.ahead = Some((more, page));
        }
        let is_joining = bound.is_some();
        Step { is_at_end: is_all_taken && (page.at_end || is_joining), is_joining }
    }

    /// Waits until there may be something to do.
    async fn rest(&self) {
        let here = self.hindmost(&(0..self.members.len()).collect::<Vec<_>>(), None);
        let latest = Instant::now() + self.settings.time_to_live / 3;
        let until = self.members.iter().filter_map(Member::next_attempt).min();
        let until = until.unwrap_or(latest).min(latest);
        let timer = std::pin::pin!(tokio::time::sleep_until(until));
        let called = std::pin::pin!(self.signals.called());
        let more = std::pin::pin!(async {
            match here {
                // reading tells the projections of a log that is another one
                Some(here) => match self.store.wait_past(here.position).await {
                    Err(error) => error.kind() == StoreErrorKind::Diverged,
                    Ok(()) => true,
                },
                None => false,
            }
        });
        // another wait that fails is followed by the timer, not by a hot loop
        let more = std::pin::pin!(async {
            if !more.await {
                std::future::pending::<()>().await;
            }
        });
        select(select(more, called), timer).await;
    }
}

/// What the parts of a runner work with.
struct Means {
    store: Arc<dyn EventStore>,
    sink: Arc<dyn ProjectionSink>,
    environment: Environment,
    settings: Settings,
    signals: Arc<Signals>,
}

/// What one page came to.
struct Step {
    /// True if nothing was left for these members but to wait.
    is_at_end: bool,
    /// True if they were brought to where others stand.
    is_joining: bool,
}

/// Everything that one of the selections wants, and perhaps more.
fn union<'a>(selections: impl Iterator<Item = &'a EventFilter>) -> EventFilter {
    let mut union: Option<EventFilter> = None;
    for selection in selections {
        match &mut union {
            None => union = Some(selection.clone()),
            Some(union) => {
                // an empty set means all
                if union.aggregate_types.is_empty() || selection.aggregate_types.is_empty() {
                    union.aggregate_types.clear();
                } else {
                    union.aggregate_types.extend(selection.aggregate_types.iter().cloned());
                }
                if union.event_types.is_empty() || selection.event_types.is_empty() {
                    union.event_types.clear();
                } else {
                    union.event_types.extend(selection.event_types.iter().cloned());
                }
            }
        }
    }
    union.unwrap_or_default()
}
