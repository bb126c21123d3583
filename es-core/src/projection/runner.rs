//! Keeps models up to date.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, FutureExt, select};

use crate::environment::{Environment, within};
use crate::error::{StoreError, StoreErrorKind};
use crate::read::{LogPage, ReadLog};
use crate::retry::Retry;
use crate::store::Store;

use super::worker::GRACE;
use super::{BatchLimit, Definition, Lease, Projection, StopCause, TableProjection};

mod crew;
mod handle;
mod member;
mod round;

use crew::Crew;
pub use handle::RunnerHandle;
use handle::Signals;
use member::Member;
use round::Means;

/// Keeps the models of some projections up to date, with one reading of the log for all that stand
/// at the same place.
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
    signals: Arc<Signals>,
    /// How often it was asked to look at once.
    wakes: u64,
    /// The page that was read while the one before it was committed, and what was asked for.
    ahead: Option<(ReadLog, LogPage)>,
}

/// For how long a projection may keep the others of its runner from going on.
const MOMENT: Duration = Duration::from_secs(1);

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

    /// For how long the others wait for one that does something.
    fn moment(&self) -> Duration {
        MOMENT.min(self.time_to_live / 10)
    }

    /// After how long without any answer nobody waits any more: by then others may have the leases.
    fn patience(&self) -> Duration {
        self.time_to_live * 3
    }
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.crew.names();
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
        let crew = Crew::default();
        Self { store, environment, settings, crew, signals, wakes: 0, ahead: None }
    }

    /// Adds a projection. A runner that has two of one name does not run.
    pub fn projection<P: Projection>(self) -> Self {
        self.definition(Definition::of::<P>())
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

    /// For how long leases are taken; they are renewed between two commits, after a third of it. 10
    /// seconds unless set; more than [`Lease::LONGEST`] counts as that.
    ///
    /// For so long others wait for a process that was killed. A commit should not take that long,
    /// or others may take over from one that is at work; nothing is lost then, but its work.
    pub fn lease(mut self, time_to_live: Duration) -> Self {
        self.settings.time_to_live = time_to_live.min(Lease::LONGEST);
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
        self.check_names()?;
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

    fn check_names(&self) -> Result<(), RunnerError> {
        let names = self.crew.names();
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

    /// Brings every projection to the end of the log, and deals with parked events that are due; for
    /// tests and for programs that do not stay.
    ///
    /// The leases are kept, for further calls; see [`release`](Self::release). If the handle stops the
    /// runner meanwhile, it ends with what it has taken until then, two seconds later at most.
    ///
    /// # Errors
    ///
    /// When a projection stopped, when the store failed, or when a lease cannot be had; also when
    /// store and sink have not answered anything for three times the time of a lease, as which the
    /// time of a commit counts. The others have come to the end. A further call tries again what was
    /// not stopped by an event.
    ///
    /// # Cancellation
    ///
    /// Dropping the future ends what it has under way, and loses nothing: a further call goes on
    /// where the models are.
    pub async fn catch_up(&mut self) -> Result<(), RunnerError> {
        self.check_names()?;
        self.signals.wake();
        // what was read for an earlier call may not be all that there is
        self.ahead = None;
        let (signals, settings) = (self.signals.clone(), self.settings.clone());
        let runtime = self.environment.runtime.clone();
        let call = Call(self);
        let ended = {
            let work = std::pin::pin!(call.0.caught_up());
            let silent = std::pin::pin!(signals.silent_for(&*runtime, settings.patience()));
            let late = std::pin::pin!(signals.stopped_for(&*runtime, settings.grace()));
            match select(work, select(silent, late)).await {
                Either::Left((ended, _)) => Some(ended),
                Either::Right(_) => None,
            }
        };
        let Some(ended) = ended else { return call.0.hung() };
        ended
    }

    async fn caught_up(&mut self) -> Result<(), RunnerError> {
        let runtime = self.environment.runtime.clone();
        let mut silent = (0, runtime.now());
        loop {
            if !self.round().await {
                continue;
            }
            if self.signals.is_stopped() {
                self.crew.all(|member| member.flushed().boxed()).await;
                return Ok(());
            }
            // the leases want to be renewed meanwhile
            let soon = runtime.now() + self.settings.time_to_live / 3;
            if !self.crew.is_whole() {
                let answers = self.crew.answers_to_late();
                if answers != silent.0 || self.crew.next_until(&*runtime, soon).await {
                    silent = (answers, runtime.now());
                    self.signals.answered();
                } else if runtime.since(silent.1) >= self.settings.patience() {
                    return self.hung();
                }
                continue;
            }
            if let Some(at) = self.crew.members().filter_map(Member::next_retry).min() {
                runtime.sleep_until(at.min(soon)).await;
                continue;
            }
            let failed = self.crew.members_mut().filter_map(Member::take_trouble);
            let stopped: Vec<_> = failed.collect();
            return if stopped.is_empty() { Ok(()) } else { Err(RunnerError { stopped }) };
        }
    }

    /// Gives up what does not answer: leases expire, and what was not committed is taken again.
    fn hung(&mut self) -> Result<(), RunnerError> {
        let hung = self.crew.dismiss();
        // if it is the store, nobody is away
        let is_hung = |seat: &usize| hung.is_empty() || hung.contains(seat);
        let seats: Vec<_> = self.crew.seats().into_iter().filter(is_hung).collect();
        if hung.is_empty() || self.signals.is_stopped() {
            self.crew.members_mut().for_each(Member::abandon);
        }
        if self.signals.is_stopped() {
            return Ok(());
        }
        let text = format!("store and sink have not answered for {:?}", self.settings.patience());
        let error = StoreError::new(StoreErrorKind::Unavailable, text);
        let stopped = seats.iter().filter_map(|seat| self.crew.get(*seat));
        let stopped = stopped
            .map(|member| member.stopped().unwrap_or_else(|| member.because(error.clone().into())));
        Err(RunnerError { stopped: stopped.collect() })
    }

    /// Gives the leases back, so that others can go on at once. A store that does not answer is
    /// waited for as long as by [`run`](Self::run).
    pub async fn release(&mut self) {
        let grace = self.settings.grace();
        let runtime = self.environment.runtime.clone();
        let call = Call(self);
        let released = call.0.crew.all(|member| member.released().boxed());
        if within(&*runtime, grace, released).await.is_none() {
            call.0.crew.dismiss();
            call.0.crew.members_mut().for_each(Member::abandon);
        }
    }
}

/// A call that members work for. What they have under way ends with it: else the runner would keep a
/// commit that nobody polls, and with it the locks of whoever comes next.
struct Call<'a>(&'a mut Runner);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.crew.dismiss();
    }
}
