//! Sins of refusing: conflicts, used event ids, limits.

use std::collections::HashSet;
use std::sync::Mutex;

use async_trait::async_trait;
use es_core::ExpectedVersion;
use es_core::backend::{
    AppendError, AppendRequest, Appended, InvalidRequest, Limits, ReadStream, StoreError,
    StoreErrorKind, StreamId,
};
use es_core::environment::{EventIds, UuidV7Ids};
use es_core::event::{EventId, Payload};
use es_core::execution::Conflict;
use es_core::layer::StoreLayer;

use super::appends::{Rewrites, event_ids, locked, of_parts, rebuilt};
use super::{Saboteur, Store, of_events};

pub(super) fn saboteurs() -> Vec<Saboteur> {
    vec![
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
                    if text.contains("\\u0000")
                        && let Ok(stripped) = Payload::parse(text.replace("\\u0000", ""))
                    {
                        event.payload = stripped;
                    }
                }
            },
        }),
        of_events("takes_reserved_keys", 9, |healthy| Rewrites {
            store: healthy.events,
            rewrite: |part| {
                const RESERVED: &str = "$serde_json::private::RawValue";
                for event in &mut part.events {
                    let text = event.payload.as_str().replace(RESERVED, "raw");
                    if text != event.payload.as_str()
                        && let Ok(renamed) = Payload::parse(text)
                    {
                        event.payload = renamed;
                    }
                }
            },
        }),
        of_events("keeps_the_last_of_two_members", 9, |healthy| Rewrites {
            store: healthy.events,
            rewrite: |part| {
                for event in &mut part.events {
                    if let Ok(payload) = Payload::from_stored(event.payload.as_str())
                        && event.payload.canonical().is_err()
                    {
                        event.payload = payload;
                    }
                }
            },
        }),
        of_events("counts_white_space", 9, |healthy| CountsWhiteSpace {
            store: healthy.events,
            limits: healthy.limits,
        }),
        of_events("writes_before_it_checks", 9, |healthy| WritesBeforeItChecks(healthy.events)),
        of_events("refuses_without_a_reason", 9, |healthy| RefusesWithoutAReason(healthy.events)),
        of_events("refuses_the_limit_itself", 9, |healthy| RefusesTheLimit {
            store: healthy.events,
            limits: healthy.limits,
        }),
    ]
}

/// Changes what a conflict tells.
struct Conflicts {
    store: Store,
    change: fn(&mut Conflict, &AppendRequest),
}

#[async_trait]
impl StoreLayer for Conflicts {
    fn inner(&self) -> &Store {
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

struct WritesWhatItRefuses(Store);

#[async_trait]
impl StoreLayer for WritesWhatItRefuses {
    fn inner(&self) -> &Store {
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
impl StoreLayer for KeepsRefusedIds {
    fn inner(&self) -> &Store {
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

struct JudgesByName(Store);

#[async_trait]
impl StoreLayer for JudgesByName {
    fn inner(&self) -> &Store {
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
impl StoreLayer for AcceptsUsedIds {
    fn inner(&self) -> &Store {
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
impl StoreLayer for SplitsLargeAppends {
    fn inner(&self) -> &Store {
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
impl StoreLayer for WritesBeforeItChecks {
    fn inner(&self) -> &Store {
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
impl StoreLayer for RefusesWithoutAReason {
    fn inner(&self) -> &Store {
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

struct CountsWhiteSpace {
    store: Store,
    limits: Limits,
}

#[async_trait]
impl StoreLayer for CountsWhiteSpace {
    fn inner(&self) -> &Store {
        &self.store
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        request.check(&self.limits)?;
        let limit = self.limits.payload_bytes;
        let events = request.streams().iter().flat_map(|part| &part.events);
        let bytes = events.map(|event| event.payload.as_str().len()).max().unwrap_or(0);
        if bytes > limit {
            return Err(InvalidRequest::TooLarge { bytes, limit }.into());
        }
        self.store.append(request).await
    }
}

struct RefusesTheLimit {
    store: Store,
    limits: Limits,
}

#[async_trait]
impl StoreLayer for RefusesTheLimit {
    fn inner(&self) -> &Store {
        &self.store
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let mut less = self.limits;
        less.append_bytes -= 1;
        request.check(&less)?;
        self.store.append(request).await
    }
}
