//! Making a model anew beside the one that is served.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, join_all, select};
use tokio::sync::{mpsc, oneshot};

use crate::environment::Environment;
use crate::error::StoreError;
use crate::read::ReadLog;
use crate::store::EventStore;

use super::worker::{Halt, Worker, breathe, chain};
use super::{
    BatchLimit, Checkpoint, Claim, Definition, FailurePolicy, Lease, ProjectionSink, Renewal,
    SinkError, Slicing, Slot, lowest,
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
    #[error("the rebuild of projection `{projection}` stopped: {reason}")]
    Stopped {
        /// The projection.
        projection: String,
        /// Why, as an operator is to read it.
        reason: String,
    },
    /// The sink refused: somebody else rebuilds, or the store failed.
    #[error(transparent)]
    Sink(#[from] SinkError),
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
    /// # Errors
    ///
    /// [`RebuildError`]; the lease is given back, so that another rebuild can go on.
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses nothing that was committed; the lease expires, or is taken by a
    /// further call.
    pub async fn fill(&mut self) -> Result<(), RebuildError> {
        let held = match self.held.take() {
            Some(held) => held,
            None => self.acquire().await?,
        };
        let lease = held.lease.clone();
        let filled = {
            let fill = std::pin::pin!(self.filled(held));
            let renew = std::pin::pin!(self.renewals(&lease));
            match select(fill, renew).await {
                Either::Left((filled, _)) => filled,
                Either::Right((error, _)) => Err(error.into()),
            }
        };
        match filled {
            Ok(held) => {
                self.held = Some(held);
                Ok(())
            }
            Err(error) => {
                if let RebuildError::Stopped { reason, .. } = &error {
                    // the error is answered anyhow
                    let _ = self.sink.report(&lease, reason).await;
                }
                // a lease that is not given back expires
                let _ = self.sink.release(&lease).await;
                Err(error)
            }
        }
    }

    /// Gives the lease on the shadow back, so that another rebuild can go on with it at once.
    pub async fn release(&mut self) {
        if let Some(held) = self.held.take() {
            // a lease that is not given back expires
            let _ = self.sink.release(&held.lease).await;
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
        let lease = self.sink.acquire(&claim).await?;
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
            slices.push(Slice::new(worker, count, self.policy, self.environment.clone()));
        }
        Ok(Held { lease, slices })
    }

    fn stopped(&self, halt: Halt) -> RebuildError {
        match halt {
            Halt::Sink(error) => error.of(self.definition.name()).into(),
            halt => RebuildError::Stopped {
                projection: self.definition.name().to_owned(),
                reason: chain(&halt),
            },
        }
    }

    /// Renews the lease until that fails.
    async fn renewals(&self, lease: &Lease) -> SinkError {
        let renewal = Renewal::lasting(self.time_to_live);
        loop {
            tokio::time::sleep(self.time_to_live / 3).await;
            if let Err(error) = self.sink.renew(lease, &renewal).await {
                return error;
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
        work: impl Future<Output = Result<Slice, Halt>> + Send + 'static,
    ) -> BoxFuture<'static, Result<Result<Slice, Halt>, RebuildError>> {
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
                reason: "the task of a slice was ended from outside".to_owned(),
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
