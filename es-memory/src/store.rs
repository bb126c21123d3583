//! The store: one lock around the log, and a wake-up after each append.

use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use es_core::environment::SystemClock;
use es_core::projection::CommitSignal;
use es_core::read::PageBuilder;
use es_core::{
    AppendError, AppendRequest, Appended, AppendedStream, Clock, Direction, EventStore,
    IdempotencyKey, Limits, LogPage, Position, ReadLog, ReadStream, RecordedEvent, Snapshot,
    SnapshotStore, StoreError, StoreErrorKind, StreamId, StreamPage, StreamVersion, Timestamp,
};
use tokio::sync::watch;

use crate::log::Log;
use crate::projections::Projections;

/// An event store in memory; a clone is a handle to the same store.
#[derive(Debug, Clone)]
pub struct MemoryStore(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    log: Mutex<Log>,
    pub(crate) projections: Mutex<Projections>,
    commits: CommitSignal,
    end: watch::Sender<Position>,
    clock: Arc<dyn Clock>,
    limits: Limits,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store on the system's clock.
    pub fn new() -> Self {
        Self::with(Arc::new(SystemClock), Limits::default())
    }

    /// An empty store that takes the time of its events from `clock`.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self::with(clock, Limits::default())
    }

    /// An empty store with another clock and other limits.
    pub fn with(clock: Arc<dyn Clock>, limits: Limits) -> Self {
        let end = watch::Sender::new(Position::START);
        Self(Arc::new(Shared {
            log: Mutex::default(),
            projections: Mutex::default(),
            commits: CommitSignal::new(),
            end,
            clock,
            limits,
        }))
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0
    }

    pub(crate) fn commits(&self) -> &CommitSignal {
        &self.0.commits
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        // the only writes under this lock cannot panic half-way: all checks precede them
        self.0.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[async_trait]
impl EventStore for MemoryStore {
    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        request.check(&self.0.limits)?;
        let mut log = self.log();
        let now = self.0.clock.now();
        let appended = log.append(request, now, |events| self.take_inline(events, now))?;
        self.0.end.send_replace(log.end());
        Ok(appended)
    }

    async fn find_append(
        &self,
        stream: &StreamId,
        key: &IdempotencyKey,
    ) -> Result<Option<Appended>, StoreError> {
        let recorded = self.log().recorded_under(stream, key);
        Ok(recorded.map(|streams| Appended {
            streams: streams
                .into_iter()
                .map(|(stream, events)| AppendedStream {
                    stream,
                    events: events.iter().map(RecordedEvent::receipt).collect(),
                })
                .collect(),
            repeated: true,
        }))
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        let log = self.log();
        let places = log.stream(&read.stream);
        let event = |place: &usize| &log.events[*place];
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
        Ok(StreamPage {
            events: page.into_events(),
            stream_version: StreamVersion::new(places.len() as u64),
            has_more: count < wanted.len(),
        })
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        let log = self.log();
        let after = usize::try_from(read.after.to_sequence()).unwrap_or(usize::MAX);
        let rest = log.events.get(after..).unwrap_or(&[]);
        let mut page = PageBuilder::new(read.limit);
        for event in rest.iter().filter(|event| read.filter.accepts(event)) {
            if !page.admits(event.payload.as_str().len()) {
                let next = page.last().map_or(read.after, |last| last.position);
                return Ok(LogPage { events: page.into_events(), next, at_end: false });
            }
            page.push(event.clone());
        }
        let next = log.end().merge(read.after);
        Ok(LogPage { events: page.into_events(), next, at_end: true })
    }

    async fn end_of_log(&self) -> Result<Position, StoreError> {
        Ok(self.log().end())
    }

    async fn wait_past(&self, position: Position) -> Result<(), StoreError> {
        let mut end = self.0.end.subscribe();
        let woken = end.wait_for(|end| *end > position).await.map(|_| ());
        woken.map_err(|_| StoreError::new(StoreErrorKind::Closed, "the memory store is gone"))
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

#[async_trait]
impl SnapshotStore for MemoryStore {
    async fn latest_snapshot(
        &self,
        stream: &StreamId,
        up_to: StreamVersion,
    ) -> Result<Option<Snapshot>, StoreError> {
        let log = self.log();
        let kept = log.snapshots.get(stream).and_then(|kept| kept.range(..=up_to).next_back());
        Ok(kept.map(|(_, snapshot)| snapshot.clone()))
    }

    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), StoreError> {
        let mut log = self.log();
        let kept = log.snapshots.entry(snapshot.stream.clone()).or_default();
        kept.insert(snapshot.version, snapshot);
        Ok(())
    }

    async fn delete_snapshots(&self, stream: &StreamId) -> Result<(), StoreError> {
        self.log().snapshots.remove(stream);
        Ok(())
    }
}
