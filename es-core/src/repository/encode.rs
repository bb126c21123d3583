//! From decided events to storable ones.

use super::error::ExecuteError;
use crate::envelope::NewEvent;
use crate::environment::Environment;
use crate::event::{DecodeError, EncodeError, Event, StoredEvent};
use crate::metadata::{EventVersion, Metadata};
use crate::payload::Payload;

/// Decided events, ready to be stored, and as they will be read back.
pub(crate) struct Encoded<E> {
    pub(crate) new: Vec<NewEvent>,
    pub(crate) stored: Vec<E>,
}

/// Why a decided event cannot be stored.
pub(crate) enum EncodeFailure {
    Encode(EncodeError),
    Unreadable { event_type: &'static str, source: DecodeError },
}

impl<R> From<EncodeFailure> for ExecuteError<R> {
    fn from(failure: EncodeFailure) -> Self {
        match failure {
            EncodeFailure::Encode(error) => Self::Encode(error),
            EncodeFailure::Unreadable { event_type, source } => {
                Self::Unreadable { event_type, source }
            }
        }
    }
}

/// Turns decided events into storable ones: ids, schema versions, and metadata from `base`.
///
/// Each is read back at once, in the form that every store may give back: an event that was
/// acknowledged must never make its aggregate unreadable, and the state that a command answers with
/// must be the one that a load gives. The payload is stored in that form, too.
pub(crate) fn encode_events<E: Event>(
    events: &[E],
    base: &Metadata,
    environment: &Environment,
) -> Result<Encoded<E>, EncodeFailure> {
    let mut encoded = Encoded { new: Vec::new(), stored: Vec::new() };
    for event in events {
        let kind = event.event_type();
        let mut metadata = Metadata::default();
        let payload = event.encode(&mut metadata).map_err(EncodeFailure::Encode)?;
        metadata.event_version = Some(EventVersion::new(kind.schema_version));
        metadata.fill_from(base);
        // what has no such form is refused by the append, which says why
        let payload = payload.canonical().unwrap_or(payload);
        let read_back = Payload::of(&metadata).ok().and_then(|text| text.canonical().ok());
        let read_back = read_back.and_then(|text| text.decode::<Metadata>().ok());
        let stored = E::decode(StoredEvent {
            event_type: kind.name,
            schema_version: kind.schema_version,
            payload: payload.as_raw(),
            metadata: read_back.as_ref().unwrap_or(&metadata),
        });
        let event_type = kind.name;
        let unreadable = |source| EncodeFailure::Unreadable { event_type, source };
        encoded.stored.push(stored.map_err(unreadable)?);
        let event_id = environment.event_ids.next_id();
        encoded.new.push(NewEvent::new(event_id, kind.name, payload).with_metadata(metadata));
    }
    Ok(encoded)
}
