//! One decision over several aggregates, written all or none.

mod members;

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use crate::append::{
    AppendError, AppendRequest, Appended, IdempotencyKey, InvalidRequest, KeyDifference,
};
use crate::envelope::RecordedEvent;
use crate::environment::Environment;
use crate::metadata::Metadata;
use crate::repository::{ExecuteError, next_attempt, set_cause};
use crate::retry::Retry;
use crate::store::EventStore;
use crate::stream::StreamId;
use crate::version::ExpectedVersion;

pub use members::{Member, Members};

/// Runs one decision over several aggregates of one store, and appends its events atomically.
///
/// ```
/// # use std::sync::Arc;
/// # use es_core::{Aggregate, Event, EventStore, Member, UnitOfWork};
/// #[derive(Event)]
/// enum AccountEvent { MoneyDeposited { amount: u64 }, MoneyWithdrawn { amount: u64 } }
///
/// #[derive(Default)]
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
/// # async fn example(store: Arc<dyn EventStore>) -> Result<(), Box<dyn std::error::Error>> {
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
    store: Arc<dyn EventStore>,
    environment: Environment,
}

impl std::fmt::Debug for UnitOfWork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnitOfWork").finish_non_exhaustive()
    }
}

impl UnitOfWork {
    /// Units of work on `store`.
    pub fn new(store: Arc<dyn EventStore>) -> Self {
        Self { store, environment: Environment::default() }
    }

    /// Replaces the sources of ids and chance.
    #[must_use]
    pub fn with_environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// Runs `decision` on the states of `members`: a tuple of two to four [`Member`]s, or a `Vec`
    /// of members of one type.
    ///
    /// The decision gets the states and answers with the events in the same shape. It is run again
    /// after a conflict, so it must be pure. Only members that get events are written and so
    /// checked: one that was only looked at may have changed meanwhile.
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
    /// Runs the decision again on the new states after a conflict, up to `retries` times.
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
    /// The key is recorded under each stream that gets events, and looked up under each member's.
    pub fn idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.key = Some(key);
        self
    }

    /// As [`Command::caused_by`](crate::Command::caused_by).
    pub fn caused_by(mut self, cause: &RecordedEvent) -> Self {
        set_cause(&mut self.metadata, cause);
        self
    }

    /// As [`Command::metadata`](crate::Command::metadata).
    pub fn metadata(mut self, mut metadata: Metadata) -> Self {
        metadata.fill_from(&self.metadata);
        self.metadata = metadata;
        self
    }
}

impl<M, F, R> Decision<'_, M, F, R>
where
    M: Members,
    F: Fn(&M::States) -> Result<M::Events, R> + Send + Sync,
{
    /// `None` if the decision had no events for anybody.
    async fn run(self) -> Result<Option<Appended>, ExecuteError<R>> {
        let UnitOfWork { store, environment } = &self.unit;
        let streams =
            self.members.streams().map_err(|error| ExecuteError::Invalid(error.into()))?;
        let mut attempt = 0;
        loop {
            if let Some(first) = self.first_result(&streams).await? {
                return Ok(Some(first));
            }
            let (states, versions) = self.members.load(&**store, &streams).await?;
            let events = (self.decision)(&states).map_err(ExecuteError::Rejected)?;
            let encoded = M::encode(&events, &self.metadata, environment)?;
            if encoded.len() != streams.len() {
                let (members, lists) = (streams.len(), encoded.len());
                return Err(ExecuteError::Invalid(InvalidRequest::MemberCount { members, lists }));
            }
            let mut parts = streams
                .iter()
                .zip(versions)
                .zip(encoded)
                .filter(|(_, events)| !events.is_empty())
                .map(|((stream, version), events)| {
                    (stream.clone(), ExpectedVersion::Exact(version), events)
                });
            let Some((stream, expected, events)) = parts.next() else {
                return Ok(None);
            };
            let mut request = AppendRequest::to(stream, expected, events);
            for (stream, expected, events) in parts {
                request = request.and(stream, expected, events);
            }
            if let Some(key) = &self.key {
                request = request.with_key(key.clone());
            }
            match store.append(request).await {
                Ok(appended) => return Ok(Some(appended)),
                Err(error) => {
                    // the same command may have won a race between our look-up and our append
                    if matches!(error, AppendError::Conflict(_) | AppendError::KeyReused { .. })
                        && let Some(first) = self.first_result(&streams).await?
                    {
                        return Ok(Some(first));
                    }
                    let keyed = self.key.is_some();
                    next_attempt(error, &mut attempt, &self.retry, keyed, environment).await?;
                }
            }
        }
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
    type Output = Result<Option<Appended>, ExecuteError<R>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'u>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
