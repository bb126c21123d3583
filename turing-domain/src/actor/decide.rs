//! When an actor gets calls.

use es_core::event::Timestamp;

use crate::actor::event::ActorEvent;
use crate::actor::rejection::BreakerRejection;
use crate::actor::state::{ActorBreaker, BreakerStatus};
use crate::definition::BreakerPolicy;
use crate::names::FailureType;
use crate::pause::{Pause, text};
use crate::posting::Attempt;

impl ActorBreaker {
    /// Claims the one call after an open breaker's time. Nothing is to be claimed while the breaker
    /// is closed.
    ///
    /// The time is over when `now` says so, or when the caller has waited out the status that the
    /// breaker has still: a clock that was ahead when it was recorded, or that was set back since,
    /// keeps calls away for no longer than the caller thinks fit to wait.
    ///
    /// # Errors
    ///
    /// While the breaker is open, or another call is under way.
    pub fn let_one_through(
        &self,
        policy: &BreakerPolicy,
        waited_out: Option<BreakerStatus>,
        now: Timestamp,
    ) -> Result<Vec<ActorEvent>, BreakerRejection> {
        let status = self.status();
        let (until, refusal) = match status {
            BreakerStatus::Closed => return Ok(Vec::new()),
            BreakerStatus::Open { retry_at: until } => (until, BreakerRejection::Open { until }),
            BreakerStatus::HalfOpen { until } => (until, BreakerRejection::CallUnderWay { until }),
        };
        if now < until && waited_out != Some(status) {
            return Err(refusal);
        }
        let until = now.plus(policy.cooldown_seconds.into());
        Ok(vec![ActorEvent::CircuitBreakerHalfOpened { until }])
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

    /// Closes the breaker and forgets the failures, because somebody has mended their cause. Nothing
    /// happens where none are counted.
    pub fn reset(&self) -> Vec<ActorEvent> {
        match self.is_clean() {
            true => Vec::new(),
            false => vec![ActorEvent::CircuitBreakerClosed],
        }
    }

    /// Has nobody call the actor from now on, in the place of a pause that it may have. Nothing happens if
    /// that asks for the same and is not over.
    pub fn pause_calls(&self, pause: &Pause) -> Vec<ActorEvent> {
        let goes_on = |known: &Pause| pause.since.is_none_or(|now| !known.is_over(now));
        if self.pause().is_some_and(|known| known.asks_for_the_same(pause) && goes_on(known)) {
            return Vec::new();
        }
        vec![ActorEvent::ActorPaused {
            by: pause.by.clone().into(),
            because: pause.because.clone().into(),
            paused_at: pause.since.into(),
            until: pause.until.into(),
        }]
    }

    /// Ends the pause of the actor, whether its time is over or not. Nothing happens if it has none.
    pub fn end_pause(&self, by: &str) -> Vec<ActorEvent> {
        match self.pause() {
            None => Vec::new(),
            Some(_) => vec![ActorEvent::ActorPauseEnded { by: text(by).into() }],
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
