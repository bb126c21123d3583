//! The handler that every backend registers for the suite.

use std::sync::atomic::{AtomicBool, Ordering};

use es_core::{BoxError, EventFilter, RecordedEvent};

use super::models;

/// What the backend's handler of [`HANDLED`](super::HANDLED) must do.
///
/// Register, in the backend's own way, a handler that asks [`effect`](Self::effect) for each event
/// in order, writes the answer into a place of the fixture's own within the transaction of the
/// commit, and fails with the error when it gets one.
#[derive(Debug, Default)]
pub struct SuiteHandler {
    is_healed: AtomicBool,
}

impl SuiteHandler {
    /// The event type that it cannot take until it is healed.
    pub const POISON: &'static str = "poison_found";

    /// What is to be written for an event: the name of its stream, and its number.
    ///
    /// # Errors
    ///
    /// For an event that the handler cannot take.
    ///
    /// # Panics
    ///
    /// For an event with which the suite asks for that.
    pub fn effect(&self, event: &RecordedEvent) -> Result<(String, u64), BoxError> {
        assert!(event.event_type != *models::PANIC, "this is how a bug looks");
        if event.event_type == *Self::POISON && !self.is_healed.load(Ordering::SeqCst) {
            return Err("the handler was given poison".into());
        }
        Ok((event.stream.to_string(), crate::contract::parts::number(event)))
    }

    pub(super) fn heal(&self) {
        self.is_healed.store(true, Ordering::SeqCst);
    }

    pub(super) fn selection() -> EventFilter {
        EventFilter::all().stored_aggregate_type("account")
    }
}
