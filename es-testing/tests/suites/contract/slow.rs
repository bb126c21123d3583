//! A store whose writers overlap, as late in everything as the contract permits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use es_core::backend::{
    AppendError, AppendRequest, Appended, Capabilities, EventReference, EventStore, Limits,
    LogPage, PageBuilder, PageLimit, Position, ReadLog, ReadStream, StoreError, StoreIdentity,
    StreamId, StreamPage,
};
use es_core::event::{EventId, RecordedEvent};
use es_core::execution::IdempotencyKey;
use es_memory::MemoryStore;
use futures_util::FutureExt;
use tokio::sync::{OwnedMutexGuard, watch};
use tokio::task::yield_now;

/// Keeps everything in a memory store and gives positions of its own, before it writes.
#[derive(Clone)]
pub(crate) struct SlowStore(Arc<Shared>, StoreIdentity);

/// How an append gets its positions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Draws {
    /// All at one moment.
    AtOnce,
    /// With room for other appends between. Then the log may end between its events, because a later
    /// append holds it back just there: that breaks clause 4.
    OneByOne,
}

struct Shared {
    draws: Draws,
    limits: Limits,
    state: Mutex<State>,
    /// One for each stream: who writes to it keeps it until the end of the call.
    streams: Mutex<HashMap<StreamId, Arc<tokio::sync::Mutex<()>>>>,
    /// Counts the appends that came to an end.
    ended: watch::Sender<u64>,
}

struct State {
    store: MemoryStore,
    /// What the memory store has, in the order of the positions given here, and how far it was read.
    log: Vec<RecordedEvent>,
    taken: Position,
    drawn: u64,
    positions: HashMap<EventId, u64>,
    appends: u64,
    /// The appends under way, and a place below everything that each may have drawn, if the log
    /// was read since it began.
    open: HashMap<u64, Option<u64>>,
    /// The highest position when the log was last read.
    looked: u64,
    frontier: u64,
}

/// What the memory store answers, which never waits.
fn at_once<T>(call: impl Future<Output = T>) -> T {
    call.now_or_never().expect("the memory store answers at once")
}

impl State {
    fn position(&self, id: EventId) -> Position {
        Position::from_sequence(self.positions.get(&id).copied().unwrap_or_default())
    }

    fn told(&self, mut appended: Appended) -> Appended {
        for receipt in appended.streams.iter_mut().flat_map(|part| &mut part.events) {
            receipt.position = self.position(receipt.event_id);
        }
        appended
    }

    /// Who is new since the log was last read may hold back everything that came since then.
    fn look(&mut self) {
        let visible = self.log.last().map_or(0, |event| event.position.to_sequence());
        let mut bound = visible;
        for low in self.open.values_mut() {
            bound = bound.min(*low.get_or_insert(self.looked));
        }
        self.frontier = self.frontier.max(bound);
        self.looked = visible;
    }

    /// Takes over what was written since the last time.
    fn take(&mut self) -> Result<(), StoreError> {
        let all = PageLimit::events(usize::MAX).bytes(usize::MAX);
        let page = at_once(self.store.read_log(&ReadLog::after(self.taken).limit(all)))?;
        self.taken = page.next;
        for mut event in page.events {
            event.position = self.position(event.event_id);
            let place = self.log.partition_point(|other| other.position < event.position);
            self.log.insert(place, event);
        }
        Ok(())
    }

    /// The log after a place, as far as it can be read.
    fn log_after(&mut self, after: Position) -> Result<&[RecordedEvent], StoreError> {
        self.take()?;
        self.look();
        let frontier = Position::from_sequence(self.frontier);
        let end = self.log.partition_point(|event| event.position <= frontier);
        let begin = self.log.partition_point(|event| event.position <= after);
        Ok(&self.log[begin.min(end)..end])
    }

    /// Whatever was written is within the log, also where it cannot be read yet.
    fn check_cursor(&mut self, cursor: Position) -> Result<(), StoreError> {
        self.take()?;
        let newest = self.log.last().map_or(Position::START, |event| event.position);
        if cursor > newest {
            return Err(StoreError::beyond_the_end(cursor, newest));
        }
        Ok(())
    }

    fn end(&mut self) -> Result<Position, StoreError> {
        let log = self.log_after(Position::START)?;
        Ok(log.last().map_or(Position::START, |event| event.position))
    }
}

/// An append that is under way.
struct UnderWay {
    shared: Arc<Shared>,
    number: u64,
    _streams: Vec<OwnedMutexGuard<()>>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.shared.state().open.remove(&self.number);
        self.shared.ended.send_modify(|count| *count += 1);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_of(&self, stream: &StreamId) -> Arc<tokio::sync::Mutex<()>> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.entry(stream.clone()).or_default().clone()
    }
}

impl SlowStore {
    pub(crate) fn new(store: MemoryStore, limits: Limits, draws: Draws) -> Self {
        let state = State {
            store,
            log: Vec::new(),
            taken: Position::START,
            drawn: 0,
            positions: HashMap::new(),
            appends: 0,
            open: HashMap::new(),
            looked: 0,
            frontier: 0,
        };
        let shared = Shared {
            draws,
            limits,
            state: Mutex::new(state),
            streams: Mutex::default(),
            ended: watch::Sender::new(0),
        };
        Self(Arc::new(shared), StoreIdentity::new())
    }

    /// The same data in another opening.
    pub(crate) fn reopened(&self) -> Self {
        Self(self.0.clone(), StoreIdentity::new())
    }

    async fn begin(&self, request: &AppendRequest) -> UnderWay {
        let mut streams: Vec<_> = request.streams().iter().map(|part| &part.stream).collect();
        streams.sort();
        let mut held = Vec::new();
        for stream in streams {
            held.push(self.0.lock_of(stream).lock_owned().await);
        }
        let mut state = self.0.state();
        state.appends += 1;
        let number = state.appends;
        state.open.insert(number, None);
        UnderWay { shared: self.0.clone(), number, _streams: held }
    }
}

async fn pause() {
    for _ in 0..fastrand::usize(..4) {
        yield_now().await;
    }
}

#[async_trait]
impl EventStore for SlowStore {
    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        request.check(&self.0.limits)?;
        let under_way = self.begin(&request).await;
        pause().await;
        let mut parts: Vec<_> = request.streams().iter().collect();
        fastrand::shuffle(&mut parts);
        let ids: Vec<_> = parts.into_iter().flat_map(|part| &part.events).collect();
        let mut drawn = Vec::with_capacity(ids.len());
        let size = match self.0.draws {
            Draws::AtOnce => ids.len(),
            Draws::OneByOne => 1,
        };
        for block in ids.chunks(size) {
            {
                let mut state = self.0.state();
                for event in block {
                    state.drawn += 1;
                    drawn.push((event.event_id, state.drawn));
                }
            }
            pause().await;
        }
        let answer = {
            let mut state = self.0.state();
            let answer = at_once(state.store.append(request));
            if answer.as_ref().is_ok_and(|appended| !appended.repeated) {
                state.positions.extend(drawn);
            }
            answer.map(|appended| state.told(appended))
        };
        pause().await;
        drop(under_way);
        answer
    }

    async fn find_append(
        &self,
        stream: &StreamId,
        key: &IdempotencyKey,
    ) -> Result<Option<Appended>, StoreError> {
        let state = self.0.state();
        let found = at_once(state.store.find_append(stream, key))?;
        Ok(found.map(|appended| state.told(appended)))
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        let state = self.0.state();
        let mut page = at_once(state.store.read_stream(read))?;
        for event in &mut page.events {
            event.position = state.position(event.event_id);
        }
        Ok(page)
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        let mut state = self.0.state();
        state.check_cursor(read.after)?;
        let rest = state.log_after(read.after)?;
        let end = rest.last().map_or(read.after, |event| event.position);
        let mut page = PageBuilder::new(read.limit);
        for event in rest.iter().filter(|event| read.filter.accepts(event)) {
            if !page.admits(event.payload.as_str().len()) {
                let next = page.last().map_or(read.after, |last| last.position);
                let last = page.last().map(EventReference::from);
                return Ok(LogPage::new(page.into_events(), next, last, false));
            }
            page.push(event.clone());
        }
        let in_view = rest.iter().rfind(|event| read.filter.shows(&event.stream));
        let last = in_view.map(EventReference::from);
        Ok(LogPage::new(page.into_events(), end, last, true))
    }

    async fn end_of_log(&self) -> Result<Position, StoreError> {
        self.0.state().end()
    }

    async fn wait_past(&self, position: Position) -> Result<(), StoreError> {
        let mut ended = self.0.ended.subscribe();
        self.0.state().check_cursor(position)?;
        loop {
            ended.borrow_and_update();
            if self.0.state().end()? > position {
                return Ok(());
            }
            ended.changed().await.expect("the store keeps the sender");
        }
    }

    fn capabilities(self: Arc<Self>) -> Capabilities {
        let snapshots = Arc::new(self.0.state().store.clone());
        // whose events have other positions
        Capabilities::of(self.1.clone(), "slow").snapshots(snapshots).through_a_layer()
    }
}
