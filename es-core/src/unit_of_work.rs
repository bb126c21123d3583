//! One decision over several aggregates, written all or none.

mod members;

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;

use crate::aggregate::Aggregate;
use crate::append::{AppendRequest, Appended, IdempotencyKey, InvalidRequest, KeyDifference};
use crate::envelope::{Cause, NewEvent};
use crate::environment::Environment;
use crate::metadata::Metadata;
use crate::repository::{Attempts, ExecuteError, Repository, set_cause};
use crate::retry::Retry;
use crate::store::Store;
use crate::stream::StreamId;
use crate::version::ExpectedVersion;

use members::{Encoding, EncodingFailure, Evolving, Failure, LoadedVersions, Loading, Naming};
pub use members::{Member, Members};

/// Runs one decision over several aggregates of one store, and appends its events atomically.
///
/// ```
/// # use es_core::{Aggregate, Event, Member, Store, UnitOfWork};
/// #[derive(Event)]
/// enum AccountEvent { MoneyDeposited { amount: u64 }, MoneyWithdrawn { amount: u64 } }
///
/// #[derive(Clone, Default)]
/// struct Account { balance: u64 }
///
/// impl Aggregate for Account {
///     const TYPE: &'static str = "account";
///     type Id = String;
///     type Event = AccountEvent;
///     fn evolve(&mut self, event: &AccountEvent) {
///         match event {
///             AccountEvent::MoneyDeposited { amount } => self.balance += amount,
///             AccountEvent::MoneyWithdrawn { amount } => self.balance -= amount,
///         }
///     }
/// }
///
/// # async fn example(store: Store) -> Result<(), Box<dyn std::error::Error>> {
/// let (from, to) = (Member::<Account>::new("a".into()), Member::<Account>::new("b".into()));
/// UnitOfWork::new(store)
///     .decide((from, to), |(from, _)| match from.balance {
///         0..50 => Err("not enough money"),
///         _ => Ok((
///             vec![AccountEvent::MoneyWithdrawn { amount: 50 }],
///             vec![AccountEvent::MoneyDeposited { amount: 50 }],
///         )),
///     })
///     .retries(3)
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct UnitOfWork {
    store: Store,
    environment: Environment,
}

impl std::fmt::Debug for UnitOfWork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnitOfWork").finish_non_exhaustive()
    }
}

impl UnitOfWork {
    /// Units of work on `store`. Members of repositories must be of the [same](Store::is) store;
    /// [`Repository::unit_of_work`] sees to that.
    pub fn new(store: impl Into<Store>) -> Self {
        Self { store: store.into(), environment: Environment::default() }
    }

    /// Replaces the sources of ids and chance.
    #[must_use]
    pub fn with_environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// Runs `decision` on the states of `members`: tuples of [`Member`]s, `Vec`s of them, or both, as
    /// in `(Member<Order>, Vec<Member<Stock>>)`.
    ///
    /// The decision gets the states and answers with the events in the same shape, a `Vec` for each
    /// member. It is run again after a conflict, so it must be pure. Only members that get events
    /// are written and so checked: one that was only looked at may have changed meanwhile.
    pub fn decide<'u, M, F, R>(&self, members: M, decision: F) -> Decision<'u, M, F, R>
    where
        M: Members,
        F: Fn(&M::States) -> Result<M::Events, R> + Send + Sync,
    {
        Decision {
            unit: self.clone(),
            members,
            decision,
            retry: Retry::NONE,
            key: None,
            metadata: Metadata::default(),
            borrowed: PhantomData,
            rejection: PhantomData,
        }
    }
}

impl<A: Aggregate> Repository<A> {
    /// Units of work on this repository's store, with its sources of ids and chance.
    pub fn unit_of_work(&self) -> UnitOfWork {
        UnitOfWork { store: self.store().clone(), environment: self.environment().clone() }
    }
}

/// A decision over several aggregates; await it.
///
/// # Cancellation
///
/// As [`Command`](crate::Command).
#[must_use = "a decision does nothing unless it is awaited"]
pub struct Decision<'u, M, F, R> {
    unit: UnitOfWork,
    members: M,
    decision: F,
    retry: Retry,
    key: Option<IdempotencyKey>,
    metadata: Metadata,
    /// The lifetime of what the decision borrows.
    borrowed: PhantomData<&'u ()>,
    rejection: PhantomData<fn() -> R>,
}

impl<M, F, R> std::fmt::Debug for Decision<'_, M, F, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decision").field("key", &self.key).finish_non_exhaustive()
    }
}

impl<M, F, R> Decision<'_, M, F, R> {
    /// As [`Command::retries`](crate::Command::retries).
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
    /// The key is recorded under each stream that gets events, and looked up under each member's. A
    /// recorded append that touched streams of other aggregates is another command; one that
    /// touched some of these members only is taken for the same.
    pub fn idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.key = Some(key);
        self
    }

    /// As [`Command::caused_by`](crate::Command::caused_by).
    pub fn caused_by(mut self, cause: impl Into<Cause>) -> Self {
        set_cause(&mut self.metadata, cause.into());
        self
    }

    /// As [`Command::metadata`](crate::Command::metadata).
    pub fn metadata(mut self, mut metadata: Metadata) -> Self {
        metadata.fill_from(&self.metadata);
        self.metadata = metadata;
        self
    }
}

/// The answer to a unit of work that was carried out.
#[derive(Debug)]
#[non_exhaustive]
pub struct ExecutedUnit<M: Members> {
    /// The states with the decided events in them; for a repeat, the states as they are now.
    pub states: M::States,
    /// The events as they were recorded; `None` for a repeat.
    pub events: Option<M::Events>,
    /// Where the events were recorded; `None` if the decision had none for anybody.
    pub appended: Option<Appended>,
}

impl<M: Members> ExecutedUnit<M> {
    /// True if the idempotency key was recorded before: nothing was decided or written now.
    pub fn is_repeat(&self) -> bool {
        self.appended.as_ref().is_some_and(|appended| appended.repeated)
    }
}

impl<M, F, R> Decision<'_, M, F, R>
where
    M: Members,
    F: Fn(&M::States) -> Result<M::Events, R> + Send + Sync,
{
    async fn run(self) -> Result<ExecutedUnit<M>, ExecuteError<R>> {
        let mut attempts = Attempts::new(self.retry, self.key.is_some(), &self.unit.environment);
        let result = self.carry_out(&mut attempts).await;
        attempts.judge(result)
    }

    async fn carry_out(
        &self,
        attempts: &mut Attempts<'_>,
    ) -> Result<ExecutedUnit<M>, ExecuteError<R>> {
        let store = &self.unit.store;
        let mut naming = Naming { store, streams: Vec::new() };
        self.members.name(&mut naming).map_err(ExecuteError::Invalid)?;
        let streams = naming.streams;
        let twice = streams.iter().enumerate().find(|(at, stream)| streams[..*at].contains(stream));
        if let Some((_, stream)) = twice {
            let stream = stream.clone();
            return Err(ExecuteError::Invalid(InvalidRequest::StreamTwice { stream }));
        }
        loop {
            match self.attempt(&streams).await {
                Err(error) => attempts.next(error).await?,
                done => return done,
            }
        }
    }

    /// Carries the unit out once, or answers with what its key recorded.
    async fn attempt(&self, streams: &[StreamId]) -> Result<ExecutedUnit<M>, ExecuteError<R>> {
        if let Some(first) = self.first_result(streams).await? {
            return self.repeated(streams, first).await;
        }
        let done = self.decided(streams).await;
        if done.as_ref().is_err_and(ExecuteError::may_be_its_own_effect)
            && let Some(first) = self.first_result(streams).await?
        {
            return self.repeated(streams, first).await;
        }
        done
    }

    /// Loads, decides and appends.
    async fn decided(&self, streams: &[StreamId]) -> Result<ExecutedUnit<M>, ExecuteError<R>> {
        let UnitOfWork { store, environment } = &self.unit;
        let (mut states, loaded) = self.load(streams).await?;
        let events = (self.decision)(&states).map_err(ExecuteError::Rejected)?;
        let base = &self.metadata;
        let mut encoding = Encoding { base, root: None, environment, lists: Vec::new() };
        let events = self.members.encode(events, &mut encoding).map_err(told)?;
        let Some(request) = request(&loaded, encoding.lists, self.key.as_ref()) else {
            return Ok(ExecutedUnit { states, events: Some(events), appended: None });
        };
        let appended = store.append(request).await?;
        if appended.repeated {
            return self.repeated(streams, appended).await;
        }
        let mut evolving = Evolving { loaded, appended: &appended };
        self.members.evolve(&mut states, &events, &mut evolving);
        Ok(ExecutedUnit { states, events: Some(events), appended: Some(appended) })
    }

    async fn load(
        &self,
        streams: &[StreamId],
    ) -> Result<(M::States, LoadedVersions), ExecuteError<R>> {
        let store = &self.unit.store;
        let loaded = LoadedVersions::new();
        let mut loading = Loading { store, loaded, streams: streams.iter() };
        let states = self.members.load(&mut loading).await?;
        Ok((states, loading.loaded))
    }

    /// The answer to a repeat: the first result, and the states as they are now.
    async fn repeated(
        &self,
        streams: &[StreamId],
        first: Appended,
    ) -> Result<ExecutedUnit<M>, ExecuteError<R>> {
        let (states, _) = self.load(streams).await?;
        Ok(ExecutedUnit { states, events: None, appended: Some(first) })
    }

    async fn first_result(
        &self,
        streams: &[StreamId],
    ) -> Result<Option<Appended>, ExecuteError<R>> {
        let Some(key) = &self.key else {
            return Ok(None);
        };
        for stream in streams {
            let Some(first) = self.unit.store.find_append(stream, key).await? else {
                continue;
            };
            if first.streams.iter().all(|part| streams.contains(&part.stream)) {
                return Ok(Some(first));
            }
            return Err(ExecuteError::KeyReused {
                key: key.clone(),
                stream: stream.clone(),
                difference: KeyDifference::Streams,
            });
        }
        Ok(None)
    }
}

impl<'u, M, F, R> IntoFuture for Decision<'u, M, F, R>
where
    M: Members + 'u,
    F: Fn(&M::States) -> Result<M::Events, R> + Send + Sync + 'u,
    R: Send + 'u,
{
    type Output = Result<ExecutedUnit<M>, ExecuteError<R>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'u>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// The append of all members that got events; `None` if there are none.
fn request(
    loaded: &LoadedVersions,
    lists: Vec<Vec<NewEvent>>,
    key: Option<&IdempotencyKey>,
) -> Option<AppendRequest> {
    let mut parts = loaded.iter().zip(lists).filter(|(_, events)| !events.is_empty()).map(
        |((stream, version), events)| (stream.clone(), ExpectedVersion::Exact(*version), events),
    );
    let (stream, expected, events) = parts.next()?;
    let mut request = AppendRequest::to(stream, expected, events);
    for (stream, expected, events) in parts {
        request = request.and(stream, expected, events);
    }
    Some(match key {
        Some(key) => request.with_key(key.clone()),
        None => request,
    })
}

fn told<R>(EncodingFailure(failure): EncodingFailure) -> ExecuteError<R> {
    match failure {
        Failure::Event(failure) => failure.into(),
        Failure::MemberCount { members, lists } => {
            ExecuteError::Invalid(InvalidRequest::MemberCount { members, lists })
        }
    }
}
