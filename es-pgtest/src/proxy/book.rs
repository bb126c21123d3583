//! What a proxy counts, and what it is to do.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::Direction;

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is handed on.
    Deliver,
    /// It is handed on, and its connection is cut.
    DeliverAndCut,
    /// It is lost, and its connection is cut.
    Cut,
}

/// Counts, and the cut that is to come.
#[derive(Debug, Default)]
pub(super) struct Book(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    from_clients: BTreeMap<u8, u64>,
    from_server: u64,
    cuts: u64,
    plan: Option<Plan>,
}

#[derive(Debug)]
struct Plan {
    direction: Direction,
    /// How many messages it takes.
    left: u64,
    fate: Fate,
}

impl Book {
    /// Counts a message and says what becomes of it.
    pub(super) fn enter(&self, direction: Direction, kind: u8) -> Fate {
        let mut entries = self.entries();
        match direction {
            Direction::ToServer => *entries.from_clients.entry(kind).or_default() += 1,
            Direction::ToClient => entries.from_server += 1,
        }
        let Some(plan) = entries.plan.as_mut().filter(|plan| plan.direction == direction) else {
            return Fate::Deliver;
        };
        plan.left -= 1;
        if plan.left > 0 {
            return Fate::Deliver;
        }
        let fate = plan.fate;
        entries.plan = None;
        entries.cuts += 1;
        fate
    }

    /// Sets the fate of the n-th further message.
    pub(super) fn plan(&self, direction: Direction, n: u64, fate: Fate) {
        assert!(n > 0, "the first further message is number 1");
        self.entries().plan = Some(Plan { direction, left: n, fate });
    }

    /// How many messages of a type clients have sent.
    pub(super) fn count(&self, kind: u8) -> u64 {
        self.entries().from_clients.get(&kind).copied().unwrap_or(0)
    }

    /// How many messages went one way.
    pub(super) fn messages(&self, direction: Direction) -> u64 {
        match direction {
            Direction::ToServer => self.entries().from_clients.values().sum(),
            Direction::ToClient => self.entries().from_server,
        }
    }

    /// How many cuts have happened.
    pub(super) fn cuts(&self) -> u64 {
        self.entries().cuts
    }

    /// Forgets everything.
    pub(super) fn reset(&self) {
        *self.entries() = Entries::default();
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
