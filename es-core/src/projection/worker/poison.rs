//! Events that could not be taken, and which of them are parked.

use std::error::Error;

use crate::envelope::{EventId, RecordedEvent};

use super::super::error::OddRow;
use super::super::{EventReference, StopCause};
use super::chain;

/// Which failures are parked; the others are handed to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Parking {
    Never,
    Always,
    /// Only that of this event, for which no attempt is left.
    Only(EventId, u32),
}

impl Parking {
    /// How often the event was tried, if its failure is to be parked.
    pub(super) fn attempts(&self, event: &RecordedEvent) -> Option<u32> {
        match self {
            Self::Never => None,
            Self::Always => Some(1),
            Self::Only(id, attempts) => (*id == event.event_id).then_some(*attempts),
        }
    }
}

/// An event that could not be taken.
#[derive(Debug, Clone)]
pub(in super::super) struct Poison {
    pub(in super::super) event: EventReference,
    pub(in super::super) key: String,
    pub(in super::super) reason: String,
    /// True if it is not at fault, but the row that it is for.
    is_row: bool,
}

impl From<Poison> for StopCause {
    fn from(Poison { event, key, reason, is_row }: Poison) -> Self {
        match is_row {
            true => Self::Row { event, key, reason },
            false => Self::Poison { event, key, reason },
        }
    }
}

impl Poison {
    pub(super) fn new(event: &RecordedEvent, key: &str, error: &(dyn Error + 'static)) -> Self {
        let (key, is_row) = (key.to_owned(), error.is::<OddRow>());
        Self { event: event.into(), key, reason: chain(error), is_row }
    }

    pub(super) fn is_before(&self, other: &Self) -> bool {
        self.event.position < other.event.position
    }
}
