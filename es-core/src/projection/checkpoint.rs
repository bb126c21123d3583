//! How far a projection has come.

use serde::{Deserialize, Serialize};

use crate::envelope::{EventId, RecordedEvent};
use crate::position::Position;
use crate::stream::StreamId;
use crate::version::StreamVersion;

/// One event by its identity and its two places, without its content.
///
/// What is kept of an event is this and never its payload: whoever needs it reads it again, so that
/// upcasters and fixes of today apply to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EventReference {
    /// Its place in the log.
    pub position: Position,
    /// Its identity.
    pub event_id: EventId,
    /// The stream that it belongs to.
    pub stream: StreamId,
    /// Its number in the stream.
    pub version: StreamVersion,
}

impl EventReference {
    /// True if this is the event, at its place.
    pub(super) fn is_of(&self, event: &RecordedEvent) -> bool {
        (self.event_id, self.position) == (event.event_id, event.position)
    }
}

impl From<&RecordedEvent> for EventReference {
    fn from(event: &RecordedEvent) -> Self {
        Self {
            position: event.position,
            event_id: event.event_id,
            stream: event.stream.clone(),
            version: event.version,
        }
    }
}

/// The place in the log up to which a projection has come, and an event by which a log is known
/// again.
///
/// Everything up to `position` is in the model, parked, or was not selected. The event is the last
/// one that the engine saw at or before the position: if the log holds another one in its place, the
/// store was restored to an earlier state and went on differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Where to go on.
    pub position: Position,
    /// The last event that was seen; `None` if none was seen yet.
    pub event: Option<EventReference>,
}

impl Checkpoint {
    /// Nothing was read yet.
    pub const START: Self = Self { position: Position::START, event: None };

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
