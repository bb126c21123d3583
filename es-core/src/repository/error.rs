//! Why a command was not carried out.

use super::load::LoadError;
use crate::append::{AppendError, IdempotencyKey, InvalidRequest, KeyDifference};
use crate::envelope::EventId;
use crate::error::StoreError;
use crate::event::{DecodeError, EncodeError};
use crate::stream::StreamId;
use crate::time_travel::Difference;
use crate::version::{Conflict, StreamVersion};

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
    /// The aggregate is not at the version that the caller expected; the same command will not
    /// succeed later.
    #[error("{stream} is at version {actual}, not at {expected} any more; look at it again")]
    Stale {
        /// The stream.
        stream: StreamId,
        /// What the caller expected.
        expected: StreamVersion,
        /// Its version.
        actual: StreamVersion,
    },
    /// A decided event cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A decided event could be written, but not read back; nothing was written.
    ///
    /// A database may put its fields into another order, for example.
    #[error("event `{event_type}` could not be read back after writing, so nothing was written")]
    Unreadable {
        /// The stored name of the event.
        event_type: &'static str,
        /// What does not fit.
        #[source]
        source: DecodeError,
    },
    /// A decided event is read back as another one; nothing was written.
    ///
    /// Its type writes something else than it reads: it rounds, trims, leaves a field out on one side,
    /// or has variants that cannot be told apart.
    #[error(
        "the {part} of event `{event_type}` is read back as another one, {difference}, so nothing \
         was written; read what is written"
    )]
    Changed {
        /// The stored name of the event.
        event_type: &'static str,
        /// `payload` or `metadata`.
        part: &'static str,
        /// The first place that differs: what was written, and what it would be written as again.
        difference: Box<Difference>,
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

    /// True if an earlier attempt of the same command may be what stands in the way: then the result
    /// that its key recorded is the answer.
    pub(crate) fn may_be_its_own_effect(&self) -> bool {
        matches!(
            self,
            Self::Rejected(_)
                | Self::Conflict(_)
                | Self::Exists { .. }
                | Self::Stale { .. }
                | Self::KeyReused { .. }
        )
    }

    /// True if the events may have been written although no answer came.
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_outcome_unknown())
    }
}
