//! The laws of folds and snapshots.

use std::fmt::Debug;

use es_core::Aggregate;
use es_core::backend::Limits;
use es_core::event::{Payload, RoundTripError};
use es_core::execution::{Snapshotted, fold};
use proptest::strategy::Strategy;

use super::violation::{LawViolation, chain, for_all};

/// `evolve` takes every history of `histories`; give it histories in any order, because a store may
/// hold them.
///
/// # Errors
///
/// The smallest history on which the fold panics.
pub fn evolve_never_panics<A>(
    histories: impl Strategy<Value = Vec<A::Event>>,
) -> Result<(), LawViolation>
where
    A: Aggregate,
    A::Event: Debug,
{
    for_all("evolve_never_panics", A::TYPE, &histories, |history| {
        fold::<A>(&history);
        Ok(())
    })
}

/// Two folds of one history give the same state.
///
/// # Errors
///
/// The smallest history that gives two states.
pub fn evolve_is_deterministic<A>(
    histories: impl Strategy<Value = Vec<A::Event>>,
) -> Result<(), LawViolation>
where
    A: Aggregate + Debug + PartialEq,
    A::Event: Debug,
{
    for_all("evolve_is_deterministic", A::TYPE, &histories, |history| {
        let (first, second) = (fold::<A>(&history), fold::<A>(&history));
        match first == second {
            true => Ok(()),
            false => Err(format!("the first fold gives {first:?}, the second {second:?}")),
        }
    })
}

/// A state that was kept as JSON after any number of events, in the form that any store may give back,
/// and then took the others equals the state after all of them.
///
/// # Errors
///
/// The smallest history with such a prefix.
pub fn snapshots_equal_replay<A>(
    histories: impl Strategy<Value = Vec<A::Event>>,
) -> Result<(), LawViolation>
where
    A: Snapshotted + Debug + PartialEq,
    A::Event: Debug,
{
    for_all("snapshots_equal_replay", A::TYPE, &histories, |history| {
        let replayed = fold::<A>(&history);
        for kept in 0..=history.len() {
            let (prefix, tail) = history.split_at(kept);
            let snapshot = |error: RoundTripError| {
                format!("the state after {kept} events cannot be kept: {}", chain(&error))
            };
            let stored = Payload::round_trip(&fold::<A>(prefix), Limits::STATE_BYTES);
            let (text, mut state) = stored.map_err(snapshot)?;
            for event in tail {
                state.evolve(event);
            }
            if state != replayed {
                return Err(format!(
                    "kept after {kept} events as {text}, it becomes {state:?}; \
                     replay gives {replayed:?}"
                ));
            }
        }
        Ok(())
    })
}
