//! Making a model anew beside the one that is served.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, join_all, select};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::environment::Environment;
use crate::error::StoreError;
use crate::read::ReadLog;
use crate::retry::Retry;
use crate::store::EventStore;

use super::worker::{GRACE, Worker, breathe};
use super::{
    BatchLimit, Checkpoint, Claim, Definition, FailurePolicy, Lease, ProjectionSink, Renewal,
    SinkError, Slicing, Slot, StopCause, lowest,
};

mod differences;
mod progress;
mod slice;

pub use differences::{RowDifference, differences};
pub use progress::{Progress, Watch};
use slice::{Page, Slice};

/// Makes the model of a projection anew, in a shadow, while the old one is served and writers go on.
///
/// ```
/// # use std::sync::Arc;
/// # use es_core::EventStore;
/// # use es_core::projection::{Projection, ProjectionSink, Rebuild, differences};
/// # async fn example(
/// #     store: Arc<dyn EventStore>, sink: Arc<dyn ProjectionSink>, attempts: impl Projection,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// # use futures_util::TryStreamExt;
/// let mut rebuild = Rebuild::new(store, sink.clone(), attempts).slices(2);
/// rebuild.fill().await?;
/// let mut changes = differences(&*sink, "attempts");
/// while let Some(change) = changes.try_next().await? {
///     println!("{}: {:?} becomes {:?}", change.key, change.old, change.new);
/// }
/// rebuild.switch().await?;
/// # Ok(())
/// # }
/// ```
///
/// One reading of the log serves all slices; each has a checkpoint of its own, so that a rebuild that
/// was killed goes on where each slice was.
#[must_use = "nothing is rebuilt unless it is filled and switched"]
pub struct Rebuild {
    store: Arc<dyn EventStore>,
    sink: Arc<dyn ProjectionSink>,
    definition: Definition,
    environment: Environment,
    policy: FailurePolicy,
    limit: BatchLimit,
    slices: u32,
    holder: String,
    time_to_live: Duration,
    backoff: Retry,
    spawn: Option<Arc<Spawn>>,
    watch: Watch,
    held: Option<Held>,
}

/// Starts a task.
type Spawn = dyn Fn(BoxFuture<'static, ()>) + Send + Sync;

/// The lease on the shadow, and its slices.
struct Held {
    lease: Lease,
    slices: Vec<Slice>,
}

impl std::fmt::Debug for Rebuild {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rebuild").field("definition", &self.definition).finish_non_exhaustive()
    }
}

/// Why a rebuild does not go on. What it did is kept, for another one of the same code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RebuildError {
    /// The projection cannot take an event, or its log is another one.
    #[error("the rebuild of projection `{projection}` stopped: {cause}")]
    Stopped {
        /// The projection.
        projection: String,
        /// Why.
        #[source]
        cause: Box<StopCause>,
    },
    /// The sink refused: somebody else rebuilds, or the store failed.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

impl RebuildError {
    fn may_pass(&self) -> bool {
        matches!(self, Self::Sink(error) if error.is_transient() || error.is_outcome_unknown())
    }
}

/// How long the store has failed without a commit in between.
#[derive(Default)]
struct Outage {
    since: Option<Instant>,
    failures: u32,
    /// Where the slices stood.
    checkpoints: Vec<Checkpoint>,
}

impl Outage {
    fn lasts_for(&mut self) -> Duration {
        self.since.get_or_insert_with(Instant::now).elapsed()
    }

    /// It is over if something was committed since it began.
    fn came_to(&mut self, lease: &Lease) {
        if lease.checkpoints != self.checkpoints {
            (self.since, self.failures) = (None, 0);
            self.checkpoints.clone_from(&lease.checkpoints);
        }
    }
}

impl From<StoreError> for RebuildError {
    fn from(error: StoreError) -> Self {
        Self::Sink(error.into())
    }
}

impl Rebuild {
    /// How often a switch catches up with the active model before it gives up.
    const SWITCH_ATTEMPTS: u32 = 1_000;
    /// How many pages a slice may be behind the reader.
    const PAGES_AHEAD: usize = 2;

    /// A rebuild in one slice, which stops at an event that the projection cannot take.
    pub fn new(
        store: Arc<dyn EventStore>,
        sink: Arc<dyn ProjectionSink>,
        projection: impl Into<Definition>,
    ) -> Self {
        let environment = Environment::default();
        Self {
            store,
            sink,
            definition: projection.into(),
            holder: format!("rebuild-{}", environment.event_ids.next_id()),
            policy: FailurePolicy::default(),
            limit: BatchLimit::default(),
            slices: 1,
            time_to_live: Duration::from_secs(30),
            backoff: Retry {
                retries: u32::MAX,
                base: Duration::from_millis(50),
                longest: Duration::from_secs(2),
            },
            spawn: None,
            watch: Watch::new(environment.clock.clone()),
            environment,
            held: None,
        }
    }

    /// Divides the work by streams into this many slices, which are worked on concurrently; a
    /// projection that cannot be divided has one. A rebuild that is resumed keeps its slices.
    pub fn slices(mut self, slices: u32) -> Self {
        self.slices = slices.max(1);
        self
    }

    /// Has each slice run as a task of its own, such as with
    /// `|task| drop(tokio::spawn(task))`, so that slices also use several processors.
    pub fn spawning(
        mut self,
        spawn: impl Fn(BoxFuture<'static, ()>) + Send + Sync + 'static,
    ) -> Self {
        self.spawn = Some(Arc::new(spawn));
        self
    }

    /// Sets what becomes of an event that the projection cannot take.
    pub fn policy(mut self, policy: FailurePolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets the bounds of a commit.
    pub fn batches(mut self, limit: BatchLimit) -> Self {
        self.limit = limit;
        self
    }

    /// Names the process, for the lease; see [`Runner::holder`](super::Runner::holder).
    pub fn holder(mut self, name: &str) -> Self {
        self.holder = name.to_owned();
        self
    }

    /// For how long the lease is taken; it is renewed after a third of it.
    pub fn lease(mut self, time_to_live: Duration) -> Self {
        self.time_to_live = time_to_live;
        self
    }

    /// Replaces the delays after failures of the store that pass; its `retries` do not count: they are
    /// waited out until the lease would have expired.
    pub fn backoff(mut self, backoff: Retry) -> Self {
        self.backoff = backoff;
        self
    }

    /// Replaces the sources of time and chance.
    pub fn environment(mut self, environment: Environment) -> Self {
        self.watch = Watch::new(environment.clock.clone());
        self.environment = environment;
        self
    }

    /// Tells how far the rebuild is, from anywhere, while it runs.
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// Brings the shadow to the end of the log, and keeps its lease. Can be called again.
    ///
    /// Failures of the store that pass are waited out for the time of the lease, from the last
    /// commit on; then it goes on where each slice is.
    ///
    /// # Errors
    ///
    /// [`RebuildError`]; the lease is given back, so that another rebuild can go on.
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses nothing that was committed; the lease expires, or is taken by a
    /// further call.
    pub async fn fill(&mut self) -> Result<(), RebuildError> {
        let mut outage = Outage::default();
        let mut held = self.held.take();
        loop {
            let (lease, filled) = match held.take() {
                Some(held) => (Some(held.lease.clone()), self.kept_and_filled(held).await),
                None => match self.acquire().await {
                    Ok(acquired) => {
                        outage.came_to(&acquired.lease);
                        held = Some(acquired);
                        continue;
                    }
                    Err(error) => (None, Err(error)),
                },
            };
            let error = match filled {
                Ok(filled) => {
                    self.held = Some(filled);
                    return Ok(());
                }
                Err(error) => error,
            };
            if error.may_pass() && outage.lasts_for() < self.time_to_live {
                outage.failures = outage.failures.saturating_add(1);
                let fraction = self.environment.jitter.fraction();
                tokio::time::sleep(self.backoff.delay(outage.failures, fraction)).await;
                // the next lease tells what was committed
                continue;
            }
            if let Some(lease) = lease {
                self.given_up(&lease, &error).await;
            }
            return Err(error);
        }
    }

    /// Fills while it renews the lease.
    async fn kept_and_filled(&self, held: Held) -> Result<Held, RebuildError> {
        let lease = held.lease.clone();
        let fill = std::pin::pin!(self.filled(held));
        let renew = std::pin::pin!(self.renewals(&lease));
        match select(fill, renew).await {
            Either::Left((filled, _)) => filled,
            Either::Right((error, _)) => Err(error.into()),
        }
    }

    /// Says why it goes no further, and gives the lease back.
    async fn given_up(&self, lease: &Lease, error: &RebuildError) {
        let told = async {
            if let RebuildError::Stopped { cause, .. } = error {
                // the error is answered anyhow
                let _ = self.sink.report(lease, Some(&cause.told())).await;
            }
            self.release_lease(lease).await;
        };
        // as for a release
        let _ = tokio::time::timeout(self.time_to_live.min(GRACE), told).await;
    }

    async fn release_lease(&self, lease: &Lease) {
        // a lease that is not given back expires
        let released = self.sink.release(lease);
        let _ = tokio::time::timeout(self.time_to_live.min(GRACE), released).await;
    }

    /// Gives the lease on the shadow back, so that another rebuild can go on with it at once. A store
    /// that does not answer is waited for for two seconds at most.
    pub async fn release(&mut self) {
        if let Some(held) = self.held.take() {
            self.release_lease(&held.lease).await;
        }
    }

    /// Catches up with the active model and takes its place.
    ///
    /// # Errors
    ///
    /// [`RebuildError`]; the old model is then served further, unless the answer to the switch
    /// itself was lost.
    pub async fn switch(&mut self) -> Result<(), RebuildError> {
        let mut attempts = 0;
        loop {
            breathe().await;
            self.fill().await?;
            let Some(held) = &self.held else { continue };
            match self.sink.switch(&held.lease).await {
                Ok(()) => {
                    self.held = None;
                    return Ok(());
                }
                // the active model moved on meanwhile
                Err(SinkError::NotCaughtUp { .. }) if attempts < Self::SWITCH_ATTEMPTS => {
                    attempts += 1;
                }
                // it was not switched; the lease is taken again
                Err(error) if error.is_transient() && attempts < Self::SWITCH_ATTEMPTS => {
                    attempts += 1;
                    self.held = None;
                    let fraction = self.environment.jitter.fraction();
                    tokio::time::sleep(self.backoff.delay(attempts, fraction)).await;
                }
                Err(error) => {
                    self.held = None;
                    return Err(error.into());
                }
            }
        }
    }

    /// Fills the shadow and switches to it.
    ///
    /// # Errors
    ///
    /// As [`fill`](Self::fill) and [`switch`](Self::switch).
    pub async fn run(mut self) -> Result<(), RebuildError> {
        self.switch().await
    }

    async fn acquire(&self) -> Result<Held, RebuildError> {
        self.definition.check()?;
        let slices = match self.definition.slicing() {
            Slicing::ByStream => self.slices,
            Slicing::Whole => 1,
        };
        let claim = Claim {
            projection: self.definition.name().to_owned(),
            fingerprint: self.definition.fingerprint().to_owned(),
            slot: Slot::Shadow,
            slices,
            holder: self.holder.clone(),
            time_to_live: self.time_to_live,
        };
        let mut lease = self.sink.acquire(&claim).await?;
        if self.definition.slicing() == Slicing::Whole && lease.checkpoints.len() > 1 {
            // begun by code that could be sliced: its slices would overwrite each other's rows
            self.sink.release(&lease).await?;
            self.sink.abandon(self.definition.name()).await?;
            lease = self.sink.acquire(&claim).await?;
        }
        let status = self.sink.status(Some(self.definition.name())).await?.into_iter().next();
        let shadow = status.and_then(|status| status.shadow);
        self.watch.begin(shadow.map_or(0, |shadow| shadow.events));
        let count = lease.checkpoints.len() as u32;
        let mut slices = Vec::with_capacity(lease.checkpoints.len());
        for number in 0..count {
            let mut worker = Worker::new(
                self.store.clone(),
                self.sink.clone(),
                self.environment.clock.clone(),
                self.definition.clone(),
                lease.clone(),
                number,
            )
            .await?;
            worker.limit = self.limit;
            worker.check_log().await.map_err(|halt| self.stopped(halt))?;
            worker.forget_passed_trouble().await?;
            slices.push(Slice::new(worker, count, self.policy, self.environment.clone()));
        }
        Ok(Held { lease, slices })
    }

    fn stopped(&self, cause: StopCause) -> RebuildError {
        match cause {
            StopCause::Sink(error) => error.of(self.definition.name()).into(),
            cause => RebuildError::Stopped {
                projection: self.definition.name().to_owned(),
                cause: Box::new(cause),
            },
        }
    }

    /// Renews the lease until that fails for as long as the lease lasts, or for good.
    async fn renewals(&self, lease: &Lease) -> SinkError {
        let renewal = Renewal::lasting(self.time_to_live);
        let (mut renewed_at, mut failures) = (Instant::now(), 0);
        let mut pause = self.time_to_live / 3;
        loop {
            tokio::time::sleep(pause).await;
            match self.sink.renew(lease, &renewal).await {
                Ok(_) => {
                    (renewed_at, failures, pause) = (Instant::now(), 0, self.time_to_live / 3);
                }
                Err(error)
                    if (error.is_transient() || error.is_outcome_unknown())
                        && renewed_at.elapsed() < self.time_to_live =>
                {
                    failures += 1;
                    pause = self.backoff.delay(failures, self.environment.jitter.fraction());
                }
                Err(error) => return error,
            }
        }
    }

    /// Reads to the end of the log, and hands each page to every slice.
    async fn filled(&self, held: Held) -> Result<Held, RebuildError> {
        let checkpoints: Vec<_> =
            held.slices.iter().map(|slice| slice.checkpoint().clone()).collect();
        let (mut senders, mut running) = (Vec::new(), Vec::new());
        for slice in held.slices {
            let (sender, pages) = mpsc::channel(Self::PAGES_AHEAD);
            senders.push(sender);
            running.push(self.start(slice.run(pages, self.watch.clone())));
        }
        let (read, slices) =
            futures_util::future::join(self.read(lowest(&checkpoints), senders), join_all(running))
                .await;
        let mut kept = Vec::with_capacity(slices.len());
        for slice in slices {
            kept.push(slice?.map_err(|halt| self.stopped(halt))?);
        }
        read?;
        Ok(Held { lease: held.lease, slices: kept })
    }

    /// Runs the work of a slice, in a task of its own if there is a way to start one.
    fn start(
        &self,
        work: impl Future<Output = Result<Slice, StopCause>> + Send + 'static,
    ) -> BoxFuture<'static, Result<Result<Slice, StopCause>, RebuildError>> {
        let Some(spawn) = &self.spawn else {
            return work.map(Ok).boxed();
        };
        let (sender, answer) = oneshot::channel();
        spawn(Box::pin(async move {
            // nobody listens any more if the rebuild was dropped
            let _ = sender.send(work.await);
        }));
        let projection = self.definition.name().to_owned();
        let ended = move |answer: Result<_, _>| {
            answer.map_err(|_| RebuildError::Stopped {
                projection,
                cause: Box::new(StopCause::TaskEnded),
            })
        };
        answer.map(ended).boxed()
    }

    async fn read(
        &self,
        start: &Checkpoint,
        slices: Vec<mpsc::Sender<Arc<Page>>>,
    ) -> Result<(), StoreError> {
        let selection = self.definition.selection().clone();
        let limit = self.limit.page(slices.len());
        let mut read = ReadLog::after(start.position).filter(selection).limit(limit);
        let mut mark = start.event.clone();
        self.watch.end(self.store.end_of_log().await?);
        loop {
            let page = Arc::new(Page::read(&*self.store, &read, mark).await?);
            (read.after, mark) = (page.to.position, page.to.event.clone());
            for slice in &slices {
                if slice.send(page.clone()).await.is_err() {
                    // the slice came to an end early, and says why
                    return Ok(());
                }
            }
            if page.at_end {
                return Ok(());
            }
        }
    }
}
