//! The circuit breaker of an actor, and its pauses.
//!
//! Invariants, which the decisions keep:
//!
//! 1. After a number of consecutive failures the breaker opens, and the actor gets no calls for a
//!    while.
//! 2. Then exactly one call is let through: who begins it records that, and the version of the
//!    actor's stream lets one writer do so.
//! 3. A success of that call closes the breaker and forgets the failures; a failure opens it again.
//! 4. A call whose caller never came back blocks no longer than an open breaker does.
//! 5. Whoever has mended the cause of the failures may close the breaker at any time.
//!
//! 6. An actor that somebody paused gets no call, whatever its breaker says, until the pause is over or
//!    ended. Neither its breaker nor its calls end it.
//!
//! An actor that does not fail writes nothing.

mod decide;
mod event;
mod rejection;
mod state;

pub use event::ActorEvent;
pub use rejection::BreakerRejection;
pub use state::{ActorBreaker, BreakerStatus};

#[cfg(test)]
mod tests;
