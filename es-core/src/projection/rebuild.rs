//! Making a model anew beside the one that is served.

use std::sync::Arc;
use std::time::Duration;

use crate::environment::Environment;
use crate::error::StoreError;
use crate::retry::Retry;
use crate::store::Store;

use super::{
    BatchLimit, Definition, Lease, Projection, ProjectionSink, SinkError, StopCause,
    TableProjection, models,
};

mod differences;
mod fill;
mod hold;
mod progress;
mod slice;
mod switch;

pub use differences::RowDifference;
use fill::Outage;
pub use progress::{Progress, Watch};
use slice::Slice;

/// Makes the model of a projection anew, in a shadow, while the old one is served and writers go on.
///
/// ```
/// # use es_core::projection::Rebuild;
/// # use es_core::{Projection, Store};
/// # async fn example<Attempts: Projection>(
/// #     store: Store,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// # use futures_util::TryStreamExt;
/// let mut rebuild = Rebuild::projection::<Attempts>(&store).slices(2);
/// rebuild.fill().await?;
/// let mut changes = rebuild.differences();
/// while let Some(change) = changes.try_next().await? {
///     println!("{}: {:?} becomes {:?}", change.key, change.old, change.new);
/// }
/// drop(changes);
/// rebuild.switch().await?;
/// # Ok(())
/// # }
/// ```
///
/// One reading of the log serves all slices; each has a checkpoint of its own, so that a rebuild that
/// was killed goes on where each slice was.
#[must_use = "nothing is rebuilt unless it is filled and switched"]
pub struct Rebuild {
    store: Store,
    definition: Definition,
    environment: Environment,
    limit: BatchLimit,
    slices: u32,
    holder: String,
    time_to_live: Duration,
    backoff: Retry,
    watch: Watch,
    held: Option<Held>,
}

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

impl From<StoreError> for RebuildError {
    fn from(error: StoreError) -> Self {
        Self::Sink(error.into())
    }
}

impl Rebuild {
    /// A rebuild of a projection, in one slice. An event that cannot be taken is dealt with as
    /// [`Projection::ON_FAILURE`] says.
    pub fn projection<P: Projection>(store: impl Into<Store>) -> Self {
        Self::definition(store, Definition::of::<P>())
    }

    /// A rebuild of a projection into tables, in one slice.
    pub fn table<P: TableProjection>(store: impl Into<Store>) -> Self {
        Self::definition(store, Definition::table::<P>())
    }

    /// A rebuild of what a tool or a suite has defined, in one slice.
    pub fn definition(store: impl Into<Store>, definition: Definition) -> Self {
        let environment = Environment::default();
        Self {
            store: store.into(),
            definition,
            holder: format!("rebuild-{}", environment.event_ids.next_id()),
            limit: BatchLimit::default(),
            slices: 1,
            time_to_live: Duration::from_secs(30),
            backoff: Retry {
                retries: u32::MAX,
                base: Duration::from_millis(50),
                longest: Duration::from_secs(2),
            },
            watch: Watch::new(environment.clock.clone()),
            environment,
            held: None,
        }
    }

    /// Divides the work by streams into this many slices, each a task of its own where the
    /// environment's runtime has tasks: 1,024 at most. A projection that cannot be divided has one. A
    /// rebuild that is resumed keeps its slices.
    pub fn slices(mut self, slices: u32) -> Self {
        self.slices = slices.clamp(1, 1024);
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

    /// For how long the lease is taken; it is renewed after a third of it. 30 seconds unless set; more
    /// than [`Lease::LONGEST`] counts as that.
    pub fn lease(mut self, time_to_live: Duration) -> Self {
        self.time_to_live = time_to_live.min(Lease::LONGEST);
        self
    }

    /// Replaces the delays after failures of the store that pass; its `retries` do not count: they are
    /// waited out until the lease would have expired.
    pub fn backoff(mut self, backoff: Retry) -> Self {
        self.backoff = backoff;
        self
    }

    /// Replaces the sources of time and chance, and the runtime.
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
            let runtime = &self.environment.runtime;
            if error.may_pass() && outage.lasts_for(runtime.now()) < self.time_to_live {
                outage.failures = outage.failures.saturating_add(1);
                let fraction = self.environment.jitter.fraction();
                runtime.sleep(self.backoff.delay(outage.failures, fraction)).await;
                // the next lease tells what was committed
                continue;
            }
            if let Some(lease) = lease {
                self.given_up(&lease, &error).await;
            }
            return Err(error);
        }
    }

    /// Gives the lease on the shadow back, so that another rebuild can go on with it at once. A store
    /// that does not answer is waited for for two seconds at most.
    pub async fn release(&mut self) {
        if let Some(held) = self.held.take() {
            self.release_lease(&held.lease).await;
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

    /// Where the model is kept.
    fn sink(&self) -> Result<&Arc<dyn ProjectionSink>, SinkError> {
        models(&self.store, self.definition.name())
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
}
