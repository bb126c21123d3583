//! Why an actor gets no call.

use es_core::event::Timestamp;

/// Why an actor gets no call now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BreakerRejection {
    /// The breaker is open.
    #[error("the circuit breaker is open until {until}")]
    Open {
        /// When one call is let through.
        until: Timestamp,
    },
    /// The one call is under way.
    #[error("the circuit breaker has let one call through; wait for it, at most until {until}")]
    CallUnderWay {
        /// When another may be let through, if nobody comes back from it.
        until: Timestamp,
    },
}
