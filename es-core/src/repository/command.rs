//! One command on its way: load, decide, append, and again after a conflict.

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;

use super::load::{LoadError, Loaded};
use super::{Repository, load_stream, set_cause};
use crate::aggregate::{Aggregate, IntoEvents};
use crate::append::KeyDifference;
use crate::append::{AppendError, AppendRequest, Appended, IdempotencyKey, InvalidRequest};
use crate::envelope::{EventId, NewEvent, RecordedEvent};
use crate::environment::Environment;
use crate::error::StoreError;
use crate::event::{EncodeError, Event};
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
    must_be_new: bool,
    retry: Retry,
    key: Option<IdempotencyKey>,
    metadata: Metadata,
    types: PhantomData<fn() -> (Ev, R)>,
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
        must_be_new: bool,
    ) -> Self {
        Self {
            repository,
            stream,
            decision,
            must_be_new,
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

    /// Names what is done, so that a repeat does nothing and is answered with the first result.
    ///
    /// The key is looked up before the decision is run. A decision without events records none.
    pub fn idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Records `cause` as the cause of the events, and passes its correlation on.
    ///
    /// A cause without correlation id starts one: its own event id.
    pub fn caused_by(mut self, cause: &RecordedEvent) -> Self {
        set_cause(&mut self.metadata, cause);
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
    /// The decided events; empty if everything was already so, and for a repeat.
    pub events: Vec<A::Event>,
    /// Where the events were recorded; `None` if there were none. For a repeat, where the first
    /// command's events were recorded.
    pub appended: Option<Appended>,
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
    /// A decided event cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
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

/// Turns decided events into storable ones: ids, schema versions, and metadata from `base`.
pub(crate) fn encode_events<E: Event>(
    events: &[E],
    base: &Metadata,
    environment: &Environment,
) -> Result<Vec<NewEvent>, EncodeError> {
    let encode = |event: &E| {
        let kind = event.event_type();
        let mut metadata = Metadata::default();
        let payload = event.encode(&mut metadata)?;
        metadata.event_version = Some(EventVersion::new(kind.schema_version));
        metadata.fill_from(base);
        let event_id = environment.event_ids.next_id();
        Ok(NewEvent::new(event_id, kind.name, payload).with_metadata(metadata))
    };
    events.iter().map(encode).collect()
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
            let loaded = match self.must_be_new {
                true => Loaded {
                    stream: stream.clone(),
                    version: StreamVersion::EMPTY,
                    state: A::default(),
                },
                false => repository.load_now(&stream).await?,
            };
            let decided = (self.decision)(&loaded.state).map_err(ExecuteError::Rejected)?;
            let events = decided.into_events();
            if events.is_empty() {
                let Loaded { state, version, .. } = loaded;
                return Ok(Executed { state, version, events, appended: None });
            }
            let new = encode_events(&events, &base, &repository.environment)?;
            let expected = ExpectedVersion::Exact(loaded.version);
            let mut request = AppendRequest::to(stream.clone(), expected, new);
            if let Some(key) = &self.key {
                request = request.with_key(key.clone());
            }
            match repository.store.append(request).await {
                // the same command won a race: its events are not ours to fold
                Ok(appended) if appended.repeated => {
                    let Loaded { state, version, .. } = repository.load_now(&stream).await?;
                    let appended = Some(appended);
                    return Ok(Executed { state, version, events: Vec::new(), appended });
                }
                Ok(appended) => return Ok(repository.executed(loaded, events, appended)),
                Err(error) => {
                    // the same command may have won a race between our look-up and our append
                    if matches!(error, AppendError::Conflict(_) | AppendError::KeyReused { .. })
                        && let Some(first) = self.first_result(&stream).await?
                    {
                        return repository.repeated(&stream, first).await;
                    }
                    if self.must_be_new && matches!(error, AppendError::Conflict(_)) {
                        return Err(error.into());
                    }
                    let keyed = self.key.is_some();
                    next_attempt(error, &mut attempt, &self.retry, keyed, &repository.environment)
                        .await?;
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
    async fn load_now(&self, stream: &StreamId) -> Result<Loaded<A>, LoadError> {
        let read = ReadStream::new(stream.clone()).limit(self.page);
        load_stream(&*self.store, self.snapshots.as_ref(), read).await
    }

    /// The answer to a repeat: the first result, and the state as it is now.
    async fn repeated<R>(
        &self,
        stream: &StreamId,
        first: Appended,
    ) -> Result<Executed<A>, ExecuteError<R>> {
        let Loaded { state, version, .. } = self.load_now(stream).await?;
        Ok(Executed { state, version, events: Vec::new(), appended: Some(first) })
    }

    fn executed(
        &self,
        loaded: Loaded<A>,
        events: Vec<A::Event>,
        appended: Appended,
    ) -> Executed<A> {
        let Loaded { stream, version: before, mut state } = loaded;
        for event in &events {
            state.evolve(event);
        }
        let version = before.plus(events.len() as u64);
        if let Some(snapshots) = &self.snapshots {
            snapshots.keep(&stream, before, version, &state, self.environment.clock.now());
        }
        Executed { state, version, events, appended: Some(appended) }
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
