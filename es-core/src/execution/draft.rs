//! An aggregate while it is decided on.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::known::Known;
use crate::aggregate::{Aggregate, IntoEvents, fold};
use crate::version::StreamVersion;

/// An aggregate while it is decided on: its state, by `Deref`, with what the decision has recorded so
/// far.
///
/// [`transact`](crate::transact) hands one out for each member. Its own methods hide those of the
/// aggregate that have the same name, so there are few of them.
///
/// ```
/// # use es_core::{Aggregate, Draft, Event};
/// # #[derive(Event, Debug, PartialEq)]
/// # enum StockEvent { ItemsCounted { items: u32 }, ItemsTaken { items: u32 } }
/// # use StockEvent::*;
/// # #[derive(Clone, Default)]
/// # struct Stock { items: u32 }
/// # impl Aggregate for Stock {
/// #     const TYPE: &'static str = "stock";
/// #     type Id = String;
/// #     type Event = StockEvent;
/// #     fn evolve(&mut self, event: &StockEvent) {
/// #         match event {
/// #             ItemsCounted { items } => self.items = *items,
/// #             ItemsTaken { items } => self.items -= items,
/// #         }
/// #     }
/// # }
/// fn take(stock: &mut Draft<Stock>, items: u32) -> Result<u32, &'static str> {
///     if stock.items < items {
///         return Err("there are not so many");
///     }
///     stock.record(ItemsTaken { items });
///     Ok(stock.items) // what is left
/// }
///
/// // tested without a store
/// let mut stock = Draft::<Stock>::given([ItemsCounted { items: 5 }]);
/// assert_eq!(take(&mut stock, 2), Ok(3));
/// assert_eq!(take(&mut stock, 4), Err("there are not so many"));
/// assert_eq!(stock.recorded(), [ItemsTaken { items: 2 }]);
/// ```
pub struct Draft<A: Aggregate> {
    state: Arc<A>,
    version: StreamVersion,
    pub(super) events: Vec<A::Event>,
    /// Its place among the drafts of its decision; of one that was made elsewhere there is none.
    pub(super) seat: Option<usize>,
}

impl<A: Aggregate> Draft<A> {
    /// A draft of a state of one's own, to use what is written for drafts inside a plain decision.
    /// No decision takes it for one of its own.
    pub fn new(state: A) -> Self {
        let (state, version) = (Arc::new(state), StreamVersion::EMPTY);
        Self { state, version, events: Vec::new(), seat: None }
    }

    /// A draft of an aggregate to which these events have happened, for tests.
    pub fn given(events: impl IntoIterator<Item = A::Event>) -> Self {
        let events: Vec<_> = events.into_iter().collect();
        let version = StreamVersion::new(events.len() as u64);
        Self { version, ..Self::new(fold(&events)) }
    }

    /// The draft of a member.
    pub(super) fn seated(known: &Known<A>, seat: usize) -> Self {
        let (state, version) = (known.state.clone(), known.version);
        Self { state, version, events: Vec::new(), seat: Some(seat) }
    }

    /// Records events, and takes them into the state. The first call makes one copy of the state.
    pub fn record(&mut self, events: impl IntoEvents<A::Event>) {
        for event in events.into_events() {
            Arc::make_mut(&mut self.state).evolve(&event);
            self.events.push(event);
        }
    }

    /// What was recorded so far.
    pub fn recorded(&self) -> &[A::Event] {
        &self.events
    }

    /// What was recorded, by value.
    pub fn into_recorded(self) -> Vec<A::Event> {
        self.events
    }

    /// How many events had happened before the decision.
    pub fn version(&self) -> StreamVersion {
        self.version
    }
}

impl<A: Aggregate> Deref for Draft<A> {
    type Target = A;

    fn deref(&self) -> &A {
        &self.state
    }
}

impl<A: Aggregate> fmt::Debug for Draft<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft")
            .field("aggregate", &A::TYPE)
            .field("version", &self.version)
            .field("recorded", &self.events.len())
            .finish_non_exhaustive()
    }
}
