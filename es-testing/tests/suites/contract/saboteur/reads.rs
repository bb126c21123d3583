//! Sins of reading a stream.

use async_trait::async_trait;
use es_core::backend::{
    AppendError, AppendRequest, Appended, Direction, PageLimit, ReadStream, StoreError,
    StoreErrorKind, StreamId, StreamPage,
};
use es_core::execution::{IdempotencyKey, StreamVersion};
use es_core::layer::StoreLayer;

use super::appends::rebuilt;
use super::mangled::{ALL, stream_page};
use super::{Saboteur, Store, of_events};

pub(super) fn saboteurs() -> Vec<Saboteur> {
    vec![
        renaming("folds_the_case_of_names", |stream| {
            StreamId::new(stream.aggregate_type(), &stream.aggregate_id().to_lowercase())
        }),
        renaming("trims_names", |stream| {
            StreamId::new(stream.aggregate_type(), stream.aggregate_id().trim())
        }),
        renaming("ignores_the_aggregate_type", |stream| {
            StreamId::new("any", stream.aggregate_id())
        }),
        page("turns_the_oldest_page_round", 14, |store, read| async move {
            let mut forwards = read.clone();
            forwards.direction = Direction::Forwards;
            let mut page = store.read_stream(&forwards).await?;
            if read.direction == Direction::Backwards {
                page.events.reverse();
            }
            Ok(page)
        }),
        page("leaves_the_upper_bound_out", 14, |store, read| async move {
            let below = StreamVersion::new(read.to.as_u64().saturating_sub(1));
            let to = if read.to == StreamVersion::MAX { read.to } else { below };
            store.read_stream(&read.to_version(to)).await
        }),
        page("leaves_the_lower_bound_out", 14, |store, read| async move {
            let from = if read.from > StreamVersion::FIRST { read.from.next() } else { read.from };
            store.read_stream(&read.from_version(from)).await
        }),
        page("fails_on_an_unknown_stream", 14, |store, read| async move {
            let page = store.read_stream(&read).await?;
            if page.stream_version.is_empty() {
                return Err(StoreError::new(StoreErrorKind::Other, "no such stream"));
            }
            Ok(page)
        }),
        page("tells_the_version_of_the_page", 14, |store, read| async move {
            let mut page = store.read_stream(&read).await?;
            let versions = page.events.iter().map(|event| event.version);
            page.stream_version = versions.max().unwrap_or_default();
            Ok(page)
        }),
        page("ignores_until", 15, |store, mut read| async move {
            read.until = None;
            store.read_stream(&read).await
        }),
        page("takes_until_as_a_filter", 15, |store, read| async move {
            let all = store.read_stream(&whole(&read)).await?;
            let wanted = all.events.into_iter().filter(|event| {
                (read.from..=read.to).contains(&event.version)
                    && read.until.is_none_or(|until| event.recorded_at <= until)
            });
            Ok(stream_page(wanted.collect(), &read, all.stream_version))
        }),
        page("looks_for_until_in_the_range_only", 15, |store, read| async move {
            let all = store.read_stream(&whole(&read)).await?;
            let range = all.events.into_iter();
            let wanted = range
                .filter(|event| (read.from..=read.to).contains(&event.version))
                .take_while(|event| read.until.is_none_or(|until| event.recorded_at <= until));
            Ok(stream_page(wanted.collect(), &read, all.stream_version))
        }),
        page("leaves_out_what_was_recorded_at_until", 15, |store, mut read| async move {
            read.until = read
                .until
                .map(|until| es_core::backend::Timestamp::from_micros(until.as_micros() - 1));
            store.read_stream(&read).await
        }),
        page("ignores_the_number_of_events", 16, |store, mut read| async move {
            read.limit.events = usize::MAX;
            store.read_stream(&read).await
        }),
        page("ignores_the_number_of_bytes", 16, |store, mut read| async move {
            read.limit.bytes = usize::MAX;
            store.read_stream(&read).await
        }),
        page("stops_before_a_large_event", 16, |store, read| async move {
            let mut page = store.read_stream(&read).await?;
            let first = page.events.first();
            if first.is_some_and(|event| event.payload.as_str().len() > read.limit.bytes) {
                page.events.clear();
                page.has_more = true;
            }
            Ok(page)
        }),
        page("takes_a_full_page_for_more", 16, |store, read| async move {
            let mut page = store.read_stream(&read).await?;
            page.has_more = page.events.len() >= read.limit.events;
            Ok(page)
        }),
        page("never_says_that_more_follows", 16, |store, read| async move {
            let mut page = store.read_stream(&read).await?;
            page.has_more = false;
            Ok(page)
        }),
        page("repeats_the_edge_of_a_page", 16, |store, read| async move {
            let mut wider = read.clone();
            let is_later_page = read.direction == Direction::Forwards
                && read.from > StreamVersion::FIRST
                && read.limit.events < PageLimit::default().events;
            if is_later_page {
                wider.from = StreamVersion::new(read.from.as_u64() - 1);
                wider.limit.events += 1;
            }
            store.read_stream(&wider).await
        }),
    ]
}

/// The whole stream, oldest first, without bounds.
fn whole(read: &ReadStream) -> ReadStream {
    ReadStream::new(read.stream.clone()).limit(ALL)
}

fn page<F>(name: &'static str, clause: u32, read: fn(Store, ReadStream) -> F) -> Saboteur
where
    F: Future<Output = Result<StreamPage, StoreError>> + Send + 'static,
{
    of_events(name, clause, move |healthy| Pages { store: healthy.events, read })
}

/// Reads streams in another way.
struct Pages<F> {
    store: Store,
    read: fn(Store, ReadStream) -> F,
}

#[async_trait]
impl<F> StoreLayer for Pages<F>
where
    F: Future<Output = Result<StreamPage, StoreError>> + Send + 'static,
{
    fn inner(&self) -> &Store {
        &self.store
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        (self.read)(self.store.clone(), read.clone()).await
    }
}

type Rename = fn(&StreamId) -> Result<StreamId, es_core::backend::InvalidStreamId>;

fn renaming(name: &'static str, rename: Rename) -> Saboteur {
    of_events(name, 14, move |healthy| Renames { store: healthy.events, rename })
}

/// Keeps streams under other names.
struct Renames {
    store: Store,
    rename: Rename,
}

impl Renames {
    fn name(&self, stream: &StreamId) -> StreamId {
        (self.rename)(stream).unwrap_or_else(|_| stream.clone())
    }
}

#[async_trait]
impl StoreLayer for Renames {
    fn inner(&self) -> &Store {
        &self.store
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let renamed = rebuilt(&request, |part| part.stream = self.name(&part.stream));
        let mut appended = self.store.append(renamed).await?;
        for (told, part) in appended.streams.iter_mut().zip(request.streams()) {
            told.stream = part.stream.clone();
        }
        Ok(appended)
    }

    async fn find_append(
        &self,
        stream: &StreamId,
        key: &IdempotencyKey,
    ) -> Result<Option<Appended>, StoreError> {
        self.store.find_append(&self.name(stream), key).await
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        let mut renamed = read.clone();
        renamed.stream = self.name(&read.stream);
        let mut page = self.store.read_stream(&renamed).await?;
        for event in &mut page.events {
            event.stream = read.stream.clone();
        }
        Ok(page)
    }
}
