//! The store: one lock around the log, and a wake-up after each append.

use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use es_core::backend::rules::whole_result;
use es_core::backend::{
    AppendError, AppendRequest, Appended, Capabilities, CommitSignal, EventReference, EventStore,
    Limits, LogPage, PageBuilder, PageLimit, Position, ReadLog, ReadStream, Snapshot,
    SnapshotAndTail, SnapshotStore, SnapshotSummary, StoreError, StoreErrorKind, StoreIdentity,
    StreamId, StreamPage, Timestamp,
};
use es_core::environment::{Clock, SystemClock};
use es_core::execution::{IdempotencyKey, StreamVersion};
use tokio::sync::watch;

use crate::log::Log;
use crate::projections::Projections;

/// An event store in memory; a clone is a handle to the same store.
#[derive(Debug, Clone)]
pub struct MemoryStore(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    identity: StoreIdentity,
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
            identity: StoreIdentity::new(),
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
        let request = request.checked(&self.0.limits)?;
        let mut log = self.log();
        let now = self.0.clock.now();
        let recorded_at = request.recording_time(now)?;
        let appended = log.append(request, recorded_at, |events| self.take_inline(events, now))?;
        self.0.end.send_replace(log.end());
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
        Ok(self.log().page(read))
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        let log = self.log();
        log.check_cursor(read.after)?;
        let after = usize::try_from(read.after.to_sequence()).unwrap_or(usize::MAX);
        let rest = log.events.get(after..).unwrap_or(&[]);
        let mut page = PageBuilder::new(read.limit);
        for event in rest.iter().filter(|event| read.filter.accepts(event)) {
            if !page.admits(event.payload.as_str().len()) {
                let last = page.last().map(EventReference::from);
                let next = page.last().map_or(read.after, |last| last.position);
                return Ok(LogPage::new(page.into_events(), next, last, false));
            }
            page.push(event.clone());
        }
        let in_view = rest.iter().rfind(|event| read.filter.shows(&event.stream));
        let last = in_view.map(EventReference::from);
        Ok(LogPage::new(page.into_events(), log.end(), last, true))
    }

    async fn end_of_log(&self) -> Result<Position, StoreError> {
        Ok(self.log().end())
    }

    async fn wait_past(&self, position: Position) -> Result<(), StoreError> {
        self.log().check_cursor(position)?;
        let mut end = self.0.end.subscribe();
        let woken = end.wait_for(|end| *end > position).await.map(|_| ());
        woken.map_err(|_| StoreError::new(StoreErrorKind::Closed, "the memory store is gone"))
    }

    fn capabilities(self: Arc<Self>) -> Capabilities {
        let identity = self.0.identity.clone();
        Capabilities::of(identity, "es.memory").snapshots(self.clone()).models(self)
    }
}

#[async_trait]
impl SnapshotStore for MemoryStore {
    async fn latest_snapshot(
        &self,
        stream: &StreamId,
        up_to: StreamVersion,
    ) -> Result<Option<Snapshot>, StoreError> {
        Ok(self.log().latest_snapshot(stream, up_to).cloned())
    }

    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), StoreError> {
        snapshot.check()?;
        let mut log = self.log();
        let kept = log.snapshots.entry(snapshot.stream.clone()).or_default();
        kept.insert(snapshot.version, snapshot);
        Ok(())
    }

    async fn delete_snapshots(&self, stream: &StreamId) -> Result<(), StoreError> {
        self.log().snapshots.remove(stream);
        Ok(())
    }

    async fn prune_snapshots(&self, stream: &StreamId, keep: u64) -> Result<u64, StoreError> {
        let mut log = self.log();
        let Some(kept) = log.snapshots.get_mut(stream) else {
            return Ok(0);
        };
        let before = kept.len();
        let stay = usize::try_from(keep).unwrap_or(usize::MAX);
        while kept.len() > stay {
            kept.pop_first();
        }
        Ok((before - kept.len()) as u64)
    }

    async fn list_snapshots(
        &self,
        after: Option<&SnapshotSummary>,
        limit: usize,
    ) -> Result<Vec<SnapshotSummary>, StoreError> {
        let log = self.log();
        let mut streams: Vec<_> = log.snapshots.iter().collect();
        streams.sort_unstable_by_key(|(stream, _)| *stream);
        let all = streams.into_iter().flat_map(|(_, kept)| kept.values());
        let place = after.map(|after| (&after.stream, after.version));
        let rest =
            all.filter(|kept| place.is_none_or(|place| (&kept.stream, kept.version) > place));
        Ok(rest.take(limit).map(summary).collect())
    }

    async fn latest_with_tail(
        &self,
        stream: &StreamId,
        up_to: StreamVersion,
        limit: PageLimit,
    ) -> Result<Option<SnapshotAndTail>, StoreError> {
        let log = self.log();
        let snapshot = log.latest_snapshot(stream, up_to).cloned();
        let from = snapshot.as_ref().map_or(StreamVersion::FIRST, |kept| kept.version);
        let read = ReadStream::new(stream.clone()).from_version(from).to_version(up_to);
        Ok(Some(SnapshotAndTail { snapshot, tail: log.page(&read.limit(limit)) }))
    }
}

fn summary(snapshot: &Snapshot) -> SnapshotSummary {
    SnapshotSummary {
        stream: snapshot.stream.clone(),
        version: snapshot.version,
        last_event: Some(snapshot.last_event),
        schema: snapshot.schema.clone(),
        taken_at: snapshot.taken_at,
        bytes: snapshot.state.as_str().len() as u64,
    }
}
