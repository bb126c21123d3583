//! Events that a projection could not take.

use crate::position::Position;
use crate::timestamp::Timestamp;

use super::EventReference;

/// One parked event under one key; entries of a key are dealt with in the order of positions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Hash)]
pub struct ParkedId {
    /// The place of the event.
    pub position: Position,
    /// The key that it was parked under.
    pub key: String,
}

/// What is to become of a parked event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParkedState {
    /// It waits: for another attempt if it is due and the first of its key, else for what stands
    /// before it or for somebody who asks for an attempt.
    Waiting {
        /// True if it was never tried, or if somebody asked for another attempt.
        is_due: bool,
    },
    /// Somebody decided that the model goes without it; the record stays.
    Discarded {
        /// Why, in the words of who decided.
        reason: String,
        /// When.
        at: Timestamp,
    },
}

/// A reference to an event that is not in the model, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// The event.
    pub event: EventReference,
    /// The key of the model that the event was meant for. Later events of the key queue behind it.
    pub key: String,
    /// What went wrong, or what it waits behind.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was parked, or last tried.
    pub parked_at: Timestamp,
    /// What is to become of it.
    pub state: ParkedState,
}

impl Parked {
    /// What identifies the entry within its model.
    pub fn id(&self) -> ParkedId {
        ParkedId { position: self.event.position, key: self.key.clone() }
    }

    /// True unless it was discarded.
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, ParkedState::Waiting { .. })
    }
}

/// Which parked events to list, in the order of positions and then of keys, byte by byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListParked {
    /// Only those of this key.
    pub key: Option<String>,
    /// Only those that wait.
    pub waiting_only: bool,
    /// Only those after this one.
    pub after: Option<ParkedId>,
    /// At most this many; 0 counts as 1.
    pub limit: usize,
}

impl Default for ListParked {
    /// The first 500 of all.
    fn default() -> Self {
        Self { key: None, waiting_only: false, after: None, limit: 500 }
    }
}

impl ListParked {
    /// Those that wait under one key.
    pub fn waiting(key: &str) -> Self {
        Self { key: Some(key.to_owned()), waiting_only: true, ..Self::default() }
    }

    /// True if the entry is wanted; backends that select in the database must agree with it.
    pub fn accepts(&self, entry: &Parked) -> bool {
        self.key.as_ref().is_none_or(|key| *key == entry.key)
            && (!self.waiting_only || entry.is_waiting())
            && self.after.as_ref().is_none_or(|after| entry.id() > *after)
    }
}
