//! What several streams' statement sends, as pages.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use es_core::backend::{StoreError, StoreErrorKind};
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::{Load, MOST_BYTES, Page};
use crate::connection::Rows;
use crate::read::{out_of_order, unreadable};
use crate::row::bytes_of;

/// Pages that one statement fills, one after the other. Each is answered when the rows of the next come.
pub(super) struct Together<P> {
    /// From the one on whose rows come.
    loads: VecDeque<Load<P>>,
    /// Which of the streams that is, from 1 on; 0 before the first row.
    pub(super) number: usize,
    /// Its page takes no more rows.
    is_full: bool,
    /// It cannot be read.
    failed: Option<StoreError>,
    /// How much came.
    pub(super) bytes: usize,
    /// What is still to come does not.
    is_cut: bool,
    place: Arc<str>,
}

impl<P: Page> Together<P> {
    pub(super) fn new(loads: Vec<Load<P>>, place: &Arc<str>) -> Self {
        Self {
            loads: loads.into(),
            number: 0,
            is_full: false,
            failed: None,
            bytes: 0,
            is_cut: false,
            place: Arc::clone(place),
        }
    }

    /// Goes on to the next stream, or to the first.
    fn go_on(&mut self) {
        if self.number > 0 {
            self.answer_first();
        }
        self.number += 1;
    }

    /// Answers the first, all of whose rows have come; what has none is read alone.
    fn answer_first(&mut self) {
        self.is_full = false;
        let failed = self.failed.take();
        let Some(Load { page, reply, .. }) = self.loads.pop_front() else { return };
        let answer = match failed {
            Some(error) => Err(error),
            None => Ok(page.tail().is_told().then_some(page)),
        };
        let _ = reply.send(answer);
    }

    /// Answers those who have no answer yet.
    pub(super) fn end(mut self, done: Result<bool, StoreError>) {
        let is_whole = matches!(done, Ok(true)) && !self.is_cut;
        if is_whole || self.is_full {
            self.answer_first();
        }
        // any of them may be to blame, but for a lock, which is of a table and would hold up each again
        let held_up = done.err().filter(|error| error.kind() == StoreErrorKind::Busy);
        for load in std::mem::take(&mut self.loads) {
            load.tell(held_up.clone().map_or(Ok(None), Err));
        }
    }
}

impl<P: Page> Rows for Together<P> {
    fn take(&mut self, row: PgRow) -> Result<ControlFlow<()>, StoreError> {
        let number = row.try_get::<i64, _>(P::NUMBER);
        let number = number.map_err(|error| unreadable(&self.place, error))?;
        let number = usize::try_from(number).unwrap_or(0);
        while self.number < number && !self.loads.is_empty() {
            self.go_on();
        }
        let Some(load) = self.loads.front_mut().filter(|_| self.number == number) else {
            return Err(out_of_order(&self.place));
        };
        self.bytes += bytes_of(&row);
        if !self.is_full {
            match load.page.take(row) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => self.is_full = true,
                Err(error) => (self.is_full, self.failed) = (true, Some(error)),
            }
        }
        if self.bytes > MOST_BYTES {
            self.is_cut = true;
            return Ok(ControlFlow::Break(()));
        }
        Ok(ControlFlow::Continue(()))
    }

    fn cut_off(&mut self) -> bool {
        self.is_cut = true;
        true
    }
}
