//! The slow lane: appends that another transaction holds up, on one connection of their own.
//!
//! Each is tried for a moment, one after the other and again from the front, until it is written or
//! has waited as long as an append may: counted from its call, wherever it stands. So neither those
//! in the lane nor anybody else waits for the one that is held up longest.
//!
//! If the server has no connection for the lane, each is tried on one that all share, for no more
//! than the moment that a statement may wait there, and the others have it for most of the time.

use std::sync::Arc;
use std::time::Duration;

use es_core::backend::{AppendRequest, StoreError, StoreErrorKind};
use tokio::time::{Instant, sleep};

use super::held::Share;
use super::{Answer, Waiting, Work, Writer};
use crate::append::{Appender, Locked, appending};
use crate::connection::{Holder, Slot};
use crate::error::is_none_free;

/// How long a statement on a connection that all share may wait for a lock.
pub(crate) const MOMENT: Duration = Duration::from_millis(10);
/// How long one whose statement was refused for a lock before, while others wait for their turn.
pub(crate) const LEAST: Duration = Duration::from_millis(1);
/// How long one in the lane may.
pub(crate) const LONGER: Duration = Duration::from_millis(100);

/// How many in the lane are tried for so long; if it has more, each is for a moment, so that the turn of
/// all comes more than once.
const FEW: usize = 8;

/// So long after the server had no connection for the lane it is asked for one again.
const AGAIN: Duration = Duration::from_secs(1);
/// A connection that the lane has borrowed is left to the others for so many times as long afterwards.
const PAUSES: u32 = 4;

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
        Shift { writer: self, slot: Some(slot), again_at: None, at: None }.work().await;
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
}

/// The connection of the lane at work, and the share of the request that it tries. They come back when
/// this is dropped, by a panic, too.
struct Shift {
    writer: Arc<Writer>,
    slot: Option<Slot>,
    /// When the server is asked for a connection again, if it has none.
    again_at: Option<Instant>,
    at: Option<Share>,
}

impl Shift {
    async fn work(mut self) {
        while let Some(stalled) = self.next() {
            if stalled.is_gone() {
                self.leave(false);
                continue;
            }
            let answer = self.try_it(&stalled.request).await;
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

    /// True if the lane has a connection of its own, false if the server has none for it.
    async fn has_connection(&mut self) -> Result<bool, StoreError> {
        if self.again_at.is_some_and(|at| Instant::now() < at) {
            return Ok(false);
        }
        let slot = self.slot.get_or_insert_with(Slot::empty);
        match self.writer.lane.appender.reach(slot).await {
            Ok(()) => Ok(true),
            Err(error) if is_none_free(&error) => {
                self.again_at = Some(Instant::now() + AGAIN);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    async fn try_it(&mut self, request: &AppendRequest) -> Result<Answer, Locked> {
        let is_one_of_many = self.writer.state().held.to_be_tried() >= FEW;
        match self.has_connection().await {
            Ok(true) => {
                let slot = self.slot.get_or_insert_with(Slot::empty);
                self.writer.lane.appender.write_alone(slot, request, is_one_of_many).await
            }
            Ok(false) => {
                let mut turn = match self.writer.borrow().await {
                    Ok(turn) => turn,
                    Err(error) => return Ok(Err(error.into())),
                };
                let began = Instant::now();
                let appender = &self.writer.appender;
                let answer = appender.write_alone(turn.slot(), request, is_one_of_many).await;
                drop(turn);
                if answer.is_err() {
                    sleep(began.elapsed() * PAUSES).await;
                }
                answer
            }
            Err(error) => Ok(Err(error.into())),
        }
    }

    async fn lock_holder(&mut self) -> Option<Holder> {
        if self.has_connection().await.ok()? {
            let slot = self.slot.get_or_insert_with(Slot::empty);
            return self.writer.lane.appender.lock_holder(slot).await;
        }
        let mut turn = self.writer.borrow().await.ok()?;
        self.writer.appender.lock_holder(turn.slot()).await
    }

    /// Refuses what has waited for too long, and says for whom.
    async fn refuse_overdue(&mut self) {
        let overdue = self.writer.state().take_overdue(self.writer.lane.patience);
        self.writer.wake();
        if overdue.is_empty() {
            return;
        }
        let by = self.lock_holder().await;
        let appender = &self.writer.lane.appender;
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
