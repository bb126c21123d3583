//! What a writer asks for and what it is answered.

mod error;
mod key;
mod repeat;

use std::collections::HashSet;

use crate::content::{ContentProblem, stored_size};
use crate::envelope::{EventReceipt, NewEvent};
use crate::limits::Limits;
use crate::metadata::Metadata;
use crate::payload::Payload;
use crate::position::Position;
use crate::stream::{StreamId, shown};
use crate::timestamp::Timestamp;
use crate::version::{ExpectedVersion, StreamVersion};

pub use self::error::{AppendError, InvalidRequest, KeyDifference};
pub use self::key::IdempotencyKey;
pub(crate) use self::key::is_key;
pub use self::repeat::{first_result, same_request};

/// Events for one or several streams, to be written all or none.
#[derive(Debug, Clone, PartialEq)]
pub struct AppendRequest {
    streams: Vec<StreamAppend>,
    idempotency_key: Option<IdempotencyKey>,
    original_time: Option<Timestamp>,
}

/// The part of an [`AppendRequest`] that concerns one stream.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StreamAppend {
    /// The stream.
    pub stream: StreamId,
    /// What the writer expects of it.
    pub expected: ExpectedVersion,
    /// The events in the order in which they get their versions.
    pub events: Vec<NewEvent>,
}

impl AppendRequest {
    /// An append to one stream.
    pub fn to(stream: StreamId, expected: ExpectedVersion, events: Vec<NewEvent>) -> Self {
        let streams = vec![StreamAppend { stream, expected, events }];
        Self { streams, idempotency_key: None, original_time: None }
    }

    /// Adds another stream to the same unit of work.
    #[must_use]
    pub fn and(
        mut self,
        stream: StreamId,
        expected: ExpectedVersion,
        events: Vec<NewEvent>,
    ) -> Self {
        self.streams.push(StreamAppend { stream, expected, events });
        self
    }

    /// Makes a repeat of this request harmless; see [`IdempotencyKey`].
    #[must_use]
    pub fn with_key(mut self, key: IdempotencyKey) -> Self {
        self.idempotency_key = Some(key);
        self
    }

    /// Imports the events: they happened elsewhere, at this time, and are recorded with it instead of
    /// the store's. A store refuses a time that is later than its clock.
    ///
    /// All events of a request have one time, and their order is that of the request. It is for
    /// history, of which [`Member::import`](crate::execution::Member::import) makes such requests;
    /// what is decided now happens now.
    #[must_use]
    pub fn recorded_at(mut self, original: Timestamp) -> Self {
        self.original_time = Some(original);
        self
    }

    /// The streams, in the order in which they were named.
    pub fn streams(&self) -> &[StreamAppend] {
        &self.streams
    }

    /// The streams, by value.
    pub fn into_streams(self) -> Vec<StreamAppend> {
        self.streams
    }

    /// The same request to streams of other names.
    pub(crate) fn renamed<E>(
        mut self,
        name: impl Fn(&StreamId) -> Result<StreamId, E>,
    ) -> Result<Self, E> {
        for part in &mut self.streams {
            part.stream = name(&part.stream)?;
        }
        Ok(self)
    }

    /// The idempotency key, if one was given.
    pub fn idempotency_key(&self) -> Option<&IdempotencyKey> {
        self.idempotency_key.as_ref()
    }

    /// The time of the events, if they are imported.
    pub fn original_time(&self) -> Option<Timestamp> {
        self.original_time
    }

    /// The time with which a store records the events whose clock shows `now`; for backends, which call
    /// it before they write anything.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest::TimeAhead`] if the events are imported and of a later time.
    pub fn recording_time(&self, now: Timestamp) -> Result<Timestamp, InvalidRequest> {
        match self.original_time {
            Some(original) if original > now => Err(InvalidRequest::TimeAhead { original, now }),
            Some(original) => Ok(original),
            None => Ok(now),
        }
    }

    /// The number of events over all streams.
    pub fn event_count(&self) -> usize {
        self.streams.iter().map(|part| part.events.len()).sum()
    }

    /// What [`checked`](Self::checked) says of the request.
    ///
    /// # Errors
    ///
    /// The first [`InvalidRequest`] found.
    pub fn check(&self, limits: &Limits) -> Result<(), InvalidRequest> {
        self.clone().checked(limits).map(drop)
    }

    /// The request as every backend writes it: within what each of them can keep, payloads and
    /// metadata in the [canonical](Payload::canonical) form. Backends call it before they write
    /// anything.
    ///
    /// # Errors
    ///
    /// The first [`InvalidRequest`] found.
    pub fn checked(mut self, limits: &Limits) -> Result<Self, InvalidRequest> {
        if self.streams.is_empty() {
            return Err(InvalidRequest::NoStreams);
        }
        let mut streams = HashSet::new();
        for part in &self.streams {
            if part.events.is_empty() {
                return Err(InvalidRequest::NoEvents { stream: part.stream.clone() });
            }
            if self.streams.len() > 1 && !streams.insert(&part.stream) {
                return Err(InvalidRequest::StreamTwice { stream: part.stream.clone() });
            }
        }
        let count = self.event_count();
        let limit = limits.events.min(Limits::APPEND_EVENTS);
        if count > limit {
            return Err(InvalidRequest::TooManyEvents { count, limit });
        }
        let mut ids = HashSet::with_capacity(if count > 1 { count } else { 0 });
        let mut bytes = 0;
        for event in self.streams.iter_mut().flat_map(|part| &mut part.events) {
            if count > 1 && !ids.insert(event.event_id) {
                return Err(InvalidRequest::EventIdTwice { event_id: event.event_id });
            }
            bytes += bring_into_form(event, limits)?;
        }
        if bytes > limits.append_bytes {
            return Err(InvalidRequest::TooLarge { bytes, limit: limits.append_bytes });
        }
        Ok(self)
    }
}

/// Checks one event, brings it into the canonical form and answers its size in bytes.
fn bring_into_form(event: &mut NewEvent, limits: &Limits) -> Result<usize, InvalidRequest> {
    let name = event.event_type.as_str();
    let max = Limits::EVENT_TYPE_BYTES;
    if name.len() > max || !crate::stream::is_snake_case(name) {
        return Err(InvalidRequest::EventType { event_type: shown(name), max });
    }
    let event_id = event.event_id;
    let content = |part, problem| InvalidRequest::Content {
        event_type: name.to_owned(),
        event_id,
        part,
        problem,
    };
    let payload = event
        .payload
        .stored_form(limits.payload_bytes, limits.depth)
        .map_err(|problem| content("payload", problem))?;
    let (metadata, metadata_bytes) =
        written(&mut event.metadata, limits).map_err(|problem| content("metadata", problem))?;
    for field in Limits::INDEXED_METADATA {
        let bytes = event.metadata.document(field).map_or(0, |value| value.as_str().len());
        let limit = Limits::INDEXED_BYTES;
        if bytes > limit {
            return Err(content("metadata", ContentProblem::TooLarge { bytes, limit }));
        }
    }
    let bytes = payload.as_str().len() + metadata_bytes;
    event.payload = payload;
    event.keep_written(metadata);
    Ok(bytes)
}

/// Brings metadata into the canonical form, and answers them as they are written, and how many bytes
/// count of that.
fn written(metadata: &mut Metadata, limits: &Limits) -> Result<(Payload, usize), ContentProblem> {
    let write = |metadata: &Metadata| {
        Payload::of(metadata)
            .map_err(|error| ContentProblem::Unreadable { reason: error.to_string() })
    };
    let (max_bytes, max_depth) = (limits.metadata_bytes, limits.depth);
    let before = write(metadata)?;
    if metadata.make_canonical() {
        let bytes = stored_size(before.as_str(), max_bytes, max_depth)?;
        return Ok((before, bytes));
    }
    let stored = before.stored_form(max_bytes, max_depth)?;
    Ok((write(metadata)?, stored.as_str().len()))
}

/// The answer to an append that is in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Appended {
    /// What was written, in the order of the request's streams.
    pub streams: Vec<AppendedStream>,
    /// True if the idempotency key was recorded before: this is the first result, nothing was
    /// written now.
    pub repeated: bool,
}

/// The part of [`Appended`] that concerns one stream.
#[derive(Debug, Clone, PartialEq)]
pub struct AppendedStream {
    /// The stream.
    pub stream: StreamId,
    /// Where each event was recorded, in version order; never empty.
    pub events: Vec<EventReceipt>,
}

impl AppendedStream {
    /// The version of the last event that this append wrote.
    pub fn version(&self) -> StreamVersion {
        self.events.last().map_or(StreamVersion::EMPTY, |event| event.version)
    }
}

impl Appended {
    /// The place in the log of the last event of this append: a reader that has come this far has
    /// seen all of it.
    pub fn position(&self) -> Position {
        self.streams
            .iter()
            .filter_map(|part| part.events.last())
            .fold(Position::START, |latest, event| latest.merge(event.position))
    }

    /// The part that concerns `stream`.
    pub fn stream(&self, stream: &StreamId) -> Option<&AppendedStream> {
        self.streams.iter().find(|part| part.stream == *stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::{EventIds, UuidV7Ids};
    use crate::metadata::MetadataField;

    const NOTE: MetadataField<Payload> = MetadataField::new("note");

    fn document(text: &str) -> Payload {
        Payload::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn metadata_are_written_once_and_as_they_are() {
        let texts = ["7", r#"[1e2, {"bb":1,"a":"\u0041"}]"#, r#"[100.0,{"a":"A","bb":1}]"#, "null"];
        for text in texts {
            let mut metadata = Metadata::new().with(NOTE, document(text));
            metadata.correlation_id = Some("c \"1\"".to_owned());
            let event = NewEvent::new(UuidV7Ids.next_id(), "order_paid", document("{}"));
            let event = event.with_metadata(metadata);
            let stream: StreamId = "order/1".parse().unwrap();
            let request = AppendRequest::to(stream, ExpectedVersion::Any, vec![event]);
            let checked = request.clone().checked(&Limits::default()).unwrap();
            assert_eq!(checked, request);
            let event = checked.streams()[0].events[0].clone();
            let written = |metadata: &Metadata| serde_json::to_string(metadata).unwrap();
            assert_eq!(event.metadata_document().as_str(), written(&event.metadata), "{text}");
            let canonical = event.metadata.clone().into_canonical();
            assert_eq!(written(&event.metadata), written(&canonical), "{text}");
            let other = event.with_metadata(Metadata::new());
            assert_eq!(other.metadata_document().as_str(), "{}");
        }
    }

    #[test]
    fn a_request_that_was_checked_shows_metadata_once() {
        let metadata = Metadata::new().with(NOTE, document(r#""only once""#));
        let event = NewEvent::new(UuidV7Ids.next_id(), "order_paid", document("{}"));
        let stream: StreamId = "order/1".parse().unwrap();
        let events = vec![event.with_metadata(metadata)];
        let request = AppendRequest::to(stream, ExpectedVersion::Any, events);
        let shown = format!("{:?}", request.checked(&Limits::default()).unwrap());
        assert_eq!(shown.matches("only once").count(), 1, "{shown}");
    }
}
