//! Rows of a stream on their way from a reading thread to who asked for them.
//!
//! To get a row from SQLite takes about as long as to read what it says: the thread does the one, and
//! who asked does the other while further rows come.

use std::future::poll_fn;
use std::mem;
use std::sync::Arc;
use std::task::Poll;

use es_core::backend::{
    PageBuilder, PageLimit, Position, ReadStream, StreamId, StreamPage, Timestamp,
};
use es_core::event::{EventId, RecordedEvent};
use es_core::execution::StreamVersion;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use crate::row::{EventRow, Parts};

/// So many rows are handed over at once, or so many bytes: to wake who asked has its price, too.
const ROWS: usize = 128;
const BYTES: usize = 64 * 1024;

/// Some rows, with their texts in one, each text behind the one before.
#[derive(Debug)]
pub(crate) struct Copies {
    text: String,
    rows: Vec<Copied>,
    /// What they were read from.
    place: Arc<str>,
}

#[derive(Debug)]
enum Copied {
    Row(RowCopy),
    /// One that is odd, or so large that to read it would keep who asked from other work.
    Event(Box<RecordedEvent>),
}

/// [`Parts`], with the lengths of the texts.
#[derive(Debug)]
struct RowCopy {
    event_id: EventId,
    version: u64,
    position: Position,
    event_type: usize,
    recorded_at: Timestamp,
    metadata: Option<usize>,
    payload: usize,
}

impl Copies {
    fn push(&mut self, parts: &Parts<'_>) {
        self.text.push_str(parts.event_type);
        self.text.push_str(parts.metadata.unwrap_or_default());
        self.text.push_str(parts.payload);
        self.rows.push(Copied::Row(RowCopy {
            event_id: parts.event_id,
            version: parts.version,
            position: parts.position,
            event_type: parts.event_type.len(),
            recorded_at: parts.recorded_at,
            metadata: parts.metadata.map(str::len),
            payload: parts.payload.len(),
        }));
    }
}

/// A page on the thread that reads its rows.
pub(crate) struct Handing<'a> {
    read: &'a ReadStream,
    /// `None` if the same thread reads what they say.
    to: Option<&'a UnboundedSender<Copies>>,
    copies: Copies,
    count: usize,
    payload_bytes: usize,
    metadata_bytes: usize,
    last: Option<StreamVersion>,
}

impl<'a> Handing<'a> {
    pub(crate) fn new(
        read: &'a ReadStream,
        to: Option<&'a UnboundedSender<Copies>>,
        place: &str,
    ) -> Self {
        let copies = Copies { text: String::new(), rows: Vec::new(), place: place.into() };
        Self { read, to, copies, count: 0, payload_bytes: 0, metadata_bytes: 0, last: None }
    }

    /// [`PageBuilder::admits`], but that only who reads the metadata knows how much of them counts:
    /// there may be more rows than the page takes, and never many.
    pub(crate) fn admits(&self, payload_bytes: usize) -> bool {
        /// Bytes of metadata that do not count are few.
        const UNCOUNTED: usize = 1024 * 1024;
        let PageLimit { events, bytes, .. } = self.read.limit;
        self.count == 0
            || (self.count < events
                && self.payload_bytes.saturating_add(payload_bytes) <= bytes
                && self.metadata_bytes <= bytes.saturating_add(UNCOUNTED))
    }

    /// Takes a row; false if nobody waits for the page any more.
    pub(crate) fn take(&mut self, row: &EventRow<'_>) -> bool {
        let (payload_bytes, metadata_bytes) = match row.parts() {
            Some(parts) => {
                let bytes = (parts.payload.len(), parts.metadata.map_or(0, str::len));
                self.last = Some(StreamVersion::new(parts.version));
                match bytes.0.saturating_add(bytes.1) <= BYTES {
                    true => self.copies.push(&parts),
                    false => self.read_here(row),
                }
                bytes
            }
            None => {
                self.read_here(row);
                (row.payload_bytes(), row.metadata_bytes())
            }
        };
        self.count += 1;
        self.payload_bytes = self.payload_bytes.saturating_add(payload_bytes);
        self.metadata_bytes = self.metadata_bytes.saturating_add(metadata_bytes);
        match self.to {
            Some(to) if self.copies.rows.len() >= ROWS || self.copies.text.len() >= BYTES => {
                to.send(self.next_copies()).is_ok()
            }
            _ => true,
        }
    }

    fn read_here(&mut self, row: &EventRow<'_>) {
        let alone = PageBuilder::new(self.read.limit);
        let event = row.event(Some(&self.read.stream), &alone);
        self.last = Some(event.version);
        self.copies.rows.push(Copied::Event(Box::new(event)));
    }

    /// What was taken, with room for as much again.
    fn next_copies(&mut self) -> Copies {
        let Copies { text, rows, place } = &self.copies;
        let room = Copies {
            text: String::with_capacity(text.len()),
            rows: Vec::with_capacity(rows.len()),
            place: Arc::clone(place),
        };
        mem::replace(&mut self.copies, room)
    }

    /// The version of the last row, 0 if that is none.
    pub(crate) fn last(&self) -> Option<StreamVersion> {
        self.last
    }

    /// The last rows, of a stream that is at this version.
    pub(crate) fn end(self, stream_version: StreamVersion, has_more: bool) -> LastCopies {
        LastCopies { copies: self.copies, stream_version, has_more }
    }
}

/// The last rows of a page, and what belongs to it beside its events.
#[derive(Debug)]
pub(crate) struct LastCopies {
    copies: Copies,
    stream_version: StreamVersion,
    has_more: bool,
}

/// A page where what the rows say is read.
pub(crate) struct Taking {
    stream: StreamId,
    page: PageBuilder,
    /// True once there was a row that the page had no room for.
    is_full: bool,
}

impl Taking {
    pub(crate) fn new(read: &ReadStream) -> Self {
        let (stream, page) = (read.stream.clone(), PageBuilder::new(read.limit));
        Self { stream, page, is_full: false }
    }

    /// Takes all rows but the last, as they come.
    pub(crate) async fn take_from(&mut self, rows: &mut UnboundedReceiver<Copies>) {
        /// After so many others have a turn, if there are more already.
        const TURN: usize = 3;
        let mut taken = 0_usize;
        while let Some(copies) = rows.recv().await {
            self.take(copies);
            taken += 1;
            if taken.is_multiple_of(TURN) && !rows.is_empty() {
                breathe().await;
            }
        }
    }

    fn take(&mut self, copies: Copies) {
        let Copies { text, rows, place } = copies;
        let mut rest = text.as_str();
        let mut next = |bytes: usize| {
            let (text, behind) = rest.split_at(bytes);
            rest = behind;
            text
        };
        for row in rows {
            let event = match row {
                Copied::Row(row) => {
                    let parts = Parts {
                        event_id: row.event_id,
                        version: row.version,
                        position: row.position,
                        event_type: next(row.event_type),
                        recorded_at: row.recorded_at,
                        metadata: row.metadata.map(&mut next),
                        payload: next(row.payload),
                    };
                    let is_admitted = self.admits(parts.payload.len());
                    is_admitted.then(|| parts.event(self.stream.clone(), &self.page, || &*place))
                }
                Copied::Event(event) => self.admits(event.payload.as_str().len()).then_some(*event),
            };
            let Some(event) = event else { return };
            self.page.push(event);
        }
    }

    fn admits(&mut self, payload_bytes: usize) -> bool {
        self.is_full |= !self.page.admits(payload_bytes);
        !self.is_full
    }

    pub(crate) fn end(mut self, last: LastCopies) -> StreamPage {
        self.take(last.copies);
        let has_more = last.has_more || self.is_full;
        StreamPage::new(self.page.into_events(), last.stream_version, has_more)
    }
}

/// Lets others have a turn.
async fn breathe() {
    let mut has_waited = false;
    poll_fn(|context| {
        if mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
