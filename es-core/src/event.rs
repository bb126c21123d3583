//! Events: their kinds, what is stored of them, and how they are read.
//!
//! A kind of event has stored names, an encoding and older versions, all of which the derive writes.

mod decoded;
mod distinct;

use serde_json::value::RawValue;

use crate::error::BoxError;

pub use crate::assert_distinct_event_types;
pub use crate::envelope::{Cause, Envelope, EventId, EventName, RecordedEvent};
pub use crate::metadata::{EventVersion, Metadata, MetadataField};
pub use crate::payload::{Payload, RoundTripError};
pub use crate::read::EventFilter;
pub use crate::upcast::Fields;
pub use decoded::Decoded;
pub use distinct::are_distinct;

// of `backend`: what is met in an event, and how events are read
#[doc(no_inline)]
pub use crate::content::{ContentProblem, check_json};
#[doc(no_inline)]
pub use crate::ext::EventStoreExt;
#[doc(no_inline)]
pub use crate::position::Position;
#[doc(no_inline)]
pub use crate::read::{ReadLog, ReadStream};
#[doc(no_inline)]
pub use crate::stream::StreamId;
#[doc(no_inline)]
pub use crate::timestamp::Timestamp;

/// One kind of event: its stored name and the schema version that is written now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct EventType {
    /// The stored name, snake_case, never reused for another meaning.
    pub name: &'static str,
    /// Further stored names that are read as this kind.
    pub aliases: &'static [&'static str],
    /// Stored names of which this kind is a part: an event under one of them was split, and is read in
    /// every version from 1.
    pub part_of: &'static [&'static str],
    /// The schema version that is written, from 1.
    pub schema_version: u32,
}

impl EventType {
    /// A kind that is stored under this name and no other.
    pub const fn new(name: &'static str, schema_version: u32) -> Self {
        Self { name, aliases: &[], part_of: &[], schema_version }
    }

    /// Replaces the aliases.
    #[must_use]
    pub const fn aliases(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    /// Replaces the names of which it is a part.
    #[must_use]
    pub const fn part_of(self, names: &'static [&'static str]) -> Self {
        Self { part_of: names, ..self }
    }

    /// All stored names of events that are of this kind, or have a part that is.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        let further = self.aliases.iter().chain(self.part_of);
        std::iter::once(self.name).chain(further.copied())
    }

    /// True if a stored event of this name is of this kind, or has a part that is.
    pub fn is_named(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name) || self.part_of.contains(&name)
    }
}

/// The events of one aggregate: a closed enum, usually with `#[derive(Event)]`. An enum of several
/// of them is one, too, with `#[event(union)]`.
///
/// # Contract
///
/// What the derive generates holds these; who implements the trait by hand must.
/// `es_testing::laws` checks 1 to 3 for any event type.
///
/// 1. `decode` of what `encode` wrote (payload and metadata) is one event, which equals it.
/// 2. `event_type` is an element of `TYPES`. No name or alias appears twice in `TYPES` and
///    `RETIRED`; a name of which kinds are a part is none of these.
/// 3. `decode` accepts every schema version from 1 to the current one, refuses later ones, and
///    refuses names that neither `TYPES` nor `RETIRED` lists; it never panics. A retired name is
///    nothing, in any version.
/// 4. `encode` sets only the metadata fields that belong to the event; the schema version is set
///    by the caller.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no event",
    note = "derive it: `#[derive(Event)]` on an enum with one variant for each kind"
)]
pub trait Event: Sized + Send + Sync + 'static {
    /// All kinds, in the order of the source.
    const TYPES: &'static [EventType];

    /// Stored names that stand for nothing any more; never written, in no selection.
    const RETIRED: &'static [&'static str] = &[];

    /// The kind of this event.
    fn event_type(&self) -> &'static EventType;

    /// Writes the event: the payload is returned, fields marked as metadata are set in `metadata`.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] when a field cannot be written as JSON.
    fn encode(&self, metadata: &mut Metadata) -> Result<Payload, EncodeError>;

    /// Reads what is stored under any known name and version; older versions pass their upcasters
    /// first.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] says what does not fit.
    fn decode(stored: StoredEvent<'_>) -> Result<Decoded<Self>, DecodeError>;
}

/// The stored form of an event, as [`Event::decode`] reads it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct StoredEvent<'a> {
    /// The stored name.
    pub event_type: &'a str,
    /// The schema version of the payload.
    pub schema_version: u32,
    /// The payload as JSON text.
    pub payload: &'a RawValue,
    /// The metadata, in which some fields of the event may stand.
    pub metadata: &'a Metadata,
}

impl<'a> StoredEvent<'a> {
    /// An event that is stored like this.
    pub fn new(
        event_type: &'a str,
        schema_version: u32,
        payload: &'a RawValue,
        metadata: &'a Metadata,
    ) -> Self {
        Self { event_type, schema_version, payload, metadata }
    }
}

impl<'a> From<&'a RecordedEvent> for StoredEvent<'a> {
    fn from(event: &'a RecordedEvent) -> Self {
        Self {
            event_type: event.event_type.as_str(),
            schema_version: event.metadata.schema_version(),
            payload: event.payload.as_raw(),
            metadata: &event.metadata,
        }
    }
}

/// An event that cannot be written as JSON.
#[derive(Debug, thiserror::Error)]
#[error("event `{event_type}` cannot be encoded")]
pub struct EncodeError {
    /// The stored name of the event.
    pub event_type: &'static str,
    /// What JSON could not take.
    #[source]
    pub source: serde_json::Error,
}

/// A stored event that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The name is none of the aggregate's.
    #[error("unknown event type `{event_type}`; known are {}", known.join(", "))]
    UnknownType {
        /// The stored name.
        event_type: String,
        /// The names that the aggregate knows.
        known: Vec<&'static str>,
    },
    /// The event was written by a newer program.
    #[error(
        "event `{event_type}` has schema version {stored}, this program knows up to {known}; \
         use a newer program"
    )]
    FutureVersion {
        /// The stored name.
        event_type: String,
        /// The version as stored.
        stored: u32,
        /// The newest version that this program knows.
        known: u32,
    },
    /// The version cannot be read from the metadata, or is 0.
    #[error("event `{event_type}` has no readable schema version: event_version is {found}")]
    BadVersion {
        /// The stored name.
        event_type: String,
        /// The text of the metadata field.
        found: String,
    },
    /// The row of the event in the store cannot be read.
    #[error("event `{event_type}` cannot be read: {reason}")]
    Unreadable {
        /// The stored name, as far as it can be read.
        event_type: String,
        /// The event and the column.
        reason: String,
    },
    /// The payload does not fit the event's fields.
    #[error("the payload of event `{event_type}` (schema version {schema_version}) does not fit")]
    Payload {
        /// The stored name.
        event_type: String,
        /// The version as stored.
        schema_version: u32,
        /// What does not fit.
        #[source]
        source: serde_json::Error,
    },
    /// An event that stands for several cannot be made into them, or into others than it may be.
    #[error("event `{event_type}` cannot be split")]
    Split {
        /// The stored name.
        event_type: String,
        /// What the function said that splits it, or which kind of event it must not answer.
        #[source]
        source: BoxError,
    },
    /// A metadata field does not fit the event's field of the same name.
    #[error("the metadata field `{field}` of event `{event_type}` does not fit")]
    Metadata {
        /// The stored name.
        event_type: String,
        /// The field.
        field: &'static str,
        /// What does not fit.
        #[source]
        source: serde_json::Error,
    },
    /// The event stands for none or for several, and one was wanted.
    #[error("event `{event_type}` stands for {events} events, not for one")]
    NotOne {
        /// The stored name.
        event_type: String,
        /// How many it stands for.
        events: usize,
    },
}

/// Reads a recorded event as `E`: [`Event::decode`], and a refusal of a metadata field
/// `event_version` that is no version. Whatever is stored under a retired name is nothing.
pub(crate) fn decode_recorded<E: Event>(event: &RecordedEvent) -> Result<Decoded<E>, DecodeError> {
    if E::RETIRED.contains(&event.event_type.as_str()) {
        return Ok(Decoded::Nothing);
    }
    if let Some(reason) = event.payload.unreadable_because() {
        let event_type = crate::stream::shown(event.event_type.as_str());
        return Err(DecodeError::Unreadable { event_type, reason: reason.to_owned() });
    }
    if event.metadata.event_version.is_none()
        && let Some(found) = event.metadata.document("event_version")
    {
        let event_type = event.event_type.as_str().to_owned();
        return Err(DecodeError::BadVersion { event_type, found: found.to_string() });
    }
    E::decode(StoredEvent::from(event))
}
