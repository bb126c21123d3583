//! Which aggregates take part in a unit of work.

use std::future::Future;

use crate::aggregate::{Aggregate, stream_of};
use crate::append::{Appended, InvalidRequest};
use crate::envelope::NewEvent;
use crate::environment::Environment;
use crate::metadata::Metadata;
use crate::read::ReadStream;
use crate::repository::{
    EncodeFailure, Encoded, LoadError, Loaded, Repository, encode_events, load_stream,
};
use crate::store::Store;
use crate::stream::StreamId;
use crate::version::StreamVersion;

/// One aggregate in a unit of work.
#[derive(Debug)]
pub struct Member<A: Aggregate> {
    id: A::Id,
    repository: Option<Repository<A>>,
}

impl<A: Aggregate> Member<A> {
    /// The aggregate `id` of type `A`.
    pub fn new(id: A::Id) -> Self {
        Self { id, repository: None }
    }

    /// The aggregate `id` of a repository: loaded in its pages and with its snapshots, recorded with
    /// its metadata.
    ///
    /// The repository must be of the [same](Store::is) store as the unit of work, as it is if the
    /// unit was made by [`Repository::unit_of_work`] of any repository with this store; else the
    /// decision is refused with [`InvalidRequest::OtherStore`].
    pub fn of(repository: &Repository<A>, id: A::Id) -> Self {
        Self { id, repository: Some(repository.clone()) }
    }
}

/// The aggregates of a unit of work: a [`Member`], a `Vec` of members, or a tuple of two to four of
/// these.
///
/// Implemented here only.
#[diagnostic::on_unimplemented(
    message = "`{Self}` are no members of a unit of work",
    note = "use a `Member`, a `Vec` of members, or a tuple of two to four of these"
)]
pub trait Members: Send + Sync + private::Sealed {
    /// Their states, in the same shape.
    type States: Send + Sync;
    /// Their events, in the same shape: a `Vec` of events for each member.
    type Events: Send;

    #[doc(hidden)]
    fn name(&self, naming: &mut Naming<'_>) -> Result<(), InvalidRequest>;

    #[doc(hidden)]
    fn load(
        &self,
        loading: &mut Loading<'_>,
    ) -> impl Future<Output = Result<Self::States, LoadError>> + Send;

    #[doc(hidden)]
    fn encode(
        &self,
        events: Self::Events,
        encoding: &mut Encoding<'_>,
    ) -> Result<Self::Events, EncodingFailure>;

    #[doc(hidden)]
    fn evolve(&self, states: &mut Self::States, events: &Self::Events, evolving: &mut Evolving<'_>);
}

mod private {
    pub trait Sealed {}
}

/// Members being named, one after the other in their order.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "only this module can make one")]
pub struct Naming<'a> {
    pub(super) store: &'a Store,
    pub(super) streams: Vec<StreamId>,
}

/// Members being loaded, one after the other in their order.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "only this module can make one")]
pub struct Loading<'a> {
    pub(super) store: &'a Store,
    /// The members that were loaded.
    pub(super) loaded: LoadedVersions,
    pub(super) streams: std::slice::Iter<'a, StreamId>,
}

/// The streams of loaded members with the versions at which they were found.
#[doc(hidden)]
pub(super) type LoadedVersions = std::collections::VecDeque<(StreamId, StreamVersion)>;

/// Members whose events were appended, in their order.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "only this module can make one")]
pub struct Evolving<'a> {
    pub(super) loaded: LoadedVersions,
    pub(super) appended: &'a Appended,
}

/// Events being encoded, one list for each member in their order.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "only this module can make one")]
pub struct Encoding<'a> {
    pub(super) base: &'a Metadata,
    /// The first event of all members.
    pub(super) root: Option<String>,
    pub(super) environment: &'a Environment,
    pub(super) lists: Vec<Vec<NewEvent>>,
}

/// Why the events of a unit of work cannot be encoded.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "only this module can make one")]
pub struct EncodingFailure(pub(super) Failure);

pub(super) enum Failure {
    Event(EncodeFailure),
    MemberCount { members: usize, lists: usize },
}

impl<A: Aggregate> private::Sealed for Member<A> {}

impl<A: Aggregate> Members for Member<A> {
    type States = A;
    type Events = Vec<A::Event>;

    fn name(&self, naming: &mut Naming<'_>) -> Result<(), InvalidRequest> {
        let stream = stream_of::<A>(&self.id)?;
        let repository = self.repository.as_ref();
        if repository.is_some_and(|repository| !repository.store().is(naming.store)) {
            return Err(InvalidRequest::OtherStore { stream });
        }
        naming.streams.push(stream);
        Ok(())
    }

    async fn load(&self, loading: &mut Loading<'_>) -> Result<A, LoadError> {
        let stream = loading.streams.next().expect("every member named its stream");
        let mut read = ReadStream::new(stream.clone());
        if let Some(repository) = &self.repository {
            read = read.limit(repository.page());
        }
        // as its repository loads it: both have the same store, if perhaps through different layers
        let store = self.repository.as_ref().map_or(loading.store, Repository::store);
        let snapshots = self.repository.as_ref().and_then(Repository::snapshots);
        let Loaded { stream, version, state } = load_stream(&**store, snapshots, read).await?;
        loading.loaded.push_back((stream, version));
        Ok(state)
    }

    fn encode(
        &self,
        events: Vec<A::Event>,
        encoding: &mut Encoding<'_>,
    ) -> Result<Vec<A::Event>, EncodingFailure> {
        let mut base = encoding.base.clone();
        if let Some(repository) = &self.repository {
            base.fill_from(repository.base());
        }
        let Encoded { new, stored } =
            encode_events(&events, base, &mut encoding.root, encoding.environment)
                .map_err(|failure| EncodingFailure(Failure::Event(failure)))?;
        encoding.lists.push(new);
        Ok(stored)
    }

    fn evolve(&self, state: &mut A, events: &Vec<A::Event>, evolving: &mut Evolving<'_>) {
        for event in events {
            state.evolve(event);
        }
        let (stream, before) = evolving.loaded.pop_front().expect("every member was loaded");
        if let Some(repository) = &self.repository {
            repository.keep(&stream, before, evolving.appended, state);
        }
    }
}

impl<M: Members> private::Sealed for Vec<M> {}

impl<M: Members> Members for Vec<M> {
    type States = Vec<M::States>;
    type Events = Vec<M::Events>;

    fn name(&self, naming: &mut Naming<'_>) -> Result<(), InvalidRequest> {
        self.iter().try_for_each(|member| member.name(naming))
    }

    async fn load(&self, loading: &mut Loading<'_>) -> Result<Vec<M::States>, LoadError> {
        let mut states = Vec::with_capacity(self.len());
        for member in self {
            states.push(member.load(loading).await?);
        }
        Ok(states)
    }

    fn encode(
        &self,
        events: Vec<M::Events>,
        encoding: &mut Encoding<'_>,
    ) -> Result<Vec<M::Events>, EncodingFailure> {
        if events.len() != self.len() {
            let (members, lists) = (self.len(), events.len());
            return Err(EncodingFailure(Failure::MemberCount { members, lists }));
        }
        self.iter().zip(events).map(|(member, events)| member.encode(events, encoding)).collect()
    }

    fn evolve(
        &self,
        states: &mut Vec<M::States>,
        events: &Vec<M::Events>,
        evolving: &mut Evolving<'_>,
    ) {
        for ((member, state), events) in self.iter().zip(states).zip(events) {
            member.evolve(state, events, evolving);
        }
    }
}

macro_rules! tuple_of_members {
    ($($type:ident $index:tt),+) => {
        impl<$($type: Members),+> private::Sealed for ($($type,)+) {}

        impl<$($type: Members),+> Members for ($($type,)+) {
            type States = ($($type::States,)+);
            type Events = ($($type::Events,)+);

            fn name(&self, naming: &mut Naming<'_>) -> Result<(), InvalidRequest> {
                $(self.$index.name(naming)?;)+
                Ok(())
            }

            async fn load(&self, loading: &mut Loading<'_>) -> Result<Self::States, LoadError> {
                Ok(($(self.$index.load(loading).await?,)+))
            }

            fn encode(
                &self,
                events: Self::Events,
                encoding: &mut Encoding<'_>,
            ) -> Result<Self::Events, EncodingFailure> {
                Ok(($(self.$index.encode(events.$index, encoding)?,)+))
            }

            fn evolve(
                &self,
                states: &mut Self::States,
                events: &Self::Events,
                evolving: &mut Evolving<'_>,
            ) {
                $(self.$index.evolve(&mut states.$index, &events.$index, evolving);)+
            }
        }
    };
}

tuple_of_members!(A 0, B 1);
tuple_of_members!(A 0, B 1, C 2);
tuple_of_members!(A 0, B 1, C 2, D 3);
