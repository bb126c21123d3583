//! The laws of aggregates.

use std::fmt::Debug;

use es_core::{Aggregate, IntoEvents, Snapshotted, fold};
use proptest::strategy::Strategy;

use super::any_history;
use super::violation::{LawViolation, for_all, no_panic};

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

/// The events that the aggregate decides on can be folded, whatever the commands.
///
/// # Errors
///
/// The smallest series of commands on which deciding or the fold panics.
pub fn decided_events_evolve<A, C, V, R>(
    commands: impl Strategy<Value = C>,
    decide: impl Fn(&A, &C) -> Result<V, R>,
) -> Result<(), LawViolation>
where
    A: Aggregate,
    C: Debug,
    V: IntoEvents<A::Event>,
{
    let series = any_history(commands);
    for_all("decided_events_evolve", A::TYPE, &series, |commands| {
        let mut state = A::default();
        for (i, command) in commands.iter().enumerate() {
            let step = |panic| format!("command {} of the case: {panic}", i + 1);
            no_panic(|| {
                if let Ok(decided) = decide(&state, command) {
                    for event in decided.into_events() {
                        state.evolve(&event);
                    }
                }
            })
            .map_err(step)?;
        }
        Ok(())
    })
}

/// A decision that is run again gives the same, on the same state and on one that was folded anew.
///
/// Rejections are compared by their `Debug` text.
///
/// # Errors
///
/// The smallest series of commands of which one is decided in two ways.
pub fn decide_is_deterministic<A, C, V, R>(
    commands: impl Strategy<Value = C>,
    decide: impl Fn(&A, &C) -> Result<V, R>,
) -> Result<(), LawViolation>
where
    A: Aggregate,
    A::Event: Debug + PartialEq,
    C: Debug,
    V: IntoEvents<A::Event>,
    R: Debug,
{
    let decide = |state: &A, command: &C| {
        let decided = decide(state, command).map(IntoEvents::into_events);
        decided.map_err(|rejection| format!("{rejection:?}"))
    };
    let series = any_history(commands);
    for_all("decide_is_deterministic", A::TYPE, &series, |commands| {
        let mut history = Vec::new();
        let mut state = A::default();
        for command in &commands {
            let decided = decide(&state, command);
            let anew = fold::<A>(&history);
            for again in [decide(&state, command), decide(&anew, command)] {
                if again != decided {
                    return Err(format!(
                        "{command:?} was decided as {decided:?}, then as {again:?}"
                    ));
                }
            }
            for event in decided.into_iter().flatten() {
                state.evolve(&event);
                history.push(event);
            }
        }
        Ok(())
    })
}

/// A state that was kept as JSON after any number of events and then took the others equals the
/// state after all of them.
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
            let snapshot = |error| format!("the state after {kept} events cannot be kept: {error}");
            let text = serde_json::to_string(&fold::<A>(prefix)).map_err(snapshot)?;
            let mut state: A = serde_json::from_str(&text).map_err(snapshot)?;
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
