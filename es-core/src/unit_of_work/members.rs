//! Which aggregates take part in a unit of work.

use std::future::Future;

use crate::aggregate::{Aggregate, stream_of};
use crate::envelope::NewEvent;
use crate::environment::Environment;
use crate::event::EncodeError;
use crate::metadata::Metadata;
use crate::read::ReadStream;
use crate::repository::{LoadError, encode_events, load_stream};
use crate::store::EventStore;
use crate::stream::{InvalidStreamId, StreamId};
use crate::version::StreamVersion;

/// One aggregate in a unit of work.
#[derive(Debug)]
pub struct Member<A: Aggregate> {
    id: A::Id,
}

impl<A: Aggregate> Member<A> {
    /// The aggregate `id` of type `A`.
    pub fn new(id: A::Id) -> Self {
        Self { id }
    }
}

/// The aggregates of a unit of work: tuples of two to four [`Member`]s, or a `Vec` of them.
///
/// Implemented here only.
pub trait Members: Send + Sync + private::Sealed {
    /// Their states, in the same shape.
    type States: Send + Sync;
    /// Their events, in the same shape.
    type Events: Send;

    #[doc(hidden)]
    fn streams(&self) -> Result<Vec<StreamId>, InvalidStreamId>;

    #[doc(hidden)]
    fn load(
        &self,
        store: &dyn EventStore,
        streams: &[StreamId],
    ) -> impl Future<Output = Result<(Self::States, Vec<StreamVersion>), LoadError>> + Send;

    #[doc(hidden)]
    fn encode(
        events: &Self::Events,
        base: &Metadata,
        environment: &Environment,
    ) -> Result<Vec<Vec<NewEvent>>, EncodeError>;
}

mod private {
    pub trait Sealed {}
}

async fn load_member<A: Aggregate>(
    store: &dyn EventStore,
    stream: &StreamId,
    versions: &mut Vec<StreamVersion>,
) -> Result<A, LoadError> {
    let loaded = load_stream::<A>(store, None, ReadStream::new(stream.clone())).await?;
    versions.push(loaded.version);
    Ok(loaded.state)
}

impl<A: Aggregate> private::Sealed for Vec<Member<A>> {}

impl<A: Aggregate> Members for Vec<Member<A>> {
    type States = Vec<A>;
    type Events = Vec<Vec<A::Event>>;

    fn streams(&self) -> Result<Vec<StreamId>, InvalidStreamId> {
        self.iter().map(|member| stream_of::<A>(&member.id)).collect()
    }

    async fn load(
        &self,
        store: &dyn EventStore,
        streams: &[StreamId],
    ) -> Result<(Vec<A>, Vec<StreamVersion>), LoadError> {
        let (mut states, mut versions) = (Vec::new(), Vec::new());
        for stream in streams {
            states.push(load_member(store, stream, &mut versions).await?);
        }
        Ok((states, versions))
    }

    fn encode(
        events: &Self::Events,
        base: &Metadata,
        environment: &Environment,
    ) -> Result<Vec<Vec<NewEvent>>, EncodeError> {
        events.iter().map(|events| encode_events(events, base, environment)).collect()
    }
}

macro_rules! tuple_of_members {
    ($($type:ident $index:tt),+) => {
        impl<$($type: Aggregate),+> private::Sealed for ($(Member<$type>,)+) {}

        impl<$($type: Aggregate),+> Members for ($(Member<$type>,)+) {
            type States = ($($type,)+);
            type Events = ($(Vec<$type::Event>,)+);

            fn streams(&self) -> Result<Vec<StreamId>, InvalidStreamId> {
                Ok(vec![$(stream_of::<$type>(&self.$index.id)?),+])
            }

            async fn load(
                &self,
                store: &dyn EventStore,
                streams: &[StreamId],
            ) -> Result<(Self::States, Vec<StreamVersion>), LoadError> {
                let mut versions = Vec::new();
                let states =
                    ($(load_member::<$type>(store, &streams[$index], &mut versions).await?,)+);
                Ok((states, versions))
            }

            fn encode(
                events: &Self::Events,
                base: &Metadata,
                environment: &Environment,
            ) -> Result<Vec<Vec<NewEvent>>, EncodeError> {
                Ok(vec![$(encode_events(&events.$index, base, environment)?),+])
            }
        }
    };
}

tuple_of_members!(A 0, B 1);
tuple_of_members!(A 0, B 1, C 2);
tuple_of_members!(A 0, B 1, C 2, D 3);
