//! Aggregates of one type: loading them, and giving them to decide on.

mod check;
mod encode;
mod loaded;

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

use futures_core::stream::BoxStream;
use futures_util::stream::{iter, try_unfold};
use futures_util::{StreamExt, TryStreamExt};

use crate::aggregate::{Aggregate, IdOf};
use crate::envelope::{Cause, RecordedEvent};
use crate::environment::Environment;
use crate::event::Decoded;
use crate::execution::{Cache, Counters, Known, Member, Snapshots, load_stream};
use crate::metadata::Metadata;
use crate::read::{PageLimit, ReadStream};
use crate::retry::Retry;
use crate::snapshot::Snapshotted;
use crate::store::Store;
use crate::stream::{InvalidStreamId, StreamId};
use crate::time_travel::Moment;
use crate::version::StreamVersion;

pub(crate) use check::Sampling;
pub use check::SnapshotChecks;
pub(crate) use encode::{EncodeFailure, Encoded, encode_event, encode_events};
pub(crate) use loaded::decode;
pub use loaded::{LoadError, Loaded};

/// Aggregates of one type in one store: load them, and run decisions on them.
///
/// [`by_id`](Self::by_id) gives an aggregate to decide on. A repository is cheap to clone.
#[derive(Clone)]
pub struct Repository<A: Aggregate>(Arc<Settings<A>>);

/// Each page costs a way to the store and back, but while the first is read nothing is folded, and while
/// the last is folded nothing is read.
const PAGE: PageLimit = PageLimit::events(1_000);

#[derive(Clone)]
struct Settings<A: Aggregate> {
    store: Store,
    snapshots: Option<Snapshots<A>>,
    cache: Option<Arc<Cache<A>>>,
    decides_from_cache: bool,
    sampling: Option<Sampling>,
    retry: Retry,
    environment: Environment,
    base: Metadata,
    page: PageLimit,
    counters: Arc<Counters>,
}

impl<A: Aggregate> Repository<A> {
    /// The aggregates of type `A` in `store`.
    pub fn new(store: impl Into<Store>) -> Self {
        Self(Arc::new(Settings {
            store: store.into(),
            snapshots: None,
            cache: None,
            decides_from_cache: false,
            sampling: None,
            retry: Retry::times(3),
            environment: Environment::default(),
            base: Metadata::default(),
            page: PAGE,
            counters: Counters::of(Some(A::TYPE)),
        }))
    }

    fn settings(&mut self) -> &mut Settings<A> {
        Arc::make_mut(&mut self.0)
    }

    /// The store that holds the aggregates.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    fn snapshots(&self) -> Option<&Snapshots<A>> {
        self.0.snapshots.as_ref()
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.0.environment
    }

    pub(crate) fn retry(&self) -> Retry {
        self.0.retry
    }

    pub(crate) fn counters(&self) -> &Arc<Counters> {
        &self.0.counters
    }

    /// How much of a stream is read at once.
    pub(crate) fn page(&self) -> PageLimit {
        self.0.page
    }

    /// The metadata that every event of every decision gets.
    pub(crate) fn base(&self) -> &Metadata {
        &self.0.base
    }

    /// How often decisions of this repository are tried again after a conflict, and after a failure
    /// that passes; three times unless it is set. A decision may say it otherwise.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.settings().retry = retry;
        self
    }

    /// Replaces the sources of ids, chance and time, and the runtime. A decision over several members
    /// goes by those of the first one's repository.
    #[must_use]
    pub fn with_environment(mut self, environment: Environment) -> Self {
        let settings = self.settings();
        if let Some(snapshots) = &mut settings.snapshots {
            snapshots.runtime.clone_from(&environment.runtime);
        }
        settings.environment = environment;
        self
    }

    /// Metadata for every event of every decision, where the event or the decision sets none.
    ///
    /// Fields that an earlier call set, such as the cause, are kept if they are absent in `metadata`.
    #[must_use]
    pub fn with_metadata(mut self, mut metadata: Metadata) -> Self {
        metadata.fill_from(self.base());
        self.settings().base = metadata;
        self
    }

    /// Makes `cause` the cause of every decision of this repository; see
    /// [`Decision::caused_by`](crate::execution::Decision::caused_by).
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Cause>) -> Self {
        set_cause(&mut self.settings().base, cause.into());
        self
    }

    /// How much of a stream is read at once: 1,000 events and 4 MiB, those of metadata too, unless it
    /// is set.
    ///
    /// While a page is folded the store reads the next one, so a load holds two of them.
    #[must_use]
    pub fn with_page_limit(mut self, page: PageLimit) -> Self {
        self.settings().page = page;
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
        let settings = self.settings();
        let runtime = settings.environment.runtime.clone();
        settings.snapshots = Snapshots::of(settings.store.capabilities(), every, runtime);
        match &mut settings.snapshots {
            Some(snapshots) => snapshots.sampling.clone_from(&settings.sampling),
            None => tracing::warn!(aggregate = A::TYPE, "the store keeps no snapshots"),
        }
        self
    }

    /// Keeps the states of so many aggregates in memory, those that were used last, and begins loads
    /// and decisions at them; 0 keeps none. All clones share them.
    ///
    /// It changes no answer: what follows in the stream is read each time, so what other processes
    /// wrote is seen, and where the stream has become another history, all of it is read.
    /// [`deciding_from_cache`](Self::deciding_from_cache) saves decisions that read, too. A load copies
    /// the state once, and a decision on one that was known twice, so it is for streams that are longer
    /// to read than to copy. The counters `es.state_cache.hits` and `es.state_cache.misses` of the
    /// `metrics` facade, by `es.aggregate.type`, tell how often a state was there to begin at.
    #[must_use]
    pub fn with_cache(mut self, aggregates: usize) -> Self {
        self.settings().cache = (aggregates > 0).then(|| Arc::new(Cache::holding(aggregates)));
        self
    }

    /// Has decisions begin at a [cached](Self::with_cache) state as it is, without reading first: the
    /// append expects the version of that state, so it is accepted only if nothing followed. With an
    /// idempotency key the append also finds what the key has recorded. A command is one call of the
    /// store then:
    ///
    /// ```
    /// # use es_core::{Aggregate, Event, Repository};
    /// # #[derive(Event)]
    /// # enum OrderEvent { OrderSeen }
    /// # #[derive(Clone, Default)]
    /// # struct Order;
    /// # impl Aggregate for Order {
    /// #     const TYPE: &'static str = "order";
    /// #     type Id = String;
    /// #     type Event = OrderEvent;
    /// #     fn evolve(&mut self, _: &OrderEvent) {}
    /// # }
    /// # async fn example(store: es_core::Store) -> Result<(), Box<dyn std::error::Error>> {
    /// let orders = Repository::<Order>::new(store).with_cache(10_000).deciding_from_cache();
    /// orders.by_id("o-1").decide(|_| OrderEvent::OrderSeen).await?; // reads, and appends
    /// orders.by_id("o-1").decide(|_| OrderEvent::OrderSeen).await?; // appends
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// It changes no answer either, because only an append that was accepted is one. Where the append
    /// is refused or has failed and written nothing, or the decision refuses, panics, expects something
    /// else or leaves a member without an event, the members are read and decided on again, as a first
    /// attempt: it is no [retry](Self::with_retry), and the function is called once more. The first call
    /// may see a state that is older than what its caller has seen. So it is for aggregates that one
    /// process writes, or nearly; where several write the same ones, each stale state costs an append in
    /// vain. The counter `es.decisions.unread` tells by `es.decision.unread.outcome` how many decisions
    /// were `answered` so, and how many were `read_for` after all.
    ///
    /// Decisions begin so only where the last event in the state is of an append of this repository,
    /// which the store has acknowledged, whether the state was kept or read again since: that is known
    /// of 16,384 streams at least. A member that must not exist has no state. The append compares
    /// a version and no history, so whether the store still has that event is for the store to notice:
    /// one that has become [another history](crate::backend::StoreErrorKind::Diverged) while it was open
    /// must refuse the append. es-sqlite does. es-postgres does where the newest event that it has seen
    /// is gone, and looks when a connection is new or has rested for a second. It notices neither a
    /// commit that was lost below the newest one, as a failover to an asynchronous replica can lose it,
    /// nor a log that is replaced under a connection that lives on: if another process has brought the
    /// stream to the same version by then, a decision on the lost event is accepted. Where that can
    /// happen, let decisions read.
    ///
    /// Loads, [prepared](crate::execution::Decision::prepare) decisions, decisions over members of which
    /// one cannot begin so, and all where there is no cache, read as ever.
    #[must_use]
    pub fn deciding_from_cache(mut self) -> Self {
        self.settings().decides_from_cache = true;
        self
    }

    /// Waits until every state that was to be kept is saved or dropped, for ten seconds at most; for
    /// the end of a program. Answers false if not all were saved.
    pub async fn flush_snapshots(&self) -> bool {
        match self.snapshots() {
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
        let settings = self.settings();
        settings.sampling = Some(Sampling::new(one_in));
        if let Some(snapshots) = &mut settings.snapshots {
            snapshots.sampling.clone_from(&settings.sampling);
        }
        self
    }

    /// What the checks of kept states have found so far; see
    /// [`checked_one_in`](Self::checked_one_in).
    pub fn snapshot_checks(&self) -> SnapshotChecks {
        self.0.sampling.as_ref().map_or_else(SnapshotChecks::default, Sampling::checks)
    }

    /// The aggregate with this id, to decide on. Nothing is read, and one that does not exist is
    /// decided on in its default state, unless it is [expected](Member::expecting) to exist.
    ///
    /// The id is given by reference, or as a text where it is made of one.
    pub fn by_id(&self, id: &(impl IdOf<A::Id> + ?Sized)) -> Member<A> {
        Member::new(self.clone(), Self::stream_of(id))
    }

    fn stream_of(id: &(impl IdOf<A::Id> + ?Sized)) -> Result<StreamId, InvalidStreamId> {
        StreamId::new(A::TYPE, &id.id_text())
    }

    /// The aggregate as it is now; one without events is `A::default()` at version 0.
    ///
    /// # Errors
    ///
    /// [`LoadError`] when the id is no id, an event cannot be read, or the store fails.
    pub async fn load(&self, id: &(impl IdOf<A::Id> + ?Sized)) -> Result<Loaded<A>, LoadError> {
        let known = self.now(&Self::stream_of(id)?, None).await?;
        self.remember(&known);
        Ok(known.into_loaded())
    }

    /// The aggregate as it was at a moment: after a version or all that there is if it has fewer
    /// events, or at an instant, after the prefix of its stream that ends before the first event
    /// recorded later.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub async fn load_at(
        &self,
        id: &(impl IdOf<A::Id> + ?Sized),
        moment: impl Into<Moment> + Send,
    ) -> Result<Loaded<A>, LoadError> {
        let read = ReadStream::new(Self::stream_of(id)?).limit(self.page());
        let read = match moment.into() {
            Moment::Start => read.to_version(StreamVersion::EMPTY),
            Moment::Version(version) => read.to_version(version),
            Moment::Instant(instant) => read.until(instant),
            Moment::Now => return self.load(id).await,
        };
        Ok(load_stream(&**self.store(), self.snapshots(), None, read).await?.into_loaded())
    }

    /// What is known, with what was recorded since.
    pub(crate) async fn now(
        &self,
        stream: &StreamId,
        known: Option<Known<A>>,
    ) -> Result<Known<A>, LoadError> {
        // one that was not looked at, or was empty, is no beginning
        let known = known.filter(|known| !known.version.is_empty());
        let known = known.or_else(|| self.0.cache.as_ref()?.get(stream));
        let read = ReadStream::new(stream.clone()).limit(self.page());
        load_stream(&**self.store(), self.snapshots(), known, read).await
    }

    /// The cache, if decisions may begin at what is there without reading.
    pub(crate) fn deciding_cache(&self) -> Option<&Cache<A>> {
        self.0.cache.as_deref().filter(|_| self.0.decides_from_cache)
    }

    /// Keeps it in memory, if anything is kept there.
    pub(crate) fn remember(&self, known: &Known<A>) {
        if let Some(cache) = &self.0.cache {
            cache.put(known);
        }
    }

    /// Keeps it in memory, and has the store keep it if it is time to since `before`.
    pub(crate) fn keep(&self, before: StreamVersion, known: &Known<A>) {
        if known.version > before
            && let Some(snapshots) = self.snapshots()
        {
            snapshots.keep(before, known, self.environment().clock.now());
        }
        self.remember(known);
    }

    /// The events of an aggregate, oldest first, each with what was recorded beside it: of a stored
    /// event that was split each part, and none of one whose name is retired.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load), within the stream.
    pub fn history(
        &self,
        id: &(impl IdOf<A::Id> + ?Sized),
    ) -> BoxStream<'static, Result<(RecordedEvent, A::Event), LoadError>> {
        let stream = match Self::stream_of(id) {
            Ok(stream) => stream,
            Err(error) => return Box::pin(iter([Err(error.into())])),
        };
        let (store, first) = (self.store().clone(), ReadStream::new(stream).limit(self.page()));
        let pages = try_unfold(Some(first), move |rest| {
            let store = store.clone();
            async move {
                let Some(read) = rest else { return Ok(None) };
                let page = store.read_stream(&read).await?;
                let rest = read.after(&page);
                let events = iter(page.events.into_iter().map(Ok::<_, LoadError>));
                Ok::<_, LoadError>(Some((events, rest)))
            }
        });
        let read = pages.try_flatten().map(|event| -> Result<_, LoadError> {
            let event = event?;
            let parts = match decode::<A::Event>(&event)? {
                Decoded::One(one) => vec![(event, one)],
                parts => parts.into_iter().map(|part| (event.clone(), part)).collect(),
            };
            Ok(iter(parts.into_iter().map(Ok::<_, LoadError>)))
        });
        Box::pin(read.try_flatten())
    }
}

pub(crate) fn set_cause(metadata: &mut Metadata, cause: Cause) {
    metadata.causation_id = Some(cause.event_id);
    metadata.correlation_id = Some(cause.correlation_id);
}

impl<A: Aggregate> fmt::Debug for Repository<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository").field("aggregate", &A::TYPE).finish_non_exhaustive()
    }
}
