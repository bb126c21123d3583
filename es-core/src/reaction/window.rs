//! Which event a reaction is given next, and how far its checkpoint may move: no time, no calls, no
//! store.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

#[cfg(test)]
use crate::envelope::EventReference;
use crate::envelope::{EventId, RecordedEvent};
use crate::projection::{Batch, Checkpoint, LastResort, Parked};
use crate::read::PageLimit;
use crate::stream::StreamId;

use super::ReactionPolicy;

mod commits;
#[cfg(test)]
mod laws;
mod parked;
mod slot;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;

use slot::{Lane, Slot, State};

/// The events that a reaction has read and that no commit has passed.
///
/// Whoever works with it tells what was read, what ended and what was committed, and asks what is to
/// be done. Events of a stream are given one after the other, retries included, those of other streams
/// meanwhile. Behind an event that is parked all later ones of its stream wait, untried, until the
/// store lists none of it any more. It holds so many events, and what has failed and keeps more from
/// being read is parked before its time. Of what was parked it holds no payload: each call reads it.
///
/// Who lost the lease drops the window, and with it all that it knows; the next one goes on from what
/// was committed. Word of an event for which no call is under way is ignored.
#[derive(Debug)]
pub(super) struct Window {
    policy: ReactionPolicy,
    /// All that is held, numbered as it came.
    slots: BTreeMap<u64, Slot>,
    next_number: u64,
    /// The streams that have an event to be given, or are parked.
    streams: HashMap<StreamId, Lane>,
    /// First of their streams, to be given as soon as others have ended.
    ready: BTreeSet<u64>,
    /// First of their streams, to be given from then on.
    retries: BTreeSet<(Instant, u64)>,
    in_flight: HashMap<EventId, u64>,
    /// Parked streams of which the store may list something to be given.
    due: BTreeSet<StreamId>,
    /// Up to where the log was read.
    reached: Checkpoint,
    committed: Checkpoint,
    /// Payloads of what was read.
    bytes: usize,
    is_committing: bool,
    /// How many commits began: a list from before one is old.
    commits: u64,
    is_stopping: bool,
}

/// One call of the reaction that is to be made.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) given: Given,
    /// From 1; those before it was parked count.
    pub(super) number: u32,
}

/// What a call is for.
#[derive(Debug)]
pub(super) enum Given {
    /// An event that was read.
    Event(RecordedEvent),
    /// One that is parked: only as long as its entry waits, the call is to be made, with what the log
    /// holds.
    Parked(Parked),
}

#[cfg(test)]
impl Attempt {
    /// The event that the call is for.
    pub(super) fn of(&self) -> EventReference {
        match &self.given {
            Given::Event(event) => event.into(),
            Given::Parked(entry) => entry.event.clone(),
        }
    }
}

/// What follows a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterFailure {
    Again(Instant),
    Park,
    /// Nothing is given any more, and the checkpoint does not pass the event.
    Stop,
}

/// A parked stream of which the first waiting entry is to be looked up.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) stream: StreamId,
    commits: u64,
}

/// What is to be committed: the batch as it is, or with rows added.
#[derive(Debug)]
pub(super) struct Commit {
    pub(super) batch: Batch,
    /// What it is about.
    numbers: Vec<u64>,
}

impl Window {
    /// With so many bytes of payloads nothing more is read.
    pub(super) const BYTES: usize = 16 * 1024 * 1024;

    /// A window that goes on from a checkpoint; `parked` are the streams under which entries wait.
    pub(super) fn new(
        policy: ReactionPolicy,
        committed: Checkpoint,
        parked: impl IntoIterator<Item = StreamId>,
    ) -> Self {
        Self {
            policy,
            slots: BTreeMap::new(),
            next_number: 0,
            streams: parked.into_iter().map(|stream| (stream, Lane::parked())).collect(),
            ready: BTreeSet::new(),
            retries: BTreeSet::new(),
            in_flight: HashMap::new(),
            due: BTreeSet::new(),
            reached: committed.clone(),
            committed,
            bytes: 0,
            is_committing: false,
            commits: 0,
            is_stopping: false,
        }
    }

    /// The most events that are held, those included that wait for a commit.
    fn most(&self) -> usize {
        self.policy.ahead.max(2)
    }

    /// How much may be read now.
    pub(super) fn room(&self) -> Option<PageLimit> {
        let events = self.most().saturating_sub(self.slots.len());
        let bytes = Self::BYTES.saturating_sub(self.bytes).min(PageLimit::default().bytes);
        (events > 0 && bytes > 0).then_some(PageLimit { events, bytes })
    }

    /// Takes all selected events of the log from where it was read to up to `to`.
    pub(super) fn push(&mut self, events: Vec<RecordedEvent>, to: Checkpoint) {
        for event in events {
            let before = std::mem::replace(&mut self.reached, Checkpoint::at(&event));
            let stream = event.stream.clone();
            let number = self.hold(Slot::read(event, before));
            let lane = self.streams.entry(stream).or_default();
            if lane.is_parked {
                if let Some(slot) = self.slots.get_mut(&number) {
                    slot.state = State::Behind;
                }
                continue;
            }
            if lane.queue.is_empty() {
                self.ready.insert(number);
            }
            lane.queue.push_back(number);
        }
        self.reached = to;
        self.make_room();
    }

    /// The next call that is to be made; it is under way from then on.
    pub(super) fn next(&mut self, now: Instant) -> Option<Attempt> {
        while let Some(&(at, number)) = self.retries.first()
            && at <= now
        {
            self.retries.pop_first();
            self.ready.insert(number);
        }
        if self.is_stopping || self.in_flight.len() >= self.policy.concurrency.max(1) {
            return None;
        }
        let number = self.ready.pop_first()?;
        let slot = self.slots.get_mut(&number)?;
        let given = slot.given();
        slot.attempts = slot.attempts.saturating_add(1);
        slot.state = State::Open;
        self.in_flight.insert(slot.of.event_id, number);
        Some(Attempt { given, number: slot.attempt() })
    }

    /// When the next retry is due.
    pub(super) fn next_retry(&self) -> Option<Instant> {
        self.retries.first().map(|(at, _)| *at)
    }

    /// The call for this event succeeded. False if none is under way.
    pub(super) fn answered(&mut self, id: EventId) -> bool {
        let Some(number) = self.in_flight.remove(&id) else { return false };
        let Some(slot) = self.slots.get_mut(&number) else { return false };
        slot.state = State::Answered;
        let stream = &slot.of.stream;
        let Some(lane) = self.streams.get_mut(stream) else { return false };
        lane.queue.pop_front();
        if lane.is_parked {
            lane.outcomes += 1;
        }
        if let Some(next) = lane.queue.front() {
            self.ready.insert(*next);
        } else if lane.is_parked {
            // more may wait in the store
            self.due.insert(stream.clone());
        } else {
            self.streams.remove(stream);
        }
        self.make_room();
        true
    }

    /// The call for this event failed, for whatever reason. `fraction` is from 0 to 1 and spreads the
    /// delay, after which `after` tells what time it is. `None` if no call is under way.
    pub(super) fn failed(
        &mut self,
        id: EventId,
        reason: String,
        fraction: f64,
        after: impl FnOnce(Duration) -> Instant,
    ) -> Option<AfterFailure> {
        let number = self.in_flight.remove(&id)?;
        let slot = self.slots.get_mut(&number)?;
        slot.failure = Some(reason);
        let policy = self.policy.failure;
        if slot.attempts <= policy.retry.retries {
            let at = after(policy.retry.delay(slot.attempts, fraction));
            slot.state = State::Again(at);
            self.retries.insert((at, number));
            self.make_room();
            return Some(AfterFailure::Again(at));
        }
        // who asked for another attempt at what is parked did not ask for a stop
        if policy.then == LastResort::Stop && slot.origin.entry().is_none() {
            self.stop();
            return Some(AfterFailure::Stop);
        }
        self.park(number, false);
        self.make_room();
        Some(AfterFailure::Park)
    }

    /// Has an event parked that has failed, and behind it all of its stream.
    fn park(&mut self, number: u64, is_due: bool) {
        let Some(slot) = self.slots.get_mut(&number) else { return };
        if let State::Again(at) = slot.state {
            self.retries.remove(&(at, number));
        }
        self.ready.remove(&number);
        slot.state = State::Failed { is_due };
        let Some(lane) = self.streams.get_mut(&slot.of.stream) else { return };
        lane.is_parked = true;
        lane.outcomes += 1;
        for behind in std::mem::take(&mut lane.queue).into_iter().skip(1) {
            if let Some(slot) = self.slots.get_mut(&behind) {
                slot.state = State::Behind;
            }
        }
    }

    /// If nothing can be read because of an event that waits for its next attempt, it is set aside: it
    /// is parked, as due, and tried from there. One whose first attempt has not ended may well succeed.
    fn make_room(&mut self) {
        if self.is_stopping || self.policy.failure.then == LastResort::Stop {
            return;
        }
        while self.room().is_none()
            && let Some((number, slot)) = self.lowest()
            && matches!(slot.state, State::Again(_))
        {
            self.park(number, true);
        }
    }

    /// The lowest event that holds the checkpoint back, which is the first of its stream.
    fn lowest(&self) -> Option<(u64, &Slot)> {
        let mut slots = self.slots.iter();
        slots.find(|(_, slot)| slot.holds_back().is_some()).map(|(number, slot)| (*number, slot))
    }

    /// Nobody calls any more: what holds the checkpoint back before an event that was answered is set
    /// aside, as one that is due, with its stream, so that the other one is not given again. A policy
    /// that ends with a stop parks nothing, and so passes nothing.
    pub(super) fn set_aside(&mut self) {
        self.stop();
        self.in_flight.clear();
        let mut answered = self.slots.iter().rev().filter(|(_, slot)| slot.is_read_and_answered());
        let Some((last, _)) = answered.next() else { return };
        let last = *last;
        while self.policy.failure.then != LastResort::Stop
            && let Some((number, slot)) = self.lowest()
            && number < last
        {
            let begun = if slot.attempts == 0 { "begun" } else { "ended" };
            let reason = format!("its call had not {begun} when the reaction was stopped");
            if let Some(slot) = self.slots.get_mut(&number) {
                slot.failure.get_or_insert(reason);
            }
            self.park(number, true);
        }
    }

    /// Gives nothing any more; what is under way may end.
    pub(super) fn stop(&mut self) {
        self.is_stopping = true;
    }

    /// True if nothing is given any more.
    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping
    }

    /// True if nothing is under way, to be given, or to be listed; there may be something to commit.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
            && self.ready.is_empty()
            && self.retries.is_empty()
            && self.due.is_empty()
    }

    fn hold(&mut self, slot: Slot) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.bytes = self.bytes.saturating_add(slot.bytes());
        self.slots.insert(number, slot);
        number
    }

    fn remove(&mut self, number: u64) -> Option<Slot> {
        let slot = self.slots.remove(&number)?;
        self.bytes = self.bytes.saturating_sub(slot.bytes());
        Some(slot)
    }
}
