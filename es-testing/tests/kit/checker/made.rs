//! Histories made by hand.

use std::collections::HashMap;

use es_core::ExpectedVersion;
use es_core::backend::{
    AppendRequest, Appended, AppendedStream, LogPage, NewEvent, Position, ReadLog, ReadStream,
    StreamId, StreamPage, Timestamp,
};
use es_core::event::{EventId, Payload, RecordedEvent};
use es_core::execution::{IdempotencyKey, StreamVersion};
use es_testing::checker::{AppendCall, AppendOutcome, History, ReadCall, Rule, Seen, Span};

pub(crate) fn stream(name: &str) -> StreamId {
    StreamId::new("account", name).unwrap()
}

pub(crate) fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::new(text).unwrap()
}

/// The id with this number.
pub(crate) fn id(number: u64) -> EventId {
    format!("00000000-0000-4000-8000-{number:012x}").parse().unwrap()
}

pub(crate) fn event(number: u64) -> NewEvent {
    NewEvent::new(id(number), "amount_paid_in", Payload::of(&0).unwrap())
}

pub(crate) fn exactly(version: u64) -> ExpectedVersion {
    ExpectedVersion::Exact(StreamVersion::new(version))
}

/// An append of these events to one stream.
pub(crate) fn to(name: &str, expected: ExpectedVersion, ids: &[u64]) -> AppendRequest {
    AppendRequest::to(stream(name), expected, ids.iter().map(|&id| event(id)).collect())
}

pub(crate) fn span(began: u64, ended: u64) -> Span {
    Span { began, ended: Some(ended) }
}

/// A log with these events, as `stream` and number, at positions 10, 20, 30 and so on.
pub(crate) fn log(events: &[(&str, u64)]) -> Vec<RecordedEvent> {
    let mut versions: HashMap<&str, u64> = HashMap::new();
    let mut log = Vec::new();
    for (index, (name, number)) in events.iter().enumerate() {
        let version = versions.entry(name).or_default();
        *version += 1;
        let new = event(*number);
        let (version, position) =
            (StreamVersion::new(*version), Position::from_sequence(10 * (index as u64 + 1)));
        log.push(RecordedEvent::new(new, stream(name), version, position, Timestamp::EPOCH));
    }
    log
}

/// The answer to a request as the log has it; what is not there is told as if it were.
pub(crate) fn answer(request: &AppendRequest, log: &[RecordedEvent], repeated: bool) -> Appended {
    let streams = request.streams().iter().map(|part| AppendedStream {
        stream: part.stream.clone(),
        events: part
            .events
            .iter()
            .map(|new| {
                let found = log.iter().find(|event| event.event_id == new.event_id);
                let recorded = found.cloned().unwrap_or_else(|| {
                    let (version, position) = (StreamVersion::new(77), Position::from_sequence(77));
                    let stream = part.stream.clone();
                    RecordedEvent::new(new.clone(), stream, version, position, Timestamp::EPOCH)
                });
                recorded.receipt()
            })
            .collect(),
    });
    Appended { streams: streams.collect(), repeated }
}

/// Builds a history call by call.
pub(crate) struct Made(pub(crate) History);

impl Made {
    pub(crate) fn with_log(events: &[(&str, u64)]) -> Self {
        Self(History { log: log(events), ..History::default() })
    }

    pub(crate) fn append(
        mut self,
        span: Span,
        request: AppendRequest,
        outcome: AppendOutcome,
    ) -> Self {
        self.0.appends.push(AppendCall { span, request, outcome });
        self
    }

    /// An append that was acknowledged with what the log has.
    pub(crate) fn written(self, span: Span, request: AppendRequest) -> Self {
        let appended = answer(&request, &self.0.log, false);
        self.append(span, request, AppendOutcome::Acknowledged(appended))
    }

    pub(crate) fn unknown(self, began: u64, request: AppendRequest) -> Self {
        let span = Span { began, ended: None };
        self.append(span, request, AppendOutcome::Unknown)
    }

    pub(crate) fn refused(
        self,
        span: Span,
        request: AppendRequest,
        error: impl Into<es_core::backend::AppendError>,
    ) -> Self {
        self.append(span, request, AppendOutcome::Refused(error.into()))
    }

    pub(crate) fn saw(mut self, span: Span, seen: Seen) -> Self {
        self.0.reads.push(ReadCall { span, seen });
        self
    }

    /// A reader of a whole stream that saw its first events.
    pub(crate) fn read(self, span: Span, name: &str, version: u64) -> Self {
        let mine = self.0.log.iter().filter(|event| event.stream == stream(name));
        let events = mine.take(version as usize).cloned().collect();
        let page = StreamPage::new(events, StreamVersion::new(version), false);
        self.saw(span, Seen::Stream(ReadStream::new(stream(name)), page))
    }

    /// A reader of the log that saw its first events as the whole log.
    pub(crate) fn read_log(self, span: Span, count: usize) -> Self {
        let events = self.0.log[..count].to_vec();
        let next = events.last().map_or(Position::START, |event| event.position);
        let last = events.last().map(Into::into);
        let page = LogPage::new(events, next, last, true);
        self.saw(span, Seen::Log(ReadLog::from_start(), page))
    }

    #[track_caller]
    pub(crate) fn is_right(&self) {
        if let Err(violations) = self.0.check() {
            panic!("{violations}");
        }
    }

    /// Breaks this rule and no other.
    #[track_caller]
    pub(crate) fn breaks(&self, rule: Rule) {
        match self.0.check() {
            Ok(summary) => panic!("the history must break {rule:?}, but passes: {summary}"),
            Err(violations) => {
                let only = violations.0.iter().all(|violation| violation.rule == rule);
                assert!(only, "the history must break {rule:?} only: {violations}");
            }
        }
    }
}
