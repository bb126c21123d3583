//! Reading a store as streams of events, with the memory of one page.

use std::collections::VecDeque;

use futures_core::Stream;
use futures_util::stream::try_unfold;

use crate::envelope::RecordedEvent;
use crate::error::StoreError;
use crate::read::{LogPage, ReadLog, ReadStream};
use crate::store::EventStore;

/// Conveniences over any [`EventStore`]; implemented for all of them, `dyn EventStore` included.
///
/// All streams hold at most one page, read the next page only when it is asked for, and can be
/// dropped at any time. After an error a stream ends.
pub trait EventStoreExt: EventStore {
    /// The events of one stream, page by page, within the bounds of `read`.
    ///
    /// Events that are appended meanwhile are included if the reader has not passed them; nothing
    /// is read twice.
    fn events(
        &self,
        read: ReadStream,
    ) -> impl Stream<Item = Result<RecordedEvent, StoreError>> + Send {
        let start = (Some(read), VecDeque::new());
        try_unfold(start, async move |(mut rest, mut page): (Option<ReadStream>, VecDeque<_>)| {
            while page.is_empty() {
                let Some(read) = rest.take() else {
                    return Ok(None);
                };
                let answer = self.read_stream(&read).await?;
                rest = read.after(&answer);
                page = answer.events.into();
            }
            Ok(page.pop_front().map(|event| (event, (rest, page))))
        })
    }

    /// The wanted events of the log that are there now; ends at the end of the log.
    fn log(&self, read: ReadLog) -> impl Stream<Item = Result<RecordedEvent, StoreError>> + Send {
        follow(self, read, AtEnd::Stop)
    }

    /// The wanted events of the log, those there now and all to come; never ends by itself.
    ///
    /// Nothing is skipped and nothing comes twice. While there is nothing new the stream waits in
    /// [`EventStore::wait_past`], without reading.
    fn tail(&self, read: ReadLog) -> impl Stream<Item = Result<RecordedEvent, StoreError>> + Send {
        follow(self, read, AtEnd::Wait)
    }

    /// The log in pages, those there now and all to come; never ends by itself.
    ///
    /// For readers that keep a checkpoint: [`LogPage::next`] also moves over events that the filter
    /// leaves out, so a page may be without events. Waits as [`tail`](Self::tail) does.
    fn tail_pages(&self, read: ReadLog) -> impl Stream<Item = Result<LogPage, StoreError>> + Send {
        try_unfold((read, false), move |(mut read, at_end)| async move {
            if at_end {
                self.wait_past(read.after).await?;
            }
            let page = self.read_log(&read).await?;
            read.after = page.next;
            let at_end = page.at_end;
            Ok(Some((page, (read, at_end))))
        })
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
) -> impl Stream<Item = Result<RecordedEvent, StoreError>> + Send {
    let start = Cursor { read, page: VecDeque::new(), at_end: false };
    try_unfold(start, move |mut cursor: Cursor| async move {
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
    })
}
