//! Sins of single appends: versions, expectations, answers.

use std::sync::Mutex;

use async_trait::async_trait;
use es_core::ExpectedVersion;
use es_core::backend::{
    AppendError, AppendRequest, Appended, LogPage, PageLimit, ReadLog, ReadStream, StoreError,
    StreamAppend, StreamId, StreamPage,
};
use es_core::event::EventId;
use es_core::execution::StreamVersion;
use es_core::layer::StoreLayer;
use tokio::task::yield_now;

use super::mangled::Mangled;
use super::{Saboteur, Store, of_events};

pub(super) fn saboteurs() -> Vec<Saboteur> {
    vec![
        of_events("numbers_from_zero", 1, |healthy| {
            Mangled::new(healthy.events, |log| {
                for event in log {
                    event.version = StreamVersion::new(event.version.as_u64() - 1);
                }
            })
        }),
        of_events("leaves_a_gap_in_the_versions", 1, |healthy| LeavesAGap(healthy.events)),
        of_events("writes_a_batch_in_reverse", 1, |healthy| Rewrites {
            store: healthy.events,
            rewrite: |part| part.events.reverse(),
        }),
        of_events("answers_with_the_newest_position", 1, |healthy| Answers {
            store: healthy.events,
            change: |appended| {
                let position = appended.position();
                for told in appended.streams.iter_mut().flat_map(|part| &mut part.events) {
                    told.position = position;
                }
            },
        }),
        of_events("answers_in_the_order_of_names", 1, |healthy| Answers {
            store: healthy.events,
            change: |appended| appended.streams.sort_by(|a, b| a.stream.cmp(&b.stream)),
        }),
        of_events("ignores_the_expected_version", 2, |healthy| Rewrites {
            store: healthy.events,
            rewrite: |part| part.expected = ExpectedVersion::Any,
        }),
        of_events("takes_stream_exists_as_any", 2, |healthy| Rewrites {
            store: healthy.events,
            rewrite: |part| {
                if part.expected == ExpectedVersion::StreamExists {
                    part.expected = ExpectedVersion::Any;
                }
            },
        }),
        of_events("takes_exactly_as_at_least", 2, |healthy| TakesExactlyAsAtLeast(healthy.events)),
        of_events("checks_and_writes_in_two_steps", 2, |healthy| {
            ChecksAndWritesInTwoSteps(healthy.events)
        }),
    ]
}

/// The same request made of other parts.
pub(super) fn rebuilt(
    request: &AppendRequest,
    change: impl Fn(&mut StreamAppend),
) -> AppendRequest {
    let mut parts = request.clone().into_streams();
    parts.iter_mut().for_each(change);
    of_parts(request, parts)
}

/// A request with the key and the time of another and these parts; the other itself if there are none.
pub(super) fn of_parts(request: &AppendRequest, parts: Vec<StreamAppend>) -> AppendRequest {
    let all = of_parts_now(request, parts);
    match request.original_time() {
        Some(time) => all.recorded_at(time),
        None => all,
    }
}

/// The same, as if it was not imported.
pub(super) fn of_parts_now(request: &AppendRequest, parts: Vec<StreamAppend>) -> AppendRequest {
    let mut parts = parts.into_iter();
    let Some(first) = parts.next() else {
        return request.clone();
    };
    let first = AppendRequest::to(first.stream, first.expected, first.events);
    let all = parts.fold(first, |all, part| all.and(part.stream, part.expected, part.events));
    match request.idempotency_key() {
        Some(key) => all.with_key(key.clone()),
        None => all,
    }
}

pub(super) fn event_ids(request: &AppendRequest) -> impl Iterator<Item = EventId> + '_ {
    let events = request.streams().iter().flat_map(|part| &part.events);
    events.map(|event| event.event_id)
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

pub(super) async fn version_of(
    store: &Store,
    stream: &StreamId,
) -> Result<StreamVersion, StoreError> {
    let read = ReadStream::new(stream.clone()).limit(PageLimit::events(1));
    Ok(store.read_stream(&read).await?.stream_version)
}

/// Changes each part of a request before it is written.
pub(super) struct Rewrites {
    pub(super) store: Store,
    pub(super) rewrite: fn(&mut StreamAppend),
}

#[async_trait]
impl StoreLayer for Rewrites {
    fn inner(&self) -> &Store {
        &self.store
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        self.store.append(rebuilt(&request, self.rewrite)).await
    }
}

/// Changes the answer.
pub(super) struct Answers {
    pub(super) store: Store,
    pub(super) change: fn(&mut Appended),
}

#[async_trait]
impl StoreLayer for Answers {
    fn inner(&self) -> &Store {
        &self.store
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let mut appended = self.store.append(request).await?;
        (self.change)(&mut appended);
        Ok(appended)
    }
}

/// Shows versions 1, 3, 4, 5 and so on.
struct LeavesAGap(Store);

fn with_gap(version: StreamVersion) -> StreamVersion {
    version.plus(u64::from(version.as_u64() > 1))
}

#[async_trait]
impl StoreLayer for LeavesAGap {
    fn inner(&self) -> &Store {
        &self.0
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let request = rebuilt(&request, |part| {
            if let ExpectedVersion::Exact(version) = &mut part.expected {
                *version = StreamVersion::new(version.as_u64() - u64::from(version.as_u64() > 2));
            }
        });
        let mut appended = self.0.append(request).await?;
        for told in appended.streams.iter_mut().flat_map(|part| &mut part.events) {
            told.version = with_gap(told.version);
        }
        Ok(appended)
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        let mut page = self.0.read_stream(read).await?;
        for event in &mut page.events {
            event.version = with_gap(event.version);
        }
        page.stream_version = with_gap(page.stream_version);
        Ok(page)
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        let mut page = self.0.read_log(read).await?;
        for event in &mut page.events {
            event.version = with_gap(event.version);
        }
        Ok(page)
    }
}

struct TakesExactlyAsAtLeast(Store);

#[async_trait]
impl StoreLayer for TakesExactlyAsAtLeast {
    fn inner(&self) -> &Store {
        &self.0
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        match self.0.append(request.clone()).await {
            Err(AppendError::Conflict(conflict)) => {
                let is_behind = matches!(conflict.expected, ExpectedVersion::Exact(version)
                    if version < conflict.actual && !version.is_empty());
                if !is_behind {
                    return Err(conflict.into());
                }
                let again = rebuilt(&request, |part| {
                    if part.stream == conflict.stream {
                        part.expected = ExpectedVersion::Exact(conflict.actual);
                    }
                });
                self.0.append(again).await
            }
            answer => answer,
        }
    }
}

struct ChecksAndWritesInTwoSteps(Store);

#[async_trait]
impl StoreLayer for ChecksAndWritesInTwoSteps {
    fn inner(&self) -> &Store {
        &self.0
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        if let Some(key) = request.idempotency_key() {
            for part in request.streams() {
                if self.0.find_append(&part.stream, key).await?.is_some() {
                    return self.0.append(request).await;
                }
            }
        }
        for part in request.streams() {
            let actual = version_of(&self.0, &part.stream).await?;
            part.expected.check(&part.stream, actual)?;
        }
        yield_now().await;
        self.0.append(rebuilt(&request, |part| part.expected = ExpectedVersion::Any)).await
    }
}
