//! What a decision that was carried out is answered.

use super::members::Members;
use crate::append::Appended;
use crate::envelope::Cause;
use crate::position::Position;

/// The answer to a decision that was carried out.
#[derive(Debug)]
#[non_exhaustive]
pub struct Decided<M: Members, T = ()> {
    /// The states with the decided events in them; for a repeat, the states as they are now.
    pub state: M::State,
    /// How many events are in the states.
    pub version: M::Version,
    /// The events as they were recorded; empty if everything was already so. For a repeat, those of
    /// the first time.
    pub events: M::Events,
    /// What the decision answered; `None` for a repeat, which decided nothing. What a repeat must know,
    /// too, is to be seen in the events.
    pub reply: Option<T>,
    /// Where the events were recorded; `None` if there were none.
    pub appended: Option<Appended>,
    pub(super) cause: Option<Cause>,
}

impl<M: Members, T> Decided<M, T> {
    /// True if the idempotency key was recorded before: nothing was decided or written now.
    pub fn is_repeat(&self) -> bool {
        self.appended.as_ref().is_some_and(|appended| appended.repeated)
    }

    /// The place of the last event in the log, for who waits until a read model has come so far;
    /// [`Position::START`] if there were no events.
    pub fn position(&self) -> Position {
        self.appended.as_ref().map_or(Position::START, Appended::position)
    }

    /// The last of the events as the cause of what follows from it; `None` if there were none.
    pub fn cause(&self) -> Option<Cause> {
        self.cause.clone()
    }
}
