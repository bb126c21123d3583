//! Keeps models up to date.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, join, join_all, select};

use crate::environment::Environment;
use crate::reaction::{Goal, Reaction, Reactor};
use crate::read::{LogPage, ReadLog};
use crate::retry::Retry;
use crate::store::Store;

use super::worker::GRACE;
use super::{BatchLimit, Definition, Lease, Projection, StopCause, TableProjection};

mod catch_up;
mod crew;
mod handle;
mod member;
mod round;

use crew::Crew;
pub use handle::RunnerHandle;
use handle::Signals;
use member::Member;
pub(crate) use round::Means;

/// Keeps the models of some projections up to date, with one reading of the log for all that stand
/// at the same place, and has reactions called, each with a reading of its own.
///
/// A projection that is behind catches up by itself, a page in each round, and then joins the
/// others. Each has a checkpoint, a lease and a failure policy of its own; one that stops, or whose
/// model somebody has locked, does not stop the others.
///
/// # Crashes
///
/// A runner can be dropped or killed at any moment. Who runs the projections next goes on where the
/// models are: at once under the same [`holder`](Self::holder), else when the lease has expired.
#[must_use = "nothing is projected unless the runner runs"]
pub struct Runner {
    store: Store,
    environment: Environment,
    settings: Settings,
    crew: Crew,
    reactors: Vec<Reactor>,
    signals: Arc<Signals>,
    /// How often it was asked to look at once.
    wakes: u64,
    /// The page that was read while the one before it was committed, and what was asked for.
    ahead: Option<(ReadLog, LogPage)>,
}

/// No lease is shorter: it would be over before it is renewed, and nobody could begin anything.
const SHORTEST: Duration = Duration::from_millis(100);

/// For how long a projection may keep the others of its runner from going on.
const MOMENT: Duration = Duration::from_secs(1);

/// What holds for all projections of a runner.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) holder: String,
    pub(crate) time_to_live: Duration,
    limit: BatchLimit,
    /// Delays after failures of the store.
    pub(crate) backoff: Retry,
}

impl Settings {
    /// For how long an end waits for a store that does not answer.
    pub(crate) fn grace(&self) -> Duration {
        self.time_to_live.min(GRACE)
    }

    /// For how long the others wait for one that does something.
    fn moment(&self) -> Duration {
        MOMENT.min(self.time_to_live / 10)
    }

    /// After how long without any answer nobody waits any more: by then others may have the leases.
    pub(crate) fn patience(&self) -> Duration {
        self.time_to_live * 3
    }
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.names().collect();
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
    /// The projections and reactions that stopped.
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
    /// A runner without projections, in the system's environment. Over a store that keeps no models
    /// every projection stops, as [`Unusable`](super::SinkError::Unusable).
    pub fn new(store: impl Into<Store>) -> Self {
        let store = store.into();
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
        let signals = Arc::new(Signals::new(store.clone()));
        let (crew, reactors) = (Crew::default(), Vec::new());
        Self { store, environment, settings, crew, reactors, signals, wakes: 0, ahead: None }
    }

    /// Adds a projection. A runner that has two of one name does not run.
    pub fn projection<P: Projection>(self) -> Self {
        self.definition(Definition::of::<P>())
    }

    /// Adds a reaction. A runner that has two of one name, or a projection of that name, does not run.
    pub fn reaction<R: Reaction>(mut self, reaction: R) -> Self {
        let reactor = Reactor::new(reaction);
        self.signals.add(reactor.definition());
        self.reactors.push(reactor);
        self
    }

    /// Adds a projection into tables.
    pub fn table<P: TableProjection>(self) -> Self {
        self.definition(Definition::table::<P>())
    }

    /// Adds what a tool or a suite has defined.
    pub fn definition(mut self, definition: Definition) -> Self {
        self.signals.add(&definition);
        self.crew.add(definition);
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

    /// For how long leases are taken; they are renewed between two calls of the store, after a third of
    /// it. 10 seconds unless set; less than 100 ms counts as that, and more than [`Lease::LONGEST`] as
    /// that.
    ///
    /// For so long others wait for a process that was killed. A commit should not take that long,
    /// or others may take over from one that is at work; nothing is lost then, but its work. Whoever has
    /// a lease measures it by a clock that may stand still while a machine is suspended: after that a
    /// reaction may begin calls that another process makes, too, until its next renewal.
    pub fn lease(mut self, time_to_live: Duration) -> Self {
        self.settings.time_to_live = time_to_live.clamp(SHORTEST, Lease::LONGEST);
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

    /// Replaces the sources of time and chance, and the runtime.
    pub fn environment(mut self, environment: Environment) -> Self {
        self.signals.set_clock(environment.clock.clone());
        self.environment = environment;
        self
    }

    /// A handle to stop, wake and watch the runner.
    pub fn handle(&self) -> RunnerHandle {
        RunnerHandle(self.signals.clone())
    }

    /// Runs until the handle stops it, and then gives its leases back; or until every projection
    /// and reaction has stopped. A store that does not answer delays the end by two seconds at most,
    /// or by the time of a lease: then the leases expire. Calls of reactions get as long to end first;
    /// those that do not are made again by who comes next, and no others: what stands before an event
    /// that was answered is parked, as due, with its stream. A reaction whose policy ends with
    /// [`Stop`](super::LastResort::Stop) parks nothing, so that all is given again from the first event on
    /// that is not done.
    ///
    /// A failing store, and a lease that somebody else has, are waited out.
    /// A projection that stopped at an event stays so; its health says why, and a new runner tries
    /// again.
    ///
    /// # Errors
    ///
    /// When every projection and reaction stopped by itself, and when two have one name.
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses nothing; its leases expire. What reactions had answered from the first
    /// event on that is not done is given again, as after a crash.
    pub async fn run(mut self) -> Result<(), RunnerError> {
        self.check_names()?;
        let (means, mut reactors) = (self.means(), std::mem::take(&mut self.reactors));
        if reactors.is_empty() {
            return self.run_crew().await;
        }
        let count = reactors.len();
        let reacting = reactors.iter_mut().map(|reactor| reactor.attend(&means, Goal::Stop));
        let projecting = async {
            // without projections there is nobody to wait for
            if self.crew.len() == 0 {
                Err(Vec::new())
            } else {
                self.run_crew().await.map_err(|it| it.stopped)
            }
        };
        let (projected, reacted) = join(projecting, join_all(reacting)).await;
        let reacted: Vec<_> = reacted.into_iter().flatten().collect();
        match projected {
            Err(mut stopped) if reacted.len() == count => {
                stopped.extend(reacted);
                Err(RunnerError { stopped })
            }
            _ => Ok(()),
        }
    }

    /// Runs the projections.
    async fn run_crew(self) -> Result<(), RunnerError> {
        let (signals, grace) = (self.signals.clone(), self.settings.grace());
        let runtime = self.environment.runtime.clone();
        let work = std::pin::pin!(self.work());
        let late = std::pin::pin!(signals.stopped_for(&*runtime, grace));
        match select(work, late).await {
            Either::Left((ended, _)) => ended,
            Either::Right(_) => {
                tracing::warn!("the store does not answer; leases are left to expire");
                Ok(())
            }
        }
    }

    async fn work(mut self) -> Result<(), RunnerError> {
        while !self.signals.is_stopped() {
            let is_at_end = self.round().await;
            let stopped: Vec<_> = self.crew.members().filter_map(Member::stopped).collect();
            if !stopped.is_empty() && stopped.len() == self.crew.len() {
                return Err(RunnerError { stopped });
            }
            if is_at_end && !self.signals.is_stopped() {
                self.rest().await;
            }
        }
        self.release().await;
        Ok(())
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.crew.names().into_iter().chain(self.reactors.iter().map(Reactor::name))
    }

    fn check_names(&self) -> Result<(), RunnerError> {
        let names: Vec<_> = self.names().collect();
        let twice = names.iter().enumerate();
        let twice = twice.filter(|(index, name)| names[..*index].contains(*name));
        let stopped: Vec<_> = twice
            .map(|(_, name)| Stopped {
                projection: (*name).to_owned(),
                cause: StopCause::NamedTwice,
            })
            .collect();
        if stopped.is_empty() { Ok(()) } else { Err(RunnerError { stopped }) }
    }
}
