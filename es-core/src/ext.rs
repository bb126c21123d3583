//! Reading a store as streams of events, with the memory of one page.

use std::collections::VecDeque;

use futures_core::stream::BoxStream;
use futures_util::stream::try_unfold;

use crate::envelope::RecordedEvent;
use crate::error::StoreError;
use crate::read::{LogPage, ReadLog, ReadStream};
use crate::store::EventStore;

/// Conveniences over any [`EventStore`]; implemented for all of them, `dyn EventStore` included.
///
/// All streams hold at most one page, read the next page only when it is asked for, and can be
/// dropped at any time. After an error a stream ends.
///
/// ```
/// # use es_core::backend::{EventStore, EventStoreExt, ReadLog};
/// use futures_util::TryStreamExt;
///
/// # async fn example(store: &dyn EventStore) -> Result<(), es_core::backend::StoreError> {
/// let mut tail = store.tail(ReadLog::from_start());
/// while let Some(event) = tail.try_next().await? {
///     println!("{} {}", event.stream, event.event_type);
/// }
/// # Ok(())
/// # }
/// ```
pub trait EventStoreExt: EventStore {
    /// The events of one stream, page by page, within the bounds of `read`.
    ///
    /// Events that are appended meanwhile are included if the reader has not passed them; nothing
    /// is read twice.
    fn events(&self, read: ReadStream) -> BoxStream<'_, Result<RecordedEvent, StoreError>> {
        type Rest = (Option<ReadStream>, VecDeque<RecordedEvent>);
        let start: Rest = (Some(read), VecDeque::new());
        Box::pin(try_unfold(start, move |(mut rest, mut page): Rest| async move {
            while page.is_empty() {
                let Some(read) = rest.take() else {
                    return Ok(None);
                };
                let answer = self.read_stream(&read).await?;
                rest = read.after(&answer);
                page = answer.events.into();
            }
            Ok(page.pop_front().map(|event| (event, (rest, page))))
        }))
    }

    /// The wanted events of the log that are there now; ends at the end of the log.
    fn log(&self, read: ReadLog) -> BoxStream<'_, Result<RecordedEvent, StoreError>> {
        follow(self, read, AtEnd::Stop)
    }

    /// The wanted events of the log, those there now and all to come; never ends by itself.
    ///
    /// Nothing is skipped and nothing comes twice. While there is nothing new the stream waits in
    /// [`EventStore::wait_past`], without reading.
    fn tail(&self, read: ReadLog) -> BoxStream<'_, Result<RecordedEvent, StoreError>> {
        follow(self, read, AtEnd::Wait)
    }

    /// The log in pages, those there now and all to come; never ends by itself.
    ///
    /// For readers that keep a checkpoint: [`LogPage::next`] also moves over events that the filter
    /// leaves out, so a page may be without events. Waits as [`tail`](Self::tail) does.
    fn tail_pages(&self, read: ReadLog) -> BoxStream<'_, Result<LogPage, StoreError>> {
        Box::pin(try_unfold((read, false), move |(mut read, at_end)| async move {
            if at_end {
                self.wait_past(read.after).await?;
            }
            let page = self.read_log(&read).await?;
            read.after = page.next;
            let at_end = page.at_end;
            Ok(Some((page, (read, at_end))))
        }))
    }
}

impl<S: EventStore + ?Sized> EventStoreExt for S {}

/// What a reader of the log does when it has come to the end.
#[derive(Clone, Copy, PartialEq)]
enum AtEnd {
    Stop,
    Wait,
}

/// A reader's place in the log, and the rest of the page that it holds.
struct Cursor {
    read: ReadLog,
    page: VecDeque<RecordedEvent>,
    at_end: bool,
}

fn follow<S: EventStore + ?Sized>(
    store: &S,
    read: ReadLog,
    when: AtEnd,
) -> BoxStream<'_, Result<RecordedEvent, StoreError>> {
    let start = Cursor { read, page: VecDeque::new(), at_end: false };
    Box::pin(try_unfold(start, move |mut cursor: Cursor| async move {
        loop {
            if let Some(event) = cursor.page.pop_front() {
                return Ok(Some((event, cursor)));
            }
            match when {
                AtEnd::Stop if cursor.at_end => return Ok(None),
                AtEnd::Wait if cursor.at_end => store.wait_past(cursor.read.after).await?,
                _ => {}
            }
            let page = store.read_log(&cursor.read).await?;
            cursor.read.after = page.next;
            cursor.at_end = page.at_end;
            cursor.page = page.events.into();
        }
    }))
}
