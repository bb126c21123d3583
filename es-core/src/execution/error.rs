//! Why a decision was not carried out.

use crate::append::{AppendError, IdempotencyKey, InvalidRequest, KeyDifference};
use crate::envelope::EventId;
use crate::error::{ErrorKind, StoreError};
use crate::event::{DecodeError, EncodeError};
use crate::repository::{EncodeFailure, LoadError};
use crate::stream::StreamId;
use crate::time_travel::Difference;
use crate::version::{Conflict, ExpectedVersion};

/// Why a decision was not carried out; nothing was written unless
/// [`is_outcome_unknown`](Self::is_outcome_unknown) holds.
///
/// That is of the call: a repeat whose states cannot be read is an error, too, though what its key
/// names was written the first time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError<R> {
    /// The domain refused: an answer, not a failure. Its text is the rejection's own.
    #[error("{0}")]
    Rejected(R),
    /// An aggregate is not as its caller expects; the same decision will not succeed later.
    #[error("{}", unmet(.0))]
    PreconditionFailed(Conflict),
    /// Other writers were faster, and no retry was left.
    #[error(transparent)]
    Conflict(Conflict),
    /// The idempotency key was used for another request that touched this stream.
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
    /// What is asked for is something that no store takes.
    #[error(transparent)]
    Invalid(InvalidRequest),
    /// A decided event cannot be stored as what it is.
    #[error(transparent)]
    Event(EventError),
    /// The source of event ids, or an import, gave one that is in the store already.
    #[error("event id {event_id} is in the store already; whoever gives event ids repeats itself")]
    DuplicateEvent {
        /// The id.
        event_id: EventId,
    },
    /// The events of an aggregate could not be loaded.
    #[error(transparent)]
    Load(LoadError),
    /// The store failed; see [`StoreError::is_outcome_unknown`].
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a decided event cannot be stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// It cannot be written.
    #[error(transparent)]
    Encode(EncodeError),
    /// It could be written, but not read back.
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
    /// It is read back as another one.
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
}

/// How an aggregate is that is not as it was expected.
fn unmet(Conflict { stream, expected, actual }: &Conflict) -> String {
    match expected {
        ExpectedVersion::Exact(_) if actual.is_empty() => format!("{stream} does not exist"),
        ExpectedVersion::Exact(expected) if !expected.is_empty() => {
            format!("{stream} is at version {actual}, not at {expected} any more; look at it again")
        }
        ExpectedVersion::StreamExists => format!("{stream} does not exist"),
        _ => format!("{stream} exists already, at version {actual}"),
    }
}

impl<R> From<LoadError> for CommandError<R> {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::InvalidId(invalid) => Self::Invalid(invalid.into()),
            LoadError::Store(error) => Self::Store(error),
            other => Self::Load(other),
        }
    }
}

impl<R> From<AppendError> for CommandError<R> {
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

impl<R> From<EncodeFailure> for CommandError<R> {
    fn from(failure: EncodeFailure) -> Self {
        match failure {
            EncodeFailure::Event(error) => Self::Event(error),
            EncodeFailure::Invalid(invalid) => Self::Invalid(invalid),
        }
    }
}

impl<R> CommandError<R> {
    /// The rejection, or the error back if it is none.
    ///
    /// # Errors
    ///
    /// Every error that is no rejection.
    pub fn into_rejection(self) -> Result<R, Self> {
        match self {
            Self::Rejected(rejection) => Ok(rejection),
            other => Err(other),
        }
    }

    /// What it means for whoever asked: what an interface makes its answer of.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Rejected(_) => ErrorKind::Rejected,
            Self::PreconditionFailed(conflict) => conflict.kind(),
            Self::Conflict(_) => ErrorKind::Conflict,
            Self::KeyReused { .. } => ErrorKind::KeyReused,
            Self::Invalid(invalid) => invalid.kind(),
            Self::Event(_) | Self::DuplicateEvent { .. } => ErrorKind::Broken,
            Self::Load(error) => error.kind(),
            Self::Store(error) => error.kind().into(),
        }
    }

    /// True if the same decision may succeed when it is sent again: after a conflict, or after a
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

    /// True if an earlier attempt of the same decision may be what stands in the way: then the result
    /// that its key recorded is the answer.
    pub(super) fn may_be_its_own_effect(&self) -> bool {
        matches!(
            self,
            Self::Rejected(_)
                | Self::PreconditionFailed(_)
                | Self::Conflict(_)
                | Self::KeyReused { .. }
        )
    }
}
