//! What a writer asks for and what it is answered.

use std::collections::HashSet;
use std::fmt;

use crate::content::{ContentProblem, stored_bytes};
use crate::envelope::{EventId, EventReceipt, NewEvent, RecordedEvent};
use crate::error::StoreError;
use crate::limits::Limits;
use crate::position::Position;
use crate::stream::{StreamId, shown};
use crate::version::{Conflict, ExpectedVersion, StreamVersion};

/// Events for one or several streams, to be written all or none.
#[derive(Debug, Clone, PartialEq)]
pub struct AppendRequest {
    streams: Vec<StreamAppend>,
    idempotency_key: Option<IdempotencyKey>,
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
        Self { streams: vec![StreamAppend { stream, expected, events }], idempotency_key: None }
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

    /// The streams, in the order in which they were named.
    pub fn streams(&self) -> &[StreamAppend] {
        &self.streams
    }

    /// The streams, by value.
    pub fn into_streams(self) -> Vec<StreamAppend> {
        self.streams
    }

    /// The idempotency key, if one was given.
    pub fn idempotency_key(&self) -> Option<&IdempotencyKey> {
        self.idempotency_key.as_ref()
    }

    /// The number of events over all streams.
    pub fn event_count(&self) -> usize {
        self.streams.iter().map(|part| part.events.len()).sum()
    }

    /// Checks the request against what every backend can keep; backends call it before they write
    /// anything.
    ///
    /// # Errors
    ///
    /// The first [`InvalidRequest`] found.
    pub fn check(&self, limits: &Limits) -> Result<(), InvalidRequest> {
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
        let mut ids = HashSet::new();
        let mut bytes = 0;
        for event in self.streams.iter().flat_map(|part| &part.events) {
            if count > 1 && !ids.insert(event.event_id) {
                return Err(InvalidRequest::EventIdTwice { event_id: event.event_id });
            }
            bytes += check_event(event, limits)?;
        }
        if bytes > limits.append_bytes {
            return Err(InvalidRequest::TooLarge { bytes, limit: limits.append_bytes });
        }
        Ok(())
    }
}

/// Checks one event and answers its size in bytes.
fn check_event(event: &NewEvent, limits: &Limits) -> Result<usize, InvalidRequest> {
    let name = event.event_type.as_str();
    let max = Limits::EVENT_TYPE_BYTES;
    if name.len() > max || !crate::stream::is_snake_case(name) {
        return Err(InvalidRequest::EventType { event_type: shown(name), max });
    }
    let content = |part, problem| InvalidRequest::Content {
        event_type: name.to_owned(),
        event_id: event.event_id,
        part,
        problem,
    };
    if let Some(reason) = event.payload.unreadable_because() {
        let problem = ContentProblem::Unreadable { reason: reason.to_owned() };
        return Err(content("payload", problem));
    }
    let payload = event.payload.as_str();
    let payload_bytes = stored_bytes(payload, limits.payload_bytes, limits.depth)
        .map_err(|problem| content("payload", problem))?;
    let metadata = serde_json::to_string(&event.metadata)
        .expect("metadata is a map with string keys and JSON values");
    let metadata_bytes = stored_bytes(&metadata, limits.metadata_bytes, limits.depth)
        .map_err(|problem| content("metadata", problem))?;
    // a number of its own has a place of its own
    if let (None, Some(other)) =
        (event.metadata.conversation_id, event.metadata.extra.get("conversation_id"))
    {
        let (bytes, limit) = (other.to_string().len(), Limits::CONVERSATION_BYTES);
        if bytes > limit {
            let problem = ContentProblem::TooLarge { bytes, limit };
            return Err(content("metadata", problem));
        }
    }
    Ok(payload_bytes + metadata_bytes)
}

/// A name for *what is done*, so that doing it again does nothing.
///
/// A key belongs to one whole [`AppendRequest`] and is recorded under each stream that the request
/// touches. A request whose key is recorded already is answered with the first result and writes
/// nothing, provided that it asks for the same events (types and payloads, compared as JSON values)
/// on the same streams; ids, times, expected versions and metadata do not count. A request that
/// differs is refused with [`AppendError::KeyReused`].
///
/// Make keys of what is done (run, posting, conversation, attempt), never of when.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(std::sync::Arc<str>);

impl IdempotencyKey {
    /// A key of 1 to 255 bytes without control characters.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest::Key`] if the text breaks that rule.
    pub fn new(key: &str) -> Result<Self, InvalidRequest> {
        let max = Limits::IDEMPOTENCY_KEY_BYTES;
        if (1..=max).contains(&key.len()) && !key.contains(char::is_control) {
            Ok(Self(key.into()))
        } else {
            Err(InvalidRequest::Key { key: shown(key), max })
        }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A request that no backend would take; nothing was written.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRequest {
    /// The append names no stream.
    #[error("an append needs at least one stream")]
    NoStreams,
    /// The append has no event for a stream that it names.
    #[error("the append has no event for stream {stream}; leave the stream out")]
    NoEvents {
        /// The stream.
        stream: StreamId,
    },
    /// The append names a stream twice.
    #[error("the append names stream {stream} twice; put its events together")]
    StreamTwice {
        /// The stream.
        stream: StreamId,
    },
    /// A member of a unit of work is of a repository with another store, whose events, snapshots and
    /// versions are not those that the unit reads and writes.
    #[error(
        "stream {stream} is of a repository with another store than the unit of work; make the \
         unit with `Repository::unit_of_work`, and all repositories with clones of one `Arc`"
    )]
    OtherStore {
        /// The stream.
        stream: StreamId,
    },
    /// A decision over several aggregates answered with events for another number of them.
    #[error("{lists} lists of events for {members} aggregates; answer with one list for each")]
    MemberCount {
        /// The number of aggregates.
        members: usize,
        /// The number of lists of events.
        lists: usize,
    },
    /// Two events of the append have the same id.
    #[error("event id {event_id} stands twice in the append")]
    EventIdTwice {
        /// The id.
        event_id: EventId,
    },
    /// The append has more events than allowed.
    #[error("{count} events in one append, more than the limit of {limit}; split it")]
    TooManyEvents {
        /// The number of events.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// The append is larger than allowed.
    #[error("{bytes} bytes in one append, more than the limit of {limit}; split it")]
    TooLarge {
        /// The size of all payloads and metadata in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The name of an event is not snake_case or too long.
    #[error("`{event_type}` is no event type; use a snake_case name of at most {max} bytes")]
    EventType {
        /// The name as given, shortened and escaped.
        event_type: String,
        /// The longest allowed name, in bytes.
        max: usize,
    },
    /// An event contains something that cannot be kept.
    #[error("the {part} of event `{event_type}` ({event_id}) cannot be stored: {problem}")]
    Content {
        /// The stored name of the event.
        event_type: String,
        /// The event.
        event_id: EventId,
        /// `payload` or `metadata`.
        part: &'static str,
        /// What is wrong with it.
        problem: ContentProblem,
    },
    /// The idempotency key is empty, too long or contains a control character.
    #[error("`{key}` is no idempotency key; use 1 to {max} bytes without control characters")]
    Key {
        /// The key as given, shortened and escaped.
        key: String,
        /// The longest allowed key, in bytes.
        max: usize,
    },
    /// The store keeps ids of another kind only.
    #[error("stream {stream} cannot be kept here: this store's aggregate ids are {wanted}")]
    IdOfOtherType {
        /// The stream.
        stream: StreamId,
        /// What ids the store keeps.
        wanted: &'static str,
    },
    /// The name of the stream is none.
    #[error(transparent)]
    Stream(#[from] crate::stream::InvalidStreamId),
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

/// Why an append wrote nothing, or is not known to have written.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// A stream was not as expected; nothing was written.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// An event with this id is in the store already; nothing was written.
    #[error("event id {event_id} is in the store already; make a new id for each event")]
    DuplicateEvent {
        /// The id.
        event_id: EventId,
    },
    /// The idempotency key was used for another request; nothing was written.
    #[error(
        "idempotency key `{key}` was used on stream {stream} for another request: {difference}"
    )]
    KeyReused {
        /// The key.
        key: IdempotencyKey,
        /// The stream under which the key was found.
        stream: StreamId,
        /// What differs.
        difference: KeyDifference,
    },
    /// The request is one that no backend takes; nothing was written.
    #[error(transparent)]
    Invalid(#[from] InvalidRequest),
    /// The store failed; see [`StoreError::is_outcome_unknown`].
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// In what a request differs from the one that first used its idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyDifference {
    /// It names other streams.
    #[error("it names other streams")]
    Streams,
    /// It has another number of events for a stream.
    #[error("it has another number of events")]
    EventCount,
    /// An event has another type.
    #[error("an event has another type")]
    EventType,
    /// An event has another payload.
    #[error("an event has another payload")]
    Payload,
}

/// Compares a request with what was recorded under its idempotency key; for backends.
///
/// `recorded` gives, for each stream of the first request, its events of that request in version
/// order.
///
/// # Errors
///
/// The first [`KeyDifference`].
pub fn same_request(
    request: &AppendRequest,
    recorded: &[(StreamId, Vec<RecordedEvent>)],
) -> Result<(), KeyDifference> {
    if request.streams.len() != recorded.len() {
        return Err(KeyDifference::Streams);
    }
    for part in &request.streams {
        let (_, events) = recorded
            .iter()
            .find(|(stream, _)| *stream == part.stream)
            .ok_or(KeyDifference::Streams)?;
        if events.len() != part.events.len() {
            return Err(KeyDifference::EventCount);
        }
        for (new, old) in part.events.iter().zip(events) {
            if new.event_type != old.event_type {
                return Err(KeyDifference::EventType);
            }
            if !new.payload.same_json(&old.payload) {
                return Err(KeyDifference::Payload);
            }
        }
    }
    Ok(())
}

/// The answer for a request whose key was recorded before; for backends.
///
/// The streams stand in the order of the request.
pub fn first_result(
    request: &AppendRequest,
    recorded: &[(StreamId, Vec<RecordedEvent>)],
) -> Appended {
    let streams = request
        .streams
        .iter()
        .filter_map(|part| recorded.iter().find(|(stream, _)| *stream == part.stream))
        .map(|(stream, events)| AppendedStream {
            stream: stream.clone(),
            events: events.iter().map(RecordedEvent::receipt).collect(),
        })
        .collect();
    Appended { streams, repeated: true }
}
