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
    /// The largest sum of the bytes in memory: of rows as they were and as they are to be written, or of
    /// changes of tables. Rows that are kept from one commit to the next have half of it at most, and
    /// payloads that are read at once no more. What the last event makes of its rows may go beyond.
    pub bytes: usize,
    /// The largest number of rows, or of changes of tables. A commit ends, too, when 500 changes write no
    /// whole row, because each of them is carried out by itself.
    pub rows: usize,
}

impl Default for BatchLimit {
    /// 100,000 events, 8 MiB, 32,000 rows: a row is written once for all its events in a commit.
    fn default() -> Self {
        Self::events(100_000)
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

    /// At most this many events, 8 MiB and 32,000 rows.
    #[must_use]
    pub const fn events(events: usize) -> Self {
        Self { events, bytes: 8 * 1024 * 1024, rows: 32_000 }
    }

    /// At most so many bytes in memory.
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
