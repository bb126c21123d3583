//! What becomes of an event that a projection cannot take.

use crate::envelope::EventId;
use crate::read::PageLimit;
use crate::retry::Retry;

use super::worker::Parking;

/// What the engine does when a projection fails to take an event, or a call of a reaction fails.
///
/// Whatever is chosen, what stands before the event in the log is committed, and nothing is left
/// out silently. A reaction goes on with other streams while it tries one again, and parks by stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailurePolicy {
    /// Further attempts before the last resort, and the delays between.
    pub retry: Retry,
    /// What is done when no attempt is left.
    pub then: LastResort,
}

/// What is done with an event that cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LastResort {
    /// The projection, or the reaction, stops before the event, and says so.
    Stop,
    /// The event and all later ones of its key are parked; other keys go on.
    ParkKey,
}

impl Default for FailurePolicy {
    /// [`stop`](Self::stop).
    fn default() -> Self {
        Self::stop()
    }
}

impl FailurePolicy {
    /// Stops at once.
    pub const fn stop() -> Self {
        Self { retry: Retry::NONE, then: LastResort::Stop }
    }

    /// Parks the key at once.
    pub const fn park_key() -> Self {
        Self { retry: Retry::NONE, then: LastResort::ParkKey }
    }

    /// Tries again before the last resort. Useful where a database may refuse a change of a table for
    /// a passing reason; a pure fold fails the same way again.
    #[must_use]
    pub const fn after(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// What is to be parked, when this event was tried so often.
    pub(super) fn parking(&self, attempts: Option<(EventId, u32)>) -> Parking {
        match (self.then, attempts) {
            (LastResort::Stop, _) => Parking::Never,
            (LastResort::ParkKey, _) if self.retry.retries == 0 => Parking::Always,
            (LastResort::ParkKey, Some((id, attempts))) if attempts > self.retry.retries => {
                Parking::Only(id, attempts)
            }
            (LastResort::ParkKey, _) => Parking::Never,
        }
    }
}

/// How much one commit may hold. It ends at whichever bound comes first, but holds at least one
/// event. Many pages of the log go into one, until there are no more or two seconds have passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchLimit {
    /// The largest number of events.
    pub events: usize,
    /// The largest sum of payload bytes of the events, and of the rows that they change as they were
    /// before; also of the rows that are kept in memory from one commit to the next. What rows grow
    /// to within the commit does not count: where few events make large rows, bound `rows`.
    pub bytes: usize,
    /// The largest number of rows that the events concern.
    pub rows: usize,
}

impl Default for BatchLimit {
    /// 500 events, 4 MiB, 1,000 rows.
    fn default() -> Self {
        Self::events(500)
    }
}

impl BatchLimit {
    /// No more events are read at once: those of several pages make up one commit.
    const PAGE: usize = 4_000;

    /// What is read at once for so many workers that divide it.
    pub(super) fn page(&self, workers: usize) -> PageLimit {
        let events = self.events.saturating_mul(workers).min(Self::PAGE);
        PageLimit { events, bytes: self.bytes.min(PageLimit::default().bytes) }
    }

    /// At most this many events, 4 MiB and 1,000 rows.
    #[must_use]
    pub const fn events(events: usize) -> Self {
        Self { events, bytes: 4 * 1024 * 1024, rows: 1_000 }
    }

    /// At most so many bytes, of events and of rows.
    #[must_use]
    pub const fn bytes(self, bytes: usize) -> Self {
        Self { bytes, ..self }
    }

    /// At most so many rows.
    #[must_use]
    pub const fn rows(self, rows: usize) -> Self {
        Self { rows, ..self }
    }
}
