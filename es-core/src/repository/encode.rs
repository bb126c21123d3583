//! From decided events to storable ones.

use super::error::ExecuteError;
use crate::append::InvalidRequest;
use crate::envelope::NewEvent;
use crate::environment::Environment;
use crate::event::{DecodeError, EncodeError, Event, EventType, StoredEvent};
use crate::metadata::{EventVersion, Metadata};
use crate::payload::{Payload, unchanged};
use crate::time_travel::Difference;

/// Decided events, ready to be stored, and as they will be read back.
pub(crate) struct Encoded<E> {
    pub(crate) new: Vec<NewEvent>,
    pub(crate) stored: Vec<E>,
}

/// Why a decided event cannot be stored.
pub(crate) enum EncodeFailure {
    Encode(EncodeError),
    Invalid(InvalidRequest),
    Unreadable { event_type: &'static str, source: DecodeError },
    Changed { event_type: &'static str, part: &'static str, difference: Box<Difference> },
}

impl<R> From<EncodeFailure> for ExecuteError<R> {
    fn from(failure: EncodeFailure) -> Self {
        match failure {
            EncodeFailure::Encode(error) => Self::Encode(error),
            EncodeFailure::Invalid(invalid) => Self::Invalid(invalid),
            EncodeFailure::Unreadable { event_type, source } => {
                Self::Unreadable { event_type, source }
            }
            EncodeFailure::Changed { event_type, part, difference } => {
                Self::Changed { event_type, part, difference }
            }
        }
    }
}

/// Turns decided events into storable ones: ids, schema versions, and metadata from `base`. Where
/// nobody names a correlation, it is that of the append's first event, or the id of that if it has
/// none; `root` passes it on from one list of events to the next.
///
/// Each is read back at once, in the form that every store may give back, and written again: an event
/// that was acknowledged must never make its aggregate unreadable, what it says must not be lost, and
/// the state that a command answers with must be the one that a load gives. The payload is stored in
/// that form, too.
pub(crate) fn encode_events<E: Event>(
    events: &[E],
    mut base: Metadata,
    root: &mut Option<String>,
    environment: &Environment,
) -> Result<Encoded<E>, EncodeFailure> {
    let mut encoded = Encoded { new: Vec::new(), stored: Vec::new() };
    for event in events {
        let kind = event.event_type();
        let mut own = Metadata::default();
        let written = event.encode(&mut own).map_err(EncodeFailure::Encode)?;
        let event_id = environment.event_ids.next_id();
        let root = root.get_or_insert_with(|| {
            let named = own.correlation_id.clone().or_else(|| base.correlation_id.clone());
            named.unwrap_or_else(|| event_id.to_string())
        });
        if !base.has("correlation_id") {
            base.correlation_id = Some(root.clone());
        }
        // in the words of the append, which refuses the same
        let payload = written.canonical().map_err(|problem| {
            let (event_type, part) = (kind.name.to_owned(), "payload");
            EncodeFailure::Invalid(InvalidRequest::Content { event_type, event_id, part, problem })
        })?;
        let metadata = filled(own.clone(), kind, &base);
        let stored = read_back::<E>(kind, &payload, &metadata)?;
        check_unchanged(&stored, (&written, own), &metadata, &base)?;
        encoded.stored.push(stored);
        encoded.new.push(NewEvent::new(event_id, kind.name, payload).with_metadata(metadata));
    }
    Ok(encoded)
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
) -> Result<E, EncodeFailure> {
    let metadata = &metadata.clone().into_canonical();
    let stored = E::decode(StoredEvent {
        event_type: kind.name,
        schema_version: kind.schema_version,
        payload: payload.as_raw(),
        metadata,
    });
    let stored = stored.and_then(|decoded| decoded.into_one(kind.name));
    stored.map_err(|source| EncodeFailure::Unreadable { event_type: kind.name, source })
}

/// Fails if what was read back is written as something else: `was` is what the event itself wrote.
fn check_unchanged<E: Event>(
    stored: &E,
    was: (&Payload, Metadata),
    metadata: &Metadata,
    base: &Metadata,
) -> Result<(), EncodeFailure> {
    let kind = stored.event_type();
    let changed =
        |part, difference| EncodeFailure::Changed { event_type: kind.name, part, difference };
    let mut own = Metadata::default();
    let again = stored.encode(&mut own).map_err(EncodeFailure::Encode)?;
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
