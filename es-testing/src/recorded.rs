//! Events recorded without a store, as a store gives them back.

use std::collections::HashMap;

use es_core::backend::{AppendRequest, NewEvent, Position, StreamId, Timestamp};
use es_core::environment::{EventIds, UuidV7Ids};
use es_core::event::{EventVersion, Metadata, RecordedEvent};
use es_core::execution::StreamVersion;
use es_core::{Event, ExpectedVersion};

use crate::laws::chain;

/// A log that gives each event its places.
#[derive(Debug, Default)]
pub(crate) struct Log {
    last: u64,
    versions: HashMap<StreamId, u64>,
}

impl Log {
    /// The event as the next one of its stream, written in the form that any store may give back, at
    /// the beginning of 1970.
    pub(crate) fn record<E: Event>(
        &mut self,
        stream: &StreamId,
        event: &E,
    ) -> Result<RecordedEvent, String> {
        let kind = event.event_type();
        let mut metadata = Metadata::new();
        let payload = event.encode(&mut metadata).map_err(|error| chain(&error))?;
        metadata.event_version = Some(EventVersion::new(kind.schema_version));
        let version = self.versions.entry(stream.clone()).or_default();
        (*version, self.last) = (*version + 1, self.last + 1);
        let payload = payload.canonical().unwrap_or(payload);
        let event = NewEvent::new(UuidV7Ids.next_id(), kind.name, payload).with_metadata(metadata);
        let (version, position) =
            (StreamVersion::new(*version), Position::from_sequence(self.last));
        Ok(RecordedEvent::new(event, stream.clone(), version, position, Timestamp::EPOCH))
    }
}

/// The request that has a store record the event, whatever its stream holds there.
pub(crate) fn request(event: RecordedEvent) -> AppendRequest {
    let RecordedEvent { event_id, stream, event_type, payload, metadata, .. } = event;
    let event = NewEvent::new(event_id, event_type.as_str(), payload).with_metadata(metadata);
    AppendRequest::to(stream, ExpectedVersion::Any, vec![event])
}
