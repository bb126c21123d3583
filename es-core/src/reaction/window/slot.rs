//! What a window holds: events, and streams of them.

use std::collections::VecDeque;
use std::time::Instant;

use super::Given;
use crate::envelope::{EventReference, RecordedEvent};
use crate::projection::{Checkpoint, Parked, ParkedState};
use crate::timestamp::Timestamp;

/// One event.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) of: EventReference,
    pub(super) origin: Origin,
    /// How often it was given since it is held.
    pub(super) attempts: u32,
    /// Why the last attempt failed, if one did.
    pub(super) failure: Option<String>,
    pub(super) state: State,
}

#[derive(Debug)]
pub(super) enum Origin {
    /// It was read; the event, and the checkpoint just before it.
    Log(RecordedEvent, Checkpoint),
    /// It was parked; the entry of the store.
    Store(Parked),
}

#[derive(Debug)]
pub(super) enum State {
    /// To be given, or given and not ended.
    Open,
    /// It failed, and is to be given again from then on.
    Again(Instant),
    Answered,
    /// It failed, and is to be parked: as due, if attempts are left.
    Failed {
        is_due: bool,
    },
    /// Untried: it is to be parked behind an earlier event of its stream.
    Behind,
}

/// One stream. As long as it is parked, only the entry that was taken back is in its queue.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// What is to be given, in order; for the first a call may be under way.
    pub(super) queue: VecDeque<u64>,
    pub(super) is_parked: bool,
    /// How much became of its parked events that is not committed.
    pub(super) outcomes: usize,
}

impl Origin {
    /// The entry of the store.
    pub(super) fn entry(&self) -> Option<&Parked> {
        match self {
            Self::Log(..) => None,
            Self::Store(entry) => Some(entry),
        }
    }
}

impl Slot {
    /// One that was read; the checkpoint just before it.
    pub(super) fn read(event: RecordedEvent, before: Checkpoint) -> Self {
        Self::new(EventReference::from(&event), Origin::Log(event, before))
    }

    /// One that is parked, and is to be given again.
    pub(super) fn taken_back(entry: Parked) -> Self {
        Self::new(entry.event.clone(), Origin::Store(entry))
    }

    fn new(of: EventReference, origin: Origin) -> Self {
        Self { of, origin, attempts: 0, failure: None, state: State::Open }
    }

    /// What its call is for.
    pub(super) fn given(&self) -> Given {
        match &self.origin {
            Origin::Log(event, _) => Given::Event(event.clone()),
            Origin::Store(entry) => Given::Parked(entry.clone()),
        }
    }

    /// Why it cannot be given if the log does not hold it.
    pub(super) fn loss(&self) -> String {
        let of = &self.of;
        format!(
            "the log does not hold event {} at {} (version {} of {}); discard it",
            of.event_id, of.position, of.version, of.stream
        )
    }

    /// The size of its payload, as far as that is held.
    pub(super) fn bytes(&self) -> usize {
        match &self.origin {
            Origin::Log(event, _) => event.payload.as_str().len(),
            Origin::Store(_) => 0,
        }
    }

    /// True if it was read and is answered.
    pub(super) fn is_read_and_answered(&self) -> bool {
        matches!((&self.origin, &self.state), (Origin::Log(..), State::Answered))
    }

    /// The checkpoint that must not be passed because of this event.
    pub(super) fn holds_back(&self) -> Option<&Checkpoint> {
        match (&self.origin, &self.state) {
            (Origin::Log(_, before), State::Open | State::Again(_)) => Some(before),
            _ => None,
        }
    }

    /// True if an entry of the store is to be changed, wherever the checkpoint is.
    pub(super) fn changes_entry(&self) -> bool {
        self.origin.entry().is_some() && !matches!(self.state, State::Open | State::Again(_))
    }

    /// True if the store must hear of it before waiting entries of the stream are listed again.
    pub(super) fn is_outcome(&self) -> bool {
        matches!(self.state, State::Failed { .. }) || self.changes_entry()
    }

    /// The number of the last attempt.
    pub(super) fn attempt(&self) -> u32 {
        let before = self.origin.entry().map_or(0, |entry| entry.attempts);
        before.saturating_add(self.attempts)
    }

    /// The entry for it; one that was never tried waits behind another.
    pub(super) fn parked(&self, is_due: bool, at: Timestamp) -> Parked {
        let reason = self.failure.as_deref();
        let reason = reason.unwrap_or("waits behind an earlier event of its stream");
        Parked {
            event: self.of.clone(),
            key: self.of.stream.to_string(),
            reason: reason.to_owned(),
            attempts: self.attempt(),
            parked_at: at,
            state: ParkedState::Waiting { is_due },
        }
    }
}

impl Lane {
    pub(super) fn parked() -> Self {
        Self { is_parked: true, ..Self::default() }
    }

    /// True if it is parked, and the store knows all but what joined it.
    pub(super) fn is_quiet(&self) -> bool {
        self.is_parked && self.queue.is_empty() && self.outcomes == 0
    }
}
