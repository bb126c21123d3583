//! How fast an aggregate of one's own is, on three stores.

use std::fmt::{self, Debug};
use std::time::{Duration, Instant};

use es_core::execution::Outcome;
use es_core::{Aggregate, ExpectedVersion, Repository};

use crate::stores::Backend;

/// Measures a decision on each store in turn: on es-memory, on es-sqlite and on es-postgres, both of
/// which flush every commit.
///
/// Each of `calls` aggregates gets the events of `history` first. Then it is loaded, and then the
/// decision is made over it, which loads it again, decides and appends; both are timed. There is one
/// caller. `id` makes the id of the nth aggregate.
///
/// ```no_run
/// # use es_core::{Aggregate, Event};
/// # #[derive(Event, Clone)]
/// # enum OrderEvent { OrderPlaced, OrderPaid }
/// # #[derive(Clone, Default)]
/// # struct Order;
/// # impl Aggregate for Order {
/// #     const TYPE: &'static str = "order";
/// #     type Id = u64;
/// #     type Event = OrderEvent;
/// #     fn evolve(&mut self, _: &OrderEvent) {}
/// # }
/// # async fn example() {
/// use es_benches::harness::decisions;
///
/// let history = [OrderEvent::OrderPlaced];
/// let report = decisions::<Order, _>(1_000, |n| n, &history, |_| OrderEvent::OrderPaid).await;
/// println!("{report}");
/// # }
/// ```
///
/// # Panics
///
/// When the decision is refused, when an event cannot be stored, or when there is no store: PostgreSQL's
/// server must be installed.
pub async fn decisions<A, O>(
    calls: u64,
    id: impl Fn(u64) -> A::Id,
    history: &[A::Event],
    decision: impl Fn(&A) -> O + Send + Sync,
) -> Report
where
    A: Aggregate,
    A::Event: Clone,
    O: Outcome<A::Event>,
    O::Rejection: Debug,
{
    let mut stores = Vec::new();
    for backend in Backend::ALL {
        let opened = backend.open().await;
        let repository = Repository::<A>::new(&opened.store);
        let (mut load, mut decide) = (Vec::new(), Vec::new());
        for n in 0..calls.max(1) {
            let id = id(n);
            let new = repository.by_id(&id).expecting(ExpectedVersion::NoStream);
            new.decide(|_| history.to_vec()).await.expect("the aggregate gets its history");
            let begun = Instant::now();
            repository.load(&id).await.expect("the aggregate can be loaded");
            load.push(begun.elapsed());
            let begun = Instant::now();
            let decided = repository.by_id(&id).decide(&decision).await;
            decide.push(begun.elapsed());
            decided.expect("the decision is not refused");
        }
        opened.close().await;
        let (load, decide) = (Times::of(load), Times::of(decide));
        stores.push(Measured { store: backend.name(), load, decide });
    }
    Report { stores }
}

/// What was measured, store by store; shown as a table.
#[derive(Debug, Clone)]
pub struct Report {
    /// One for each store.
    pub stores: Vec<Measured>,
}

/// What was measured on one store.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Its name.
    pub store: &'static str,
    /// Loading an aggregate with its history.
    pub load: Times,
    /// Loading it, deciding and appending.
    pub decide: Times,
}

/// What many calls took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// The call in the middle.
    pub middle: Duration,
    /// Within which 95 of 100 were.
    pub most: Duration,
}

impl Times {
    /// Of at least one call.
    fn of(mut calls: Vec<Duration>) -> Self {
        calls.sort_unstable();
        let at = |hundredths: usize| calls[(calls.len() * hundredths / 100).min(calls.len() - 1)];
        Self { middle: at(50), most: at(95) }
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = |duration: Duration| duration.as_secs_f64() * 1_000.0;
        let shown = format!("{:.3} ({:.3})", milliseconds(self.middle), milliseconds(self.most));
        f.pad(&shown)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (load, decide) = ("load", "load, decide, append");
        write!(f, "{:16}{load:>20}{decide:>24}", "ms (95 of 100)")?;
        for Measured { store, load, decide } in &self.stores {
            write!(f, "\n{store:16}{load:>20}{decide:>24}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(millis: impl IntoIterator<Item = u64>) -> Times {
        Times::of(millis.into_iter().map(Duration::from_millis).collect())
    }

    #[test]
    fn the_middle_and_the_most_are_those_of_the_sorted_calls() {
        let [middle, most] = [51, 96].map(Duration::from_millis);
        assert_eq!(times((1..=100).rev()), Times { middle, most });
        let [middle, most] = [7, 7].map(Duration::from_millis);
        assert_eq!(times([7]), Times { middle, most });
    }

    #[test]
    fn a_report_has_a_line_for_each_store() {
        let measured = |store| Measured { store, load: times([1]), decide: times([2]) };
        let report = Report { stores: vec![measured("memory"), measured("sqlite")] };
        let shown = report.to_string();
        let lines = shown.lines().map(|line| line.split_whitespace().collect());
        let lines: Vec<Vec<&str>> = lines.collect();
        let figures = ["1.000", "(1.000)", "2.000", "(2.000)"];
        let line = |store: &'static str| [&[store][..], &figures[..]].concat();
        assert_eq!(lines[1..], [line("memory"), line("sqlite")], "{shown}");
    }
}
