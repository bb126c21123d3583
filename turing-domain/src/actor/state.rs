//! The state of a circuit breaker, made of its events.

use es_core::Aggregate;
use es_core::event::Timestamp;
use es_core::execution::Snapshotted;
use serde::{Deserialize, Serialize};

use crate::actor::event::ActorEvent;
use crate::ids::ActorId;
use crate::pause::Pause;

/// The circuit breaker of an actor, and whether somebody paused it; without events it is closed, and
/// nobody did.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ActorBreaker {
    failure_count: u32,
    status: BreakerStatus,
    pause: Option<Pause>,
}

/// Whether an actor gets calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerStatus {
    /// It does.
    #[default]
    Closed,
    /// It does not.
    Open {
        /// When one call is let through.
        retry_at: Timestamp,
    },
    /// One call is under way.
    HalfOpen {
        /// When another may be let through, if nobody comes back from it.
        until: Timestamp,
    },
}

impl BreakerStatus {
    /// Until when it refuses calls, by the clock of who recorded it.
    pub fn until(self) -> Option<Timestamp> {
        match self {
            Self::Closed => None,
            Self::Open { retry_at: until } | Self::HalfOpen { until } => Some(until),
        }
    }
}

impl ActorBreaker {
    /// The failures since the last success.
    pub fn failure_count(&self) -> u32 {
        self.failure_count
    }

    /// Whether the actor gets calls.
    pub fn status(&self) -> BreakerStatus {
        self.status
    }

    /// True if its breaker is closed and no failure is counted, as before the first call.
    pub fn is_clean(&self) -> bool {
        self.failure_count == 0 && self.status == BreakerStatus::Closed
    }

    /// That somebody wants nobody to call it; the end of that may be past.
    pub fn pause(&self) -> Option<&Pause> {
        self.pause.as_ref()
    }
}

impl Aggregate for ActorBreaker {
    const TYPE: &'static str = "actor";
    type Id = ActorId;
    type Event = ActorEvent;

    fn evolve(&mut self, event: &ActorEvent) {
        use ActorEvent::*;
        match event {
            ActorCallFailed { .. } => self.failure_count = self.failure_count.saturating_add(1),
            ActorCallSucceeded => self.failure_count = 0,
            CircuitBreakerOpened { retry_at, .. } => {
                self.status = BreakerStatus::Open { retry_at: *retry_at };
            }
            CircuitBreakerHalfOpened { until } => {
                self.status = BreakerStatus::HalfOpen { until: *until };
            }
            CircuitBreakerClosed => {
                (self.failure_count, self.status) = (0, BreakerStatus::Closed);
            }
            ActorPaused { by, because, paused_at, until } => {
                self.pause = Some(Pause {
                    by: by.0.clone().unwrap_or_default(),
                    because: because.0.clone().unwrap_or_default(),
                    since: paused_at.0,
                    until: until.0,
                });
            }
            ActorPauseEnded { .. } => self.pause = None,
        }
    }
}

impl Snapshotted for ActorBreaker {
    const REVISION: u32 = 2;
}
