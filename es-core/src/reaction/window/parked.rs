//! What is parked: which of it is to be given again, and when a stream goes on.

use std::time::Instant;

use super::slot::{Lane, Slot, State};
use super::{Due, Window};
use crate::envelope::EventId;
use crate::projection::{Parked, ParkedState};
use crate::stream::StreamId;

impl Window {
    /// The call for this event was not made, because its entry does not wait any more. So the store is to
    /// be asked what waits. False if none is under way.
    pub(in crate::reaction) fn not_given(&mut self, id: EventId) -> bool {
        let number = self.in_flight.remove(&id);
        number.is_some_and(|number| self.let_go(number))
    }

    /// The call for this event was not made, because nobody could say whether it is to be, or because it
    /// may not be made now. It is to be made from then on, and is no attempt. False if none is under way.
    pub(in crate::reaction) fn put_back(&mut self, id: EventId, at: Instant) -> bool {
        let Some(number) = self.in_flight.remove(&id) else { return false };
        let Some(slot) = self.slots.get_mut(&number) else { return false };
        slot.attempts = slot.attempts.saturating_sub(1);
        slot.state = State::Again(at);
        self.retries.insert((at, number))
    }

    /// The call for this event cannot be made, because the log does not hold it: somebody must decide
    /// what becomes of its entry. False if none is under way.
    pub(in crate::reaction) fn lost(&mut self, id: EventId) -> bool {
        let Some(number) = self.in_flight.remove(&id) else { return false };
        let Some(slot) = self.slots.get_mut(&number) else { return false };
        slot.failure = Some(slot.loss());
        self.park(number, false);
        true
    }

    /// Takes what a renewal of the lease told of parked streams; no commit may end between the two.
    pub(in crate::reaction) fn renewed(&mut self, due: impl IntoIterator<Item = StreamId>) {
        for stream in due {
            // else it is dealt with already, and the store has not heard of it
            if self.is_quiet(&stream) {
                self.due.insert(stream);
            }
        }
    }

    /// Of how many parked streams a renewal is to tell: some are new then, if there are more.
    pub(in crate::reaction) fn asks_for(&self) -> usize {
        self.most().saturating_mul(2)
    }

    /// True if there are parked streams to be looked at.
    pub(in crate::reaction) fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// A parked stream of which the first waiting entry is to be looked up, and given to
    /// [`take_back`](Self::take_back).
    pub(in crate::reaction) fn due(&self) -> Option<Due> {
        if self.is_stopping || self.is_committing || self.room().is_none() {
            return None;
        }
        let stream = self.due.iter().find(|stream| self.is_quiet(stream))?.clone();
        // what fails for long must not keep everything else from being read
        let taken_back = self.slots.values().filter(|slot| slot.origin.entry().is_some());
        let is_open = taken_back.count() < self.most() / 2;
        is_open.then_some(Due { stream, commits: self.commits })
    }

    /// Takes the first waiting entry of a stream, to be given again if it is due: one at a time, so that
    /// what became of it is in the store before the next is looked up. If there is none, the stream is
    /// parked no longer. False if a commit began since it was asked for: it is to be asked for again.
    pub(in crate::reaction) fn take_back(&mut self, due: &Due, first: Option<Parked>) -> bool {
        let is_old = self.is_committing || due.commits != self.commits;
        if is_old || !self.is_quiet(&due.stream) || !self.due.remove(&due.stream) {
            return false;
        }
        let mut lane = Lane { is_parked: first.is_some(), ..Lane::default() };
        match first {
            Some(entry) if entry.state == (ParkedState::Waiting { is_due: true }) => {
                let number = self.hold(Slot::taken_back(entry));
                lane.queue.push_back(number);
            }
            // it waits for somebody who asks for another attempt
            Some(_) => {}
            None => {
                for (number, slot) in &mut self.slots {
                    if slot.of.stream == due.stream && matches!(slot.state, State::Behind) {
                        slot.state = State::Open;
                        lane.queue.push_back(*number);
                    }
                }
            }
        }
        self.ready.extend(lane.queue.front());
        if lane.is_parked || !lane.queue.is_empty() {
            self.streams.insert(due.stream.clone(), lane);
        } else {
            self.streams.remove(&due.stream);
        }
        self.make_room();
        true
    }

    pub(super) fn is_quiet(&self, stream: &StreamId) -> bool {
        self.streams.get(stream).is_some_and(Lane::is_quiet)
    }

    /// Forgets an entry of the store, and has the store asked what waits in its stream.
    pub(super) fn let_go(&mut self, number: u64) -> bool {
        let Some(slot) = self.remove(number) else { return false };
        if let Some(lane) = self.streams.get_mut(&slot.of.stream) {
            lane.queue.clear();
            lane.outcomes = lane.outcomes.saturating_sub(usize::from(slot.is_outcome()));
        }
        self.due.insert(slot.of.stream);
        true
    }
}
