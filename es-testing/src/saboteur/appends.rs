//! Sins of single appends: versions, expectations, conflicts, ids, limits.

use std::collections::HashSet;
use std::sync::Mutex;

use async_trait::async_trait;
use es_core::environment::{EventIds, UuidV7Ids};
use es_core::{
    AppendError, AppendRequest, Appended, Conflict, EventId, ExpectedVersion, InvalidRequest,
    Limits, PageLimit, Payload, ReadLog, ReadStream, StoreError, StoreErrorKind, StreamAppend,
    StreamId, StreamPage, StreamVersion,
};
use tokio::task::yield_now;

use super::mangled::Mangled;
use super::{Sabotage, Saboteur, Store, of_events};

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
        of_events("writes_what_it_refuses", 3, |healthy| WritesWhatItRefuses(healthy.events)),
        of_events("keeps_the_ids_of_refused_appends", 3, |healthy| KeepsRefusedIds {
            store: healthy.events,
            refused: Mutex::default(),
        }),
        of_events("tells_the_expected_version_as_actual", 3, |healthy| Conflicts {
            store: healthy.events,
            change: |conflict, _| {
                if let ExpectedVersion::Exact(version) = conflict.expected {
                    conflict.actual = version;
                }
            },
        }),
        of_events("tells_the_conflict_of_another_stream", 3, |healthy| Conflicts {
            store: healthy.events,
            change: |conflict, request| {
                if let Some(last) = request.streams().last() {
                    conflict.stream = last.stream.clone();
                    conflict.expected = last.expected;
                }
            },
        }),
        of_events("judges_the_streams_in_the_order_of_names", 3, |healthy| {
            JudgesByName(healthy.events)
        }),
        of_events("accepts_a_used_event_id", 5, |healthy| AcceptsUsedIds {
            store: healthy.events,
            in_own_stream_too: true,
        }),
        of_events("looks_for_event_ids_in_one_stream", 5, |healthy| AcceptsUsedIds {
            store: healthy.events,
            in_own_stream_too: false,
        }),
        of_events("splits_what_is_too_much", 9, |healthy| SplitsLargeAppends {
            store: healthy.events,
            limits: healthy.limits,
        }),
        of_events("strips_what_cannot_be_kept", 9, |healthy| Rewrites {
            store: healthy.events,
            rewrite: |part| {
                for event in &mut part.events {
                    let text = event.payload.as_str();
                    if text.contains("\\u0000") {
                        if let Ok(stripped) = Payload::parse(text.replace("\\u0000", "")) {
                            event.payload = stripped;
                        }
                    }
                }
            },
        }),
        of_events("writes_before_it_checks", 9, |healthy| WritesBeforeItChecks(healthy.events)),
        of_events("refuses_without_a_reason", 9, |healthy| RefusesWithoutAReason(healthy.events)),
        of_events("refuses_the_limit_itself", 9, |healthy| RefusesTheLimit {
            store: healthy.events,
            limits: healthy.limits,
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

/// A request with the key of another and these parts; the other itself if there are none.
pub(super) fn of_parts(request: &AppendRequest, parts: Vec<StreamAppend>) -> AppendRequest {
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
impl Sabotage for Rewrites {
    fn healthy(&self) -> &Store {
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
impl Sabotage for Answers {
    fn healthy(&self) -> &Store {
        &self.store
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let mut appended = self.store.append(request).await?;
        (self.change)(&mut appended);
        Ok(appended)
    }
}

/// Changes what a conflict tells.
struct Conflicts {
    store: Store,
    change: fn(&mut Conflict, &AppendRequest),
}

#[async_trait]
impl Sabotage for Conflicts {
    fn healthy(&self) -> &Store {
        &self.store
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        match self.store.append(request.clone()).await {
            Err(AppendError::Conflict(mut conflict)) => {
                (self.change)(&mut conflict, &request);
                Err(conflict.into())
            }
            answer => answer,
        }
    }
}

/// Shows versions 1, 3, 4, 5 and so on.
struct LeavesAGap(Store);

fn with_gap(version: StreamVersion) -> StreamVersion {
    version.plus(u64::from(version.as_u64() > 1))
}

#[async_trait]
impl Sabotage for LeavesAGap {
    fn healthy(&self) -> &Store {
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

    async fn read_log(&self, read: &ReadLog) -> Result<es_core::LogPage, StoreError> {
        let mut page = self.0.read_log(read).await?;
        for event in &mut page.events {
            event.version = with_gap(event.version);
        }
        Ok(page)
    }
}

struct TakesExactlyAsAtLeast(Store);

#[async_trait]
impl Sabotage for TakesExactlyAsAtLeast {
    fn healthy(&self) -> &Store {
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
impl Sabotage for ChecksAndWritesInTwoSteps {
    fn healthy(&self) -> &Store {
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

struct WritesWhatItRefuses(Store);

#[async_trait]
impl Sabotage for WritesWhatItRefuses {
    fn healthy(&self) -> &Store {
        &self.0
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let answer = self.0.append(request.clone()).await;
        if let Err(AppendError::Conflict(_)) = &answer {
            let anyway = rebuilt(&request, |part| part.expected = ExpectedVersion::Any);
            self.0.append(anyway).await?;
        }
        answer
    }
}

struct KeepsRefusedIds {
    store: Store,
    refused: Mutex<HashSet<EventId>>,
}

#[async_trait]
impl Sabotage for KeepsRefusedIds {
    fn healthy(&self) -> &Store {
        &self.store
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let ids: Vec<_> = event_ids(&request).collect();
        let refused = |id: &&EventId| locked(&self.refused).contains(id);
        if let Some(&event_id) = ids.iter().find(refused) {
            return Err(AppendError::DuplicateEvent { event_id });
        }
        let answer = self.store.append(request).await;
        if matches!(answer, Err(AppendError::Conflict(_))) {
            locked(&self.refused).extend(ids);
        }
        answer
    }
}

pub(super) fn event_ids(request: &AppendRequest) -> impl Iterator<Item = EventId> + '_ {
    let events = request.streams().iter().flat_map(|part| &part.events);
    events.map(|event| event.event_id)
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

struct JudgesByName(Store);

#[async_trait]
impl Sabotage for JudgesByName {
    fn healthy(&self) -> &Store {
        &self.0
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let mut parts = request.clone().into_streams();
        parts.sort_by(|a, b| a.stream.cmp(&b.stream));
        let mut appended = self.0.append(of_parts(&request, parts)).await?;
        let place =
            |stream: &StreamId| request.streams().iter().position(|part| part.stream == *stream);
        appended.streams.sort_by_key(|part| place(&part.stream));
        Ok(appended)
    }
}

struct AcceptsUsedIds {
    store: Store,
    in_own_stream_too: bool,
}

#[async_trait]
impl Sabotage for AcceptsUsedIds {
    fn healthy(&self) -> &Store {
        &self.store
    }

    async fn append(&self, mut request: AppendRequest) -> Result<Appended, AppendError> {
        loop {
            let answer = self.store.append(request.clone()).await;
            let Err(AppendError::DuplicateEvent { event_id }) = answer else {
                return answer;
            };
            if !self.in_own_stream_too {
                for part in request.streams() {
                    let mine =
                        self.store.read_stream(&ReadStream::new(part.stream.clone())).await?;
                    if mine.events.iter().any(|event| event.event_id == event_id) {
                        return answer;
                    }
                }
            }
            request = rebuilt(&request, |part| {
                for event in &mut part.events {
                    if event.event_id == event_id {
                        event.event_id = UuidV7Ids.next_id();
                    }
                }
            });
        }
    }
}

struct SplitsLargeAppends {
    store: Store,
    limits: Limits,
}

#[async_trait]
impl Sabotage for SplitsLargeAppends {
    fn healthy(&self) -> &Store {
        &self.store
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let too_much = matches!(
            request.check(&self.limits),
            Err(InvalidRequest::TooManyEvents { .. } | InvalidRequest::TooLarge { .. })
        );
        if !too_much {
            return self.store.append(request).await;
        }
        let mut last = None;
        for part in request.into_streams() {
            for event in part.events {
                let one = AppendRequest::to(part.stream.clone(), ExpectedVersion::Any, vec![event]);
                last = Some(self.store.append(one).await?);
            }
        }
        last.ok_or_else(|| InvalidRequest::NoStreams.into())
    }
}

struct WritesBeforeItChecks(Store);

#[async_trait]
impl Sabotage for WritesBeforeItChecks {
    fn healthy(&self) -> &Store {
        &self.0
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let answer = self.0.append(request.clone()).await;
        if let Err(AppendError::Invalid(_)) = &answer {
            for part in request.into_streams() {
                let first = part.events.into_iter().take(1).collect();
                let first = AppendRequest::to(part.stream, ExpectedVersion::Any, first);
                // an invalid first event is refused again
                let _ = self.0.append(first).await;
            }
        }
        answer
    }
}

struct RefusesWithoutAReason(Store);

#[async_trait]
impl Sabotage for RefusesWithoutAReason {
    fn healthy(&self) -> &Store {
        &self.0
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        match self.0.append(request).await {
            Err(AppendError::Invalid(_)) => {
                Err(StoreError::new(StoreErrorKind::Other, "the database refused it").into())
            }
            answer => answer,
        }
    }
}

struct RefusesTheLimit {
    store: Store,
    limits: Limits,
}

#[async_trait]
impl Sabotage for RefusesTheLimit {
    fn healthy(&self) -> &Store {
        &self.store
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let mut less = self.limits;
        less.append_bytes -= 1;
        request.check(&less)?;
        self.store.append(request).await
    }
}
