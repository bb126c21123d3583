//! Laws that every aggregate and every event type keeps, checked with generated cases.
//!
//! [`aggregate_laws!`](crate::aggregate_laws) makes one test of each law. The functions behind it
//! answer the violation as a value, with the smallest case that was found:
//!
//! | law | what it catches |
//! |---|---|
//! | [`events_round_trip`] | a field that is not stored, or not read as it was written |
//! | [`kinds_are_distinct`] | two kinds with one stored name, a kind outside of `TYPES` |
//! | [`decode_never_panics`] | an upcaster that trusts its input; versions that must be refused |
//! | [`every_kind_is_generated`] | a strategy that has not heard of a new kind |
//! | [`evolve_never_panics`] | a fold that is not total |
//! | [`evolve_is_deterministic`] | a fold that reads the clock, chance or hidden state |
//! | [`decided_events_evolve`] | a decision whose own events break the fold |
//! | [`decide_is_deterministic`] | a decision that would differ when it is run again |
//! | [`snapshots_equal_replay`] | a state that is not kept completely |
//!
//! The number of cases is 256, or `PROPTEST_CASES`.

//!
//! ```
//! use es_core::Event;
//! use es_testing::laws;
//! use proptest::prelude::{Strategy, any};
//!
//! #[derive(Event, Debug, PartialEq)]
//! enum OrderEvent {
//!     // serde leaves the field out, and nobody noticed
//!     OrderPlaced { #[serde(skip)] cents: u32 },
//! }
//!
//! let events = any::<u32>().prop_map(|cents| OrderEvent::OrderPlaced { cents });
//! let violation = laws::events_round_trip(events).unwrap_err();
//! assert!(violation.to_string().contains("smallest case: OrderPlaced"));
//! ```

mod aggregate;
mod events;
mod json;
mod suite;
mod violation;

#[doc(hidden)]
pub use es_core as __es_core;

use es_core::{Aggregate, IntoEvents};
use proptest::strategy::Strategy;

pub use self::aggregate::{
    decide_is_deterministic, decided_events_evolve, evolve_is_deterministic, evolve_never_panics,
    snapshots_equal_replay,
};
pub use self::events::{
    decode_never_panics, events_round_trip, every_kind_is_generated, kinds_are_distinct,
};
pub use self::violation::LawViolation;
pub(crate) use self::violation::{chain, no_panic};

/// The longest history that is generated.
const LENGTH: usize = 24;

/// Histories of any events in any order.
pub fn any_history<S: Strategy>(events: S) -> impl Strategy<Value = Vec<S::Value>> {
    proptest::collection::vec(events, 0..=LENGTH)
}

/// Histories that come about by deciding on commands, one after the other.
pub fn decided_history<A, C, V, R>(
    commands: impl Strategy<Value = C>,
    decide: impl Fn(&A, &C) -> Result<V, R>,
) -> impl Strategy<Value = Vec<A::Event>>
where
    A: Aggregate,
    A::Event: std::fmt::Debug,
    V: IntoEvents<A::Event>,
{
    any_history(commands).prop_map(move |commands| {
        let (mut state, mut history) = (A::default(), Vec::new());
        for command in &commands {
            let decided = decide(&state, command).map(IntoEvents::into_events);
            for event in decided.unwrap_or_default() {
                state.evolve(&event);
                history.push(event);
            }
        }
        history
    })
}
