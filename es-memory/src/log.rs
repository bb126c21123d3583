//! The data of the store and the rules of appending, without any locking.

use std::collections::{BTreeMap, HashMap, HashSet};

use es_core::backend::rules::{RecordedRequest, judge_key};
use es_core::backend::{
    AppendError, AppendRequest, Appended, AppendedStream, Direction, NewEvent, PageBuilder,
    Position, ReadStream, Snapshot, StoreError, StreamId, StreamPage, Timestamp,
};
use es_core::event::{EventId, RecordedEvent};
use es_core::execution::{IdempotencyKey, StreamVersion};

/// The versions that one keyed append gave, by stream.
type KeyedAppend = Vec<(StreamId, std::ops::RangeInclusive<u64>)>;

/// Everything that the store knows.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// All events; the one with sequence number n stands at n - 1.
    pub(crate) events: Vec<RecordedEvent>,
    /// For each stream, the places of its events in `events`.
    streams: HashMap<StreamId, Vec<usize>>,
    ids: HashSet<EventId>,
    /// For each stream and key, which of `keyed` recorded it.
    keys: HashMap<(StreamId, IdempotencyKey), usize>,
    keyed: Vec<KeyedAppend>,
    pub(crate) snapshots: HashMap<StreamId, BTreeMap<StreamVersion, Snapshot>>,
}

impl Log {
    pub(crate) fn end(&self) -> Position {
        Position::from_sequence(self.events.len() as u64)
    }

    pub(crate) fn check_cursor(&self, cursor: Position) -> Result<(), StoreError> {
        if cursor > self.end() {
            return Err(StoreError::beyond_the_end(cursor, self.end()));
        }
        Ok(())
    }

    /// The events of a stream; the one with version n stands at n - 1.
    pub(crate) fn stream(&self, stream: &StreamId) -> &[usize] {
        self.streams.get(stream).map_or(&[], Vec::as_slice)
    }

    /// One page of a stream.
    pub(crate) fn page(&self, read: &ReadStream) -> StreamPage {
        let places = self.stream(&read.stream);
        let event = |place: &usize| &self.events[*place];
        let is_later = |place: &usize| read.until.is_some_and(|at| event(place).recorded_at > at);
        let prefix = match read.until {
            Some(_) => places.iter().position(is_later).unwrap_or(places.len()),
            None => places.len(),
        };
        let end = clamp(read.to, prefix);
        let wanted = &places[clamp(read.from, places.len() + 1).saturating_sub(1).min(end)..end];
        let mut page = PageBuilder::new(read.limit);
        let count = match read.direction {
            Direction::Forwards => fill(&mut page, wanted.iter().map(event)),
            Direction::Backwards => fill(&mut page, wanted.iter().rev().map(event)),
        };
        let version = StreamVersion::new(places.len() as u64);
        StreamPage::new(page.into_events(), version, count < wanted.len())
    }

    /// The newest snapshot of a stream at or below a version.
    pub(crate) fn latest_snapshot(
        &self,
        stream: &StreamId,
        up_to: StreamVersion,
    ) -> Option<&Snapshot> {
        let kept = self.snapshots.get(stream)?;
        kept.range(..=up_to).next_back().map(|(_, snapshot)| snapshot)
    }

    fn version(&self, stream: &StreamId) -> StreamVersion {
        StreamVersion::new(self.stream(stream).len() as u64)
    }

    /// Appends what `inline` takes, too; it is asked last, before anything is written.
    pub(crate) fn append(
        &mut self,
        request: AppendRequest,
        recorded_at: Timestamp,
        inline: impl FnOnce(&[RecordedEvent]) -> Result<(), AppendError>,
    ) -> Result<Appended, AppendError> {
        let verdict = judge_key(&request, |stream, key| {
            Ok::<_, AppendError>(self.recorded_under(stream, key))
        })?;
        if let Some(first) = verdict.answer()? {
            return Ok(first);
        }
        for part in request.streams() {
            part.expected.check(&part.stream, self.version(&part.stream))?;
        }
        let events = request.streams().iter().flat_map(|part| &part.events);
        if let Some(event) = events.into_iter().find(|event| self.ids.contains(&event.event_id)) {
            return Err(AppendError::DuplicateEvent { event_id: event.event_id });
        }
        let key = request.idempotency_key().cloned();
        let mut recorded = Vec::new();
        let mut streams = Vec::new();
        for part in request.into_streams() {
            let first = recorded.len();
            self.record(&mut recorded, &part.stream, part.events, recorded_at);
            let events = recorded[first..].iter().map(RecordedEvent::receipt).collect();
            streams.push(AppendedStream { stream: part.stream, events });
        }
        inline(&recorded)?;
        self.write(recorded);
        if let Some(key) = key {
            self.record_key(&key, &streams);
        }
        Ok(Appended { streams, repeated: false })
    }

    /// Adds the events of a stream as they will stand in the log, behind those recorded so far.
    fn record(
        &self,
        recorded: &mut Vec<RecordedEvent>,
        stream: &StreamId,
        events: Vec<NewEvent>,
        recorded_at: Timestamp,
    ) {
        let mut version = self.version(stream);
        for event in events {
            version = version.next();
            let before = (self.events.len() + recorded.len()) as u64;
            let position = Position::from_sequence(before + 1);
            let stream = stream.clone();
            recorded.push(RecordedEvent::new(event, stream, version, position, recorded_at));
        }
    }

    fn write(&mut self, recorded: Vec<RecordedEvent>) {
        for event in recorded {
            let places = self.streams.entry(event.stream.clone()).or_default();
            places.push(self.events.len());
            self.ids.insert(event.event_id);
            self.events.push(event);
        }
    }

    fn record_key(&mut self, key: &IdempotencyKey, streams: &[AppendedStream]) {
        let append = self.keyed.len();
        for part in streams {
            self.keys.insert((part.stream.clone(), key.clone()), append);
        }
        let ranges = streams.iter().map(|part| {
            let last = part.version().as_u64();
            (part.stream.clone(), last + 1 - part.events.len() as u64..=last)
        });
        self.keyed.push(ranges.collect());
    }

    /// The events, by stream, of the append that recorded the key under the stream.
    pub(crate) fn recorded_under(
        &self,
        stream: &StreamId,
        key: &IdempotencyKey,
    ) -> Option<RecordedRequest> {
        let append = *self.keys.get(&(stream.clone(), key.clone()))?;
        let of_stream = |(stream, versions): &(StreamId, std::ops::RangeInclusive<u64>)| {
            let places =
                &self.stream(stream)[*versions.start() as usize - 1..*versions.end() as usize];
            (stream.clone(), places.iter().map(|&place| self.events[place].clone()).collect())
        };
        Some(self.keyed[append].iter().map(of_stream).collect())
    }
}

/// The version as an index that is at most `max`.
fn clamp(version: StreamVersion, max: usize) -> usize {
    usize::try_from(version.as_u64()).unwrap_or(usize::MAX).min(max)
}

/// Fills the page in the order of `events` and answers how many it took.
fn fill<'a>(page: &mut PageBuilder, events: impl Iterator<Item = &'a RecordedEvent>) -> usize {
    let mut count = 0;
    for event in events {
        if !page.admits(event.payload.as_str().len()) {
            break;
        }
        page.push(event.clone());
        count += 1;
    }
    count
}
