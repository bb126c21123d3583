//! Watches a store and writes down each call.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use es_core::Store;
use es_core::backend::{
    AppendError, AppendRequest, Appended, Capabilities, EventStore, LogPage, PageLimit, Position,
    ReadLog, ReadStream, StoreError, StreamId, StreamPage,
};
use es_core::event::EventId;
use es_core::execution::IdempotencyKey;
use es_core::layer::{Layered, StoreLayer};

use super::history::{
    AppendCall, AppendOutcome, Follower, History, ReadCall, Seen, Span, WriteOrder,
};

/// Writes down what is done to the stores that it watches; clones write into the same history.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Notes>);

#[derive(Debug, Default)]
struct Notes {
    ticks: AtomicU64,
    history: Mutex<History>,
}

impl Notes {
    fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::SeqCst)
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, began: u64, seen: Seen) {
        let span = Span { began, ended: Some(self.tick()) };
        self.history().reads.push(ReadCall { span, seen });
    }
}

impl Recorder {
    /// A recorder with an empty history of a store that writes serially.
    pub fn new() -> Self {
        Self::default()
    }

    /// A recorder with an empty history of a store with this order.
    pub fn with_order(write_order: WriteOrder) -> Self {
        let recorder = Self::default();
        recorder.0.history().write_order = write_order;
        recorder
    }

    /// The same store, with each call written down; a dropped append has an unknown outcome.
    ///
    /// Reads that fail are not written down: they say nothing about the log.
    pub fn over(&self, store: impl Into<Store>) -> Store {
        Layered(Watched { notes: self.0.clone(), store: store.into() }).into()
    }

    /// A moment by the counter that all calls share, for a call that is not made through a store.
    pub fn now(&self) -> u64 {
        self.0.tick()
    }

    /// Adds an append that was not made through a store, such as one of a program in another language.
    pub fn add_append(&self, call: AppendCall) {
        self.0.history().appends.push(call);
    }

    /// Adds what a follower saw.
    pub fn add_follower(&self, follower: Follower) {
        self.0.history().followers.push(follower);
    }

    /// Reads every stream and the whole log, and gives the history so far.
    ///
    /// All writers must have come to an end. Where writers overlap, an append with unknown outcome
    /// may still be under way: then this waits until the log shows what was acknowledged or seen.
    ///
    /// # Errors
    ///
    /// When reading fails.
    pub async fn finish(&self, store: impl Into<Store>) -> Result<History, StoreError> {
        let watched = self.over(store);
        let streams: BTreeSet<StreamId> = {
            let history = self.0.history();
            let requests = history.appends.iter().flat_map(|call| call.request.streams());
            requests.map(|part| part.stream.clone()).collect()
        };
        for stream in streams {
            let all = PageLimit::events(usize::MAX).bytes(usize::MAX);
            watched.read_stream(&ReadStream::new(stream).limit(all)).await?;
        }
        watched.end_of_log().await?;
        let mut missing = self.held_back();
        // the log comes last, so that it has whatever was seen before
        let mut log = Vec::new();
        let mut read = ReadLog::from_start();
        loop {
            let page = watched.read_log(&read).await?;
            for event in &page.events {
                missing.remove(&event.event_id);
            }
            log.extend(page.events);
            if page.at_end && !missing.is_empty() {
                watched.wait_past(page.next).await?;
            } else if page.at_end || page.next <= read.after {
                break;
            }
            read.after = page.next;
        }
        let mut history = self.0.history().clone();
        history.log = log;
        Ok(history)
    }

    /// The events that are known to be written, if an append that is still under way may hold them
    /// back.
    fn held_back(&self) -> HashSet<EventId> {
        let history = self.0.history();
        let is_unknown = |call: &AppendCall| matches!(call.outcome, AppendOutcome::Unknown);
        if history.write_order == WriteOrder::Serial || !history.appends.iter().any(is_unknown) {
            return HashSet::new();
        }
        let told = history.appends.iter().filter_map(|call| match &call.outcome {
            AppendOutcome::Acknowledged(appended) => Some(appended),
            _ => None,
        });
        let found = history.reads.iter().filter_map(|call| match &call.seen {
            Seen::Append(_, _, found) => found.as_ref(),
            _ => None,
        });
        let told = told.chain(found).flat_map(|appended| &appended.streams);
        let told = told.flat_map(|part| &part.events).map(|receipt| receipt.event_id);
        let seen = history.reads.iter().filter_map(|call| match &call.seen {
            Seen::Stream(_, page) => Some(&page.events),
            _ => None,
        });
        told.chain(seen.flatten().map(|event| event.event_id)).collect()
    }
}

struct Watched {
    notes: Arc<Notes>,
    store: Store,
}

/// Writes the append down when it is answered or dropped.
struct Pending<'a> {
    notes: &'a Notes,
    began: u64,
    request: AppendRequest,
    answer: Option<Result<Appended, AppendError>>,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let (ended, outcome) = match self.answer.take() {
            Some(answer) => (Some(self.notes.tick()), AppendOutcome::from(answer)),
            None => (None, AppendOutcome::Unknown),
        };
        let call = AppendCall {
            span: Span { began: self.began, ended },
            request: self.request.clone(),
            outcome,
        };
        self.notes.history().appends.push(call);
    }
}

#[async_trait]
impl StoreLayer for Watched {
    fn inner(&self) -> &Arc<dyn EventStore> {
        self.store.event_store()
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let mut pending = Pending {
            notes: &self.notes,
            began: self.notes.tick(),
            request: request.clone(),
            answer: None,
        };
        let answer = self.store.append(request).await;
        pending.answer = Some(answer.clone());
        drop(pending);
        answer
    }

    async fn find_append(
        &self,
        stream: &StreamId,
        key: &IdempotencyKey,
    ) -> Result<Option<Appended>, StoreError> {
        let began = self.notes.tick();
        let found = self.store.find_append(stream, key).await?;
        let seen = Seen::Append(stream.clone(), key.clone(), found.clone());
        self.notes.read(began, seen);
        Ok(found)
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        let began = self.notes.tick();
        let page = self.store.read_stream(read).await?;
        self.notes.read(began, Seen::Stream(read.clone(), page.clone()));
        Ok(page)
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        let began = self.notes.tick();
        let page = self.store.read_log(read).await?;
        self.notes.read(began, Seen::Log(read.clone(), page.clone()));
        Ok(page)
    }

    async fn end_of_log(&self) -> Result<Position, StoreError> {
        let began = self.notes.tick();
        let end = self.store.end_of_log().await?;
        self.notes.read(began, Seen::End(end));
        Ok(end)
    }

    fn capabilities(&self, _: Capabilities) -> Capabilities {
        // those of the handle, which may name others than its events do
        self.store.capabilities().clone().through_a_layer()
    }
}
