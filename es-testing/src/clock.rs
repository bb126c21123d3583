//! A clock that stands still until a test moves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use es_core::backend::Timestamp;
use es_core::environment::Clock;

/// A clock that a test sets and steps; clones show the same time.
///
/// It begins at 2025-11-19T10:00:00Z.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    const BEGINNING: i64 = 1_763_546_400_000_000;

    /// A clock that shows the beginning.
    pub fn new() -> Self {
        Self(Arc::new(AtomicI64::new(Self::BEGINNING)))
    }

    /// Shows this time from now on; it may be earlier than the last one.
    pub fn set(&self, time: Timestamp) {
        self.0.store(time.as_micros(), Ordering::SeqCst);
    }

    /// Moves the clock forwards and answers the new time.
    pub fn step(&self, by: Duration) -> Timestamp {
        let time = self.now().plus(by);
        self.set(time);
        time
    }

    /// Moves the clock backwards, as a correction of the machine's clock does, and answers the new
    /// time.
    pub fn step_back(&self, by: Duration) -> Timestamp {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        let time = Timestamp::from_micros(self.now().as_micros().saturating_sub(micros));
        self.set(time);
        time
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_where_the_docs_say_and_clones_share_the_time() {
        let clock = ManualClock::new();
        assert_eq!(clock.now().to_string(), "2025-11-19T10:00:00.000000Z");
        let other = clock.clone();
        clock.step(Duration::from_micros(5));
        assert_eq!(other.now().to_string(), "2025-11-19T10:00:00.000005Z");
        other.step_back(Duration::from_secs(1));
        assert_eq!(clock.now().to_string(), "2025-11-19T09:59:59.000005Z");
    }
}
