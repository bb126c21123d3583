//! What was loaded, or why it was not.

use crate::envelope::RecordedEvent;
use crate::error::{ErrorKind, StoreError};
use crate::event::{DecodeError, Decoded, Event, decode_recorded};
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

impl LoadError {
    /// What it means for whoever asked.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidId(_) => ErrorKind::Invalid,
            Self::Decode { .. } | Self::Gap { .. } => ErrorKind::Broken,
            Self::Store(error) => error.kind().into(),
        }
    }
}

/// Reads an event; an error names it.
pub(crate) fn decode<E: Event>(event: &RecordedEvent) -> Result<Decoded<E>, LoadError> {
    decode_recorded(event).map_err(|source| {
        let (stream, version) = (event.stream.clone(), event.version);
        LoadError::Decode { stream, version, source }
    })
}
