//! Seeded events: the same seed gives the same events.

use es_core::backend::{AppendRequest, NewEvent, StreamId};
use es_core::event::{EventId, EventVersion, Metadata};
use es_core::execution::{IdempotencyKey, StreamVersion, stream_of};
use es_core::{Event, ExpectedVersion};
use uuid::Builder;

use crate::posting::{Posting, PostingEvent};

/// When the first event is made: 2025-11-19 10:00 UTC.
const FIRST_MS: u64 = 1_763_546_400_000;

/// Events of one millisecond; SQLite's durable single appends come to about as many.
const EVENTS_PER_MS: u64 = 4;

/// Postings among which [`Workload::anywhere`] chooses.
const POSTINGS: i64 = 10_000;

/// Conversations of one posting.
const CONVERSATIONS: i64 = 16;

/// The length of an output, so that a payload has about 190 bytes.
const OUTPUT_BYTES: usize = 148;

/// A source of events.
#[derive(Debug, Clone)]
pub struct Workload {
    chance: fastrand::Rng,
    ids: u64,
}

impl Workload {
    /// The workload of a seed.
    pub fn seeded(seed: u64) -> Self {
        Self { chance: fastrand::Rng::with_seed(seed), ids: 0 }
    }

    /// An id of UUID version 7 whose time rises as events are made.
    pub fn event_id(&mut self) -> EventId {
        let mut random = [0; 10];
        self.chance.fill(&mut random);
        let millis = FIRST_MS + self.ids / EVENTS_PER_MS;
        self.ids += 1;
        EventId::from_uuid(Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// An actor's answer of 148 letters.
    pub fn execution(&mut self) -> PostingEvent {
        PostingEvent::ScriptExecutionCompleted {
            output: (0..OUTPUT_BYTES).map(|_| self.chance.alphabetic()).collect(),
            status: "SUCCESS".to_owned(),
            conversation_id: 9184 + self.chance.i64(0..CONVERSATIONS),
            actor_id: self.chance.i64(1..100),
            duration_ms: self.chance.u64(1..2_000),
        }
    }

    /// The metadata that a command gives its events: causation and correlation.
    pub fn cause(&mut self) -> Metadata {
        let mut metadata = Metadata::new();
        metadata.causation_id = Some(self.event_id());
        metadata.correlation_id = Some("workflow_3001_posting_12345".to_owned());
        metadata
    }

    /// An answer in the form that a store takes.
    pub fn event(&mut self) -> NewEvent {
        let event = self.execution();
        let mut metadata = self.cause();
        let payload = event.encode(&mut metadata).expect("text and numbers are JSON");
        metadata.event_version = Some(EventVersion::new(1));
        NewEvent::new(self.event_id(), event.event_type().name, payload).with_metadata(metadata)
    }

    /// Several answers.
    pub fn events(&mut self, count: usize) -> Vec<NewEvent> {
        (0..count).map(|_| self.event()).collect()
    }

    /// An append of `events` events to any of 10,000 postings, whatever its version.
    pub fn anywhere(&mut self, events: usize) -> AppendRequest {
        let posting = self.chance.i64(0..POSTINGS);
        AppendRequest::to(Self::stream(posting), ExpectedVersion::Any, self.events(events))
    }

    /// As [`anywhere`](Self::anywhere), with an idempotency key that was not used before.
    pub fn anywhere_once(&mut self, events: usize) -> AppendRequest {
        let request = self.anywhere(events);
        let key = IdempotencyKey::new(&self.event_id().to_string());
        request.with_key(key.expect("a UUID is a key"))
    }

    /// The `n`th append, from 0, to postings that each get ten appends with the exact version.
    pub fn in_turn(&mut self, n: u64, events: usize) -> AppendRequest {
        let version = StreamVersion::new(n % 10 * events as u64);
        let posting = Self::stream(i64::try_from(n / 10).expect("fewer appends than postings"));
        AppendRequest::to(posting, ExpectedVersion::Exact(version), self.events(events))
    }

    /// The stream of a posting.
    pub fn stream(posting: i64) -> StreamId {
        stream_of::<Posting>(&posting).expect("a number names a stream")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_events_and_another_gives_others() {
        let events = |seed| Workload::seeded(seed).events(3);
        assert_eq!(events(1), events(1));
        assert_ne!(events(1), events(2));
    }

    #[test]
    fn an_event_looks_as_the_specification_shows_it() {
        let event = Workload::seeded(1).event();
        assert_eq!(event.event_type, "script_execution_completed");
        let payload: serde_json::Value = event.payload.decode().unwrap();
        assert_eq!(payload["output"].as_str().unwrap().len(), 148);
        assert_eq!(payload["status"], "SUCCESS");
        assert_eq!(payload.as_object().unwrap().len(), 2);
        let metadata = serde_json::to_value(&event.metadata).unwrap();
        let mut fields: Vec<_> = metadata.as_object().unwrap().keys().collect();
        fields.sort();
        let wanted = [
            "actor_id",
            "causation_id",
            "conversation_id",
            "correlation_id",
            "duration_ms",
            "event_version",
        ];
        assert_eq!(fields, wanted);
    }

    #[test]
    fn appends_in_turn_expect_what_the_ones_before_left() {
        let mut workload = Workload::seeded(1);
        let parts: Vec<_> = (0..11).map(|n| workload.in_turn(n, 3).into_streams()).collect();
        assert_eq!(parts[9][0].expected, ExpectedVersion::Exact(StreamVersion::new(27)));
        assert_eq!(parts[9][0].stream, parts[0][0].stream);
        assert_eq!(parts[10][0].expected, ExpectedVersion::Exact(StreamVersion::EMPTY));
        assert_ne!(parts[10][0].stream, parts[0][0].stream);
    }
}
