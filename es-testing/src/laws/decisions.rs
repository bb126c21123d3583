//! The laws of decisions.

use std::fmt::{Debug, Write};

use es_core::execution::{IntoEvents, fold};
use es_core::{Aggregate, Event};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::violation::{LawViolation, for_all, no_panic};

/// How many series are decided at least, and at most while a kind is missing.
const SERIES: (usize, usize) = (256, 1_024);

/// The events that the aggregate decides on can be folded, whatever the commands.
///
/// # Errors
///
/// The smallest series of commands on which deciding or the fold panics.
pub fn decided_events_evolve<A, C, V, R>(
    series: impl Strategy<Value = Vec<C>>,
    decide: impl Fn(&A, &C) -> Result<V, R>,
) -> Result<(), LawViolation>
where
    A: Aggregate,
    C: Debug,
    V: IntoEvents<A::Event>,
{
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
    series: impl Strategy<Value = Vec<C>>,
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

/// The commands reach every kind of event but those of `undecided`; the other laws of decisions
/// prove nothing about a kind that is never decided.
///
/// The series are the same in every run.
///
/// # Errors
///
/// The kinds that are not decided in a thousand series, or are in spite of `undecided`, with a
/// table of what was decided.
pub fn every_kind_is_decided<A, C, V, R>(
    series: impl Strategy<Value = Vec<C>>,
    decide: impl Fn(&A, &C) -> Result<V, R>,
    undecided: &[&str],
) -> Result<(), LawViolation>
where
    A: Aggregate,
    V: IntoEvents<A::Event>,
{
    let violation = |reason| LawViolation::new("every_kind_is_decided", A::TYPE, reason);
    let is_kind = |name: &&&str| A::Event::TYPES.iter().any(|kind| kind.name == **name);
    if let Some(name) = undecided.iter().find(|name| !is_kind(name)) {
        return Err(violation(format!("`undecided` names `{name}`, which is no kind of event")));
    }
    let mut runner = TestRunner::deterministic();
    let mut tally = Tally::of::<A::Event>();
    for number in 0..SERIES.1 {
        if number >= SERIES.0 && tally.missing(undecided).is_empty() {
            break;
        }
        let commands = series.new_tree(&mut runner).map_err(|reason| {
            violation(format!("no commands could be generated: {}", reason.message()))
        })?;
        let counted = no_panic(|| tally.count(&commands.current(), &decide));
        counted.map_err(|panic| violation(format!("a decision or its fold panics: {panic}")))?;
    }
    let missing = tally.missing(undecided);
    if !missing.is_empty() {
        let missing = missing.join(", ");
        return Err(violation(format!(
            "no command leads to {missing}; add commands that do, choose them by the state \
             (`commands_given`), or name in `undecided` what is decided elsewhere\n{}",
            tally.table()
        )));
    }
    match tally.kinds.iter().find(|(name, count)| *count > 0 && undecided.contains(name)) {
        None => Ok(()),
        Some((name, _)) => Err(violation(format!(
            "{name} is decided; take it out of `undecided`\n{}",
            tally.table()
        ))),
    }
}

/// What came of many commands.
struct Tally {
    /// How many events there are of each kind.
    kinds: Vec<(&'static str, usize)>,
    accepted: usize,
    unchanged: usize,
    rejected: usize,
}

impl Tally {
    fn of<E: Event>() -> Self {
        let kinds = E::TYPES.iter().map(|kind| (kind.name, 0)).collect();
        Self { kinds, accepted: 0, unchanged: 0, rejected: 0 }
    }

    /// Decides on one series.
    fn count<A, C, V, R>(&mut self, commands: &[C], decide: impl Fn(&A, &C) -> Result<V, R>)
    where
        A: Aggregate,
        V: IntoEvents<A::Event>,
    {
        let mut state = A::default();
        for command in commands {
            let decided = decide(&state, command).map(IntoEvents::into_events);
            match &decided {
                Err(_) => self.rejected += 1,
                Ok(events) if events.is_empty() => self.unchanged += 1,
                Ok(_) => self.accepted += 1,
            }
            for event in decided.into_iter().flatten() {
                state.evolve(&event);
                let name = event.event_type().name;
                let kind = self.kinds.iter_mut().find(|(kind, _)| *kind == name);
                kind.into_iter().for_each(|(_, count)| *count += 1);
            }
        }
    }

    fn missing(&self, undecided: &[&str]) -> Vec<&'static str> {
        let missing =
            self.kinds.iter().filter(|(name, count)| *count == 0 && !undecided.contains(name));
        missing.map(|(name, _)| *name).collect()
    }

    /// Events by kind, and below it how the commands ended.
    fn table(&self) -> String {
        let width = self.kinds.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let mut table = format!("{:>width$}  events", "kind");
        for (name, count) in &self.kinds {
            write!(table, "\n{name:>width$}  {count:>6}").expect("a String takes any text");
        }
        let commands = self.accepted + self.unchanged + self.rejected;
        let share = |part: usize| 100 * part / commands.max(1);
        write!(
            table,
            "\nof {commands} commands {}% led to events, {}% to none, {}% to a rejection",
            share(self.accepted),
            share(self.unchanged),
            share(self.rejected),
        )
        .expect("a String takes any text");
        table
    }
}
