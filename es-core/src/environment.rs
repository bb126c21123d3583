//! What the engine takes from outside: time, ids and chance.
//!
//! Each has a system default and can be replaced, so that a test decides what they answer.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use crate::envelope::EventId;
use crate::timestamp::Timestamp;

/// A source of the current time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The current time; it may step backwards.
    fn now(&self) -> Timestamp;
}

/// A source of event ids.
pub trait EventIds: Send + Sync + fmt::Debug {
    /// An id that this source never gave before.
    fn next_id(&self) -> EventId;
}

/// A source of chance for delays between attempts.
pub trait Jitter: Send + Sync + fmt::Debug {
    /// A number from 0 (included) to 1 (excluded).
    fn fraction(&self) -> f64;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from(SystemTime::now())
    }
}

/// UUIDs of version 7: unique across processes, and roughly in the order of their making.
#[derive(Debug, Clone, Copy, Default)]
pub struct UuidV7Ids;

impl EventIds for UuidV7Ids {
    fn next_id(&self) -> EventId {
        EventId::from_uuid(uuid::Uuid::now_v7())
    }
}

/// Pseudo-random jitter, seeded by the system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomJitter;

impl Jitter for RandomJitter {
    fn fraction(&self) -> f64 {
        fastrand::f64()
    }
}

/// The sources that a [`Repository`](crate::Repository) uses; the default is the system's.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Environment {
    /// Where event ids come from.
    pub event_ids: Arc<dyn EventIds>,
    /// What spreads the delays between attempts.
    pub jitter: Arc<dyn Jitter>,
    /// Where the time of a snapshot comes from; events get theirs from the store.
    pub clock: Arc<dyn Clock>,
}

impl Default for Environment {
    fn default() -> Self {
        Self {
            event_ids: Arc::new(UuidV7Ids),
            jitter: Arc::new(RandomJitter),
            clock: Arc::new(SystemClock),
        }
    }
}

impl Environment {
    /// Replaces the source of event ids.
    #[must_use]
    pub fn with_event_ids(mut self, event_ids: impl EventIds + 'static) -> Self {
        self.event_ids = Arc::new(event_ids);
        self
    }

    /// Replaces the source of chance.
    #[must_use]
    pub fn with_jitter(mut self, jitter: impl Jitter + 'static) -> Self {
        self.jitter = Arc::new(jitter);
        self
    }

    /// Replaces the clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}
