//! Sins against all or nothing: parts of batches and units, dropped appends, deadlocks.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use es_core::ExpectedVersion;
use es_core::backend::{
    AppendError, AppendRequest, Appended, AppendedStream, LogPage, Position, ReadLog, ReadStream,
    StoreError, StreamAppend, StreamId, StreamPage,
};
use es_core::layer::StoreLayer;
use tokio::task::yield_now;

use super::appends::{Memory, appending, check_versions, locked, of_parts, remembering};
use super::{Saboteur, Store, of_events};

pub(super) fn saboteurs() -> Vec<Saboteur> {
    vec![
        in_steps("leaves_half_of_a_refused_batch", Size::Events, false),
        in_steps("shows_half_a_batch", Size::Events, true),
        in_steps("leaves_half_of_a_refused_unit", Size::Streams, false),
        in_steps("shows_half_a_unit", Size::Streams, true),
        remembering("locks_in_the_order_of_the_request", 4, locks_in_order),
        of_events("answers_before_it_is_visible", 10, |healthy| AnswersEarly {
            store: healthy.events,
            hidden: Mutex::new(Position::START),
        }),
        of_events("stays_locked_after_a_dropped_append", 11, |healthy| StaysLocked {
            store: healthy.events,
            is_busy: AtomicBool::new(false),
        }),
        appending("tears_a_dropped_append", 11, tears_when_dropped),
    ]
}

#[derive(Clone, Copy)]
enum Size {
    Events,
    Streams,
}

fn in_steps(name: &'static str, size: Size, shows_halves: bool) -> Saboteur {
    of_events(name, 4, move |healthy| InSteps { store: healthy.events, size, shows_halves })
}

/// Writes an append in several steps.
struct InSteps {
    store: Store,
    size: Size,
    /// Checks all before the first step, and lets others look between the steps.
    shows_halves: bool,
}

impl InSteps {
    fn steps(&self, request: &AppendRequest) -> Vec<StreamAppend> {
        let mut steps = Vec::new();
        for part in request.clone().into_streams() {
            match self.size {
                Size::Streams => steps.push(part),
                Size::Events => {
                    let mut expected = part.expected;
                    for event in &part.events {
                        let mut step = part.clone();
                        step.events = vec![event.clone()];
                        step.expected = std::mem::replace(&mut expected, ExpectedVersion::Any);
                        steps.push(step);
                    }
                }
            }
        }
        steps
    }
}

#[async_trait]
impl StoreLayer for InSteps {
    fn inner(&self) -> &Store {
        &self.store
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let steps = self.steps(&request);
        // what is refused as a whole, or written under a key, is left to the healthy store
        let is_odd = match self.size {
            Size::Events => request.streams().len() != 1,
            Size::Streams => request.streams().iter().any(|part| part.events.is_empty()),
        };
        if steps.len() < 2 || request.idempotency_key().is_some() || is_odd {
            return self.store.append(request).await;
        }
        if self.shows_halves {
            check_versions(&self.store, &request).await?;
        }
        let mut streams: Vec<AppendedStream> = Vec::new();
        for step in steps {
            let one = AppendRequest::to(step.stream, step.expected, step.events);
            for part in self.store.append(one).await?.streams {
                match streams.iter_mut().find(|told| told.stream == part.stream) {
                    Some(told) => told.events.extend(part.events),
                    None => streams.push(part),
                }
            }
            if self.shows_halves {
                yield_now().await;
            }
        }
        Ok(Appended { streams, repeated: false })
    }
}

/// Takes the locks of the streams one after the other.
async fn locks_in_order(
    store: Store,
    request: AppendRequest,
    locks: Memory<HashMap<StreamId, Arc<tokio::sync::Mutex<()>>>>,
) -> Result<Appended, AppendError> {
    let mut held = Vec::new();
    for part in request.streams() {
        let lock = locked(&locks).entry(part.stream.clone()).or_default().clone();
        if request.streams().len() > 1 {
            held.push(lock.lock_owned().await);
            yield_now().await;
        }
    }
    store.append(request).await
}

/// Hides the newest append from the first read after it.
struct AnswersEarly {
    store: Store,
    hidden: Mutex<Position>,
}

impl AnswersEarly {
    /// The place after which nothing is shown this time.
    fn hides_after(&self) -> Option<Position> {
        let hidden = std::mem::replace(&mut *locked(&self.hidden), Position::START);
        Some(hidden).filter(|hidden| *hidden != Position::START)
    }
}

#[async_trait]
impl StoreLayer for AnswersEarly {
    fn inner(&self) -> &Store {
        &self.store
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let before = self.store.end_of_log().await?;
        let appended = self.store.append(request).await?;
        *locked(&self.hidden) = before;
        Ok(appended)
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        let mut page = self.store.read_stream(read).await?;
        if let Some(after) = self.hides_after() {
            page.events.retain(|event| event.position <= after);
        }
        Ok(page)
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        let mut page = self.store.read_log(read).await?;
        if let Some(after) = self.hides_after() {
            page.events.retain(|event| event.position <= after);
            page.next = page.events.last().map_or(read.after, |event| event.position);
        }
        Ok(page)
    }

    async fn end_of_log(&self) -> Result<Position, StoreError> {
        match self.hides_after() {
            Some(after) => Ok(after),
            None => self.store.end_of_log().await,
        }
    }
}

/// Marks itself as busy and forgets to unmark itself when the caller goes away.
struct StaysLocked {
    store: Store,
    is_busy: AtomicBool,
}

#[async_trait]
impl StoreLayer for StaysLocked {
    fn inner(&self) -> &Store {
        &self.store
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        while self.is_busy.swap(true, Ordering::SeqCst) {
            yield_now().await;
        }
        yield_now().await;
        let answer = self.store.append(request).await;
        self.is_busy.store(false, Ordering::SeqCst);
        answer
    }
}

/// Writes the first event of a batch alone, and the rest with it if the caller waits.
async fn tears_when_dropped(store: Store, request: AppendRequest) -> Result<Appended, AppendError> {
    struct Torn(Store, Option<AppendRequest>);
    impl Drop for Torn {
        fn drop(&mut self) {
            if let Some(request) = self.1.take() {
                let store = self.0.clone();
                tokio::spawn(async move {
                    let mut parts = request.clone().into_streams();
                    parts.truncate(1);
                    parts[0].events.truncate(1);
                    // a refusal leaves nothing, which is as good
                    let _ = store.append(of_parts(&request, parts)).await;
                });
            }
        }
    }
    let is_batch = request.event_count() > 1;
    let mut torn = Torn(store.clone(), is_batch.then(|| request.clone()));
    yield_now().await;
    torn.1 = None;
    store.append(request).await
}
