//! Given, then: the rows of a projection, without a store; those of tables, in one.
//!
//! ```
//! use es_core::projection::Keying;
//! use es_core::{Aggregate, BoxError, Envelope, Event, Projection};
//! use es_testing::projection::given;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Event)]
//! enum OrderEvent {
//!     OrderPlaced { customer: String, cents: u64 },
//!     OrderPaid,
//! }
//! use OrderEvent::*;
//! # #[derive(Default, Clone)]
//! # struct Order;
//! # impl Aggregate for Order {
//! #     const TYPE: &'static str = "order";
//! #     type Id = String;
//! #     type Event = OrderEvent;
//! #     fn evolve(&mut self, _: &OrderEvent) {}
//! # }
//!
//! #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
//! struct CustomerTotals { orders: u64, cents: u64 }
//!
//! impl Projection for CustomerTotals {
//!     // ...
//! #   const NAME: &'static str = "customer_totals";
//! #   type Event = OrderEvent;
//! #   type Key = String;
//! #   fn keying() -> Keying<Self> {
//! #       Keying::<Self>::across_streams(|event| match &event.data {
//! #           OrderPlaced { customer, .. } => Some(customer.clone()),
//! #           OrderPaid => None,
//! #       })
//! #   }
//! #   fn evolve(
//! #       _: &String, row: &mut Option<Self>, event: &Envelope<OrderEvent>,
//! #   ) -> Result<(), BoxError> {
//! #       let OrderPlaced { cents, .. } = &event.data else { return Ok(()) };
//! #       let totals = row.get_or_insert_default();
//! #       totals.orders += 1;
//! #       totals.cents += cents;
//! #       Ok(())
//! #   }
//! }
//!
//! fn placed(cents: u64) -> OrderEvent {
//!     OrderPlaced { customer: "anna".to_owned(), cents }
//! }
//!
//! given::<CustomerTotals>()
//!     .events::<Order>("o-1", [placed(700)])
//!     .events::<Order>("o-2", [placed(50), OrderPaid])
//!     .then_rows([("anna".to_owned(), CustomerTotals { orders: 2, cents: 750 })]);
//! ```
//!
//! What a projection changes in tables takes a store that understands it: [`given_in`]. For whatever may
//! happen there are [`laws::projection`](fn@crate::laws::projection) and
//! [`laws::table`](crate::laws::table).

mod tables;

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Debug, Write};
use std::marker::PhantomData;
use std::slice;

use es_core::backend::{Definition, RowChange, StreamId};
use es_core::event::{Payload, RecordedEvent};
use es_core::execution::IdOf;
use es_core::{Aggregate, Event, Projection};

pub use self::tables::{GivenIn, given_in};
use crate::laws::chain;
use crate::recorded::Log;

/// What has happened, in the order of the log.
#[must_use = "nothing is checked before `then_rows`"]
pub struct Given<P: Projection> {
    happened: Happened,
    projection: PhantomData<fn() -> P>,
}

impl<P: Projection> Debug for Given<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Given").field(&self.happened.events).finish()
    }
}

/// Begins with an empty log.
pub fn given<P: Projection>() -> Given<P> {
    Given { happened: Happened::default(), projection: PhantomData }
}

#[derive(Default)]
struct Happened {
    log: Log,
    events: Vec<RecordedEvent>,
}

impl Happened {
    /// Adds events of an aggregate, as those of the projection.
    #[track_caller]
    fn add<A: Aggregate, E: Event>(
        &mut self,
        id: &(impl IdOf<A::Id> + ?Sized),
        events: impl IntoIterator<Item = A::Event>,
    ) where
        A::Event: Into<E>,
    {
        let stream = match StreamId::new(A::TYPE, &id.id_text()) {
            Ok(stream) => stream,
            Err(error) => panic!("the id names no stream: {error}"),
        };
        for event in events {
            match self.log.record::<E>(&stream, &event.into()) {
                Ok(recorded) => self.events.push(recorded),
                Err(error) => panic!("an event cannot be written: {error}"),
            }
        }
    }

    /// What `what` says, and the events in lines.
    fn told(&self, what: &str) -> String {
        let mut told = what.to_owned();
        let given: Vec<_> = self.events.iter().map(shown).collect();
        tell(&mut told, "given", "event", &given, &given);
        told
    }

    /// Fails, because the rows are not the expected ones.
    #[track_caller]
    fn others(&self, expected: &[String], actual: Result<Vec<String>, String>) -> ! {
        let mut told = self.told("these are not the rows");
        match actual {
            Ok(found) => {
                tell(&mut told, "expected", "row", expected, &found);
                tell(&mut told, "actual", "row", &found, expected);
            }
            Err(error) => {
                tell(&mut told, "expected", "row", expected, expected);
                told.push_str(&format!("\n   actual: {error}"));
            }
        }
        panic!("{told}");
    }
}

impl<P: Projection> Given<P> {
    /// Then these events happened to the aggregate with this id; they were recorded at the beginning
    /// of 1970. Of a union give those of each aggregate.
    ///
    /// # Panics
    ///
    /// When the id can name no stream, or an event cannot be written.
    #[track_caller]
    pub fn events<A: Aggregate>(
        mut self,
        id: &(impl IdOf<A::Id> + ?Sized),
        events: impl IntoIterator<Item = A::Event>,
    ) -> Self
    where
        A::Event: Into<P::Event>,
    {
        self.happened.add::<A, P::Event>(id, events);
        self
    }

    /// Then these are the rows, and no others: with the events selected, encoded, decoded and folded
    /// as the engine does it.
    ///
    /// # Panics
    ///
    /// When the rows are others, or an event cannot be taken. The panic shows given, expected and
    /// actual.
    #[track_caller]
    pub fn then_rows(self, rows: impl IntoIterator<Item = (P::Key, P)>)
    where
        P: Debug + PartialEq,
        P::Key: Debug,
    {
        let keying = P::keying();
        let expected = rows.into_iter().map(|(key, row)| (keying.stored_key(&key), row));
        let expected: BTreeMap<_, _> = expected.collect();
        let found = folded::<P>(&self.happened.events);
        if found.as_ref() == Ok(&expected) {
            return;
        }
        let lines = |rows: &BTreeMap<String, P>| -> Vec<String> {
            let shown = rows.iter().map(|(text, row)| match keying.parse_key(text) {
                Ok(key) => format!("{key:?}: {row:?}"),
                Err(_) => format!("{text:?}, which is no key: {row:?}"),
            });
            shown.collect()
        };
        self.happened.others(&lines(&expected), found.as_ref().map(lines).map_err(Clone::clone));
    }
}

/// An event as it is stored.
fn shown(event: &RecordedEvent) -> String {
    format!("{}: {} {}", event.stream, event.event_type, event.payload)
}

/// A list with its number of lines; those that `other` has not are marked.
fn tell(told: &mut String, title: &str, what: &str, lines: &[String], other: &[String]) {
    let count = match lines.len() {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    };
    write!(told, "\n{title:>9}: {count}").expect("a String takes any text");
    for line in lines {
        let mark = if other.contains(line) { ' ' } else { '*' };
        write!(told, "\n         {mark} {line}").expect("a String takes any text");
    }
}

/// The rows after these events, as the engine makes them of those that are selected.
fn folded<P: Projection>(events: &[RecordedEvent]) -> Result<BTreeMap<String, P>, String> {
    let definition = Definition::of::<P>();
    definition.check().map_err(|error| error.to_string())?;
    let mut rows = HashMap::new();
    for event in events.iter().filter(|event| definition.selection().accepts(event)) {
        let changes = definition.changes(slice::from_ref(event), &rows);
        let changes = changes
            .map_err(|error| format!("`{}` cannot be taken: {}", shown(event), chain(&*error)))?;
        take(&mut rows, changes);
    }
    rows.iter().map(|(key, row)| Ok((key.clone(), read(key, row)?))).collect()
}

/// Stores the changes.
pub(crate) fn take(rows: &mut HashMap<String, Payload>, changes: Vec<RowChange>) {
    for RowChange { key, value } in changes {
        match value {
            Some(value) => rows.insert(key, value),
            None => rows.remove(&key),
        };
    }
}

/// Reads a stored row.
pub(crate) fn read<P: Projection>(key: &str, row: &Payload) -> Result<P, String> {
    row.decode().map_err(|error| format!("the row `{key}` cannot be read back: {error}"))
}
