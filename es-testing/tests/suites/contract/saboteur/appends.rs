//! Sins of single appends: versions, expectations, answers.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use es_core::ExpectedVersion;
use es_core::backend::{
    AppendError, AppendRequest, Appended, LogPage, PageLimit, ReadLog, ReadStream, StoreError,
    StreamAppend, StreamPage,
};
use es_core::environment::{EventIds, UuidV7Ids};
use es_core::event::EventId;
use es_core::execution::StreamVersion;
use es_core::layer::StoreLayer;
use tokio::task::yield_now;

use super::mangled::mangling;
use super::{Saboteur, Store, of_events};

pub(super) fn saboteurs() -> Vec<Saboteur> {
    vec![
        mangling("numbers_from_zero", 1, |log| {
            for event in log {
                event.version = StreamVersion::new(event.version.as_u64() - 1);
            }
        }),
        of_events("leaves_a_gap_in_the_versions", 1, |healthy| LeavesAGap(healthy.events)),
        rewriting("writes_a_batch_in_reverse", 1, |part| part.events.reverse()),
        answering("answers_with_the_newest_position", 1, |appended| {
            let position = appended.position();
            for told in appended.streams.iter_mut().flat_map(|part| &mut part.events) {
                told.position = position;
            }
        }),
        answering("answers_in_the_order_of_names", 1, |appended| {
            appended.streams.sort_by(|a, b| a.stream.cmp(&b.stream))
        }),
        rewriting("ignores_the_expected_version", 2, |part| part.expected = ExpectedVersion::Any),
        rewriting("takes_stream_exists_as_any", 2, |part| {
            if part.expected == ExpectedVersion::StreamExists {
                part.expected = ExpectedVersion::Any;
            }
        }),
        appending("takes_exactly_as_at_least", 2, takes_exactly_as_at_least),
        appending("checks_and_writes_in_two_steps", 2, checks_and_writes_in_two_steps),
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
    let Some(all) = joined(parts) else {
        return request.clone();
    };
    match request.idempotency_key() {
        Some(key) => all.with_key(key.clone()),
        None => all,
    }
}

/// A request of these parts, with no key and no time.
pub(super) fn joined(parts: Vec<StreamAppend>) -> Option<AppendRequest> {
    let mut parts = parts.into_iter();
    let first = parts.next()?;
    let first = AppendRequest::to(first.stream, first.expected, first.events);
    Some(parts.fold(first, |all, part| all.and(part.stream, part.expected, part.events)))
}

/// The same request, in which another id is in the place of this one.
pub(super) fn with_a_fresh_id(request: &AppendRequest, id: EventId) -> AppendRequest {
    rebuilt(request, |part| {
        for event in part.events.iter_mut().filter(|event| event.event_id == id) {
            event.event_id = UuidV7Ids.next_id();
        }
    })
}

pub(super) fn event_ids(request: &AppendRequest) -> impl Iterator<Item = EventId> + '_ {
    let events = request.streams().iter().flat_map(|part| &part.events);
    events.map(|event| event.event_id)
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Judges a request by the versions that its streams have now.
pub(super) async fn check_versions(
    store: &Store,
    request: &AppendRequest,
) -> Result<(), AppendError> {
    for part in request.streams() {
        let read = ReadStream::new(part.stream.clone()).limit(PageLimit::events(1));
        let actual = store.read_stream(&read).await?.stream_version;
        part.expected.check(&part.stream, actual)?;
    }
    Ok(())
}

/// A saboteur that appends in another way.
pub(super) fn appending<F>(
    name: &'static str,
    clause: u32,
    append: fn(Store, AppendRequest) -> F,
) -> Saboteur
where
    F: Future<Output = Result<Appended, AppendError>> + Send + 'static,
{
    of_events(name, clause, move |healthy| Appends { store: healthy.events, append })
}

/// What a saboteur knows of the appends before.
pub(super) type Memory<M> = Arc<Mutex<M>>;

/// A saboteur that appends in another way because of the appends before.
pub(super) fn remembering<M, F>(
    name: &'static str,
    clause: u32,
    append: impl Fn(Store, AppendRequest, Memory<M>) -> F + Copy + Send + Sync + 'static,
) -> Saboteur
where
    M: Default + Send + 'static,
    F: Future<Output = Result<Appended, AppendError>> + Send + 'static,
{
    of_events(name, clause, move |healthy| {
        let memory = Memory::default();
        let append = move |store, request| append(store, request, Arc::clone(&memory));
        Appends { store: healthy.events, append }
    })
}

/// Appends in another way.
pub(super) struct Appends<A> {
    pub(super) store: Store,
    pub(super) append: A,
}

#[async_trait]
impl<A, F> StoreLayer for Appends<A>
where
    A: Fn(Store, AppendRequest) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Appended, AppendError>> + Send + 'static,
{
    fn inner(&self) -> &Store {
        &self.store
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        (self.append)(self.store.clone(), request).await
    }
}

/// A saboteur that changes each part of a request before it is written.
pub(super) fn rewriting(
    name: &'static str,
    clause: u32,
    rewrite: fn(&mut StreamAppend),
) -> Saboteur {
    of_events(name, clause, move |healthy| Appends {
        store: healthy.events,
        append: move |store: Store, request| async move {
            store.append(rebuilt(&request, rewrite)).await
        },
    })
}

/// A saboteur that changes the answer.
pub(super) fn answering(name: &'static str, clause: u32, change: fn(&mut Appended)) -> Saboteur {
    of_events(name, clause, move |healthy| Appends {
        store: healthy.events,
        append: move |store: Store, request| async move {
            let mut appended = store.append(request).await?;
            change(&mut appended);
            Ok(appended)
        },
    })
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

async fn takes_exactly_as_at_least(
    store: Store,
    request: AppendRequest,
) -> Result<Appended, AppendError> {
    match store.append(request.clone()).await {
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
            store.append(again).await
        }
        answer => answer,
    }
}

async fn checks_and_writes_in_two_steps(
    store: Store,
    request: AppendRequest,
) -> Result<Appended, AppendError> {
    if let Some(key) = request.idempotency_key() {
        for part in request.streams() {
            if store.find_append(&part.stream, key).await?.is_some() {
                return store.append(request).await;
            }
        }
    }
    check_versions(&store, &request).await?;
    yield_now().await;
    store.append(rebuilt(&request, |part| part.expected = ExpectedVersion::Any)).await
}
