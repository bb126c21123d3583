//! Sins against idempotency keys.

use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;
use es_core::backend::{
    AppendError, AppendRequest, Appended, KeyDifference, ReadStream, StoreError, StreamId,
    first_result,
};
use es_core::execution::IdempotencyKey;
use es_core::layer::StoreLayer;
use tokio::task::yield_now;

use super::appends::{
    Memory, answering, appending, check_versions, event_ids, joined, locked, remembering,
};
use super::{Saboteur, Store, of_events};

pub(super) fn saboteurs() -> Vec<Saboteur> {
    vec![
        appending("forgets_keys", 6, forgets_keys),
        appending("looks_at_the_version_before_the_key", 6, looks_at_the_version_first),
        of_events("looks_for_the_key_before_it_writes", 6, |healthy| LooksFirst {
            store: healthy.events,
            recorded: Mutex::default(),
        }),
        answering("does_not_say_that_it_is_a_repeat", 6, |appended| appended.repeated = false),
        appending("ignores_another_content", 7, |store, request| {
            ignores(store, request, |difference| difference != KeyDifference::Streams)
        }),
        appending("ignores_other_streams", 7, |store, request| {
            ignores(store, request, |difference| difference == KeyDifference::Streams)
        }),
        comparing("compares_event_ids", |a, b| event_ids(a).eq(event_ids(b))),
        comparing("compares_times", |a, b| a.original_time() == b.original_time()),
        comparing("compares_metadata", |a, b| {
            let all = |request: &AppendRequest| -> Vec<_> {
                let events = request.streams().iter().flat_map(|part| part.events.clone());
                events.map(|event| event.metadata).collect()
            };
            all(a) == all(b)
        }),
        comparing("compares_the_text_of_payloads", |a, b| {
            let all = |request: &AppendRequest| -> Vec<String> {
                let events = request.streams().iter().flat_map(|part| &part.events);
                events.map(|event| event.payload.to_string()).collect()
            };
            all(a) == all(b)
        }),
        comparing("compares_the_order_of_streams", |a, b| {
            let names = |request: &AppendRequest| -> Vec<StreamId> {
                request.streams().iter().map(|part| part.stream.clone()).collect()
            };
            names(a) == names(b)
        }),
        remembering("records_the_key_of_a_refused_append", 8, records_refused_keys),
        remembering("has_one_key_for_all_streams", 8, has_one_key_for_all),
        of_events("records_the_key_under_the_first_stream", 8, |healthy| FirstStreamOnly {
            store: healthy.events,
            others: Mutex::default(),
        }),
        of_events("finds_no_append", 8, |healthy| Finds {
            store: healthy.events,
            change: |_, _| None,
        }),
        of_events("finds_a_part_of_an_append", 8, |healthy| Finds {
            store: healthy.events,
            change: |mut found, stream| {
                found.streams.retain(|part| part.stream == *stream);
                Some(found)
            },
        }),
    ]
}

/// The same parts without the key; the request itself if it has none.
fn without_key(request: AppendRequest) -> AppendRequest {
    let Some(all) = joined(request.clone().into_streams()) else {
        return request;
    };
    match request.original_time() {
        Some(time) => all.recorded_at(time),
        None => all,
    }
}

async fn forgets_keys(store: Store, request: AppendRequest) -> Result<Appended, AppendError> {
    store.append(without_key(request)).await
}

async fn looks_at_the_version_first(
    store: Store,
    request: AppendRequest,
) -> Result<Appended, AppendError> {
    check_versions(&store, &request).await?;
    store.append(request).await
}

/// Looks for the key, and then writes and records it, as if nobody else were there.
struct LooksFirst {
    store: Store,
    recorded: Mutex<HashMap<(StreamId, IdempotencyKey), Appended>>,
}

#[async_trait]
impl StoreLayer for LooksFirst {
    fn inner(&self) -> &Store {
        &self.store
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let Some(key) = request.idempotency_key().cloned() else {
            return self.store.append(request).await;
        };
        if request.streams().iter().any(|part| part.events.is_empty()) {
            return self.store.append(request).await;
        }
        for part in request.streams() {
            let place = (part.stream.clone(), key.clone());
            let found = locked(&self.recorded).get(&place).cloned();
            if let Some(appended) = found {
                let recorded = self.recorded_events(&appended).await?;
                es_core::backend::same_request(&request, &recorded).map_err(|difference| {
                    AppendError::KeyReused {
                        key: key.clone(),
                        stream: part.stream.clone(),
                        difference,
                    }
                })?;
                return Ok(first_result(&request, &recorded));
            }
        }
        yield_now().await;
        let appended = self.store.append(without_key(request.clone())).await?;
        for part in request.streams() {
            let place = (part.stream.clone(), key.clone());
            locked(&self.recorded).insert(place, appended.clone());
        }
        Ok(appended)
    }

    async fn find_append(
        &self,
        stream: &StreamId,
        key: &IdempotencyKey,
    ) -> Result<Option<Appended>, StoreError> {
        let place = (stream.clone(), key.clone());
        let found = locked(&self.recorded).get(&place).cloned();
        Ok(found.map(|appended| Appended { repeated: true, ..appended }))
    }
}

impl LooksFirst {
    async fn recorded_events(
        &self,
        appended: &Appended,
    ) -> Result<Vec<(StreamId, Vec<es_core::event::RecordedEvent>)>, StoreError> {
        let mut recorded = Vec::new();
        for part in &appended.streams {
            let (Some(first), Some(last)) = (part.events.first(), part.events.last()) else {
                continue;
            };
            let read = ReadStream::new(part.stream.clone())
                .from_version(first.version)
                .to_version(last.version);
            let events = self.store.read_stream(&read).await?.events;
            recorded.push((part.stream.clone(), events));
        }
        Ok(recorded)
    }
}

/// Answers what differs from the first request as if it were its repeat.
async fn ignores(
    store: Store,
    request: AppendRequest,
    ignored: fn(KeyDifference) -> bool,
) -> Result<Appended, AppendError> {
    match store.append(request).await {
        Err(AppendError::KeyReused { key, stream, difference }) => {
            let first = store.find_append(&stream, &key).await?;
            match first.filter(|_| ignored(difference)) {
                Some(first) => Ok(first),
                None => Err(AppendError::KeyReused { key, stream, difference }),
            }
        }
        answer => answer,
    }
}

type Same = fn(&AppendRequest, &AppendRequest) -> bool;

fn comparing(name: &'static str, same: Same) -> Saboteur {
    remembering(name, 7, move |store, request, first| compares(store, request, first, same))
}

/// Compares more than the content of a request.
async fn compares(
    store: Store,
    request: AppendRequest,
    first: Memory<HashMap<(StreamId, IdempotencyKey), AppendRequest>>,
    same: Same,
) -> Result<Appended, AppendError> {
    let appended = store.append(request.clone()).await?;
    let Some(key) = request.idempotency_key().cloned() else {
        return Ok(appended);
    };
    for part in request.streams() {
        let place = (part.stream.clone(), key.clone());
        let mut recorded = locked(&first);
        let first = recorded.entry(place).or_insert_with(|| request.clone());
        if !same(first, &request) {
            return Err(AppendError::KeyReused {
                key,
                stream: part.stream.clone(),
                difference: KeyDifference::Payload,
            });
        }
    }
    Ok(appended)
}

async fn records_refused_keys(
    store: Store,
    request: AppendRequest,
    refused: Memory<Vec<(StreamId, IdempotencyKey)>>,
) -> Result<Appended, AppendError> {
    let Some(key) = request.idempotency_key().cloned() else {
        return store.append(request).await;
    };
    let stream = request.streams()[0].stream.clone();
    if locked(&refused).contains(&(stream.clone(), key.clone())) {
        return Err(AppendError::KeyReused { key, stream, difference: KeyDifference::EventCount });
    }
    let answer = store.append(request).await;
    if matches!(answer, Err(AppendError::Conflict(_) | AppendError::DuplicateEvent { .. })) {
        locked(&refused).push((stream, key));
    }
    answer
}

async fn has_one_key_for_all(
    store: Store,
    request: AppendRequest,
    first: Memory<HashMap<IdempotencyKey, StreamId>>,
) -> Result<Appended, AppendError> {
    let Some(key) = request.idempotency_key().cloned() else {
        return store.append(request).await;
    };
    let under = locked(&first).get(&key).cloned();
    if let Some(stream) = under {
        let is_named = request.streams().iter().any(|part| part.stream == stream);
        if !is_named {
            return Err(AppendError::KeyReused { key, stream, difference: KeyDifference::Streams });
        }
    }
    let appended = store.append(request).await?;
    let stream = appended.streams[0].stream.clone();
    locked(&first).entry(key).or_insert(stream);
    Ok(appended)
}

/// Forgets that a key was recorded under the other streams of its request.
struct FirstStreamOnly {
    store: Store,
    others: Mutex<Vec<(StreamId, IdempotencyKey)>>,
}

#[async_trait]
impl StoreLayer for FirstStreamOnly {
    fn inner(&self) -> &Store {
        &self.store
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let Some(key) = request.idempotency_key().cloned() else {
            return self.store.append(request).await;
        };
        let is_other =
            |stream: &StreamId| locked(&self.others).contains(&(stream.clone(), key.clone()));
        if request.streams().iter().all(|part| is_other(&part.stream)) {
            return self.store.append(without_key(request)).await;
        }
        let appended = self.store.append(request.clone()).await?;
        if !appended.repeated {
            let others = request.streams()[1..].iter();
            let others = others.map(|part| (part.stream.clone(), key.clone()));
            locked(&self.others).extend(others);
        }
        Ok(appended)
    }

    async fn find_append(
        &self,
        stream: &StreamId,
        key: &IdempotencyKey,
    ) -> Result<Option<Appended>, StoreError> {
        if locked(&self.others).contains(&(stream.clone(), key.clone())) {
            return Ok(None);
        }
        self.store.find_append(stream, key).await
    }
}

/// Changes what is found under a key.
struct Finds {
    store: Store,
    change: fn(Appended, &StreamId) -> Option<Appended>,
}

#[async_trait]
impl StoreLayer for Finds {
    fn inner(&self) -> &Store {
        &self.store
    }

    async fn find_append(
        &self,
        stream: &StreamId,
        key: &IdempotencyKey,
    ) -> Result<Option<Appended>, StoreError> {
        let found = self.store.find_append(stream, key).await?;
        Ok(found.and_then(|found| (self.change)(found, stream)))
    }
}
