//! How far the checkpoint may move, and what is committed with it.

use super::slot::{Origin, Slot, State};
use super::{Commit, Window};
use crate::envelope::EventReference;
use crate::projection::{Batch, Checkpoint, Parked, ParkedId};
use crate::timestamp::Timestamp;

impl Window {
    /// Just before the lowest event that is neither answered nor to be parked.
    pub(in crate::reaction) fn checkpoint(&self) -> &Checkpoint {
        self.slots.values().find_map(Slot::holds_back).unwrap_or(&self.reached)
    }

    /// The event that holds the checkpoint back, and why its last attempt failed, if one did.
    pub(in crate::reaction) fn trouble(&self) -> Option<(&EventReference, &str)> {
        let slot = self.slots.values().find(|slot| slot.holds_back().is_some())?;
        Some((&slot.of, slot.failure.as_deref()?))
    }

    /// True if a commit would tell the store anything.
    pub(in crate::reaction) fn has_news(&self) -> bool {
        *self.checkpoint() != self.committed || self.slots.values().any(Slot::changes_entry)
    }

    /// True if a commit is worth its while before its time has come: half of what may be held can be
    /// passed, nothing can be given without it, or something became of an entry of the store.
    pub(in crate::reaction) fn wants_commit(&self) -> bool {
        let gives_nothing = self.is_stopping || self.ready.is_empty();
        let is_stuck = gives_nothing && (self.in_flight.is_empty() || self.room().is_none());
        let passed = self.slots.values().take_while(|slot| slot.holds_back().is_none());
        let is_worth_it = is_stuck
            || passed.count() >= self.most() / 2
            || self.slots.values().any(Slot::changes_entry);
        is_worth_it && !self.is_committing && self.has_news()
    }

    /// What is to be committed now: the checkpoint, what is parked before it, and what became of
    /// entries of the store. `None` if that is nothing, or as long as a commit is under way.
    ///
    /// One that may not have arrived is tried again as it is, or the window is dropped.
    pub(in crate::reaction) fn commit(&mut self, at: Timestamp) -> Option<Commit> {
        if self.is_committing || !self.has_news() {
            return None;
        }
        let mut batch = Batch::moving(0, self.committed.clone(), self.checkpoint().clone());
        let (mut numbers, mut is_before) = (Vec::new(), true);
        for (number, slot) in &self.slots {
            is_before &= slot.holds_back().is_none();
            match (&slot.origin, &slot.state) {
                (Origin::Log(..), _) if !is_before => continue,
                (_, State::Open | State::Again(_)) => continue,
                (Origin::Log(..), State::Answered) => {}
                (Origin::Store(entry), State::Answered) => batch.unpark.push(entry.id()),
                (origin, State::Failed { is_due }) => {
                    // an entry is replaced only if it waits still
                    batch.unpark.extend(origin.entry().map(Parked::id));
                    batch.park.push(slot.parked(*is_due, at));
                }
                (_, State::Behind) => batch.park.push(slot.parked(true, at)),
            }
            batch.events += u64::from(matches!(slot.origin, Origin::Log(..)));
            numbers.push(*number);
        }
        self.is_committing = true;
        self.commits += 1;
        Some(Commit { batch, numbers })
    }

    /// The commit is in the store.
    pub(in crate::reaction) fn committed(&mut self, commit: Commit) {
        self.is_committing = false;
        self.committed = commit.batch.to;
        for number in commit.numbers {
            let Some(slot) = self.remove(number) else { continue };
            if matches!(slot.state, State::Failed { is_due: true } | State::Behind) {
                // what stands before it may have been discarded
                self.due.insert(slot.of.stream.clone());
            }
            if slot.is_outcome()
                && let Some(lane) = self.streams.get_mut(&slot.of.stream)
            {
                lane.outcomes = lane.outcomes.saturating_sub(1);
            }
        }
    }

    /// The commit was refused, because these entries do not wait any more: they are let go, and the
    /// rest can be committed. False if it was about none of them.
    pub(in crate::reaction) fn refused(&mut self, commit: Commit, gone: &[ParkedId]) -> bool {
        self.is_committing = false;
        let mut numbers = commit.numbers;
        numbers.retain(|number| {
            let entry = self.slots.get(number).and_then(|slot| slot.origin.entry());
            entry.is_some_and(|entry| gone.contains(&entry.id()))
        });
        for number in &numbers {
            self.let_go(*number);
        }
        !numbers.is_empty()
    }
}
