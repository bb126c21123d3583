//! What can be found out from the log of any store.

use std::collections::BTreeMap;

use es_core::Aggregate;
use es_core::backend::EventStore;
use es_core::event::{EventStoreExt, ReadLog, RecordedEvent, StreamId, Timestamp};
use es_core::execution::StoreError;
use futures_util::TryStreamExt;
use serde_json::Value;
use turing_domain::{
    ActorBreaker, ActorEvent, ConversationEvent, ConversationWaves, Cutover, CutoverEvent,
    DefinitionEvent, Posting, PostingEvent, RecordedDefinitions, WorkflowEvent, WorkflowRuns,
    definition_digest,
};

use super::{FindingSeverity, StoreFinding, usable_id};

/// The kind of finding that tells of events which programs cannot read.
pub(crate) const UNREADABLE: &str = "event_unreadable";

/// The kind of finding that tells of times which programs cannot read.
pub(crate) const UNREADABLE_TIME_KIND: &str = "time_unreadable";

/// The kind of finding that tells of definitions whose text is not the one that was recorded.
pub(crate) const FORGED: &str = "definition_differs";

/// Reads the whole log and tells of streams whose versions have gaps, whose events stand in the log
/// in another order, whose times run backwards, whose events or times programs cannot read, and
/// whose ids they cannot ask for; and of definitions whose text has another digest than was recorded.
///
/// It needs memory for each stream, not for each event.
///
/// # Errors
///
/// When the store fails.
pub async fn validate_log(events: &dyn EventStore) -> Result<Vec<StoreFinding>, StoreError> {
    let mut streams: BTreeMap<StreamId, Seen> = BTreeMap::new();
    let mut log = events.log(ReadLog::from_start());
    while let Some(event) = log.try_next().await? {
        streams.entry(event.stream.clone()).or_default().take(&event);
    }
    Ok(streams.iter().flat_map(|(stream, seen)| seen.findings(stream)).collect())
}

/// Whether programs can read the event; of a stream that is none of theirs, whether it is JSON.
fn is_readable(event: &RecordedEvent) -> bool {
    match event.stream.aggregate_type() {
        Posting::TYPE => event.decode::<PostingEvent>().is_ok(),
        WorkflowRuns::TYPE => event.decode::<WorkflowEvent>().is_ok(),
        ConversationWaves::TYPE => event.decode::<ConversationEvent>().is_ok(),
        ActorBreaker::TYPE => event.decode::<ActorEvent>().is_ok(),
        Cutover::TYPE => event.decode::<CutoverEvent>().is_ok(),
        RecordedDefinitions::TYPE => event.decode::<DefinitionEvent>().is_ok(),
        _ => event.payload.decode::<Value>().is_ok(),
    }
}

/// Whether the event has the text of a definition under a digest that is not that of the text.
fn is_forged(event: &RecordedEvent) -> bool {
    event.stream.aggregate_type() == RecordedDefinitions::TYPE
        && match event.decode_one() {
            Ok(DefinitionEvent::WorkflowDefinitionRecorded { digest, text, .. }) => {
                definition_digest(&text) != digest
            }
            Err(_) => false,
        }
}

/// Whether the stream is of a type whose ids are numbers, and its id is not the text of one.
fn has_unusable_id(stream: &StreamId) -> bool {
    let types = [
        Posting::TYPE,
        WorkflowRuns::TYPE,
        ConversationWaves::TYPE,
        ActorBreaker::TYPE,
        Cutover::TYPE,
        RecordedDefinitions::TYPE,
    ];
    types.contains(&stream.aggregate_type()) && usable_id(stream).is_none()
}

/// How often something was seen, and in which version first.
#[derive(Debug, Default)]
struct Tally {
    count: u64,
    first: u64,
}

impl Tally {
    fn add(&mut self, version: u64) {
        if self.count == 0 {
            self.first = version;
        }
        self.count += 1;
    }

    fn tell(&self, what: impl FnOnce(u64, u64) -> String) -> Option<String> {
        (self.count > 0).then(|| what(self.count, self.first))
    }
}

/// What was seen of one stream.
#[derive(Debug, Default)]
struct Seen {
    events: u64,
    highest: u64,
    latest: Option<Timestamp>,
    reversed: Tally,
    earlier: Tally,
    unreadable: Tally,
    timeless: Tally,
    forged: Tally,
}

impl Seen {
    fn take(&mut self, event: &RecordedEvent) {
        let version = event.version.as_u64();
        self.events += 1;
        if version < self.highest {
            self.reversed.add(version);
        }
        self.highest = self.highest.max(version);
        // what stands in for a time that cannot be read
        if event.recorded_at == Timestamp::from_micros(i64::MIN) {
            self.timeless.add(version);
        } else if self.latest.is_some_and(|latest| event.recorded_at < latest) {
            self.earlier.add(version);
        }
        self.latest = Some(event.recorded_at);
        if !is_readable(event) {
            self.unreadable.add(version);
        }
        if is_forged(event) {
            self.forged.add(version);
        }
    }

    fn findings(&self, stream: &StreamId) -> impl Iterator<Item = StoreFinding> {
        use FindingSeverity::{Error, Warning};
        let missing = self.highest - self.events;
        let gap = (missing > 0)
            .then(|| format!("{missing} of the events up to event {} are not there", self.highest));
        let reversed = self.reversed.tell(|count, first| {
            format!(
                "the place in the log of {count} of its events, the first of them event {first}, is \
                 behind that of a successor"
            )
        });
        let earlier = self.earlier.tell(|count, first| {
            format!(
                "the time of {count} of its events, the first of them event {first}, is earlier than \
                 that of the event before; versions decide the order"
            )
        });
        let unreadable = self.unreadable.tell(|count, first| {
            format!("{count} of its events cannot be read, the first of them event {first}")
        });
        let timeless = self.timeless.tell(|count, first| {
            format!(
                "the time of {count} of its events, the first of them event {first}, cannot be read, \
                 and counts as the earliest"
            )
        });
        let forged = self.forged.tell(|count, first| {
            format!(
                "the text of {count} of its definitions, the first of them in event {first}, has another \
                 SHA-256 than was recorded, so somebody has changed or forged it; restore the store from a \
                 backup"
            )
        });
        let unusable = has_unusable_id(stream).then(|| {
            format!(
                "no program can ask for this id: ids are whole numbers from {} to {}, without \
                 leading zeros",
                i32::MIN,
                i32::MAX
            )
        });
        let finding = |kind: &str, severity, detail: Option<String>| {
            Some(StoreFinding {
                kind: kind.to_owned(),
                severity,
                aggregate_type: Some(stream.aggregate_type().to_owned()),
                aggregate_id: Some(stream.aggregate_id().to_owned()),
                detail: detail?,
                repair: None,
            })
        };
        let findings = [
            finding("gap_in_versions", Error, gap),
            finding("order_reversed", Warning, reversed),
            finding("clock_reversed", Warning, earlier),
            finding(UNREADABLE, Warning, unreadable),
            finding(UNREADABLE_TIME_KIND, Warning, timeless),
            finding("id_unusable", Warning, unusable),
            finding(FORGED, Error, forged),
        ];
        findings.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use es_core::ExpectedVersion;
    use es_core::backend::{AppendRequest, NewEvent};
    use es_core::event::{EventId, Payload, Position};
    use es_core::execution::StreamVersion;
    use es_memory::MemoryStore;

    use super::*;

    fn recorded(version: u64, micros: i64) -> RecordedEvent {
        let id = EventId::from_uuid(es_postgres::sqlx::types::Uuid::from_u128(1));
        let payload = Payload::of(&serde_json::json!({})).unwrap();
        RecordedEvent::new(
            NewEvent::new(id, "posting_terminal", payload),
            StreamId::new("posting", "1").unwrap(),
            StreamVersion::new(version),
            Position::from_sequence(version),
            Timestamp::from_micros(micros),
        )
    }

    fn kinds(events: &[RecordedEvent]) -> Vec<String> {
        let mut seen = Seen::default();
        events.iter().for_each(|event| seen.take(event));
        seen.findings(&events[0].stream).map(|finding| finding.kind).collect()
    }

    #[test]
    fn gaps_and_reversals_are_told_apart() {
        let at = |versions: &[u64]| {
            let events: Vec<_> = versions.iter().map(|version| recorded(*version, 0)).collect();
            kinds(&events)
        };
        assert!(at(&[1, 2, 3]).is_empty());
        assert_eq!(at(&[1, 3]), ["gap_in_versions"]);
        assert_eq!(at(&[2]), ["gap_in_versions"]);
        assert_eq!(at(&[1, 3, 2]), ["order_reversed"]);
        assert_eq!(kinds(&[recorded(1, 5), recorded(2, 4)]), ["clock_reversed"]);
        assert_eq!(kinds(&[recorded(1, 5), recorded(2, i64::MIN)]), ["time_unreadable"]);
    }

    #[test]
    fn what_a_string_says_is_no_part_of_an_event() {
        let text = r#"{"output":{"$serde_json::private::RawValue":"{\"a\":1}"}}"#;
        for event_type in ["llm_call_completed", "script_execution_completed"] {
            let payload = Payload::parse(text.to_owned()).unwrap();
            let mut event = recorded(1, 0);
            (event.event_type, event.payload) = (event_type.into(), payload);
            assert_eq!(kinds(&[event]), ["event_unreadable"]);
        }
    }

    #[test]
    fn a_definition_with_another_text_than_was_recorded_is_told() {
        let recorded = |text: &str| {
            let payload = serde_json::json!({
                "workflow_id": 3001,
                "digest": definition_digest("as it was"),
                "file_name": "workflow.toml",
                "folder": null,
                "text": text,
            });
            let id = EventId::from_uuid(es_postgres::sqlx::types::Uuid::from_u128(1));
            let payload = Payload::of(&payload).unwrap();
            kinds(&[RecordedEvent::new(
                NewEvent::new(id, "workflow_definition_recorded", payload),
                StreamId::new("definition", "7").unwrap(),
                StreamVersion::new(1),
                Position::from_sequence(1),
                Timestamp::from_micros(0),
            )])
        };
        assert!(recorded("as it was").is_empty());
        assert_eq!(recorded("as it is"), ["definition_differs"]);
    }

    #[tokio::test]
    async fn an_event_that_no_program_reads_is_told() {
        let store = Arc::new(MemoryStore::new());
        assert_eq!(validate_log(&*store).await.unwrap(), []);
        let id = EventId::from_uuid(es_postgres::sqlx::types::Uuid::from_u128(7));
        let event = NewEvent::new(id, "note_added", Payload::of(&serde_json::json!({})).unwrap());
        let stream = StreamId::new("posting", "12345").unwrap();
        let request = AppendRequest::to(stream, ExpectedVersion::Any, vec![event]);
        store.append(request).await.unwrap();
        let findings = validate_log(&*store).await.unwrap();
        let shown: Vec<_> = findings.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "warning [event_unreadable] posting 12345: 1 of its events cannot be read, the first \
              of them event 1"
            ]
        );
    }
}
