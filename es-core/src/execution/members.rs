//! Which aggregates a decision is about: one, several, or several of several types.

mod member;
mod shapes;

use std::any::{TypeId, type_name};
use std::borrow::Cow;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::error::CommandError;
use super::telemetry::Counters;
use crate::aggregate::Aggregate;
use crate::append::{AppendRequest, Appended, IdempotencyKey, InvalidRequest};
use crate::envelope::{Cause, NewEvent};
use crate::environment::Environment;
use crate::metadata::Metadata;
use crate::read::{PageLimit, ReadStream};
use crate::repository::{EncodeFailure, LoadError, Repository};
use crate::retry::Retry;
use crate::store::{Store, StoreIdentity};
use crate::stream::StreamId;
use crate::version::{Conflict, ExpectedVersion, StreamVersion};

pub use member::Member;

/// What is decided together: a [`Member`], a `Vec` of members, or a tuple of two to four of these,
/// such as `(order, vec![line, line])`.
///
/// Implemented here only.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be decided together",
    note = "write `orders.by_id(&id)`, a `Vec` of these, or a tuple such as `(orders.by_id(&a), \
            stocks.by_id(&b))`"
)]
pub trait Members: Send + Sync + 'static + private::Sealed {
    /// What the decision gets, in the same shape: a [`Draft`](crate::Draft) for each member, and a
    /// boxed slice of them for a `Vec`.
    type Drafts: Send;
    /// Their states, in the same shape.
    type State: Send;
    /// Their events, in the same shape: a `Vec` of events for each member.
    type Events: Send;
    /// Their versions, in the same shape.
    type Version: Send;
    /// What is known of their streams, which is kept over conflicts.
    #[doc(hidden)]
    type Known: Send + Sync;

    #[doc(hidden)]
    fn name(&self, naming: &mut Naming) -> Result<(), InvalidRequest>;

    #[doc(hidden)]
    fn load<'a>(
        &'a self,
        before: Option<&'a Self::Known>,
        wanted: Wanted,
    ) -> BoxFuture<'a, Result<Self::Known, LoadError>>;

    /// What is known of all of them without reading, if a decision may begin at that.
    #[doc(hidden)]
    fn known(&self) -> Option<Self::Known>;

    /// Counts that a decision began at what was kept of all of them in memory.
    #[doc(hidden)]
    fn count_known(&self);

    #[doc(hidden)]
    fn begin(&self, known: &Self::Known, seats: &mut Seats) -> Self::Drafts;

    #[doc(hidden)]
    fn encode(
        &self,
        drafts: Self::Drafts,
        encoding: &mut Encoding<'_>,
    ) -> Result<Self::Events, EncodeFailure>;

    /// The events of a first result, as they are stored.
    #[doc(hidden)]
    fn recorded<'a>(
        &'a self,
        first: &'a mut First,
    ) -> BoxFuture<'a, Result<Self::Events, LoadError>>;

    /// Keeps in memory what was loaded to decide, if anything is kept there.
    #[doc(hidden)]
    fn remember(&self, known: &Self::Known);

    #[doc(hidden)]
    fn finish(
        &self,
        known: Self::Known,
        events: &Self::Events,
        done: &Finishing<'_>,
    ) -> (Self::State, Self::Version);

    /// Whether it is an event of a member, or several: then it is no answer, because nobody would
    /// record them.
    #[doc(hidden)]
    fn is_event(reply: Reply) -> bool;
}

mod private {
    pub trait Sealed {}
}

// what hidden methods name is `pub` in a private module: `pub(crate)` would be a warning there

/// What is wanted of members that are loaded.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wanted {
    /// What a decision needs: nothing of those that must not exist.
    ToDecide,
    /// All of them, as they are now.
    Now,
}

/// The type of what a decision answers.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Reply {
    id: TypeId,
    name: &'static str,
}

/// Members being named, one after the other in their order.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct Naming {
    /// What the first of them brings for all.
    context: Option<Context>,
    members: Vec<Named>,
}

#[derive(Debug)]
struct Context {
    store: Store,
    environment: Environment,
    retry: Retry,
    /// The type of all of them; `None` if they are of several.
    aggregate: Option<&'static str>,
    /// Those of the first of them.
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct Named {
    stream: StreamId,
    expected: ExpectedVersion,
}

/// Drafts being handed out, one for each member in their order.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct Seats {
    versions: Vec<StreamVersion>,
}

/// Events being encoded, a list for each member in their order.
#[doc(hidden)]
#[derive(Debug)]
pub struct Encoding<'a> {
    metadata: &'a Metadata,
    environment: &'a Environment,
    /// The correlation of the first event of all members.
    root: Option<String>,
    lists: Vec<Vec<NewEvent>>,
}

/// The first result of a decision that is repeated.
#[doc(hidden)]
#[derive(Debug)]
pub struct First {
    pub(super) appended: Appended,
    /// The last event that was read of it.
    pub(super) cause: Option<Cause>,
}

/// What became of a decision.
#[doc(hidden)]
#[derive(Debug)]
pub struct Finishing<'a> {
    /// What was written now.
    pub(super) appended: Option<&'a Appended>,
    /// False if it may still be rolled back: then nobody may keep the states.
    pub(super) is_certain: bool,
}

impl Reply {
    pub(super) fn of<T: 'static>() -> Self {
        Self { id: TypeId::of::<T>(), name: type_name::<T>() }
    }

    /// Whether it is what [`decide`](crate::execution::Member::decide) takes for events of this
    /// type.
    fn is_events<E: 'static>(self) -> bool {
        let begins = |name: &str, rest: &str| {
            name.strip_suffix(rest).is_some_and(|begin| self.name.starts_with(begin))
        };
        let ids = [TypeId::of::<E>(), TypeId::of::<Vec<E>>(), TypeId::of::<Option<E>>()];
        // an array may be of any length, and an error of any type, so these are told by their names
        ids.contains(&self.id)
            || begins(type_name::<[E; 0]>(), "0]")
            || begins(type_name::<Result<E, ()>>(), "()>")
            || begins(type_name::<Result<Vec<E>, ()>>(), "()>")
            || begins(type_name::<Result<Option<E>, ()>>(), "()>")
            || begins(type_name::<Result<[E; 0], ()>>(), "0], ()>")
    }
}

impl Naming {
    fn add<A: Aggregate>(
        &mut self,
        repository: &Repository<A>,
        stream: StreamId,
        expected: ExpectedVersion,
    ) -> Result<(), InvalidRequest> {
        match &mut self.context {
            Some(first) if !first.store.is(repository.store()) => {
                return Err(InvalidRequest::OtherStore { stream });
            }
            Some(first) => first.aggregate = first.aggregate.filter(|it| *it == A::TYPE),
            None => {
                self.context = Some(Context {
                    store: repository.store().clone(),
                    environment: repository.environment().clone(),
                    retry: repository.retry(),
                    aggregate: Some(A::TYPE),
                    counters: repository.counters().clone(),
                });
            }
        }
        if self.has(&stream) {
            return Err(InvalidRequest::StreamTwice { stream });
        }
        self.members.push(Named { stream, expected });
        Ok(())
    }

    fn named(&self, stream: &StreamId) -> Option<&Named> {
        self.members.iter().find(|named| named.stream == *stream)
    }

    /// Whether the stream is a member's.
    pub(super) fn has(&self, stream: &StreamId) -> bool {
        self.named(stream).is_some()
    }

    pub(super) fn streams(&self) -> Vec<&StreamId> {
        self.members.iter().map(|named| &named.stream).collect()
    }

    /// Where they are, if there are any.
    pub(super) fn store(&self) -> Option<&Store> {
        self.context.as_ref().map(|first| &first.store)
    }

    /// Which store that is, with the first of their streams.
    pub(super) fn home(&self) -> Option<(StreamId, StoreIdentity)> {
        let identity = &self.store()?.capabilities().identity;
        Some((self.members.first()?.stream.clone(), identity.clone()))
    }

    pub(super) fn environment(&self) -> Cow<'_, Environment> {
        match &self.context {
            Some(first) => Cow::Borrowed(&first.environment),
            None => Cow::Owned(Environment::default()),
        }
    }

    /// The type of all of them, if there is one only, with its counters.
    pub(super) fn aggregate(&self) -> Option<(&'static str, &Arc<Counters>)> {
        let context = self.context.as_ref()?;
        Some((context.aggregate?, &context.counters))
    }

    pub(super) fn retry(&self) -> Retry {
        self.context.as_ref().map_or(Retry::NONE, |first| first.retry)
    }

    /// Whether a decision on them reads the state of any.
    pub(super) fn has_states(&self) -> bool {
        self.members.iter().any(|named| named.expected != ExpectedVersion::NoStream)
    }

    /// Refuses members that are not as their callers expect.
    pub(super) fn check(&self, seats: &Seats) -> Result<(), Conflict> {
        let mut found = self.members.iter().zip(&seats.versions);
        found.try_for_each(|(named, version)| named.expected.check(&named.stream, *version))
    }

    /// Looks whether members exist that must not and get no event: no append does.
    pub(super) async fn check_absent<R>(
        &self,
        lists: &[Vec<NewEvent>],
    ) -> Result<(), CommandError<R>> {
        let Some(store) = self.store() else { return Ok(()) };
        for (named, events) in self.members.iter().zip(lists) {
            if named.expected == ExpectedVersion::NoStream && events.is_empty() {
                let read = ReadStream::new(named.stream.clone()).limit(PageLimit::events(1));
                let page = store.read_stream(&read).await?;
                let checked = named.expected.check(&named.stream, page.stream_version);
                checked.map_err(CommandError::PreconditionFailed)?;
            }
        }
        Ok(())
    }

    /// The append of all members that get events; `None` if there are none.
    pub(super) fn request(
        &self,
        seats: &Seats,
        lists: Vec<Vec<NewEvent>>,
        key: Option<&IdempotencyKey>,
    ) -> Option<AppendRequest> {
        let members = self.members.iter().zip(&seats.versions).zip(lists);
        let written = members.filter(|(_, events)| !events.is_empty());
        let mut parts = written.map(|((named, version), events)| {
            let expected = match named.expected {
                ExpectedVersion::NoStream => ExpectedVersion::NoStream,
                _ => ExpectedVersion::Exact(*version),
            };
            (named.stream.clone(), expected, events)
        });
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

    /// What a conflict means: one with what the caller expected is final.
    pub(super) fn conflict<R>(&self, conflict: Conflict) -> CommandError<R> {
        match self.named(&conflict.stream).map(|named| named.expected) {
            Some(expected @ (ExpectedVersion::NoStream | ExpectedVersion::Exact(_))) => {
                CommandError::PreconditionFailed(Conflict { expected, ..conflict })
            }
            _ => CommandError::Conflict(conflict),
        }
    }
}

impl Seats {
    /// The next one, for a member at this version.
    fn next(&mut self, version: StreamVersion) -> usize {
        self.versions.push(version);
        self.versions.len() - 1
    }
}

impl<'a> Encoding<'a> {
    pub(super) fn new(metadata: &'a Metadata, environment: &'a Environment) -> Self {
        Self { metadata, environment, root: None, lists: Vec::new() }
    }

    /// The last of all events, as the cause of what follows.
    pub(super) fn cause(&self) -> Option<Cause> {
        let last = self.lists.iter().flatten().next_back()?;
        Some(Cause::new(last.event_id, last.metadata.correlation_id.clone()))
    }

    pub(super) fn into_lists(self) -> Vec<Vec<NewEvent>> {
        self.lists
    }
}
