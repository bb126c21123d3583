//! Loading aggregates and running decisions on them.

mod attempts;
mod check;
mod command;
mod encode;
mod error;
mod executed;
mod kept;
mod load;

use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU64;

use futures_core::stream::BoxStream;
use futures_util::stream::iter;
use futures_util::{StreamExt, TryStreamExt};

use crate::aggregate::{Aggregate, Decide, IntoEvents, stream_of};
use crate::envelope::{Cause, RecordedEvent};
use crate::environment::Environment;
use crate::event::Decoded;
use crate::ext::EventStoreExt;
use crate::metadata::Metadata;
use crate::read::{PageLimit, ReadStream};
use crate::snapshot::Snapshotted;
use crate::store::Store;
use crate::timestamp::Timestamp;
use crate::version::StreamVersion;

pub(crate) use attempts::Attempts;
use check::Sampling;
pub use check::SnapshotChecks;
pub use command::Command;
use command::Expected;
pub(crate) use encode::{EncodeFailure, Encoded, encode_events};
pub use error::ExecuteError;
pub use executed::Executed;
pub(crate) use load::load_stream;
pub use load::{LoadError, Loaded};

/// Aggregates of one type in one store: load them, and run decisions on them.
///
/// A repository is cheap to clone and holds no state of any aggregate.
///
/// ```text
/// command ─► load (snapshot + events, upcast) ─► decide ─► append ─► acknowledged
///                 ▲                                          │
///                 └── conflict, while retries are left ◄─────┘
/// ```
pub struct Repository<A: Aggregate> {
    store: Store,
    snapshots: Option<kept::Snapshots<A>>,
    sampling: Option<Sampling>,
    pub(crate) environment: Environment,
    base: Metadata,
    page: PageLimit,
    aggregate: PhantomData<fn() -> A>,
}

impl<A: Aggregate> Repository<A> {
    /// The aggregates of type `A` in `store`.
    pub fn new(store: impl Into<Store>) -> Self {
        Self {
            store: store.into(),
            snapshots: None,
            sampling: None,
            environment: Environment::default(),
            base: Metadata::default(),
            page: PageLimit::default(),
            aggregate: PhantomData,
        }
    }

    /// The store that holds the aggregates.
    pub fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn snapshots(&self) -> Option<&kept::Snapshots<A>> {
        self.snapshots.as_ref()
    }

    /// How much of a stream is read at once.
    pub(crate) fn page(&self) -> PageLimit {
        self.page
    }

    /// The metadata that every event of every command gets.
    pub(crate) fn base(&self) -> &Metadata {
        &self.base
    }

    /// Replaces the sources of ids, chance and time, and the runtime.
    #[must_use]
    pub fn with_environment(mut self, environment: Environment) -> Self {
        if let Some(snapshots) = &mut self.snapshots {
            snapshots.runtime.clone_from(&environment.runtime);
        }
        self.environment = environment;
        self
    }

    /// Metadata for every event of every command, where the event or the command sets none.
    ///
    /// Fields that an earlier call set, such as the cause, are kept if they are absent in `metadata`.
    #[must_use]
    pub fn with_metadata(mut self, mut metadata: Metadata) -> Self {
        metadata.fill_from(&self.base);
        self.base = metadata;
        self
    }

    /// Makes `cause` the cause of every command of this repository; see [`Command::caused_by`].
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Cause>) -> Self {
        set_cause(&mut self.base, cause.into());
        self
    }

    /// How much of a stream is read, and held in memory, at once while it is folded.
    #[must_use]
    pub fn with_page_limit(mut self, page: PageLimit) -> Self {
        self.page = page;
        self
    }

    /// Begins loads at states that the store has kept, and has a state kept each time a command brings
    /// a stream past a multiple of `every` events; 0 keeps none. Where the [store](Store) has no
    /// snapshots, loads go on without.
    ///
    /// Snapshots are a cache: one that is missing, undecodable, of another
    /// [fingerprint](Snapshotted::fingerprint) or newer than the stream is ignored. A load waits two
    /// seconds for one at most, and then those of the next ten seconds do without.
    ///
    /// States are saved beside the commands, by tasks of the environment's
    /// [`runtime`](Environment::runtime): where that has none, they are read, and none is kept. No
    /// command waits for them. A thousand wait at most, for all clones together; what is more, what
    /// cannot be saved within two seconds, and what waits behind that, is dropped, which costs a
    /// longer replay and nothing else. Each repository has its own, with its clones.
    #[must_use]
    pub fn snapshot_every(mut self, every: u64) -> Self
    where
        A: Snapshotted,
    {
        let runtime = self.environment.runtime.clone();
        self.snapshots = kept::Snapshots::of(self.store.capabilities(), every, runtime);
        match &mut self.snapshots {
            Some(snapshots) => snapshots.sampling.clone_from(&self.sampling),
            None => tracing::warn!(aggregate = A::TYPE, "the store keeps no snapshots"),
        }
        self
    }

    /// Waits until every state that was to be kept is saved or dropped, for ten seconds at most; for
    /// the end of a program. Answers false if not all were saved.
    pub async fn flush_snapshots(&self) -> bool {
        match &self.snapshots {
            Some(snapshots) => snapshots.flush().await,
            None => true,
        }
    }

    /// Folds one in `one_in` of the kept states that loads begin at once more from the first event,
    /// and compares, as JSON. One that differs is told by `tracing`, counted, replaced, and not used.
    ///
    /// It finds what no law can: a row that was changed by hand, or an `evolve` that changed its
    /// meaning without a new [`REVISION`](Snapshotted::REVISION). Every clone counts the same loads.
    /// A state must always be written alike, so one that holds a `HashSet` cannot be checked.
    #[must_use]
    pub fn checked_one_in(mut self, one_in: NonZeroU64) -> Self {
        self.sampling = Some(Sampling::new(one_in));
        if let Some(snapshots) = &mut self.snapshots {
            snapshots.sampling.clone_from(&self.sampling);
        }
        self
    }

    /// What the checks of kept states have found so far; see
    /// [`checked_one_in`](Self::checked_one_in).
    pub fn snapshot_checks(&self) -> SnapshotChecks {
        self.sampling.as_ref().map_or_else(SnapshotChecks::default, Sampling::checks)
    }

    /// The aggregate as it is now; one without events is `A::default()` at version 0.
    ///
    /// # Errors
    ///
    /// [`LoadError`] when the id is no id, an event cannot be read, or the store fails.
    pub async fn load(&self, id: &A::Id) -> Result<Loaded<A>, LoadError> {
        self.load_bounded(id, StreamVersion::MAX, None).await
    }

    /// The aggregate as it was after its first `version` events, or all if it has fewer.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub async fn load_at_version(
        &self,
        id: &A::Id,
        version: StreamVersion,
    ) -> Result<Loaded<A>, LoadError> {
        self.load_bounded(id, version, None).await
    }

    /// The aggregate as it was at `instant`: after the prefix of its stream that ends before the
    /// first event recorded later.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub async fn load_at(&self, id: &A::Id, instant: Timestamp) -> Result<Loaded<A>, LoadError> {
        self.load_bounded(id, StreamVersion::MAX, Some(instant)).await
    }

    async fn load_bounded(
        &self,
        id: &A::Id,
        version: StreamVersion,
        until: Option<Timestamp>,
    ) -> Result<Loaded<A>, LoadError> {
        let mut read = ReadStream::new(stream_of::<A>(id)?).to_version(version).limit(self.page);
        read.until = until;
        load_stream(&*self.store, self.snapshots.as_ref(), read).await
    }

    /// Runs a command that the aggregate decides: load, [`Decide::decide`], append.
    ///
    /// Await the answer; before that, say how to go about a conflict:
    /// `repository.execute(&id, Pay { .. }).retries(3).await`.
    #[expect(clippy::type_complexity, reason = "the closure's type has no name")]
    pub fn execute<C>(
        &self,
        id: &A::Id,
        command: C,
    ) -> Command<
        '_,
        A,
        impl Fn(&A) -> Result<Vec<A::Event>, A::Rejection> + Send + Sync + use<A, C>,
        Vec<A::Event>,
        A::Rejection,
    >
    where
        A: Decide<C, Rejection: Send>,
        C: Send + Sync,
    {
        self.update(id, move |state: &A| state.decide(&command))
    }

    /// Runs a decision that is a function of the state: load, decide, append.
    ///
    /// The decision is run again on the new state after a conflict, so it must be pure.
    ///
    /// A command borrows the repository; to run one in a task of its own, move a clone of the
    /// repository into the task.
    pub fn update<F, Ev, R>(&self, id: &A::Id, decision: F) -> Command<'_, A, F, Ev, R>
    where
        F: Fn(&A) -> Result<Ev, R> + Send + Sync,
        Ev: IntoEvents<A::Event>,
        R: Send,
    {
        Command::new(self, stream_of::<A>(id), decision, Expected::Anything)
    }

    /// Runs a decision that refuses nothing: load, decide, append.
    pub fn record<F, Ev>(
        &self,
        id: &A::Id,
        decision: F,
    ) -> Command<
        '_,
        A,
        impl Fn(&A) -> Result<Ev, Infallible> + Send + Sync + use<A, F, Ev>,
        Ev,
        Infallible,
    >
    where
        F: Fn(&A) -> Ev + Send + Sync,
        Ev: IntoEvents<A::Event>,
    {
        self.update(id, move |state: &A| Ok(decision(state)))
    }

    /// The events of an aggregate, oldest first, each with what was recorded beside it: of a stored
    /// event that was split each part, and none of one whose name is retired.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load), within the stream.
    pub fn history(
        &self,
        id: &A::Id,
    ) -> BoxStream<'_, Result<(RecordedEvent, A::Event), LoadError>> {
        let stream = match stream_of::<A>(id) {
            Ok(stream) => stream,
            Err(error) => return Box::pin(iter([Err(error.into())])),
        };
        let events = self.store.events(ReadStream::new(stream).limit(self.page));
        let read = events.map(|event| -> Result<_, LoadError> {
            let event = event?;
            let parts = match load::decode::<A::Event>(&event)? {
                Decoded::One(one) => vec![(event, one)],
                parts => parts.into_iter().map(|part| (event.clone(), part)).collect(),
            };
            Ok(iter(parts.into_iter().map(Ok::<_, LoadError>)))
        });
        Box::pin(read.try_flatten())
    }

    /// Runs a decision for an aggregate that must not exist yet: the decision sees no state, and an
    /// existing stream is [`ExecuteError::Exists`], however many retries are allowed.
    pub fn create<F, Ev, R>(
        &self,
        id: &A::Id,
        decision: F,
    ) -> Command<'_, A, impl Fn(&A) -> Result<Ev, R> + Send + Sync + use<A, F, Ev, R>, Ev, R>
    where
        F: Fn() -> Result<Ev, R> + Send + Sync,
        Ev: IntoEvents<A::Event>,
        R: Send,
    {
        Command::new(self, stream_of::<A>(id), move |_: &A| decision(), Expected::Nothing)
    }
}

pub(crate) fn set_cause(metadata: &mut Metadata, cause: Cause) {
    metadata.causation_id = Some(cause.event_id);
    metadata.correlation_id = Some(cause.correlation_id);
}

impl<A: Aggregate> Clone for Repository<A> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            snapshots: self.snapshots.clone(),
            sampling: self.sampling.clone(),
            environment: self.environment.clone(),
            base: self.base.clone(),
            page: self.page,
            aggregate: PhantomData,
        }
    }
}

impl<A: Aggregate> fmt::Debug for Repository<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository").field("aggregate", &A::TYPE).finish_non_exhaustive()
    }
}
