//! One command on its way: load, decide, append, and again after a conflict.

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;

use futures_util::TryStreamExt;

use super::load::{LoadError, Loaded, decode};
use super::{Repository, load_stream, set_cause};
use crate::aggregate::{Aggregate, IntoEvents};
use crate::append::KeyDifference;
use crate::append::{AppendError, AppendRequest, Appended, IdempotencyKey, InvalidRequest};
use crate::envelope::{Cause, EventId, NewEvent};
use crate::environment::Environment;
use crate::error::StoreError;
use crate::event::{DecodeError, EncodeError, Event, StoredEvent};
use crate::ext::EventStoreExt;
use crate::metadata::{EventVersion, Metadata};
use crate::read::ReadStream;
use crate::retry::Retry;
use crate::stream::{InvalidStreamId, StreamId};
use crate::version::{Conflict, ExpectedVersion, StreamVersion};

/// A decision to be run on one aggregate; await it.
///
/// # Cancellation
///
/// Dropping the future before it is done leaves the outcome unknown, as a lost answer does: with an
/// idempotency key the same command can be sent again.
#[must_use = "a command does nothing unless it is awaited"]
pub struct Command<'r, A: Aggregate, F, Ev, R> {
    repository: &'r Repository<A>,
    stream: Result<StreamId, InvalidStreamId>,
    decision: F,
    expected: Expected,
    retry: Retry,
    key: Option<IdempotencyKey>,
    metadata: Metadata,
    types: PhantomData<fn() -> (Ev, R)>,
}

/// What the caller knows of the stream before it is loaded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Expected {
    Anything,
    Nothing,
    Version(StreamVersion),
}

impl<A: Aggregate, F, Ev, R> std::fmt::Debug for Command<'_, A, F, Ev, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Command").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl<'r, A: Aggregate, F, Ev, R> Command<'r, A, F, Ev, R> {
    pub(super) fn new(
        repository: &'r Repository<A>,
        stream: Result<StreamId, InvalidStreamId>,
        decision: F,
        expected: Expected,
    ) -> Self {
        Self {
            repository,
            stream,
            decision,
            expected,
            retry: Retry::NONE,
            key: None,
            metadata: Metadata::default(),
            types: PhantomData,
        }
    }

    /// Runs the decision again on the new state after a conflict, up to `retries` times.
    ///
    /// With an idempotency key this includes a lost answer. Without this call a conflict is
    /// returned at once.
    pub fn retries(self, retries: u32) -> Self {
        self.retry(Retry::times(retries))
    }

    /// As [`retries`](Self::retries), with delays of your own.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Carries the command out only if the stream is at this version still: what a person saw when
    /// they decided, for example. Anything else is a conflict, however many retries are allowed.
    pub fn expecting(mut self, version: StreamVersion) -> Self {
        self.expected = Expected::Version(version);
        self
    }

    /// Names what is done, so that a repeat does nothing and is answered with the first result.
    ///
    /// The key is looked up before the decision is run, so a repeat is answered without deciding:
    /// the key alone says that it is the same command. A key that is used for another command by
    /// mistake is therefore answered as a repeat, too; compare [`Executed::events`], which are then
    /// the first command's. Keys belong to a stream: on another one, the same text is another key.
    /// A decision without events records none.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use es_core::{Aggregate, Event, EventStore, IdempotencyKey, Repository};
    /// # #[derive(Event)]
    /// # enum OrderEvent { OrderPaid { cents: u64 } }
    /// # #[derive(Default)]
    /// # struct Order;
    /// # impl Aggregate for Order {
    /// #     const TYPE: &'static str = "order";
    /// #     type Id = String;
    /// #     type Event = OrderEvent;
    /// #     fn evolve(&mut self, _: &OrderEvent) {}
    /// # }
    /// # async fn example(orders: Repository<Order>) -> Result<(), Box<dyn std::error::Error>> {
    /// let paid = orders
    ///     .record(&"o-1".to_owned(), |_| OrderEvent::OrderPaid { cents: 700 })
    ///     .idempotency_key(IdempotencyKey::new("payment/p-17")?)
    ///     .retries(3)
    ///     .await?;
    /// if paid.is_repeat() {
    ///     println!("payment p-17 was recorded before: {} events", paid.events.len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Records `cause` as the cause of the events, and passes its correlation on.
    ///
    /// The cause is a [`RecordedEvent`](crate::RecordedEvent), or what [`Executed::cause`] answers.
    pub fn caused_by(mut self, cause: impl Into<Cause>) -> Self {
        set_cause(&mut self.metadata, cause.into());
        self
    }

    /// Metadata for every event of this command, where the event itself sets none.
    ///
    /// Fields that an earlier call set are kept if they are absent in `metadata`.
    pub fn metadata(mut self, mut metadata: Metadata) -> Self {
        metadata.fill_from(&self.metadata);
        self.metadata = metadata;
        self
    }
}

/// The answer to a command that was carried out.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Executed<A: Aggregate> {
    /// The state with the decided events in it; for a repeat, the state as it is now.
    pub state: A,
    /// How many events are in the state.
    pub version: StreamVersion,
    /// The events as they were recorded; empty if everything was already so. For a repeat, those of
    /// the first command.
    pub events: Vec<A::Event>,
    /// Where the events were recorded; `None` if there were none.
    pub appended: Option<Appended>,
    correlation_id: Option<String>,
}

impl<A: Aggregate> Executed<A> {
    /// True if the idempotency key was recorded before: nothing was decided or written now.
    pub fn is_repeat(&self) -> bool {
        self.appended.as_ref().is_some_and(|appended| appended.repeated)
    }

    /// The last of the events as the cause of what follows from it; `None` if there were none.
    pub fn cause(&self) -> Option<Cause> {
        let stream = self.appended.as_ref()?.streams.first()?;
        Some(Cause::new(stream.events.last()?.event_id, self.correlation_id.clone()))
    }
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecuteError<R> {
    /// The domain refused: an answer, not a failure.
    #[error("rejected: {0}")]
    Rejected(R),
    /// Another writer was faster, and no retry was left.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The events of the aggregate could not be loaded.
    #[error(transparent)]
    Load(LoadError),
    /// The aggregate was to be created, and exists.
    #[error("{stream} exists already, at version {version}")]
    Exists {
        /// The stream.
        stream: StreamId,
        /// Its version.
        version: StreamVersion,
    },
    /// A decided event cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A decided event could be written, but not read back; nothing was written.
    ///
    /// A number that is not finite becomes `null`, for example, and a field that lives in the
    /// metadata may have got a value of another type from the command's metadata.
    #[error("event `{event_type}` could not be read back after writing, so nothing was written")]
    Unreadable {
        /// The stored name of the event.
        event_type: &'static str,
        /// What does not fit.
        #[source]
        source: DecodeError,
    },
    /// The command asks for something that no store takes.
    #[error(transparent)]
    Invalid(InvalidRequest),
    /// The idempotency key was used for another unit of work that touched this stream.
    #[error(
        "idempotency key `{key}` was used on stream {stream} for another request: {difference}"
    )]
    KeyReused {
        /// The key.
        key: IdempotencyKey,
        /// The stream under which the key was found.
        stream: StreamId,
        /// What differs.
        difference: KeyDifference,
    },
    /// The source of event ids gave one that is in the store already.
    #[error("event id {event_id} is in the store already; the source of event ids repeats itself")]
    DuplicateEvent {
        /// The id.
        event_id: EventId,
    },
    /// The store failed; see [`StoreError::is_outcome_unknown`].
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<R> From<LoadError> for ExecuteError<R> {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::InvalidId(invalid) => Self::Invalid(invalid.into()),
            LoadError::Store(error) => Self::Store(error),
            other => Self::Load(other),
        }
    }
}

impl<R> From<AppendError> for ExecuteError<R> {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Conflict(conflict) => Self::Conflict(conflict),
            AppendError::DuplicateEvent { event_id } => Self::DuplicateEvent { event_id },
            AppendError::KeyReused { key, stream, difference } => {
                Self::KeyReused { key, stream, difference }
            }
            AppendError::Invalid(invalid) => Self::Invalid(invalid),
            AppendError::Store(error) => Self::Store(error),
        }
    }
}

impl<R> ExecuteError<R> {
    /// True if the same command may succeed when it is sent again: after a conflict, or after a
    /// failure that passes and certainly wrote nothing.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Conflict(_) => true,
            Self::Store(error) => error.is_transient(),
            _ => false,
        }
    }

    /// True if the events may have been written although no answer came.
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_outcome_unknown())
    }
}

/// Decided events, ready to be stored, and as they will be read back.
pub(crate) struct Encoded<E> {
    pub(crate) new: Vec<NewEvent>,
    pub(crate) stored: Vec<E>,
}

/// Why a decided event cannot be stored.
pub(crate) enum EncodeFailure {
    Encode(EncodeError),
    Unreadable { event_type: &'static str, source: DecodeError },
}

impl<R> From<EncodeFailure> for ExecuteError<R> {
    fn from(failure: EncodeFailure) -> Self {
        match failure {
            EncodeFailure::Encode(error) => Self::Encode(error),
            EncodeFailure::Unreadable { event_type, source } => {
                Self::Unreadable { event_type, source }
            }
        }
    }
}

/// Turns decided events into storable ones: ids, schema versions, and metadata from `base`.
///
/// Each is read back at once: an event that was acknowledged must never make its aggregate
/// unreadable, and the state that a command answers with must be the one that a load gives.
pub(crate) fn encode_events<E: Event>(
    events: &[E],
    base: &Metadata,
    environment: &Environment,
) -> Result<Encoded<E>, EncodeFailure> {
    let mut encoded = Encoded { new: Vec::new(), stored: Vec::new() };
    for event in events {
        let kind = event.event_type();
        let mut metadata = Metadata::default();
        let payload = event.encode(&mut metadata).map_err(EncodeFailure::Encode)?;
        metadata.event_version = Some(EventVersion::new(kind.schema_version));
        metadata.fill_from(base);
        let stored = E::decode(StoredEvent {
            event_type: kind.name,
            schema_version: kind.schema_version,
            payload: payload.as_raw(),
            metadata: &metadata,
        });
        let event_type = kind.name;
        let unreadable = |source| EncodeFailure::Unreadable { event_type, source };
        encoded.stored.push(stored.map_err(unreadable)?);
        let event_id = environment.event_ids.next_id();
        encoded.new.push(NewEvent::new(event_id, kind.name, payload).with_metadata(metadata));
    }
    Ok(encoded)
}

/// Waits before the next attempt if `error` allows one and one is left; else gives the error back.
///
/// A lost answer allows one only under an idempotency key.
pub(crate) async fn next_attempt(
    error: AppendError,
    attempt: &mut u32,
    retry: &Retry,
    keyed: bool,
    environment: &Environment,
) -> Result<(), AppendError> {
    let again = match &error {
        AppendError::Conflict(_) => true,
        AppendError::Store(error) => keyed && (error.is_outcome_unknown() || error.is_transient()),
        _ => false,
    };
    if !again || *attempt >= retry.retries {
        return Err(error);
    }
    *attempt += 1;
    let delay = retry.delay(*attempt, environment.jitter.fraction());
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    Ok(())
}

impl<A, F, Ev, R> Command<'_, A, F, Ev, R>
where
    A: Aggregate,
    F: Fn(&A) -> Result<Ev, R> + Send + Sync,
    Ev: IntoEvents<A::Event>,
{
    async fn run(self) -> Result<Executed<A>, ExecuteError<R>> {
        let repository = self.repository;
        let stream = self.stream.clone().map_err(|error| ExecuteError::Invalid(error.into()))?;
        let mut base = self.metadata.clone();
        base.fill_from(&repository.base);
        let mut attempt = 0;
        loop {
            if let Some(first) = self.first_result(&stream).await? {
                return repository.repeated(&stream, first).await;
            }
            let loaded = match self.expected {
                Expected::Nothing => Loaded::absent(stream.clone()),
                Expected::Anything | Expected::Version(_) => repository.load_now(&stream).await?,
            };
            if let Expected::Version(version) = self.expected {
                ExpectedVersion::Exact(version).check(&stream, loaded.version)?;
            }
            let decided = (self.decision)(&loaded.state).map_err(ExecuteError::Rejected)?;
            let events = decided.into_events();
            if events.is_empty() {
                return Ok(repository.executed(loaded, events, None, &base));
            }
            let encoded = encode_events(&events, &base, &repository.environment)?;
            let expected = match self.expected {
                Expected::Nothing => ExpectedVersion::NoStream,
                Expected::Anything | Expected::Version(_) => ExpectedVersion::Exact(loaded.version),
            };
            let mut request = AppendRequest::to(stream.clone(), expected, encoded.new);
            if let Some(key) = &self.key {
                request = request.with_key(key.clone());
            }
            match repository.store.append(request).await {
                Ok(appended) if appended.repeated => {
                    return repository.repeated(&stream, appended).await;
                }
                Ok(appended) => {
                    return Ok(repository.executed(loaded, encoded.stored, Some(appended), &base));
                }
                Err(error) => {
                    // the same command may have won a race between our look-up and our append
                    if matches!(error, AppendError::Conflict(_) | AppendError::KeyReused { .. })
                        && let Some(first) = self.first_result(&stream).await?
                    {
                        return repository.repeated(&stream, first).await;
                    }
                    match (error, self.expected) {
                        (
                            AppendError::Conflict(Conflict { stream, actual, .. }),
                            Expected::Nothing,
                        ) => {
                            return Err(ExecuteError::Exists { stream, version: actual });
                        }
                        (AppendError::Conflict(conflict), Expected::Version(_)) => {
                            return Err(conflict.into());
                        }
                        (error, _) => {
                            let keyed = self.key.is_some();
                            let environment = &repository.environment;
                            next_attempt(error, &mut attempt, &self.retry, keyed, environment)
                                .await?;
                        }
                    }
                }
            }
        }
    }

    /// What the key recorded under the stream, if there is a key and it did.
    ///
    /// A first request that touched other streams as well was another request.
    async fn first_result(&self, stream: &StreamId) -> Result<Option<Appended>, ExecuteError<R>> {
        let Some(key) = &self.key else {
            return Ok(None);
        };
        let first = self.repository.store.find_append(stream, key).await?;
        if first.as_ref().is_some_and(|first| first.streams.len() > 1) {
            return Err(ExecuteError::KeyReused {
                key: key.clone(),
                stream: stream.clone(),
                difference: KeyDifference::Streams,
            });
        }
        Ok(first)
    }
}

impl<A: Aggregate> Repository<A> {
    pub(crate) async fn load_now(&self, stream: &StreamId) -> Result<Loaded<A>, LoadError> {
        let read = ReadStream::new(stream.clone()).limit(self.page);
        load_stream(&*self.store, self.snapshots.as_ref(), read).await
    }

    /// The answer to a repeat: the first result, its events, and the state as it is now.
    async fn repeated<R>(
        &self,
        stream: &StreamId,
        first: Appended,
    ) -> Result<Executed<A>, ExecuteError<R>> {
        let Loaded { state, version, .. } = self.load_now(stream).await?;
        let mut events = Vec::new();
        let mut correlation_id = None;
        let receipts = first.stream(stream).map_or(&[][..], |part| &part.events);
        if let (Some(from), Some(to)) = (receipts.first(), receipts.last()) {
            let read = ReadStream::new(stream.clone())
                .from_version(from.version)
                .to_version(to.version)
                .limit(self.page);
            let mut recorded = self.store.events(read);
            while let Some(event) = recorded.try_next().await? {
                correlation_id.clone_from(&event.metadata.correlation_id);
                events.push(decode(&event)?);
            }
        }
        Ok(Executed { state, version, events, appended: Some(first), correlation_id })
    }

    fn executed(
        &self,
        loaded: Loaded<A>,
        events: Vec<A::Event>,
        appended: Option<Appended>,
        base: &Metadata,
    ) -> Executed<A> {
        let Loaded { stream, version: before, mut state } = loaded;
        for event in &events {
            state.evolve(event);
        }
        let version = before.plus(events.len() as u64);
        self.keep(&stream, before, version, &state);
        let correlation_id = base.correlation_id.clone();
        Executed { state, version, events, appended, correlation_id }
    }

    /// Has the state kept if it is time to.
    pub(crate) fn keep(
        &self,
        stream: &StreamId,
        before: StreamVersion,
        now: StreamVersion,
        state: &A,
    ) {
        if let Some(snapshots) = &self.snapshots {
            snapshots.keep(stream, before, now, state, self.environment.clock.now());
        }
    }
}

impl<'r, A, F, Ev, R> IntoFuture for Command<'r, A, F, Ev, R>
where
    A: Aggregate,
    F: Fn(&A) -> Result<Ev, R> + Send + Sync + 'r,
    Ev: IntoEvents<A::Event> + 'r,
    R: Send + 'r,
{
    type Output = Result<Executed<A>, ExecuteError<R>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'r>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
