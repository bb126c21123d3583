//! What happens to an actor, under the names that are stored.

use es_core::Event;
use es_core::event::Timestamp;

use crate::ids::{ConversationId, RunId};
use crate::names::FailureType;
use crate::noted::Noted;

/// What happens to an actor: to its circuit breaker, and whether it is paused.
#[derive(Event, Debug, Clone, PartialEq)]
pub enum ActorEvent {
    /// A call failed.
    ActorCallFailed {
        /// The kind of failure.
        failure_type: FailureType,
        /// The conversation that it was called for.
        #[event(metadata)]
        conversation_id: Noted<ConversationId>,
        /// The run that it was called in.
        #[event(metadata)]
        run_id: Noted<RunId>,
    },
    /// A call succeeded after others had failed.
    #[event(name = "actor_call_succeeded")]
    ActorCallSucceeded,
    /// The actor gets no more calls for a while.
    CircuitBreakerOpened {
        /// Its consecutive failures.
        failure_count: u32,
        /// When one call is let through.
        retry_at: Timestamp,
    },
    /// One call was let through.
    CircuitBreakerHalfOpened {
        /// When another may be, if nobody comes back from this one.
        until: Timestamp,
    },
    /// The actor gets calls again.
    CircuitBreakerClosed,
    /// Somebody wants nobody to call the actor.
    ActorPaused {
        /// Who wants that.
        by: Noted<String>,
        /// Why.
        because: Noted<String>,
        /// Since when, by the clock of who wants it.
        paused_at: Noted<Timestamp>,
        /// Until when at most; until somebody ends it if there is none.
        until: Noted<Timestamp>,
    },
    /// Somebody ended the pause of the actor before its time.
    ActorPauseEnded {
        /// Who ended it.
        by: Noted<String>,
    },
}
