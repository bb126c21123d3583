//! Laws that every aggregate and every event type keeps, checked with generated cases.
//!
//! [`aggregate_laws!`](crate::aggregate_laws) makes one test of each law. The functions behind it
//! answer the violation as a value, with the smallest case that was found:
//!
//! | law | what it catches |
//! |---|---|
//! | [`events_round_trip`] | a field that is not stored, or not read as it was written |
//! | [`events_are_storable`] | content that every store refuses, such as U+0000 or deep nesting |
//! | [`kinds_are_distinct`] | two kinds with one stored name, a kind outside of `TYPES` |
//! | [`retired_names_are_never_written`] | a name that stands for something else now, written again |
//! | [`decode_never_panics`] | an upcaster, or a function that splits, which trusts its input; versions that must be refused |
//! | [`every_kind_is_generated`] | a strategy that has not heard of a new kind |
//! | [`evolve_never_panics`] | a fold that is not total |
//! | [`evolve_is_deterministic`] | a fold that reads the clock, chance or hidden state |
//! | [`every_kind_is_decided`] | commands that never get as far as some kind of event |
//! | [`decided_events_evolve`] | a decision whose own events break the fold |
//! | [`decide_is_deterministic`] | a decision that would differ when it is run again |
//! | [`snapshots_equal_replay`] | a state that is not kept completely |
//! | [`rows_round_trip`] | a row of a projection that is not stored as it is; called for each projection |
//! | [`projection()`] | a projection that is not pure, that refuses an event, or that a rebuild makes otherwise; called for each projection, with a store |
//! | [`table`] | the same of a projection into tables |
//!
//! The number of cases is 256, or `PROPTEST_CASES`.
//!
//! A large strategy (six kinds with twenty optional fields each) overflows the 2 MiB stack of a test
//! when it is built without optimization. The macro runs each law on a stack of its own that is
//! large enough. Where you call a function yourself, box each arm of a `prop_oneof!`: boxing only the
//! whole is not enough, because its parts are made on the stack first.
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
mod decisions;
mod events;
mod json;
mod keys;
mod projection;
mod rows;
mod series;
mod stack;
mod suite;
mod tables;
mod violation;

#[doc(hidden)]
pub use es_core as __es_core;

use proptest::strategy::Strategy;

pub use self::aggregate::{evolve_is_deterministic, evolve_never_panics, snapshots_equal_replay};
pub use self::decisions::{decide_is_deterministic, decided_events_evolve, every_kind_is_decided};
pub use self::events::{
    decode_never_panics, events_are_storable, events_round_trip, every_kind_is_generated,
    kinds_are_distinct, retired_names_are_never_written,
};
pub use self::projection::projection;
pub use self::rows::{in_streams_of, rows_round_trip};
pub use self::series::{decided_history, series, series_given};
#[doc(hidden)]
pub use self::stack::__on_a_large_stack;
pub use self::tables::table;
pub use self::violation::LawViolation;
pub(crate) use self::violation::{chain, no_panic, one};

/// The longest history that is generated.
const LENGTH: usize = 24;

/// Histories of any events in any order.
pub fn any_history<S: Strategy>(events: S) -> impl Strategy<Value = Vec<S::Value>> {
    proptest::collection::vec(events, 0..=LENGTH)
}
