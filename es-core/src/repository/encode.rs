//! From decided events to storable ones.

use crate::append::InvalidRequest;
use crate::envelope::{EventId, NewEvent};
use crate::environment::Environment;
use crate::event::{Event, EventType, StoredEvent};
use crate::execution::EventError;
use crate::limits::Limits;
use crate::metadata::{EventVersion, Metadata};
use crate::payload::{Payload, unchanged};

/// Decided events, ready to be stored, and as they will be read back.
pub(crate) struct Encoded<E> {
    pub(crate) new: Vec<NewEvent>,
    pub(crate) stored: Vec<E>,
}

/// Why decided events cannot be appended.
#[doc(hidden)]
#[derive(Debug)]
pub enum EncodeFailure {
    Event(EventError),
    Invalid(InvalidRequest),
}

impl From<EventError> for EncodeFailure {
    fn from(error: EventError) -> Self {
        Self::Event(error)
    }
}

/// Turns decided events into storable ones, each as [`encode_event`] does, with metadata from `base`.
pub(crate) fn encode_events<E: Event>(
    events: &[E],
    mut base: Metadata,
    root: &mut Option<String>,
    environment: &Environment,
) -> Result<Encoded<E>, EncodeFailure> {
    let mut encoded = Encoded { new: Vec::new(), stored: Vec::new() };
    for event in events {
        let (new, stored) = encode_event(event, None, &mut base, root, environment)?;
        encoded.new.push(new);
        encoded.stored.push(stored);
    }
    Ok(encoded)
}

/// Turns an event into a storable one: its id, which is a new one unless it is given, its schema
/// version, and metadata from `base`. Where nobody names a correlation, it is that of the append's
/// first event, or the id of that if it has none; `root` passes it on from one event to the next.
///
/// It is read back at once, in the form that every store may give back, and written again: an event
/// that was acknowledged must never make its aggregate unreadable, what it says must not be lost, and
/// the state that a command answers with must be the one that a load gives. The payload is stored in
/// that form, too.
pub(crate) fn encode_event<E: Event>(
    event: &E,
    event_id: Option<EventId>,
    base: &mut Metadata,
    root: &mut Option<String>,
    environment: &Environment,
) -> Result<(NewEvent, E), EncodeFailure> {
    let kind = event.event_type();
    let mut own = Metadata::default();
    let written = event.encode(&mut own).map_err(EventError::Encode)?;
    let event_id = event_id.unwrap_or_else(|| environment.event_ids.next_id());
    let root = root.get_or_insert_with(|| {
        let named = own.correlation_id.clone().or_else(|| base.correlation_id.clone());
        named.unwrap_or_else(|| event_id.to_string())
    });
    if !base.has("correlation_id") {
        base.correlation_id = Some(root.clone());
    }
    // as the append asks for it, so that it need not look at the text again
    let payload = written.stored_form(Limits::STATE_BYTES, Limits::default().depth);
    // what it refuses it refuses by its own limits, and in its words
    let payload = payload.or_else(|_| written.canonical()).map_err(|problem| {
        let (event_type, part) = (kind.name.to_owned(), "payload");
        EncodeFailure::Invalid(InvalidRequest::Content { event_type, event_id, part, problem })
    })?;
    let metadata = filled(own.clone(), kind, base);
    let stored = read_back::<E>(kind, &payload, &metadata)?;
    check_unchanged(&stored, (&written, own), &metadata, base)?;
    Ok((NewEvent::new(event_id, kind.name, payload).with_metadata(metadata), stored))
}

/// The metadata of an event, with what its command adds.
fn filled(mut own: Metadata, kind: &EventType, base: &Metadata) -> Metadata {
    own.event_version = Some(EventVersion::new(kind.schema_version));
    own.fill_from(base);
    own
}

fn read_back<E: Event>(
    kind: &EventType,
    payload: &Payload,
    metadata: &Metadata,
) -> Result<E, EventError> {
    let metadata = &metadata.clone().into_canonical();
    let stored = E::decode(StoredEvent {
        event_type: kind.name,
        schema_version: kind.schema_version,
        payload: payload.as_raw(),
        metadata,
    });
    let stored = stored.and_then(|decoded| decoded.into_one(kind.name));
    stored.map_err(|source| EventError::Unreadable { event_type: kind.name, source })
}

/// Fails if what was read back is written as something else: `was` is what the event itself wrote.
fn check_unchanged<E: Event>(
    stored: &E,
    was: (&Payload, Metadata),
    metadata: &Metadata,
    base: &Metadata,
) -> Result<(), EventError> {
    let kind = stored.event_type();
    let changed =
        |part, difference| EventError::Changed { event_type: kind.name, part, difference };
    let mut own = Metadata::default();
    let again = stored.encode(&mut own).map_err(EventError::Encode)?;
    unchanged(was.0, &again).map_err(|difference| changed("payload", difference))?;
    if own == was.1 {
        return Ok(());
    }
    let documents = (Payload::of(metadata), Payload::of(&filled(own, kind, base)));
    match documents {
        (Ok(written), Ok(again)) => {
            unchanged(&written, &again).map_err(|difference| changed("metadata", difference))
        }
        // the append says why
        _ => Ok(()),
    }
}
