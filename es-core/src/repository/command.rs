//! One command on its way: load, decide, append, and again after a conflict or a failure that passes.

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;

use futures_util::TryStreamExt;

use super::attempts::Attempts;
use super::encode::encode_events;
use super::error::ExecuteError;
use super::executed::Executed;
use super::load::{LoadError, Loaded, decode};
use super::{Repository, load_stream, set_cause};
use crate::aggregate::{Aggregate, IntoEvents};
use crate::append::{AppendError, AppendRequest, Appended, IdempotencyKey, KeyDifference};
use crate::envelope::Cause;
use crate::ext::EventStoreExt;
use crate::metadata::Metadata;
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

    /// Runs the command again on the new state after a conflict, and after a failure that passes and
    /// certainly wrote nothing, such as a read that failed; up to `retries` times.
    ///
    /// With an idempotency key this includes a lost answer: if none is found before all attempts are
    /// used up, the answer is that the outcome is unknown. Without this call a conflict is
    /// returned at once. Between attempts it waits on tokio's timer, which the runtime must have.
    pub fn retries(self, retries: u32) -> Self {
        self.retry(Retry::times(retries))
    }

    /// As [`retries`](Self::retries), with delays of your own.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Carries the command out only if the stream is at this version still: what a person saw when
    /// they decided, for example. Anything else is [`ExecuteError::Stale`], however many retries
    /// are allowed. What is to be created expects nothing else.
    pub fn expecting(mut self, version: StreamVersion) -> Self {
        if self.expected != Expected::Nothing {
            self.expected = Expected::Version(version);
        }
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
    /// An event of which nobody says what it belongs to (neither itself nor the command, repository or
    /// cause) gets the `correlation_id` of the first event of the append; that one gets its own id.
    ///
    /// Fields that an earlier call set are kept if they are absent in `metadata`.
    pub fn metadata(mut self, mut metadata: Metadata) -> Self {
        metadata.fill_from(&self.metadata);
        self.metadata = metadata;
        self
    }
}

impl<A, F, Ev, R> Command<'_, A, F, Ev, R>
where
    A: Aggregate,
    F: Fn(&A) -> Result<Ev, R> + Send + Sync,
    Ev: IntoEvents<A::Event>,
{
    async fn run(self) -> Result<Executed<A>, ExecuteError<R>> {
        let environment = &self.repository.environment;
        let mut attempts = Attempts::new(self.retry, self.key.is_some(), environment);
        let result = self.carry_out(&mut attempts).await;
        attempts.judge(result)
    }

    async fn carry_out(&self, attempts: &mut Attempts<'_>) -> Result<Executed<A>, ExecuteError<R>> {
        let stream = self.stream.clone().map_err(|error| ExecuteError::Invalid(error.into()))?;
        let mut base = self.metadata.clone();
        base.fill_from(&self.repository.base);
        loop {
            match self.attempt(&stream, &base).await {
                Err(error) => attempts.next(error).await?,
                done => return done,
            }
        }
    }

    /// Carries the command out once, or answers with what its key recorded.
    async fn attempt(
        &self,
        stream: &StreamId,
        base: &Metadata,
    ) -> Result<Executed<A>, ExecuteError<R>> {
        if let Some(first) = self.first_result(stream).await? {
            return self.repository.repeated(stream, first).await;
        }
        let done = self.decided(stream, base).await;
        if done.as_ref().is_err_and(ExecuteError::may_be_its_own_effect)
            && let Some(first) = self.first_result(stream).await?
        {
            return self.repository.repeated(stream, first).await;
        }
        done
    }

    /// Loads, decides and appends.
    async fn decided(
        &self,
        stream: &StreamId,
        base: &Metadata,
    ) -> Result<Executed<A>, ExecuteError<R>> {
        let repository = self.repository;
        let loaded = self.loaded(stream).await?;
        let decided = (self.decision)(&loaded.state).map_err(ExecuteError::Rejected)?;
        let events = decided.into_events();
        if events.is_empty() {
            return self.nothing_to_do(loaded).await;
        }
        let encoded = encode_events(&events, base.clone(), &mut None, &repository.environment)?;
        let correlation_id =
            encoded.new.last().and_then(|event| event.metadata.correlation_id.clone());
        let expected = match self.expected {
            Expected::Nothing => ExpectedVersion::NoStream,
            Expected::Anything | Expected::Version(_) => ExpectedVersion::Exact(loaded.version),
        };
        let mut request = AppendRequest::to(stream.clone(), expected, encoded.new);
        if let Some(key) = &self.key {
            request = request.with_key(key.clone());
        }
        match repository.store.append(request).await {
            Ok(appended) if appended.repeated => repository.repeated(stream, appended).await,
            Ok(appended) => {
                Ok(repository.executed(loaded, encoded.stored, appended, correlation_id))
            }
            Err(AppendError::Conflict(conflict)) => Err(self.conflict(conflict)),
            Err(error) => Err(error.into()),
        }
    }

    /// The aggregate as it is now, if it is what the caller expects.
    async fn loaded(&self, stream: &StreamId) -> Result<Loaded<A>, ExecuteError<R>> {
        if self.expected == Expected::Nothing {
            return Ok(Loaded::absent(stream.clone()));
        }
        let loaded = self.repository.load_now(stream).await?;
        if let Expected::Version(expected) = self.expected
            && loaded.version != expected
        {
            let (stream, actual) = (stream.clone(), loaded.version);
            return Err(ExecuteError::Stale { stream, expected, actual });
        }
        Ok(loaded)
    }

    /// The answer to a decision without events.
    async fn nothing_to_do(&self, loaded: Loaded<A>) -> Result<Executed<A>, ExecuteError<R>> {
        let mut loaded = loaded;
        if self.expected == Expected::Nothing {
            // nothing was appended, so nobody has checked yet that there is no stream
            loaded = self.repository.load_now(&loaded.stream).await?;
            if !loaded.version.is_empty() {
                let Loaded { stream, version, .. } = loaded;
                return Err(ExecuteError::Exists { stream, version });
            }
        }
        let Loaded { state, version, .. } = loaded;
        let (events, correlation_id) = (Vec::new(), None);
        Ok(Executed { state, version, events, appended: None, correlation_id })
    }

    /// A conflict with what the caller expected is final.
    fn conflict(&self, conflict: Conflict) -> ExecuteError<R> {
        match self.expected {
            Expected::Anything => ExecuteError::Conflict(conflict),
            Expected::Nothing => {
                ExecuteError::Exists { stream: conflict.stream, version: conflict.actual }
            }
            Expected::Version(expected) => {
                let Conflict { stream, actual, .. } = conflict;
                ExecuteError::Stale { stream, expected, actual }
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
                events.extend(decode::<A::Event>(&event)?);
            }
        }
        Ok(Executed { state, version, events, appended: Some(first), correlation_id })
    }

    fn executed(
        &self,
        loaded: Loaded<A>,
        events: Vec<A::Event>,
        appended: Appended,
        correlation_id: Option<String>,
    ) -> Executed<A> {
        let Loaded { stream, version: before, mut state } = loaded;
        for event in &events {
            state.evolve(event);
        }
        let version = before.plus(events.len() as u64);
        self.keep(&stream, before, &appended, &state);
        Executed { state, version, events, appended: Some(appended), correlation_id }
    }

    /// Has the state kept if it is time to.
    pub(crate) fn keep(
        &self,
        stream: &StreamId,
        before: StreamVersion,
        appended: &Appended,
        state: &A,
    ) {
        let last = appended.stream(stream).and_then(|part| part.events.last());
        if let (Some(snapshots), Some(last)) = (&self.snapshots, last) {
            snapshots.keep(stream, before, last, state, self.environment.clock.now());
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
