//! When an actor gets calls.

use es_core::Timestamp;

use crate::actor::event::ActorEvent;
use crate::actor::rejection::BreakerRejection;
use crate::actor::state::{ActorBreaker, BreakerStatus};
use crate::definition::BreakerPolicy;
use crate::names::FailureType;
use crate::posting::Attempt;

/// Whether an actor may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallPermit {
    /// As often as one likes.
    Free,
    /// Once, by who records [`ActorBreaker::let_one_through`] first.
    Once,
    /// Not before then.
    Refused {
        /// When to ask again.
        until: Timestamp,
    },
}

impl ActorBreaker {
    /// Whether the actor may be called now.
    pub fn permit(&self, now: Timestamp) -> CallPermit {
        match self.status() {
            BreakerStatus::Closed => CallPermit::Free,
            BreakerStatus::Open { retry_at: until } | BreakerStatus::HalfOpen { until } => {
                match now >= until {
                    true => CallPermit::Once,
                    false => CallPermit::Refused { until },
                }
            }
        }
    }

    /// Claims the one call after an open breaker's time. Nothing is to be claimed while the breaker
    /// is closed.
    ///
    /// # Errors
    ///
    /// While the breaker is open, or another call is under way.
    pub fn let_one_through(
        &self,
        policy: &BreakerPolicy,
        now: Timestamp,
    ) -> Result<Vec<ActorEvent>, BreakerRejection> {
        match self.permit(now) {
            CallPermit::Free => Ok(Vec::new()),
            CallPermit::Once => {
                let until = now.plus(policy.cooldown_seconds.into());
                Ok(vec![ActorEvent::CircuitBreakerHalfOpened { until }])
            }
            CallPermit::Refused { until } => Err(match self.status() {
                BreakerStatus::HalfOpen { .. } => BreakerRejection::CallUnderWay { until },
                BreakerStatus::Open { .. } | BreakerStatus::Closed => {
                    BreakerRejection::Open { until }
                }
            }),
        }
    }

    /// Counts a failed call, and opens the breaker at the limit or after the one call. A call that
    /// began before the breaker opened changes nothing any more.
    ///
    /// A posting's [`Failure`](crate::Failure) carries the count on when the breaker opened; see
    /// [`opened`](Self::opened).
    pub fn record_failure(
        &self,
        policy: &BreakerPolicy,
        attempt: Attempt,
        failure_type: &FailureType,
        now: Timestamp,
    ) -> Vec<ActorEvent> {
        let opens = match self.status() {
            BreakerStatus::Open { .. } => return Vec::new(),
            BreakerStatus::HalfOpen { .. } => true,
            BreakerStatus::Closed => self.failure_count().saturating_add(1) >= policy.failures,
        };
        let mut events = vec![ActorEvent::ActorCallFailed {
            failure_type: failure_type.clone(),
            conversation_id: attempt.conversation_id.into(),
            run_id: attempt.run_id.into(),
        }];
        if opens {
            events.push(ActorEvent::CircuitBreakerOpened {
                failure_count: self.failure_count().saturating_add(1),
                retry_at: now.plus(policy.cooldown_seconds.into()),
            });
        }
        events
    }

    /// Forgets the failures, and closes the breaker after the one call. Nothing happens where none
    /// are counted, or while the breaker is open.
    pub fn record_success(&self) -> Vec<ActorEvent> {
        match self.status() {
            BreakerStatus::HalfOpen { .. } => vec![ActorEvent::CircuitBreakerClosed],
            BreakerStatus::Closed if self.failure_count() > 0 => {
                vec![ActorEvent::ActorCallSucceeded]
            }
            BreakerStatus::Closed | BreakerStatus::Open { .. } => Vec::new(),
        }
    }

    /// Gives back the one call after an open breaker's time, because how it ended says nothing
    /// about the actor: another may be let through at `until`. Nothing happens where no call is
    /// under way, or another may be let through sooner.
    pub fn give_back(&self, until: Timestamp) -> Vec<ActorEvent> {
        match self.status() {
            BreakerStatus::HalfOpen { until: known } if until < known => {
                vec![ActorEvent::CircuitBreakerHalfOpened { until }]
            }
            _ => Vec::new(),
        }
    }

    /// The consecutive failures, if these events opened the breaker.
    pub fn opened(events: &[ActorEvent]) -> Option<u32> {
        events.iter().find_map(|event| match event {
            ActorEvent::CircuitBreakerOpened { failure_count, .. } => Some(*failure_count),
            _ => None,
        })
    }
}
