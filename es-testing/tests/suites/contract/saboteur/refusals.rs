//! Sins of refusing: conflicts, used event ids, limits.

use std::collections::HashSet;

use es_core::ExpectedVersion;
use es_core::backend::{
    AppendError, AppendRequest, Appended, InvalidRequest, Limits, ReadStream, StoreError,
    StoreErrorKind, StreamId,
};
use es_core::event::{EventId, Payload};
use es_core::execution::Conflict;

use super::appends::{
    Appends, Memory, appending, event_ids, locked, of_parts, rebuilt, remembering, rewriting,
    with_a_fresh_id,
};
use super::{Saboteur, Store, of_events};

pub(super) fn saboteurs() -> Vec<Saboteur> {
    vec![
        appending("writes_what_it_refuses", 3, writes_what_it_refuses),
        remembering("keeps_the_ids_of_refused_appends", 3, keeps_refused_ids),
        appending("tells_the_expected_version_as_actual", 3, |store, request| {
            tells_otherwise(store, request, |conflict, _| {
                if let ExpectedVersion::Exact(version) = conflict.expected {
                    conflict.actual = version;
                }
            })
        }),
        appending("tells_the_conflict_of_another_stream", 3, |store, request| {
            tells_otherwise(store, request, |conflict, request| {
                if let Some(last) = request.streams().last() {
                    conflict.stream = last.stream.clone();
                    conflict.expected = last.expected;
                }
            })
        }),
        appending("judges_the_streams_in_the_order_of_names", 3, judges_by_name),
        appending("accepts_a_used_event_id", 5, |store, request| {
            accepts_used_ids(store, request, true)
        }),
        appending("looks_for_event_ids_in_one_stream", 5, |store, request| {
            accepts_used_ids(store, request, false)
        }),
        of_events("splits_what_is_too_much", 9, |healthy| Appends {
            store: healthy.events,
            append: move |store, request| splits_large_appends(store, request, healthy.limits),
        }),
        rewriting("strips_what_cannot_be_kept", 9, |part| {
            for event in &mut part.events {
                let text = event.payload.as_str();
                if text.contains("\\u0000")
                    && let Ok(stripped) = Payload::parse(text.replace("\\u0000", ""))
                {
                    event.payload = stripped;
                }
            }
        }),
        rewriting("takes_reserved_keys", 9, |part| {
            const RESERVED: &str = "$serde_json::private::RawValue";
            for event in &mut part.events {
                let text = event.payload.as_str().replace(RESERVED, "raw");
                if text != event.payload.as_str()
                    && let Ok(renamed) = Payload::parse(text)
                {
                    event.payload = renamed;
                }
            }
        }),
        rewriting("keeps_the_last_of_two_members", 9, |part| {
            for event in &mut part.events {
                if let Ok(payload) = Payload::from_stored(event.payload.as_str())
                    && event.payload.canonical().is_err()
                {
                    event.payload = payload;
                }
            }
        }),
        of_events("counts_white_space", 9, |healthy| Appends {
            store: healthy.events,
            append: move |store, request| counts_white_space(store, request, healthy.limits),
        }),
        appending("writes_before_it_checks", 9, writes_before_it_checks),
        appending("refuses_without_a_reason", 9, refuses_without_a_reason),
        of_events("refuses_the_limit_itself", 9, |healthy| Appends {
            store: healthy.events,
            append: move |store, request| refuses_the_limit(store, request, healthy.limits),
        }),
    ]
}

/// Changes what a conflict tells.
async fn tells_otherwise(
    store: Store,
    request: AppendRequest,
    change: fn(&mut Conflict, &AppendRequest),
) -> Result<Appended, AppendError> {
    match store.append(request.clone()).await {
        Err(AppendError::Conflict(mut conflict)) => {
            change(&mut conflict, &request);
            Err(conflict.into())
        }
        answer => answer,
    }
}

async fn writes_what_it_refuses(
    store: Store,
    request: AppendRequest,
) -> Result<Appended, AppendError> {
    let answer = store.append(request.clone()).await;
    if let Err(AppendError::Conflict(_)) = &answer {
        let anyway = rebuilt(&request, |part| part.expected = ExpectedVersion::Any);
        store.append(anyway).await?;
    }
    answer
}

async fn keeps_refused_ids(
    store: Store,
    request: AppendRequest,
    refused: Memory<HashSet<EventId>>,
) -> Result<Appended, AppendError> {
    let ids: Vec<_> = event_ids(&request).collect();
    let is_refused = |id: &&EventId| locked(&refused).contains(id);
    if let Some(&event_id) = ids.iter().find(is_refused) {
        return Err(AppendError::DuplicateEvent { event_id });
    }
    let answer = store.append(request).await;
    if matches!(answer, Err(AppendError::Conflict(_))) {
        locked(&refused).extend(ids);
    }
    answer
}

async fn judges_by_name(store: Store, request: AppendRequest) -> Result<Appended, AppendError> {
    let mut parts = request.clone().into_streams();
    parts.sort_by(|a, b| a.stream.cmp(&b.stream));
    let mut appended = store.append(of_parts(&request, parts)).await?;
    let place =
        |stream: &StreamId| request.streams().iter().position(|part| part.stream == *stream);
    appended.streams.sort_by_key(|part| place(&part.stream));
    Ok(appended)
}

async fn accepts_used_ids(
    store: Store,
    mut request: AppendRequest,
    in_own_stream_too: bool,
) -> Result<Appended, AppendError> {
    loop {
        let answer = store.append(request.clone()).await;
        let Err(AppendError::DuplicateEvent { event_id }) = answer else {
            return answer;
        };
        if !in_own_stream_too {
            for part in request.streams() {
                let mine = store.read_stream(&ReadStream::new(part.stream.clone())).await?;
                if mine.events.iter().any(|event| event.event_id == event_id) {
                    return answer;
                }
            }
        }
        request = with_a_fresh_id(&request, event_id);
    }
}

async fn splits_large_appends(
    store: Store,
    request: AppendRequest,
    limits: Limits,
) -> Result<Appended, AppendError> {
    let too_much = matches!(
        request.check(&limits),
        Err(InvalidRequest::TooManyEvents { .. } | InvalidRequest::TooLarge { .. })
    );
    if !too_much {
        return store.append(request).await;
    }
    let mut last = None;
    for part in request.into_streams() {
        for event in part.events {
            let one = AppendRequest::to(part.stream.clone(), ExpectedVersion::Any, vec![event]);
            last = Some(store.append(one).await?);
        }
    }
    last.ok_or_else(|| InvalidRequest::NoStreams.into())
}

async fn writes_before_it_checks(
    store: Store,
    request: AppendRequest,
) -> Result<Appended, AppendError> {
    let answer = store.append(request.clone()).await;
    if let Err(AppendError::Invalid(_)) = &answer {
        for part in request.into_streams() {
            let first = part.events.into_iter().take(1).collect();
            let first = AppendRequest::to(part.stream, ExpectedVersion::Any, first);
            // an invalid first event is refused again
            let _ = store.append(first).await;
        }
    }
    answer
}

async fn refuses_without_a_reason(
    store: Store,
    request: AppendRequest,
) -> Result<Appended, AppendError> {
    match store.append(request).await {
        Err(AppendError::Invalid(_)) => {
            Err(StoreError::new(StoreErrorKind::Other, "the database refused it").into())
        }
        answer => answer,
    }
}

async fn counts_white_space(
    store: Store,
    request: AppendRequest,
    limits: Limits,
) -> Result<Appended, AppendError> {
    request.check(&limits)?;
    let limit = limits.payload_bytes;
    let events = request.streams().iter().flat_map(|part| &part.events);
    let bytes = events.map(|event| event.payload.as_str().len()).max().unwrap_or(0);
    if bytes > limit {
        return Err(InvalidRequest::TooLarge { bytes, limit }.into());
    }
    store.append(request).await
}

async fn refuses_the_limit(
    store: Store,
    request: AppendRequest,
    limits: Limits,
) -> Result<Appended, AppendError> {
    let mut less = limits;
    less.append_bytes -= 1;
    request.check(&less)?;
    store.append(request).await
}
