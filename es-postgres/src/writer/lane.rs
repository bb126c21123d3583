//! The slow lane: appends that another transaction holds up, on one connection of their own.
//!
//! Each is tried for a moment, one after the other and again from the front, until it is written or
//! has waited as long as an append may: counted from its call, wherever it stands. So neither those
//! in the lane nor anybody else waits for the one that is held up longest.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use es_core::StreamId;

use super::{State, Waiting, Work, Writer};
use crate::append::{Appender, is_any_of, streams};
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

/// What the slow lane needs.
pub(crate) struct Lane {
    pub(crate) appender: Appender,
    /// How long an append may wait in all.
    pub(crate) patience: Duration,
}

impl Waiting {
    pub(super) fn is_for(&self, stream: &StreamId) -> bool {
        self.request.streams().iter().any(|part| part.stream == *stream)
    }
}

impl State {
    /// Takes out what has waited as long as an append may: in the lane, or behind what is there. What
    /// waits behind an append of this process that is under way is held up by nobody else.
    fn take_overdue(&mut self, patience: Duration) -> VecDeque<Waiting> {
        let is_overdue = |waiting: &Waiting| waiting.ticket.since.elapsed() >= patience;
        if !self.stalled.iter().chain(&self.waiting).any(is_overdue) {
            return VecDeque::new();
        }
        let held: HashSet<_> =
            self.stalled.iter().flat_map(|waiting| streams(&waiting.request)).collect();
        let (mut overdue, stalled): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.stalled).into_iter().partition(is_overdue);
        self.stalled = stalled;
        let is_behind = |waiting: &Waiting| is_any_of(&waiting.request, &held);
        let (behind, waiting): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|waiting| is_overdue(waiting) && is_behind(waiting));
        self.waiting = waiting;
        for stream in overdue.iter().flat_map(|waiting| streams(&waiting.request)) {
            if !self.stalled.iter().any(|stalled| stalled.is_for(&stream)) {
                self.busy.remove(&stream);
            }
        }
        overdue.extend(behind);
        overdue
    }
}

impl Writer {
    /// Takes requests into the lane, whose streams are busy and stay so.
    pub(super) fn stall(self: &Arc<Self>, stalled: Vec<Waiting>) {
        if stalled.is_empty() {
            return;
        }
        let mut state = self.state();
        state.stalled.extend(stalled);
        let lane = state.lane.take();
        drop(state);
        if let Some(slot) = lane {
            self.begin(slot, Work::Stalled);
        }
    }

    pub(super) async fn try_what_is_stalled(self: Arc<Self>, slot: Slot) {
        Shift { writer: self, slot: Some(slot), at: None }.work().await;
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
            if stalled.ticket.reply.is_closed() {
                continue;
            }
            let mut slot = self.slot.take().unwrap_or_else(Slot::empty);
            let lane = &self.writer.lane;
            let is_one_of_many = self.writer.state().stalled.len() >= FEW;
            let answer =
                lane.appender.write_alone(&mut slot, &stalled.request, is_one_of_many).await;
            self.slot = Some(slot);
            match answer {
                Ok(answer) => {
                    self.leave();
                    stalled.ticket.tell(answer);
                }
                Err(_) => {
                    put_back(&mut self.writer.state().stalled, stalled);
                    self.at = None;
                }
            }
            self.refuse_overdue().await;
        }
    }

    /// Refuses what has waited for too long, and says for whom.
    async fn refuse_overdue(&mut self) {
        let overdue = self.writer.state().take_overdue(self.writer.lane.patience);
        if overdue.is_empty() {
            return;
        }
        self.writer.wake();
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
        self.leave();
        let next = self.writer.state().stalled.pop_front()?;
        self.at = Some(streams(&next.request).collect());
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
        drop(state);
        self.writer.wake();
    }
}

impl Drop for Shift {
    fn drop(&mut self) {
        self.leave();
        let slot = self.slot.take().unwrap_or_else(Slot::empty);
        let mut state = self.writer.state();
        if !state.stalled.is_empty() {
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

/// Puts a request at the end, and behind it those that must not overtake it, in their order.
fn put_back(lane: &mut VecDeque<Waiting>, stalled: Waiting) {
    let mut at: HashSet<_> = streams(&stalled.request).collect();
    let mut behind = VecDeque::from([stalled]);
    for other in std::mem::take(lane) {
        if is_any_of(&other.request, &at) {
            at.extend(streams(&other.request));
            behind.push_back(other);
        } else {
            lane.push_back(other);
        }
    }
    lane.append(&mut behind);
}

#[cfg(test)]
mod tests {
    use es_core::{AppendRequest, ExpectedVersion};
    use tokio::sync::oneshot;
    use tokio::time::Instant;

    use super::super::Ticket;
    use super::*;

    fn waiting(stream: &str) -> Waiting {
        let stream = stream.parse().unwrap();
        let request = AppendRequest::to(stream, ExpectedVersion::Any, Vec::new());
        let (reply, _) = oneshot::channel();
        let ticket = Ticket { reply, since: Instant::now(), _place: None };
        Waiting { request, ticket, is_suspect: false }
    }

    #[test]
    fn what_waits_behind_appends_of_its_own_process_is_not_held_up_by_others() {
        let mut state = State {
            idle: Vec::new(),
            waiting: ["account/held", "account/own", "account/free"].map(waiting).into(),
            is_for_suspects: false,
            busy: ["account/held", "account/own"].map(|it| it.parse().unwrap()).into(),
            stalled: [waiting("account/held")].into(),
            lane: None,
            is_closed: false,
        };
        let overdue = state.take_overdue(Duration::ZERO);
        let streams: Vec<_> = overdue.iter().flat_map(|it| streams(&it.request)).collect();
        let held: StreamId = "account/held".parse().unwrap();
        assert_eq!(streams, [held.clone(), held], "the stalled one and who is behind it");
        assert_eq!(state.waiting.len(), 2);
        assert_eq!(state.busy, ["account/own".parse().unwrap()].into());
    }
}
