//! The slow lane: appends that another transaction holds up, on one connection of their own.
//!
//! Each is tried for a moment, one after the other and again from the front, until it is written or
//! has waited as long as an append may: counted from its call, wherever it stands. So neither those
//! in the lane nor anybody else waits for the one that is held up longest.

use std::sync::Arc;
use std::time::Duration;

use es_core::{StoreError, StoreErrorKind};

use super::held::Share;
use super::{Waiting, Work, Writer};
use crate::append::{Appender, appending};
use crate::connection::Slot;

/// How long a statement on a connection that all share may wait for a lock.
pub(crate) const MOMENT: Duration = Duration::from_millis(10);
/// How long one whose statement was refused for a lock before, while others wait for their turn.
pub(crate) const LEAST: Duration = Duration::from_millis(1);
/// How long one in the lane may.
pub(crate) const LONGER: Duration = Duration::from_millis(100);

/// How many in the lane are tried for so long; if it has more, each is for a moment, so that the turn of
/// all comes more than once.
const FEW: usize = 8;

/// So many appends, with events of so many bytes, may be held up or wait for streams of those that are.
/// It is far more than a program has callers, and bounds what a hot stream takes of its memory.
pub(super) const MOST_REQUESTS: usize = 16_384;
pub(super) const MOST_BYTES: usize = 256 * 1024 * 1024;

/// What the slow lane needs.
pub(crate) struct Lane {
    pub(crate) appender: Appender,
    /// How long an append may wait in all.
    pub(crate) patience: Duration,
}

impl Writer {
    pub(super) async fn try_what_is_stalled(self: Arc<Self>, slot: Slot) {
        Shift { writer: self, slot: Some(slot), at: None }.work().await;
    }

    /// Refuses what is too much to wait for streams that others hold.
    pub(super) fn refuse(&self, refused: Vec<Waiting>) {
        for waiting in refused {
            let text = format!(
                "{} in {}: another session holds what it needs, and as many appends as may wait for \
                 such already ({MOST_REQUESTS}, or {} MiB of events); nothing was written; end that \
                 session's transaction, or append less at once",
                appending(&[&waiting.request]),
                self.appender.place(),
                MOST_BYTES >> 20
            );
            waiting.ticket.tell(Err(StoreError::new(StoreErrorKind::Busy, text).into()));
        }
    }

    /// Gives an idle connection to those who wait, because streams have become free.
    fn wake(self: &Arc<Self>) {
        let mut state = self.state();
        let idle = if state.waiting.is_empty() { None } else { state.idle.pop() };
        drop(state);
        if let Some(slot) = idle {
            self.begin(slot, Work::Waiting);
        }
    }
}

/// The connection of the lane at work, and the share of the request that it tries. They come back when
/// this is dropped, by a panic, too.
struct Shift {
    writer: Arc<Writer>,
    slot: Option<Slot>,
    at: Option<Share>,
}

impl Shift {
    async fn work(mut self) {
        while let Some(stalled) = self.next() {
            if stalled.ticket.reply.is_closed() {
                self.leave(false);
                continue;
            }
            let mut slot = self.slot.take().unwrap_or_else(Slot::empty);
            let lane = &self.writer.lane;
            let is_one_of_many = self.writer.state().held.to_be_tried() >= FEW;
            let answer =
                lane.appender.write_alone(&mut slot, &stalled.request, is_one_of_many).await;
            self.slot = Some(slot);
            match answer {
                Ok(answer) => {
                    self.leave(true);
                    stalled.ticket.tell(answer);
                }
                Err(_) => {
                    self.writer.state().held.put_back(stalled);
                    self.at = None;
                }
            }
            self.refuse_overdue().await;
        }
    }

    /// Refuses what has waited for too long, and says for whom.
    async fn refuse_overdue(&mut self) {
        let overdue = self.writer.state().held.take_overdue(self.writer.lane.patience);
        if overdue.is_empty() {
            return;
        }
        let appender = &self.writer.lane.appender;
        let mut slot = self.slot.take().unwrap_or_else(Slot::empty);
        let by = appender.lock_holder(&mut slot).await;
        self.slot = Some(slot);
        for waiting in overdue {
            let refusal = appender.held_up(&waiting.request, by.as_ref());
            waiting.ticket.tell(Err(refusal));
        }
    }

    fn next(&mut self) -> Option<Waiting> {
        let next = self.writer.state().held.next()?;
        self.at = Some(Share::of(&next));
        Some(next)
    }

    /// The request has left the lane; if it was answered, its streams are free.
    fn leave(&mut self, is_free: bool) {
        let Some(at) = self.at.take() else { return };
        self.writer.state().leave(&at, is_free);
        self.writer.wake();
    }
}

impl Drop for Shift {
    fn drop(&mut self) {
        self.leave(false);
        let slot = self.slot.take().unwrap_or_else(Slot::empty);
        let mut state = self.writer.state();
        if state.held.is_to_be_tried() {
            // somebody came meanwhile
            drop(state);
            self.writer.begin(slot, Work::Stalled);
            return;
        }
        state.lane = Some(slot);
        drop(state);
        self.writer.idle.notify_waiters();
    }
}
