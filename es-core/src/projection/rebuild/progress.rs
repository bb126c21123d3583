//! How far a rebuild is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::environment::Clock;
use crate::position::Position;
use crate::timestamp::Timestamp;

/// How far a rebuild is, and when it may be done.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Progress {
    /// How many events were taken, those of an earlier attempt included.
    pub events: u64,
    /// How many there are in all: an estimate from how far the slowest slice is in the log.
    pub estimated_total: u64,
    /// How many events were taken in a second, since this attempt began.
    pub rate: f64,
    /// How long it will take at this rate; `None` as long as nothing was taken.
    pub remaining: Option<Duration>,
}

/// Tells how far a rebuild is; a clone tells of the same.
#[derive(Debug, Clone)]
pub struct Watch {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    began: Option<Timestamp>,
    /// What was there when this attempt began, and what it added.
    events: (u64, u64),
    slices: BTreeMap<u32, Position>,
    end: Option<Position>,
}

impl Watch {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, events: u64) {
        let began = Some(self.clock.now());
        *self.state() = State { began, events: (events, 0), ..State::default() };
    }

    pub(super) fn end(&self, end: Position) {
        self.state().end = Some(end);
    }

    pub(super) fn count(&self, slice: u32, events: u64, position: Position) {
        let mut state = self.state();
        state.events.1 += events;
        state.slices.insert(slice, position);
    }

    /// How far the rebuild is now.
    pub fn progress(&self) -> Progress {
        let now = self.clock.now();
        let state = self.state();
        let (before, since) = state.events;
        let events = before + since;
        let slowest = state.slices.values().copied();
        let slowest = slowest.reduce(|low, it| if it < low { it } else { low });
        let share = slowest.zip(state.end).map_or(0.0, |(slowest, end)| slowest.share_of(end));
        let total = if share > 0.0 { (events as f64 / share).round() as u64 } else { events };
        let total = total.max(events);
        let seconds = state.began.map_or(0.0, |began| now.since(began).as_secs_f64());
        let rate = if seconds > 0.0 { since as f64 / seconds } else { 0.0 };
        let left = (total - events) as f64;
        let remaining = (rate > 0.0).then(|| Duration::try_from_secs_f64(left / rate).ok());
        Progress { events, estimated_total: total, rate, remaining: remaining.flatten() }
    }
}
