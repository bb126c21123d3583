//! A backend as small as one can be: events in memory, without snapshots and models. It passes the
//! contract suite; `docs/write-a-backend.md` goes through it.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use es_core::backend::rules::{RecordedRequest, judge_key, whole_result};
use es_core::backend::{
    AppendError, AppendRequest, Appended, Capabilities, Direction, EventReference, EventStore,
    Limits, LogPage, NewEvent, PageBuilder, PageLimit, Position, ReadLog, ReadStream, StoreError,
    StoreErrorKind, StoreIdentity, StreamId, StreamPage, Timestamp,
};
use es_core::environment::{Clock, Environment, SystemClock};
use es_core::event::{EventId, Payload, RecordedEvent};
use es_core::execution::{IdempotencyKey, StreamVersion};
use es_core::{BoxError, ExpectedVersion};
use tokio::sync::watch;

/// All that was appended.
#[derive(Default)]
struct Log {
    /// The event with sequence number n stands at n - 1.
    events: Vec<RecordedEvent>,
    ids: HashSet<EventId>,
    /// Which of the events were appended under which key.
    keyed: Vec<(IdempotencyKey, Range<usize>)>,
}

impl Log {
    fn end(&self) -> Position {
        Position::from_sequence(self.events.len() as u64)
    }

    fn check_cursor(&self, cursor: Position) -> Result<(), StoreError> {
        let is_beyond = cursor > self.end();
        if is_beyond { Err(StoreError::beyond_the_end(cursor, self.end())) } else { Ok(()) }
    }

    fn of_stream<'a>(&'a self, stream: &'a StreamId) -> impl Iterator<Item = &'a RecordedEvent> {
        self.events.iter().filter(move |event| event.stream == *stream)
    }

    fn version(&self, stream: &StreamId) -> StreamVersion {
        StreamVersion::new(self.of_stream(stream).count() as u64)
    }

    /// The events of one append, by stream.
    fn written(&self, places: &Range<usize>) -> RecordedRequest {
        let parts = self.events[places.clone()].chunk_by(|one, next| one.stream == next.stream);
        parts.map(|part| (part[0].stream.clone(), part.to_vec())).collect()
    }

    /// The append that recorded the key under the stream.
    fn recorded_under(&self, stream: &StreamId, key: &IdempotencyKey) -> Option<RecordedRequest> {
        let appends = self.keyed.iter().filter(|(of, _)| of == key);
        let mut appends = appends.map(|(_, places)| self.written(places));
        appends.find(|append| append.iter().any(|(of, _)| of == stream))
    }

    fn append(&mut self, request: AppendRequest, at: Timestamp) -> Result<Appended, AppendError> {
        let known = |stream: &_, key: &_| Ok::<_, AppendError>(self.recorded_under(stream, key));
        if let Some(first) = judge_key(&request, known)?.answer()? {
            return Ok(first);
        }
        for part in request.streams() {
            part.expected.check(&part.stream, self.version(&part.stream))?;
        }
        let mut events = request.streams().iter().flat_map(|part| &part.events);
        if let Some(event) = events.find(|event| self.ids.contains(&event.event_id)) {
            return Err(AppendError::DuplicateEvent { event_id: event.event_id });
        }
        // nothing was written so far, and nothing fails from here on
        let (key, first) = (request.idempotency_key().cloned(), self.events.len());
        for part in request.into_streams() {
            let mut version = self.version(&part.stream);
            for event in part.events {
                version = version.next();
                self.ids.insert(event.event_id);
                let position = Position::from_sequence(self.events.len() as u64 + 1);
                let stream = part.stream.clone();
                self.events.push(RecordedEvent::new(event, stream, version, position, at));
            }
        }
        let places = first..self.events.len();
        let appended = Appended { repeated: false, ..whole_result(self.written(&places)) };
        self.keyed.extend(key.map(|key| (key, places)));
        Ok(appended)
    }
}

/// As many events as the limit admits, and whether these are all.
fn page<'a>(
    limit: PageLimit,
    events: impl IntoIterator<Item = &'a RecordedEvent>,
) -> (Vec<RecordedEvent>, bool) {
    let mut page = PageBuilder::new(limit);
    for event in events {
        if !page.admits(event.payload.as_str().len()) {
            return (page.into_events(), false);
        }
        page.push(event.clone());
    }
    (page.into_events(), true)
}

struct TinyStore {
    identity: StoreIdentity,
    log: Mutex<Log>,
    end: watch::Sender<Position>,
    clock: Arc<dyn Clock>,
}

impl TinyStore {
    fn new(clock: Arc<dyn Clock>) -> Self {
        let (identity, log) = (StoreIdentity::new(), Mutex::default());
        Self { identity, log, end: watch::Sender::new(Position::START), clock }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl EventStore for TinyStore {
    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let request = request.checked(&Limits::default())?;
        let mut log = self.log();
        let recorded_at = request.recording_time(self.clock.now())?;
        let appended = log.append(request, recorded_at)?;
        self.end.send_replace(log.end());
        Ok(appended)
    }

    async fn find_append(
        &self,
        stream: &StreamId,
        key: &IdempotencyKey,
    ) -> Result<Option<Appended>, StoreError> {
        Ok(self.log().recorded_under(stream, key).map(whole_result))
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        let log = self.log();
        let prefix = log
            .of_stream(&read.stream)
            .take_while(|event| read.until.is_none_or(|until| event.recorded_at <= until));
        let wanted = prefix.filter(|event| (read.from..=read.to).contains(&event.version));
        let mut wanted: Vec<_> = wanted.collect();
        if read.direction == Direction::Backwards {
            wanted.reverse();
        }
        let (events, is_all) = page(read.limit, wanted);
        let stream_version = log.version(&read.stream);
        Ok(StreamPage::new(events, stream_version, !is_all))
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        let log = self.log();
        log.check_cursor(read.after)?;
        let rest = &log.events[read.after.to_sequence() as usize..];
        let wanted = rest.iter().filter(|event| read.filter.accepts(event));
        let (events, at_end) = page(read.limit, wanted);
        let next = match events.last() {
            Some(last) if !at_end => last.position,
            _ => log.end(),
        };
        let is_seen =
            |event: &&RecordedEvent| event.position <= next && read.filter.shows(&event.stream);
        let last = rest.iter().rfind(is_seen).map(EventReference::from);
        Ok(LogPage::new(events, next, last, at_end))
    }

    async fn end_of_log(&self) -> Result<Position, StoreError> {
        Ok(self.log().end())
    }

    async fn wait_past(&self, position: Position) -> Result<(), StoreError> {
        self.log().check_cursor(position)?;
        let mut end = self.end.subscribe();
        let shown = end.wait_for(|end| *end > position).await.map(|_| ());
        shown.map_err(|_| StoreError::new(StoreErrorKind::Closed, "the store is gone"))
    }

    fn capabilities(self: Arc<Self>) -> Capabilities {
        Capabilities::of(self.identity.clone(), "tiny")
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let store = TinyStore::new(Arc::new(SystemClock));
    let event_id = Environment::default().event_ids.next_id();
    let event = NewEvent::new(event_id, "posting_saved", Payload::of("Berlin")?);
    let stream: StreamId = "posting/12345".parse()?;
    store.append(AppendRequest::to(stream, ExpectedVersion::NoStream, vec![event])).await?;
    let page = store.read_log(&ReadLog::from_start()).await?;
    assert_eq!(page.events[0].event_id, event_id);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use es_core::backend::EventStore;
    use es_testing::{Fixture, ManualClock};

    use super::TinyStore;

    struct Tiny {
        store: Arc<TinyStore>,
        clock: ManualClock,
    }

    async fn tiny() -> Tiny {
        let clock = ManualClock::new();
        Tiny { store: Arc::new(TinyStore::new(Arc::new(clock.clone()))), clock }
    }

    #[async_trait::async_trait]
    impl Fixture for Tiny {
        fn store(&self) -> Arc<dyn EventStore> {
            self.store.clone()
        }

        fn manual_clock(&self) -> Option<ManualClock> {
            Some(self.clock.clone())
        }
    }

    es_testing::contract_suite!(v1, tiny, lacks: ["durability", "snapshots"]);
}
