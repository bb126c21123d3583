//! Events on their way into a store and out of it.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::aggregate::{Aggregate, AggregateId, InvalidAggregateId};
use crate::event::{DecodeError, Decoded, Event, EventType, decode_recorded};
use crate::metadata::Metadata;
use crate::payload::Payload;
use crate::position::Position;
use crate::stream::StreamId;
use crate::timestamp::Timestamp;
use crate::version::StreamVersion;

/// The identity of one event, unique in its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(Uuid);

impl EventId {
    /// An id from a UUID of any version.
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// An id for a row whose own is none, made of its place in the log; for backends.
    pub fn stand_in(position: Position) -> Self {
        Self(Uuid::from_u128(position.to_sequence().into()))
    }

    /// The UUID.
    pub const fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for EventId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// The stored name of a kind of event, such as `script_execution_completed`; cloning is cheap.
///
/// Names written through this library are snake_case, but a store may hold others.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventName(Arc<str>);

impl EventName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for EventName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq<str> for EventName {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for EventName {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

/// An event that is not stored yet.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct NewEvent {
    /// Its identity, chosen by the writer.
    pub event_id: EventId,
    /// Its stored name.
    pub event_type: EventName,
    /// The domain facts.
    pub payload: Payload,
    /// Timing, causation, correlation and the schema version.
    pub metadata: Metadata,
    written: Written,
}

/// Metadata as they were written once; no part of an event's value.
#[derive(Clone, Default)]
struct Written(Option<Payload>);

impl PartialEq for Written {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for NewEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // not how the metadata are written, which are there
        f.debug_struct("NewEvent")
            .field("event_id", &self.event_id)
            .field("event_type", &self.event_type)
            .field("payload", &self.payload)
            .field("metadata", &self.metadata)
            .finish_non_exhaustive()
    }
}

impl NewEvent {
    /// An event with empty metadata.
    pub fn new(event_id: EventId, event_type: &str, payload: Payload) -> Self {
        Self::named(event_id, event_type.into(), payload)
    }

    /// The same of a name that others may share.
    pub fn named(event_id: EventId, event_type: EventName, payload: Payload) -> Self {
        let metadata = Metadata::default();
        Self { event_id, event_type, payload, metadata, written: Written::default() }
    }

    /// Replaces the identity.
    #[must_use]
    pub fn with_id(mut self, event_id: EventId) -> Self {
        self.event_id = event_id;
        self
    }

    /// Replaces the metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self.written = Written::default();
        self
    }

    /// The metadata as one JSON document; for backends, who write it. Of a request that was
    /// [checked](crate::backend::AppendRequest::checked) it is the text that was checked: what is
    /// assigned to [`metadata`](Self::metadata) later is not in it, so replace them by
    /// [`with_metadata`](Self::with_metadata), or check again.
    pub fn metadata_document(&self) -> Payload {
        match &self.written.0 {
            Some(document) => document.clone(),
            None => Payload::of(&self.metadata)
                .unwrap_or_else(|error| Payload::unreadable(&error.to_string())),
        }
    }

    /// Keeps how the metadata are written.
    pub(crate) fn keep_written(&mut self, document: Payload) {
        self.written = Written(Some(document));
    }
}

/// An event as a store returns it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RecordedEvent {
    /// Its identity.
    pub event_id: EventId,
    /// The stream that it belongs to.
    pub stream: StreamId,
    /// Its number in the stream, from 1.
    pub version: StreamVersion,
    /// Its place in the log.
    pub position: Position,
    /// Its stored name.
    pub event_type: EventName,
    /// The domain facts.
    pub payload: Payload,
    /// Timing, causation, correlation and the schema version.
    pub metadata: Metadata,
    /// When the store recorded it, by the store's clock; of an import, when it happened elsewhere.
    /// Data, not order: clocks step.
    pub recorded_at: Timestamp,
}

impl RecordedEvent {
    /// For backends: the event as it is recorded in a stream, at its places and its time.
    pub fn new(
        event: NewEvent,
        stream: StreamId,
        version: StreamVersion,
        position: Position,
        recorded_at: Timestamp,
    ) -> Self {
        let NewEvent { event_id, event_type, payload, metadata, .. } = event;
        Self { event_id, stream, version, position, event_type, payload, metadata, recorded_at }
    }

    /// True if the event is of this kind, or has a part that is, under whichever of its names it is
    /// stored.
    pub fn is(&self, kind: EventType) -> bool {
        kind.is_named(self.event_type.as_str())
    }

    /// The id of its aggregate.
    ///
    /// # Errors
    ///
    /// [`InvalidAggregateId`] if it is none of `A`'s.
    pub fn aggregate_id<A: Aggregate>(&self) -> Result<A::Id, InvalidAggregateId> {
        if self.stream.aggregate_type() != A::TYPE {
            return Err(InvalidAggregateId::new(&self.stream.to_string(), A::TYPE));
        }
        A::Id::parse(self.stream.aggregate_id())
    }

    /// Reads the events of `E` that this one stands for.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] says what does not fit.
    pub fn decode<E: Event>(&self) -> Result<Decoded<E>, DecodeError> {
        decode_recorded(self)
    }

    /// Reads the event as one of `E`, for events that stand for one.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] says what does not fit; [`DecodeError::NotOne`] that its name is retired, or
    /// that it was split.
    pub fn decode_one<E: Event>(&self) -> Result<E, DecodeError> {
        self.decode::<E>()?.into_one(self.event_type.as_str())
    }

    /// The identity and place of this event, without its content.
    pub fn receipt(&self) -> EventReceipt {
        EventReceipt {
            event_id: self.event_id,
            version: self.version,
            position: self.position,
            recorded_at: self.recorded_at,
        }
    }
}

/// An event as it is read: typed, with all that was recorded beside it, by `Deref`.
///
/// ```
/// # use es_core::event::{DecodeError, RecordedEvent};
/// # use es_core::{Envelope, Event};
/// # #[derive(Event)]
/// # enum OrderEvent { OrderPaid { cents: u64 } }
/// # fn example(recorded: &RecordedEvent) -> Result<(), DecodeError> {
/// for event in Envelope::read(recorded)? {
///     let OrderEvent::OrderPaid { cents } = event.data;
///     println!("{cents} were paid for {} at {}", event.stream, event.recorded_at);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Envelope<'a, E> {
    /// The event.
    pub data: E,
    /// Which part of a split event this is, from 0.
    pub part: u32,
    recorded: &'a RecordedEvent,
}

impl<'a, E: Event> Envelope<'a, E> {
    /// Reads the events that a recorded one stands for, in their order.
    ///
    /// # Errors
    ///
    /// As [`RecordedEvent::decode`].
    pub fn read(
        recorded: &'a RecordedEvent,
    ) -> Result<impl Iterator<Item = Self> + use<'a, E>, DecodeError> {
        let parts = (0..).zip(recorded.decode::<E>()?);
        Ok(parts.map(move |(part, data)| Self { data, part, recorded }))
    }
}

impl<E> Deref for Envelope<'_, E> {
    type Target = RecordedEvent;

    fn deref(&self) -> &RecordedEvent {
        self.recorded
    }
}

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
    pub(crate) fn is_of(&self, event: &RecordedEvent) -> bool {
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

/// What causes further events: an event, and what it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The event.
    pub event_id: EventId,
    /// What it belongs to across streams; an event without one starts one, named by its own id.
    pub correlation_id: String,
}

impl Cause {
    pub(crate) fn new(event_id: EventId, correlation_id: Option<String>) -> Self {
        let correlation_id = correlation_id.unwrap_or_else(|| event_id.to_string());
        Self { event_id, correlation_id }
    }
}

impl From<&RecordedEvent> for Cause {
    fn from(event: &RecordedEvent) -> Self {
        Self::new(event.event_id, event.metadata.correlation_id.clone())
    }
}

/// Where one appended event was recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EventReceipt {
    /// The event's identity.
    pub event_id: EventId,
    /// Its number in its stream.
    pub version: StreamVersion,
    /// Its place in the log.
    pub position: Position,
    /// When the store recorded it.
    pub recorded_at: Timestamp,
}
