//! Sins of reading the log, and of giving positions.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use es_core::backend::{
    AppendError, AppendRequest, Appended, LogPage, Position, ReadLog, StoreError,
};
use es_core::event::{EventFilter, EventId, RecordedEvent};
use es_core::layer::StoreLayer;
use tokio::task::yield_now;

use super::appends::{event_ids, locked};
use super::mangled::{Mangled, log_page, mangling, whole_log};
use super::{Saboteur, Store, of_events};

pub(super) fn saboteurs() -> Vec<Saboteur> {
    vec![
        page("ignores_the_limits_of_log_pages", 16, |store, mut read| async move {
            read.limit = super::mangled::ALL;
            store.read_log(&read).await
        }),
        page("loses_every_seventh_event", 17, |store, read| async move {
            let log = whole_log(&store).await?.into_iter().enumerate();
            let kept = log.filter(|(place, _)| place % 7 != 6).map(|(_, event)| event);
            Ok(log_page(&kept.collect::<Vec<_>>(), &read))
        }),
        page("begins_a_page_with_the_last_event", 17, |store, mut read| async move {
            let log = whole_log(&store).await?;
            let before = log.iter().take_while(|event| event.position < read.after).last();
            let after = before.map_or(Position::START, |event| event.position);
            let is_event = log.iter().any(|event| event.position == read.after);
            read.after = if is_event { after } else { read.after };
            store.read_log(&read).await
        }),
        mangling("turns_batches_round_in_the_log", 17, |log| in_runs(log, |run| run.reverse())),
        page("sorts_a_page_by_stream", 17, |store, read| async move {
            let mut page = store.read_log(&read).await?;
            page.events.sort_by(|a, b| a.stream.cmp(&b.stream));
            Ok(page)
        }),
        of_events("tells_an_old_end", 17, |healthy| TellsAnOldEnd(healthy.events)),
        page("takes_a_full_page_for_not_the_end", 17, |store, read| async move {
            let mut page = store.read_log(&read).await?;
            page.at_end &= page.events.len() < read.limit.events;
            Ok(page)
        }),
        page("ignores_the_filter", 18, |store, mut read| async move {
            read.filter = EventFilter::all();
            store.read_log(&read).await
        }),
        page("joins_filters_by_or", 18, |store, read| async move {
            let log = whole_log(&store).await?.into_iter();
            let of_type = |event: &RecordedEvent| {
                read.filter.aggregate_types.contains(event.stream.aggregate_type())
            };
            let named = |event: &RecordedEvent| read.filter.event_types.contains(&event.event_type);
            let all = read.filter == EventFilter::all();
            let wanted = log.filter(|event| all || of_type(event) || named(event));
            let unfiltered = read.clone().filter(EventFilter::all());
            Ok(log_page(&wanted.collect::<Vec<_>>(), &unfiltered))
        }),
        page("takes_types_as_prefixes", 18, |store, read| async move {
            let log = whole_log(&store).await?.into_iter();
            let begins = |event: &RecordedEvent| {
                let name = event.event_type.as_str();
                let types = &read.filter.event_types;
                types.is_empty() || types.iter().any(|wanted| name.starts_with(wanted.as_str()))
            };
            let mut by_type = read.clone();
            by_type.filter.event_types.clear();
            let wanted: Vec<_> = log.filter(begins).collect();
            Ok(log_page(&wanted, &by_type))
        }),
        page("leads_over_wanted_events", 18, |store, read| async move {
            let mut page = store.read_log(&read).await?;
            if !page.at_end && read.filter != EventFilter::all() {
                let mut unfiltered = read.clone();
                unfiltered.filter = EventFilter::all();
                unfiltered.limit.events = read.limit.events.saturating_mul(3);
                page.next = page.next.merge(store.read_log(&unfiltered).await?.next);
            }
            Ok(page)
        }),
        page("leads_to_the_last_wanted_event", 18, |store, read| async move {
            let mut page = store.read_log(&read).await?;
            page.next = page.events.last().map_or(read.after, |event| event.position);
            Ok(page)
        }),
        page("takes_the_last_wanted_event_for_the_last", 18, |store, read| async move {
            let mut page = store.read_log(&read).await?;
            page.last = page.events.last().map(Into::into);
            Ok(page)
        }),
        page("ignores_the_prefix", 18, |store, mut read| async move {
            read.filter.id_prefix = None;
            store.read_log(&read).await
        }),
        page("tells_the_last_event_of_any_stream", 18, |store, read| async move {
            let (mut page, log) = (store.read_log(&read).await?, whole_log(&store).await?);
            let passed =
                |event: &&RecordedEvent| event.position > read.after && event.position <= page.next;
            page.last = log.iter().rfind(passed).map(Into::into);
            Ok(page)
        }),
        page("filters_within_a_page", 18, |store, read| async move {
            let unfiltered = read.clone().filter(EventFilter::all());
            let mut page = store.read_log(&unfiltered).await?;
            page.events.retain(|event| read.filter.accepts(event));
            if page.events.is_empty() {
                page.next = read.after;
            }
            Ok(page)
        }),
        of_events("shows_a_lower_position_later", 19, |healthy| ShowsLater {
            store: healthy.events,
            count: AtomicU64::new(0),
            hidden: Mutex::default(),
        }),
        mangling("gives_a_later_append_a_lower_position", 19, |log| {
            for pair in log.chunks_mut(2) {
                for event in pair {
                    let sequence = event.position.to_sequence();
                    // 1, 2, 3, 4 become 2, 1, 4, 3
                    event.position = Position::from_sequence(((sequence - 1) ^ 1) + 1);
                }
            }
        }),
        of_events("gives_the_last_position_again_after_a_refusal", 20, |healthy| ReusesPositions {
            store: healthy.events,
            refused_at: Mutex::default(),
        }),
    ]
}

/// Changes the positions within each run of events of one stream and time.
fn in_runs(log: &mut [RecordedEvent], change: fn(&mut [Position])) {
    let same = |a: &RecordedEvent, b: &RecordedEvent| {
        a.stream == b.stream && a.recorded_at == b.recorded_at
    };
    for run in log.chunk_by_mut(same) {
        let mut positions: Vec<_> = run.iter().map(|event| event.position).collect();
        change(&mut positions);
        for (event, position) in run.iter_mut().zip(positions) {
            event.position = position;
        }
    }
}

fn page<F>(name: &'static str, clause: u32, read: fn(Store, ReadLog) -> F) -> Saboteur
where
    F: Future<Output = Result<LogPage, StoreError>> + Send + 'static,
{
    of_events(name, clause, move |healthy| Pages { store: healthy.events, read })
}

/// Reads the log in another way.
struct Pages<F> {
    store: Store,
    read: fn(Store, ReadLog) -> F,
}

#[async_trait]
impl<F> StoreLayer for Pages<F>
where
    F: Future<Output = Result<LogPage, StoreError>> + Send + 'static,
{
    fn inner(&self) -> &Store {
        &self.store
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        (self.read)(self.store.clone(), read.clone()).await
    }
}

struct TellsAnOldEnd(Store);

#[async_trait]
impl StoreLayer for TellsAnOldEnd {
    fn inner(&self) -> &Store {
        &self.0
    }

    async fn end_of_log(&self) -> Result<Position, StoreError> {
        let log = whole_log(&self.0).await?;
        let before = log.iter().rev().nth(1);
        Ok(before.map_or(Position::START, |event| event.position))
    }
}

/// Shows every fourth append in the log only after others were shown.
struct ShowsLater {
    store: Store,
    count: AtomicU64,
    hidden: Mutex<HashSet<EventId>>,
}

#[async_trait]
impl StoreLayer for ShowsLater {
    fn inner(&self) -> &Store {
        &self.store
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        if !self.count.fetch_add(1, Ordering::SeqCst).is_multiple_of(4) {
            return self.store.append(request).await;
        }
        let ids: Vec<_> = event_ids(&request).collect();
        locked(&self.hidden).extend(ids.iter().copied());
        let answer = self.store.append(request).await;
        for _ in 0..20 {
            yield_now().await;
        }
        let mut hidden = locked(&self.hidden);
        ids.iter().for_each(|id| {
            hidden.remove(id);
        });
        answer
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        let mut page = self.store.read_log(read).await?;
        let hidden = locked(&self.hidden);
        page.events.retain(|event| !hidden.contains(&event.event_id));
        Ok(page)
    }
}

/// After each refusal, counts one position less.
struct ReusesPositions {
    store: Store,
    refused_at: Mutex<Vec<Position>>,
}

impl ReusesPositions {
    fn shown(&self) -> Mangled {
        let refused_at = locked(&self.refused_at).clone();
        Mangled::new(self.store.clone(), move |log| {
            for event in log {
                let refused = refused_at.iter().filter(|at| **at < event.position).count() as u64;
                let sequence = event.position.to_sequence();
                event.position = Position::from_sequence(sequence.saturating_sub(refused).max(1));
            }
        })
    }
}

#[async_trait]
impl StoreLayer for ReusesPositions {
    fn inner(&self) -> &Store {
        &self.store
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let end = self.store.end_of_log().await?;
        let answer = self.shown().append(request).await;
        if matches!(answer, Err(AppendError::Conflict(_))) && end != Position::START {
            locked(&self.refused_at).push(end);
        }
        answer
    }

    async fn read_stream(
        &self,
        read: &es_core::backend::ReadStream,
    ) -> Result<es_core::backend::StreamPage, StoreError> {
        self.shown().read_stream(read).await
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        self.shown().read_log(read).await
    }

    async fn end_of_log(&self) -> Result<Position, StoreError> {
        self.shown().end_of_log().await
    }
}
