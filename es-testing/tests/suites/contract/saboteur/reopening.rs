//! Sins that show after the store was closed and opened again.

use async_trait::async_trait;
use es_core::backend::{
    AppendError, AppendRequest, Appended, LogPage, Position, ReadLog, ReadStream, StoreError,
    StreamId, StreamPage,
};
use es_core::event::RecordedEvent;
use es_core::execution::IdempotencyKey;
use es_core::layer::StoreLayer;

use super::appends::{Appends, with_a_fresh_id};
use super::mangled::{Mangled, whole_log};
use super::{Saboteur, Store, of_events};

pub(super) fn saboteurs() -> Vec<Saboteur> {
    vec![
        of_events("forgets_everything_when_closed", 10, |healthy| Forgets {
            before: healthy.reopened_at.unwrap_or(Position::START),
            store: healthy.events,
        }),
        of_events("forgets_the_last_event_when_closed", 10, |healthy| {
            let last = healthy.reopened_at;
            Mangled::new(healthy.events, move |log| {
                log.retain(|event| Some(event.position) != last);
            })
        }),
        of_events("forgets_keys_when_closed", 10, |healthy| ForgetsKeys {
            opening: healthy.reopened_at.unwrap_or(Position::START),
            store: healthy.events,
        }),
        of_events("forgets_event_ids_when_closed", 10, |healthy| {
            let before = healthy.reopened_at.unwrap_or(Position::START);
            let append = move |store, request| forgets_ids(store, request, before);
            Appends { store: healthy.events, append }
        }),
        of_events("counts_positions_anew_when_reopened", 20, |healthy| {
            let base = healthy.reopened_at.unwrap_or(Position::START).to_sequence();
            Mangled::new(healthy.events, move |log| {
                for event in log {
                    let sequence = event.position.to_sequence();
                    if sequence > base {
                        event.position = Position::from_sequence(sequence - base);
                    }
                }
            })
        }),
    ]
}

/// Shows nothing of what was there at its opening.
struct Forgets {
    store: Store,
    before: Position,
}

#[async_trait]
impl StoreLayer for Forgets {
    fn inner(&self) -> &Store {
        &self.store
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        let mut page = self.store.read_stream(read).await?;
        page.events.retain(|event| event.position > self.before);
        Ok(page)
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        let mut page = self.store.read_log(read).await?;
        page.events.retain(|event| event.position > self.before);
        Ok(page)
    }
}

/// Keeps the keys of each opening apart.
struct ForgetsKeys {
    store: Store,
    opening: Position,
}

impl ForgetsKeys {
    fn key(&self, key: &IdempotencyKey) -> IdempotencyKey {
        let own = IdempotencyKey::new(&format!("{}-{key}", self.opening));
        own.unwrap_or_else(|_| key.clone())
    }
}

#[async_trait]
impl StoreLayer for ForgetsKeys {
    fn inner(&self) -> &Store {
        &self.store
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let own = request.idempotency_key().map(|key| self.key(key));
        let request = match own {
            Some(own) => request.with_key(own),
            None => request,
        };
        self.store.append(request).await
    }

    async fn find_append(
        &self,
        stream: &StreamId,
        key: &IdempotencyKey,
    ) -> Result<Option<Appended>, StoreError> {
        self.store.find_append(stream, &self.key(key)).await
    }
}

/// Takes the ids of events that were there at its opening as new.
async fn forgets_ids(
    store: Store,
    request: AppendRequest,
    before: Position,
) -> Result<Appended, AppendError> {
    let answer = store.append(request.clone()).await;
    let Err(AppendError::DuplicateEvent { event_id }) = answer else {
        return answer;
    };
    let log = whole_log(&store).await?;
    let is_old = |event: &RecordedEvent| event.event_id == event_id && event.position <= before;
    if !log.iter().any(is_old) {
        return answer;
    }
    store.append(with_a_fresh_id(&request, event_id)).await
}
