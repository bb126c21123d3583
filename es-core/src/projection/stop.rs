//! Why a projection does not go on.

use crate::envelope::EventId;
use crate::error::StoreError;

use super::{EventReference, SinkError, Trouble, TroubleKind};

/// Why a projection, or a rebuild of it, does not go on.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StopCause {
    /// It cannot take an event.
    #[error(
        "event {} at {} cannot be taken under key `{key}`: {reason}", event.event_id, event.position
    )]
    Poison {
        /// The event.
        event: EventReference,
        /// The key under which it could not be taken.
        key: String,
        /// Why not.
        reason: String,
    },
    /// It cannot read a row of its model, as if somebody had changed it.
    #[error("{reason}")]
    Row {
        /// The first event that should be taken into the row; it is not at fault.
        event: EventReference,
        /// The key of the row.
        key: String,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// The log does not hold an event that the model was made of.
    #[error(
        "the model was made of event {} at {} (version {} of {}), which the store does not hold \
         there: the store was restored or replaced; rebuild the projection",
        event.event_id, event.position, event.version, event.stream
    )]
    Diverged {
        /// The event.
        event: EventReference,
    },
    /// The runner has another projection of this name.
    #[error("the runner was given two projections of this name; rename one of them")]
    NamedTwice,
    /// The task of a slice was ended from outside.
    #[error("the task of a slice was ended from outside")]
    TaskEnded,
    /// The sink or the store refused or failed.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

impl From<StoreError> for StopCause {
    fn from(error: StoreError) -> Self {
        Self::Sink(error.into())
    }
}

impl StopCause {
    /// What kind of trouble this is.
    pub fn kind(&self) -> TroubleKind {
        match self {
            Self::Poison { .. } => TroubleKind::Poison,
            Self::Row { .. } => TroubleKind::Row,
            Self::Diverged { .. } | Self::Sink(SinkError::Diverged { .. }) => TroubleKind::Diverged,
            Self::Sink(SinkError::Changed { .. }) => TroubleKind::Changed,
            Self::Sink(SinkError::Unusable { .. }) | Self::NamedTwice => TroubleKind::Unusable,
            Self::Sink(SinkError::Store(error))
                if error.kind() == crate::backend::StoreErrorKind::Diverged =>
            {
                TroubleKind::Diverged
            }
            Self::Sink(_) | Self::TaskEnded => TroubleKind::Store,
        }
    }

    /// The event before which it stopped, if there is one that it did not take.
    pub(super) fn untaken(&self) -> Option<EventId> {
        match self {
            Self::Poison { event, .. } | Self::Row { event, .. } => Some(event.event_id),
            _ => None,
        }
    }

    /// As it is reported to the sink.
    pub(crate) fn told(&self) -> String {
        Trouble::text(self.kind(), &super::worker::chain(self))
    }

    /// The same as long as the event is tried again.
    pub(crate) fn told_while_retrying(&self) -> String {
        Trouble::text(TroubleKind::Retrying, &super::worker::chain(self))
    }
}
