//! Folding a stream into a state, from a kept state where there is a good one.

use super::kept::{Beginning, Snapshots};
use crate::aggregate::Aggregate;
use crate::envelope::RecordedEvent;
use crate::error::StoreError;
use crate::event::{DecodeError, Decoded, Event, decode_recorded};
use crate::read::ReadStream;
use crate::store::EventStore;
use crate::stream::{InvalidStreamId, StreamId};
use crate::version::StreamVersion;

/// An aggregate as it was loaded.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Loaded<A> {
    /// Its stream.
    pub stream: StreamId,
    /// How many events are in the state.
    pub version: StreamVersion,
    /// The fold of those events.
    pub state: A,
}

impl<A: Default> Loaded<A> {
    pub(crate) fn absent(stream: StreamId) -> Self {
        Self { stream, version: StreamVersion::EMPTY, state: A::default() }
    }
}

impl<A> Loaded<A> {
    /// The state, if anything ever happened to the aggregate.
    pub fn existing(&self) -> Option<&A> {
        (!self.version.is_empty()).then_some(&self.state)
    }
}

/// Why an aggregate could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The id cannot name a stream.
    #[error(transparent)]
    InvalidId(#[from] InvalidStreamId),
    /// An event of the stream cannot be read.
    #[error("event {version} of {stream} cannot be read")]
    Decode {
        /// The stream.
        stream: StreamId,
        /// The version of the event.
        version: StreamVersion,
        /// What is wrong with it.
        #[source]
        source: DecodeError,
    },
    /// An event of the stream is not there, though later ones are.
    #[error(
        "event {version} of {stream} is missing, and the stream goes on with event {next}; restore \
         the store from a backup"
    )]
    Gap {
        /// The stream.
        stream: StreamId,
        /// The version of the missing event.
        version: StreamVersion,
        /// The version of the event after it.
        next: StreamVersion,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads an event; an error names it.
pub(crate) fn decode<E: Event>(event: &RecordedEvent) -> Result<Decoded<E>, LoadError> {
    decode_recorded(event).map_err(|source| {
        let (stream, version) = (event.stream.clone(), event.version);
        LoadError::Decode { stream, version, source }
    })
}

/// Folds what `read` selects of a stream, with the memory of one page.
pub(crate) async fn load_stream<A: Aggregate>(
    store: &dyn EventStore,
    snapshots: Option<&Snapshots<A>>,
    mut read: ReadStream,
) -> Result<Loaded<A>, LoadError> {
    let stream = read.stream.clone();
    // an instant is a prefix of unknown length, so no kept state is known to lie within it
    let usable = snapshots.filter(|_| read.until.is_none());
    let Beginning { mut kept, page } = match usable {
        Some(snapshots) => snapshots.beginning(&read).await,
        None => Beginning::of_stream(),
    };
    // from the kept state's own last event on, which tells whether it is of this history
    read.from = kept.as_ref().map_or(StreamVersion::FIRST, |kept| kept.snapshot.version);
    let mut page = match page {
        Some(page) => page,
        None => store.read_stream(&read).await?,
    };
    if let (Some(snapshots), Some(found)) = (usable, kept.take()) {
        if !page.events.first().is_some_and(|event| found.snapshot.ends_with(event)) {
            let version = found.snapshot.version;
            tracing::warn!(%stream, %version, "snapshot of another history ignored");
            read.from = StreamVersion::FIRST;
            return Box::pin(load_stream(store, None, read)).await;
        }
        kept = Some(snapshots.checked(store, &read, found).await);
    }
    let (mut state, mut version) = kept.map_or_else(
        || (A::default(), StreamVersion::EMPTY),
        |kept| (kept.state, kept.snapshot.version),
    );
    let kept_version = version;
    loop {
        for event in page.events.iter().filter(|event| event.version > kept_version) {
            if event.version != version.next() {
                let (version, next) = (version.next(), event.version);
                return Err(LoadError::Gap { stream, version, next });
            }
            for event in decode::<A::Event>(event)? {
                state.evolve(&event);
            }
            version = event.version;
        }
        let Some(next) = read.after(&page) else { break };
        page = store.read_stream(&next).await?;
        read = next;
    }
    Ok(Loaded { stream, version, state })
}
