//! The connections that all appends share: who has them, and who gets one that comes back.
//!
//! A server may have no further connection for the store. Then those that it has serve all: nobody is
//! refused as long as there is one.

use std::collections::HashSet;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use es_core::backend::{StoreError, StreamId};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{State, Work, Writer};
use crate::connection::Slot;
use crate::error::is_none_free;

/// So long after the server had no further connection it is asked for none while another is at work.
const AGAIN: Duration = Duration::from_secs(1);

/// Places for connections.
pub(super) struct Slots {
    idle: Vec<Slot>,
    /// How many there are, with those at work.
    count: usize,
    /// When a further connection is made again.
    again_at: Option<Instant>,
    /// The lane, if it waits for a connection because it has none of its own.
    borrower: Option<oneshot::Sender<Turn>>,
}

impl Slots {
    pub(super) fn new(count: usize) -> Self {
        let idle = (0..count).map(|_| Slot::empty()).collect();
        Self { idle, count, again_at: None, borrower: None }
    }

    /// One with a connection, or one for a further connection if that may be made.
    pub(super) fn take_idle(&mut self) -> Option<Slot> {
        if let Some(at) = self.idle.iter().rposition(Slot::is_used) {
            return Some(self.idle.remove(at));
        }
        if self.is_in_vain() {
            return None;
        }
        self.idle.pop()
    }

    /// True if no further connection is made now: the server had none, and another is at work.
    fn is_in_vain(&self) -> bool {
        self.again_at.is_some_and(|at| Instant::now() < at) && !self.are_idle()
    }

    /// How many are at work or could be.
    pub(super) fn usable(&self) -> usize {
        let empty = || self.idle.iter().filter(|slot| !slot.is_used()).count();
        self.count - if self.is_in_vain() { empty() } else { 0 }
    }

    pub(super) fn put_back(&mut self, slot: Slot) {
        self.idle.push(slot);
    }

    pub(super) fn are_idle(&self) -> bool {
        self.idle.len() == self.count
    }

    pub(super) fn are_closed(&self) -> bool {
        self.count == 0
    }

    pub(super) fn take_all(&mut self) -> Vec<Slot> {
        self.count = 0;
        std::mem::take(&mut self.idle)
    }

    /// True if another than one that is at work has a connection, or is at work itself and sees.
    fn has_others(&self) -> bool {
        self.idle.len() + 1 < self.count || self.idle.iter().any(Slot::is_used)
    }
}

/// A connection on loan, and the streams that are written to on it. Both come back when this is
/// dropped, by a panic, too.
pub(super) struct Turn {
    pub(super) writer: Arc<Writer>,
    /// There until it has come back.
    slot: Option<Slot>,
    pub(super) streams: HashSet<StreamId>,
}

impl Turn {
    pub(super) fn new(writer: &Arc<Writer>, slot: Slot) -> Self {
        Self { writer: Arc::clone(writer), slot: Some(slot), streams: HashSet::new() }
    }

    pub(super) fn slot(&mut self) -> &mut Slot {
        self.slot.get_or_insert_with(Slot::empty)
    }

    /// Makes sure that there is a connection, before anything is sent.
    pub(super) async fn reach(&mut self) -> Result<(), StoreError> {
        let slot = self.slot.get_or_insert_with(Slot::empty);
        self.writer.appender.reach(slot).await
    }

    /// Frees the streams. It comes back at once if there is one answer and nothing to be written, so that a
    /// lone caller keeps to it; otherwise it is kept, so that those who are answered can share what it does
    /// next.
    pub(super) fn keep_for_callers(mut self, answers: usize) -> Option<Self> {
        let mut state = self.writer.state();
        state.waiting.free(self.streams.drain());
        let is_shared = answers > 1 || state.waiting.is_any_ready();
        drop(state);
        is_shared.then_some(self)
    }

    /// Leaves all that waits to the other connections, unless there are none.
    pub(super) fn leave_to_others(self) -> Option<Self> {
        let writer = Arc::clone(&self.writer);
        let mut state = writer.state();
        if !state.slots.has_others() {
            drop(state);
            return Some(self);
        }
        state.slots.again_at = Some(Instant::now() + AGAIN);
        self.rest(state);
        writer.wake();
        None
    }

    /// Gives the connection back though others wait.
    pub(super) fn rest(mut self, state: MutexGuard<'_, State>) {
        let slot = self.slot.take().unwrap_or_else(Slot::empty);
        self.writer.put_back(state, slot, true);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.writer.state();
        state.waiting.free(self.streams.drain());
        if let Some(slot) = self.slot.take() {
            self.writer.put_back(state, slot, false);
        }
    }
}

impl Writer {
    /// Gives a connection to those who wait for one, unless what waits is to be left alone.
    fn put_back(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        slot: Slot,
        is_left_alone: bool,
    ) {
        // an empty one is of no use to the lane, as long as another is at work
        let is_lendable = slot.is_used() || state.slots.idle.len() + 1 == state.slots.count;
        if is_lendable && let Some(borrower) = state.slots.borrower.take() {
            drop(state);
            // if the lane has gone, the connection comes back once more
            let _ = borrower.send(Turn::new(self, slot));
        } else if is_left_alone || !state.waiting.is_any_ready() {
            state.slots.put_back(slot);
            drop(state);
            self.idle.notify_waiters();
        } else {
            drop(state);
            self.begin(slot, Work::Waiting);
        }
    }

    /// Gives an idle connection to those who wait, because something can be written now.
    pub(super) fn wake(self: &Arc<Self>) {
        let idle = self.state().take_idle();
        if let Some(slot) = idle {
            self.begin(slot, Work::Waiting);
        }
    }

    /// A connection for the lane; an error if there is none at all.
    pub(super) async fn borrow(self: &Arc<Self>) -> Result<Turn, StoreError> {
        loop {
            let mut turn = self.lend().await;
            match turn.reach().await {
                Ok(()) => return Ok(turn),
                Err(error) if is_none_free(&error) => {
                    if turn.leave_to_others().is_some() {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Lends a slot as soon as one is free, before others who wait.
    async fn lend(self: &Arc<Self>) -> Turn {
        loop {
            let lent = {
                let mut state = self.state();
                if let Some(slot) = state.slots.take_idle() {
                    drop(state);
                    return Turn::new(self, slot);
                }
                let (lend, lent) = oneshot::channel();
                state.slots.borrower = Some(lend);
                lent
            };
            if let Ok(turn) = lent.await {
                return turn;
            }
        }
    }
}
