//! Pages that are filled with rows as they come.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use es_core::backend::{
    Direction, PageBuilder, PageLimit, StoreError, StoreErrorKind, StreamId, StreamPage,
};
use es_core::event::RecordedEvent;
use es_core::execution::StreamVersion;
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::connection::Rows;
use crate::row::{EventRow, Reached};

/// How many events a page may have, by what was read lately: no more than would fill about twice
/// its bytes, so that little comes from the server in vain.
pub(crate) struct Sizes(AtomicUsize);

impl Sizes {
    pub(super) fn new() -> Self {
        Self(AtomicUsize::new(Self::FIRST))
    }

    /// For events of unknown size, a guess that no page of the usual limits notices.
    const FIRST: usize = 1024;
    /// A page is not made smaller than this for want of bytes.
    const LEAST: usize = 64;

    pub(crate) fn page_of(&self, limit: PageLimit) -> usize {
        let usual = self.0.load(Ordering::Relaxed).max(1);
        limit.events.min((limit.bytes / usual).saturating_mul(2).saturating_add(Self::LEAST)).max(1)
    }

    pub(crate) fn learn(&self, page: &[RecordedEvent]) {
        if page.is_empty() {
            return;
        }
        let bytes: usize = page.iter().map(|event| event.payload.as_str().len()).sum();
        let before = self.0.load(Ordering::Relaxed);
        self.0.store((before + bytes / page.len()) / 2, Ordering::Relaxed);
    }
}

/// A page that is being filled with rows as they come.
pub(crate) struct Filling {
    pub(super) page: PageBuilder,
    /// No more than so many events.
    most: usize,
    count: usize,
    /// True if an event came that the page had no room for.
    pub(super) is_full: bool,
    /// True if the server could not send the next event.
    is_cut: bool,
    /// The events come without what they say, which the server cannot send.
    is_bare: bool,
    direction: Direction,
    /// Where the event before stands: its version in a stream, its position in the log.
    last: Option<i64>,
    place: Arc<str>,
}

impl Filling {
    pub(crate) fn new(limit: PageLimit, most: usize, place: &Arc<str>) -> Self {
        let place = Arc::clone(place);
        Self {
            page: PageBuilder::new(limit),
            most,
            count: 0,
            is_full: false,
            is_cut: false,
            is_bare: false,
            direction: Direction::Forwards,
            last: None,
            place,
        }
    }

    /// For one event that the server cannot send, without what it says.
    pub(super) fn bare(limit: PageLimit, place: &Arc<str>) -> Self {
        Self { is_bare: true, ..Self::new(limit, 1, place) }
    }

    pub(super) fn in_direction(self, direction: Direction) -> Self {
        Self { direction, ..self }
    }

    /// The page ends before an event that the server cannot send.
    fn cut_off(&mut self) -> bool {
        self.is_cut = true;
        self.is_full = self.count > 0;
        true
    }

    /// True if not even the first event could be sent.
    pub(crate) fn is_cut_at_once(&self) -> bool {
        self.is_cut && self.count == 0
    }

    /// The events, and whether more follow.
    pub(crate) fn end(self) -> (Vec<RecordedEvent>, bool) {
        (self.page.into_events(), self.is_full)
    }

    /// Takes a row's event, of `stream` if all are of one.
    pub(crate) fn take(
        &mut self,
        row: &PgRow,
        stream: Option<&StreamId>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let row = EventRow::of(row, &self.place)?;
        let Some(position) = row.position else {
            return Ok(ControlFlow::Continue(()));
        };
        let next = match stream {
            Some(_) => row.version.map(i64::from),
            None => Some(position),
        };
        let is_passed = match self.direction {
            Direction::Forwards => next < self.last,
            Direction::Backwards => self.last.is_some() && next > self.last,
        };
        if is_passed {
            // only the plan of the statement says in which order events come, and this one is lost
            return Err(out_of_order(&self.place));
        }
        self.last = next;
        if self.count == self.most || !self.page.admits(row.payload_bytes()) {
            self.is_full = true;
            // the last one that was asked for: nothing comes in vain
            let is_last = self.count == self.most;
            return Ok(if is_last { ControlFlow::Continue(()) } else { ControlFlow::Break(()) });
        }
        let event = match self.is_bare {
            true => row.bare_event(stream, &self.page)?,
            false => row.event(stream, &self.page)?,
        };
        self.page.push(event);
        self.count += 1;
        Ok(ControlFlow::Continue(()))
    }
}

/// A page of a stream that is being filled; each row tells the same version of the stream.
pub(crate) struct OfStream {
    filling: Filling,
    stream: StreamId,
    version: i64,
}

impl OfStream {
    pub(super) fn new(filling: Filling, stream: StreamId) -> Self {
        Self { filling, stream, version: 0 }
    }

    /// True if not even the first event could be sent.
    pub(crate) fn is_cut_at_once(&self) -> bool {
        self.filling.is_cut_at_once()
    }

    /// True if there was an event.
    pub(crate) fn is_begun(&self) -> bool {
        self.filling.last.is_some()
    }

    /// The page, and the version of the whole stream.
    pub(crate) fn end(self, sizes: &Sizes) -> StreamPage {
        let (events, has_more) = self.filling.end();
        sizes.learn(&events);
        let stream_version = StreamVersion::new(self.version.max(0).unsigned_abs());
        StreamPage::new(events, stream_version, has_more)
    }
}

impl Rows for OfStream {
    fn take(&mut self, row: PgRow) -> Result<ControlFlow<()>, StoreError> {
        if !self.is_begun() {
            self.version =
                row.try_get(7).map_err(|error| unreadable(&self.filling.place, error))?;
        }
        self.filling.take(&row, Some(&self.stream))
    }

    fn cut_off(&mut self) -> bool {
        self.filling.cut_off()
    }
}

/// A page of the log that is being filled; with a filter, each row tells how far was looked.
pub(super) struct OfLog {
    pub(super) filling: Filling,
    pub(super) is_filtered: bool,
    pub(super) found: Reached,
}

impl Rows for OfLog {
    fn take(&mut self, row: PgRow) -> Result<ControlFlow<()>, StoreError> {
        if self.is_filtered {
            let learnt = self.found.learn(&row);
            learnt.map_err(|error| unreadable(&self.filling.place, error))?;
        }
        self.filling.take(&row, None)
    }

    fn cut_off(&mut self) -> bool {
        self.filling.cut_off()
    }
}

pub(crate) fn out_of_order(place: &str) -> StoreError {
    let text = format!("the events of a page in {place} came out of their order");
    StoreError::new(StoreErrorKind::Corrupt, text)
}

pub(super) fn unreadable(place: &str, error: sqlx::Error) -> StoreError {
    crate::error::store_error("reading events", place, error)
}
