//! What a kind of event is: its stored names, its encoding, its older versions.

use serde_json::value::RawValue;

use crate::envelope::RecordedEvent;
use crate::metadata::Metadata;
use crate::payload::Payload;

/// One kind of event: its stored name and the schema version that is written now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventType {
    /// The stored name, snake_case, never reused for another meaning.
    pub name: &'static str,
    /// Further stored names that are read as this kind.
    pub aliases: &'static [&'static str],
    /// The schema version that is written, from 1.
    pub schema_version: u32,
}

impl EventType {
    /// All stored names of this kind.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// True if a stored event of this name is of this kind.
    pub fn is_named(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }
}

/// The events of one aggregate: a closed enum, usually with `#[derive(Event)]`.
///
/// # Contract
///
/// What the derive generates holds these; who implements the trait by hand must.
/// `es_testing::laws` checks 1 to 3 for any event type.
///
/// 1. `decode` of what `encode` wrote (payload and metadata) equals the event.
/// 2. `event_type` is an element of `TYPES`, and no name or alias appears twice in `TYPES`.
/// 3. `decode` accepts every schema version from 1 to the current one, refuses later ones, and
///    refuses names that `TYPES` does not list; it never panics.
/// 4. `encode` sets only the metadata fields that belong to the event; the schema version is set
///    by the caller.
pub trait Event: Sized + Send + Sync + 'static {
    /// All kinds, in the order of the source.
    const TYPES: &'static [EventType];

    /// The kind of this event.
    fn event_type(&self) -> &'static EventType;

    /// Writes the event: the payload is returned, fields marked as metadata are set in `metadata`.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] when a field cannot be written as JSON.
    fn encode(&self, metadata: &mut Metadata) -> Result<Payload, EncodeError>;

    /// Reads an event of any known name and version; older versions pass their upcasters first.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] says what does not fit.
    fn decode(stored: StoredEvent<'_>) -> Result<Self, DecodeError>;
}

/// The stored form of an event, as [`Event::decode`] reads it.
#[derive(Debug, Clone, Copy)]
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
}

/// Reads a recorded event as one of `E`: [`Event::decode`], and a refusal of a metadata field
/// `event_version` that is no version.
pub(crate) fn decode_recorded<E: Event>(event: &RecordedEvent) -> Result<E, DecodeError> {
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

/// True if no stored name, aliases included, appears twice in the given tables of kinds.
///
/// For `const` assertions over the events of one store: see
/// [`assert_distinct_event_types!`](crate::assert_distinct_event_types).
pub const fn are_distinct(tables: &[&[EventType]]) -> bool {
    const fn equal(a: &str, b: &str) -> bool {
        let (a, b) = (a.as_bytes(), b.as_bytes());
        if a.len() != b.len() {
            return false;
        }
        let mut i = 0;
        while i < a.len() {
            if a[i] != b[i] {
                return false;
            }
            i += 1;
        }
        true
    }
    /// How often `name` stands in the tables.
    const fn count(name: &str, tables: &[&[EventType]]) -> usize {
        let (mut found, mut t) = (0, 0);
        while t < tables.len() {
            let mut e = 0;
            while e < tables[t].len() {
                let kind = &tables[t][e];
                if equal(name, kind.name) {
                    found += 1;
                }
                let mut a = 0;
                while a < kind.aliases.len() {
                    if equal(name, kind.aliases[a]) {
                        found += 1;
                    }
                    a += 1;
                }
                e += 1;
            }
            t += 1;
        }
        found
    }
    let mut t = 0;
    while t < tables.len() {
        let mut e = 0;
        while e < tables[t].len() {
            let kind = &tables[t][e];
            if count(kind.name, tables) > 1 {
                return false;
            }
            let mut a = 0;
            while a < kind.aliases.len() {
                if count(kind.aliases[a], tables) > 1 {
                    return false;
                }
                a += 1;
            }
            e += 1;
        }
        t += 1;
    }
    true
}

/// Fails to compile if two of the given event enums share a stored name.
///
/// ```
/// use es_core::{Event, assert_distinct_event_types};
///
/// #[derive(Event)]
/// enum PostingEvent { PostingSaved }
/// #[derive(Event)]
/// enum WorkflowEvent { WorkflowStarted }
///
/// assert_distinct_event_types!(PostingEvent, WorkflowEvent);
/// ```
#[macro_export]
macro_rules! assert_distinct_event_types {
    ($($event:ty),+ $(,)?) => {
        const _: () = ::core::assert!(
            $crate::event::are_distinct(&[$(<$event as $crate::Event>::TYPES),+]),
            concat!(
                "two of these share an event type name, aliases included: ",
                stringify!($($event),+),
            ),
        );
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn kind(name: &'static str, aliases: &'static [&'static str]) -> EventType {
        EventType { name, aliases, schema_version: 1 }
    }

    #[test]
    fn shared_names_and_aliases_are_found_across_tables() {
        let (a, b, c) = (kind("a", &[]), kind("b", &["old_b"]), kind("old_b", &[]));
        assert!(are_distinct(&[&[a, b]]));
        assert!(!are_distinct(&[&[a], &[b, a]]));
        assert!(!are_distinct(&[&[b], &[c]]));
    }
}
