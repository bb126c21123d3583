//! The slow lane: appends that another transaction holds up, on one connection of their own.
//!
//! Each is tried for a moment, one after the other and again from the front, until it is written or
//! has waited as long as an append may. So neither those in the lane nor anybody else waits for the
//! one that is held up longest.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use es_core::StreamId;
use tokio::time::Instant;

use super::{Waiting, Writer};
use crate::append::{Appender, is_any_of, streams};
use crate::connection::Slot;

/// How long a statement on a connection that all share may wait for a lock.
pub(crate) const MOMENT: Duration = Duration::from_millis(10);
/// How long one in the lane may.
pub(crate) const LONGER: Duration = Duration::from_millis(100);

/// What the slow lane needs.
pub(crate) struct Lane {
    pub(crate) appender: Appender,
    /// How long an append may wait in all.
    pub(crate) patience: Duration,
}

/// A request that is held up.
pub(super) struct Stalled {
    waiting: Waiting,
    since: Instant,
}

impl Stalled {
    pub(super) fn new(waiting: Waiting) -> Self {
        Self { waiting, since: Instant::now() }
    }

    pub(super) fn is_for(&self, stream: &StreamId) -> bool {
        self.waiting.request.streams().iter().any(|part| part.stream == *stream)
    }
}

impl Writer {
    /// Takes requests into the lane, whose streams are busy and stay so.
    pub(super) fn stall(self: &Arc<Self>, stalled: Vec<Stalled>) {
        if stalled.is_empty() {
            return;
        }
        let mut state = self.state();
        state.stalled.extend(stalled);
        if let Some(slot) = state.lane.take() {
            let shift = Shift { writer: Arc::clone(self), slot: Some(slot), at: None };
            self.runtime.spawn(shift.work());
        }
    }
}

/// The connection of the lane at work, and the streams of the request that it tries. They come back
/// when this is dropped, by a panic, too.
struct Shift {
    writer: Arc<Writer>,
    slot: Option<Slot>,
    at: Option<HashSet<StreamId>>,
}

impl Shift {
    async fn work(mut self) {
        while let Some(stalled) = self.next() {
            if stalled.waiting.reply.is_closed() {
                continue;
            }
            let mut slot = self.slot.take().unwrap_or_else(Slot::empty);
            let lane = &self.writer.lane;
            let mut answers = lane.appender.write(&mut slot, &[&stalled.waiting.request]).await;
            self.slot = Some(slot);
            let answer = match answers.pop().expect("there is an answer for each request") {
                Err(_) if stalled.since.elapsed() < lane.patience => {
                    put_back(&mut self.writer.state().stalled, stalled);
                    self.at = None;
                    continue;
                }
                Err(locked) => Err(locked.0),
                Ok(answer) => answer,
            };
            self.leave();
            // who has gone does not need it
            let _ = stalled.waiting.reply.send(answer);
        }
    }

    fn next(&mut self) -> Option<Stalled> {
        self.leave();
        let next = self.writer.state().stalled.pop_front()?;
        self.at = Some(streams(&next.waiting.request).collect());
        Some(next)
    }

    /// The streams of the request are free, unless others in the lane are for them.
    fn leave(&mut self) {
        let Some(at) = self.at.take() else { return };
        let mut state = self.writer.state();
        for stream in at {
            if !state.stalled.iter().any(|stalled| stalled.is_for(&stream)) {
                state.busy.remove(&stream);
            }
        }
        if !state.waiting.is_empty()
            && let Some(slot) = state.idle.pop()
        {
            drop(state);
            self.writer.runtime.spawn(Arc::clone(&self.writer).write_what_waits(slot));
        }
    }
}

impl Drop for Shift {
    fn drop(&mut self) {
        self.leave();
        let slot = self.slot.take().unwrap_or_else(Slot::empty);
        let mut state = self.writer.state();
        if !state.stalled.is_empty() {
            // somebody came meanwhile
            let shift = Self { writer: Arc::clone(&self.writer), slot: Some(slot), at: None };
            self.writer.runtime.spawn(shift.work());
            return;
        }
        state.lane = Some(slot);
        drop(state);
        self.writer.idle.notify_waiters();
    }
}

/// Puts a request at the end, and behind it those that must not overtake it, in their order.
fn put_back(lane: &mut VecDeque<Stalled>, stalled: Stalled) {
    let mut at: HashSet<_> = streams(&stalled.waiting.request).collect();
    let mut behind = VecDeque::from([stalled]);
    for other in std::mem::take(lane) {
        if is_any_of(&other.waiting.request, &at) {
            at.extend(streams(&other.waiting.request));
            behind.push_back(other);
        } else {
            lane.push_back(other);
        }
    }
    lane.append(&mut behind);
}
