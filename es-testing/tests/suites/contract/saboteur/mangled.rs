//! Stores whose events are shown otherwise than they are kept.

use std::collections::HashMap;

use async_trait::async_trait;
use es_core::backend::{
    AppendError, AppendRequest, Appended, Direction, EventReference, LogPage, PageBuilder,
    PageLimit, Position, ReadLog, ReadStream, StoreError, StreamPage,
};
use es_core::event::{EventId, RecordedEvent};
use es_core::layer::StoreLayer;

use super::{Saboteur, Store, of_events};

/// More than any log of a scenario holds.
pub(super) const ALL: PageLimit = PageLimit::events(usize::MAX).bytes(usize::MAX);

/// The whole log of a healthy store.
pub(super) async fn whole_log(store: &Store) -> Result<Vec<RecordedEvent>, StoreError> {
    Ok(store.read_log(&ReadLog::from_start().limit(ALL)).await?.events)
}

/// A true page of these events, which are the whole log.
pub(super) fn log_page(log: &[RecordedEvent], read: &ReadLog) -> LogPage {
    let mut page = PageBuilder::new(read.limit);
    let end = log.last().map_or(Position::START, |event| event.position);
    let rest = log.iter().filter(|event| event.position > read.after);
    for event in rest.filter(|event| read.filter.accepts(event)) {
        if !page.admits(event.payload.as_str().len()) {
            let next = page.last().map_or(read.after, |last| last.position);
            let last = page.last().map(EventReference::from);
            return LogPage::new(page.into_events(), next, last, false);
        }
        page.push(event.clone());
    }
    let in_view =
        |event: &&RecordedEvent| event.position > read.after && read.filter.shows(&event.stream);
    let last = log.iter().rfind(in_view).map(EventReference::from);
    LogPage::new(page.into_events(), end.merge(read.after), last, true)
}

/// A true page of these events, which are the wanted ones of a stream, oldest first.
pub(super) fn stream_page(
    mut wanted: Vec<RecordedEvent>,
    read: &ReadStream,
    stream_version: es_core::execution::StreamVersion,
) -> StreamPage {
    if read.direction == Direction::Backwards {
        wanted.reverse();
    }
    let mut page = PageBuilder::new(read.limit);
    let mut count = 0;
    for event in &wanted {
        if !page.admits(event.payload.as_str().len()) {
            break;
        }
        page.push(event.clone());
        count += 1;
    }
    StreamPage::new(page.into_events(), stream_version, count < wanted.len())
}

type Mangle = Box<dyn Fn(&mut Vec<RecordedEvent>) + Send + Sync>;

/// A saboteur that shows the log as this function changes it.
pub(super) fn mangling(
    name: &'static str,
    clause: u32,
    mangle: impl Fn(&mut Vec<RecordedEvent>) + Copy + Send + Sync + 'static,
) -> Saboteur {
    of_events(name, clause, move |healthy| Mangled::new(healthy.events, mangle))
}

/// Changes the log whenever somebody looks at it, consistently on every face.
pub(super) struct Mangled {
    store: Store,
    mangle: Mangle,
}

impl Mangled {
    pub(super) fn new(
        store: Store,
        mangle: impl Fn(&mut Vec<RecordedEvent>) + Send + Sync + 'static,
    ) -> Self {
        Self { store, mangle: Box::new(mangle) }
    }

    async fn log(&self) -> Result<Vec<RecordedEvent>, StoreError> {
        let mut log = whole_log(&self.store).await?;
        (self.mangle)(&mut log);
        log.sort_by_key(|event| event.position.to_sequence());
        Ok(log)
    }

    async fn by_id(&self) -> Result<HashMap<EventId, RecordedEvent>, StoreError> {
        let log = self.log().await?.into_iter();
        Ok(log.map(|event| (event.event_id, event)).collect())
    }
}

#[async_trait]
impl StoreLayer for Mangled {
    fn inner(&self) -> &Store {
        &self.store
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let mut appended = self.store.append(request).await?;
        let shown = self.by_id().await?;
        for told in appended.streams.iter_mut().flat_map(|part| &mut part.events) {
            if let Some(event) = shown.get(&told.event_id) {
                *told = event.receipt();
            }
        }
        Ok(appended)
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        let mut page = self.store.read_stream(read).await?;
        let shown = self.by_id().await?;
        for event in &mut page.events {
            if let Some(mangled) = shown.get(&event.event_id) {
                *event = mangled.clone();
            }
        }
        Ok(page)
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        Ok(log_page(&self.log().await?, read))
    }

    async fn end_of_log(&self) -> Result<Position, StoreError> {
        let log = self.log().await?;
        Ok(log.last().map_or(Position::START, |event| event.position))
    }
}
