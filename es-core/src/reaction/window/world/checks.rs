//! What must hold whatever happens.

use std::collections::HashSet;

use crate::envelope::RecordedEvent;
use crate::projection::ParkedState;

use super::super::{Attempt, Commit, Given};
use super::{World, place};

impl World {
    pub(super) fn check_start(&mut self, attempt: &Attempt) {
        let (event, seen) = (attempt.of(), &mut self.seen);
        let place = event.position.to_sequence();
        let beside = seen.calls.iter().find(|call| call.of().stream == event.stream);
        assert!(beside.is_none(), "{place} is given beside {beside:?}");
        assert!(seen.calls.len() < self.policy.concurrency);
        let is_parked = seen.parked.contains(&event.stream);
        assert_eq!(matches!(attempt.given, Given::Parked(_)), is_parked, "{place}: {attempt:?}");
        let taken_back = seen.taken_back.get(&event.stream).copied();
        assert_eq!(taken_back, is_parked.then_some(place), "nobody asked for it");
        assert!(!self.kept.is_discarded(place), "{place} is given, which was discarded");
        let earlier = self.log.iter().filter(|it| it.stream == event.stream);
        for earlier in earlier.filter(|it| it.version < event.version).map(super::place) {
            let is_settled = self.ever.contains(&earlier) || self.kept.is_discarded(earlier);
            assert!(is_settled, "{place} is given before {earlier}");
        }
        let (tries, before) = seen.tries.entry(place).or_default();
        *tries += 1;
        assert_eq!(attempt.number, *before + *tries);
        assert!(seen.retry_at.remove(&place).is_none_or(|at| at <= self.now), "{place}: early");
        assert!(!seen.answered.contains(&place), "{place} is given once more");
        let last = seen.last.insert(event.stream.clone(), place);
        assert!(last.is_none_or(|last| last <= place), "{place} is given after {last:?}");
    }

    /// Nothing more is given: then nothing could be.
    pub(super) fn check_rest(&self) {
        let seen = &self.seen;
        if seen.calls.len() >= self.policy.concurrency {
            return;
        }
        let taken_back = seen.taken_back.values().copied();
        for first in self.open().map(place).chain(taken_back) {
            let mut given = seen.calls.iter().map(|call| call.of().position.to_sequence());
            let is_given = given.any(|given| given == first);
            let is_later = seen.retry_at.get(&first).is_some_and(|at| *at > self.now);
            assert!(is_given || is_later, "{first} is not given");
        }
    }

    /// The first events of all streams, of those that were read, are not answered, and hold the
    /// checkpoint back.
    pub(super) fn open(&self) -> impl Iterator<Item = &RecordedEvent> {
        let seen = &self.seen;
        let mut streams = HashSet::new();
        let read = self.log[..seen.read].iter();
        let open = read.filter(move |event| {
            let is_settled = event.position <= seen.began
                || seen.answered.contains(&place(event))
                || self.kept.is_discarded(place(event))
                || seen.parked.contains(&event.stream);
            !is_settled
        });
        open.filter(move |event| streams.insert(event.stream.clone()))
    }

    pub(super) fn check_commit(&self, commit: &Commit) {
        let (batch, seen) = (&commit.batch, &self.seen);
        assert!(batch.from.position <= batch.to.position);
        let passed = self.log.iter().filter(|event| {
            event.position > batch.from.position && event.position <= batch.to.position
        });
        let passed: Vec<_> = passed.collect();
        assert_eq!(batch.events, passed.len() as u64);
        for event in passed {
            let is_parked = batch.park.iter().any(|entry| entry.event.is_of(event));
            let is_answered = seen.answered.contains(&place(event));
            assert!(is_parked != is_answered, "{event:?} is passed: {batch:?}");
        }
        for entry in &batch.park {
            let place = entry.event.position.to_sequence();
            let is_tried = entry.attempts > 0;
            assert!(entry.event.position <= batch.to.position);
            assert!(seen.parked.contains(&entry.event.stream), "{entry:?}");
            let is_due = !is_tried || seen.aside.contains(&place);
            assert_eq!(entry.state, ParkedState::Waiting { is_due });
            let is_lost = self.lost.contains(&place);
            let reason = format!("attempt {}", entry.attempts);
            let is_cut_off = seen.is_ending && seen.aside.contains(&place);
            let is_told = is_lost || is_cut_off || entry.reason == reason;
            assert!(!is_tried || is_told, "{entry:?}");
            let (tries, before) = seen.tries.get(&place).copied().unwrap_or_default();
            assert_eq!(entry.attempts, before + tries);
        }
        for id in &batch.unpark {
            let has_failed = batch.park.iter().any(|entry| entry.id() == *id);
            let is_answered = seen.answered.contains(&id.position.to_sequence());
            assert!(has_failed != is_answered, "{id:?} is taken out: {batch:?}");
        }
    }

    /// What holds between any two steps.
    pub(super) fn check(&self) {
        let (checkpoint, seen) = (self.window.checkpoint(), &self.seen);
        let lowest = self.open().map(place).min();
        match lowest {
            None => assert_eq!(*checkpoint, seen.reached),
            Some(lowest) => {
                let before = self.log.iter().map(place).filter(|place| *place < lowest);
                let before = before.max().unwrap_or(0).max(seen.began.to_sequence());
                let checkpoint = checkpoint.position.to_sequence();
                assert!((before..lowest).contains(&checkpoint), "{checkpoint} of {lowest}");
            }
        }
        if self.window.is_idle() {
            assert!(lowest.is_none() && seen.taken_back.is_empty() && seen.calls.is_empty());
        }
        let retries = seen.retry_at.values().filter(|at| **at > self.now);
        if let Some(next) = retries.min() {
            assert!(self.window.next_retry().is_some_and(|at| at <= *next));
        }
    }
}
