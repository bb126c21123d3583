//! How far a projection has come.

use serde::{Deserialize, Serialize};

use crate::envelope::{EventReference, RecordedEvent};
use crate::position::Position;
use crate::read::LogPage;

/// The place in the log up to which a projection has come, and an event by which a log is known
/// again.
///
/// Everything up to `position` is in the model, parked, or was not selected. The event is the one at
/// the position, selected or not: if the log holds another one in its place, the store was restored
/// to an earlier state and went on differently. In a [scope](crate::layer::scoped()) it is the last one
/// of the scope's own, which may stand before the position; so may that of a checkpoint that an older
/// program wrote, if it has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Where to go on.
    pub position: Position,
    /// The last event that was looked at; `None` if none was yet.
    pub event: Option<EventReference>,
}

impl Checkpoint {
    /// Nothing was read yet.
    pub const START: Self = Self { position: Position::START, event: None };

    /// Where a page of the log ends that was read from `self` on.
    pub fn after(&self, page: &LogPage) -> Self {
        let event = page.last.clone().or_else(|| self.event.clone());
        Self { position: page.next, event }
    }

    /// Behind this event.
    pub fn at(event: &RecordedEvent) -> Self {
        Self { position: event.position, event: Some(event.into()) }
    }
}

impl Default for Checkpoint {
    fn default() -> Self {
        Self::START
    }
}
