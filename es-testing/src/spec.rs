//! Given, when, then: decisions tested without a store.
//!
//! ```
//! use es_core::{Aggregate, Event};
//! use es_testing::spec::{Given, given};
//!
//! #[derive(Event, Debug, Clone, PartialEq)]
//! enum OrderEvent {
//!     OrderPlaced { cents: u64 },
//!     OrderPaid,
//!     OrderCancelled,
//! }
//! use OrderEvent::*;
//!
//! #[derive(Debug, Clone, Default, PartialEq)]
//! enum Order {
//!     #[default]
//!     Absent,
//!     Placed,
//!     Paid,
//!     Cancelled,
//! }
//!
//! impl Aggregate for Order {
//!     const TYPE: &'static str = "order";
//!     type Id = i64;
//!     type Event = OrderEvent;
//!
//!     fn evolve(&mut self, event: &OrderEvent) {
//!         *self = match event {
//!             OrderPlaced { .. } => Order::Placed,
//!             OrderPaid => Order::Paid,
//!             OrderCancelled => Order::Cancelled,
//!         };
//!     }
//! }
//!
//! #[derive(Debug, PartialEq)]
//! struct NotPlaced;
//!
//! impl Order {
//!     fn pay(&self) -> Result<Vec<OrderEvent>, NotPlaced> {
//!         match self {
//!             Order::Placed => Ok(vec![OrderPaid]),
//!             Order::Paid => Ok(vec![]),
//!             Order::Absent | Order::Cancelled => Err(NotPlaced),
//!         }
//!     }
//! }
//!
//! // paying pays, and paying again does nothing more
//! given::<Order>([OrderPlaced { cents: 100 }])
//!     .when(Order::pay)
//!     .then([OrderPaid])
//!     .then_again_nothing();
//!
//! Given::<Order>::no_events().when(Order::pay).then_rejected(NotPlaced);
//!
//! // another writer is faster: the retry decides on what it finds
//! given::<Order>([OrderPlaced { cents: 100 }])
//!     .when(Order::pay)
//!     .another_writer_appends([OrderCancelled])
//!     .then_rejected(NotPlaced);
//! ```

mod report;

use std::fmt::Debug;

use es_core::Aggregate;
use es_core::execution::{Outcome, fold};

use self::report::Report;

/// What has happened before the decision.
#[derive(Debug, Clone)]
#[must_use = "nothing is decided before `when`"]
pub struct Given<A: Aggregate> {
    events: Vec<A::Event>,
}

/// A decision about the aggregate `A`, and what came of it.
pub struct Decided<'a, A: Aggregate, R> {
    given: Vec<A::Event>,
    decide: Decision<'a, A, R>,
    outcome: Answer<A, R>,
}

/// What can be run again.
type Decision<'a, A, R> = Box<dyn Fn(&A) -> Answer<A, R> + 'a>;

/// The decided events, or the rejection.
type Answer<A, R> = Result<Vec<<A as Aggregate>::Event>, R>;

/// Begins with an aggregate to which `events` have happened.
pub fn given<A: Aggregate>(events: impl IntoIterator<Item = A::Event>) -> Given<A> {
    Given { events: events.into_iter().collect() }
}

impl<A: Aggregate> Given<A> {
    /// Begins with an aggregate to which nothing has happened.
    pub fn no_events() -> Self {
        given([])
    }

    /// Decides with a function or a method of the state, as
    /// [`Member::decide`](es_core::execution::Member::decide) does.
    #[must_use = "nothing is checked before `then`"]
    pub fn when<'a, O>(self, decide: impl Fn(&A) -> O + 'a) -> Decided<'a, A, O::Rejection>
    where
        O: Outcome<A::Event>,
    {
        let decide = move |state: &A| decide(state).outcome();
        Decided {
            outcome: decide(&fold(&self.events)),
            given: self.events,
            decide: Box::new(decide),
        }
    }
}

impl<A, R> Decided<'_, A, R>
where
    A: Aggregate + Debug,
    A::Event: Debug + PartialEq,
    R: Debug,
{
    /// Checks that exactly these events are decided, in this order.
    ///
    /// # Panics
    ///
    /// If others are decided, or the decision is a rejection.
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = A::Event>) -> Self {
        let expected: Vec<_> = expected.into_iter().collect();
        if !matches!(&self.outcome, Ok(events) if *events == expected) {
            let report = self.report("the decision is not as expected");
            report.expecting_events(&expected).fail();
        }
        self
    }

    /// Checks that the decision has no events, because everything is so already.
    ///
    /// # Panics
    ///
    /// If events are decided, or the decision is a rejection.
    #[track_caller]
    pub fn then_nothing(self) -> Self {
        self.then([])
    }

    /// Checks that the decision is this rejection.
    ///
    /// # Panics
    ///
    /// If it is another rejection, or events are decided.
    #[track_caller]
    pub fn then_rejected(self, expected: R) -> Self
    where
        R: PartialEq,
    {
        if !matches!(&self.outcome, Err(rejection) if *rejection == expected) {
            let report = self.report("the decision is not as expected");
            report.expecting_rejection(&expected).fail();
        }
        self
    }

    /// Runs the decision a second time, on the state after its own events, and checks that nothing
    /// more happens.
    ///
    /// A rejection of the second run is not "nothing": check that with
    /// [`then_again_rejected`](Self::then_again_rejected).
    ///
    /// # Panics
    ///
    /// If the second run is rejected or has events, or the first one was rejected.
    #[track_caller]
    pub fn then_again_nothing(self) -> Self {
        let again = self.again();
        if !matches!(&again.outcome, Ok(events) if events.is_empty()) {
            let report = again.report("the second run of the decision is not as expected");
            report.expecting_events::<A::Event>(&[]).fail();
        }
        self
    }

    /// Runs the decision a second time, on the state after its own events, and checks that this is
    /// rejected.
    ///
    /// # Panics
    ///
    /// If the second run is not rejected like that, or the first one was rejected.
    #[track_caller]
    pub fn then_again_rejected(self, expected: R) -> Self
    where
        R: PartialEq,
    {
        let again = self.again();
        if !matches!(&again.outcome, Err(rejection) if *rejection == expected) {
            let report = again.report("the second run of the decision is not as expected");
            report.expecting_rejection(&expected).fail();
        }
        self
    }

    /// Lets another writer append `events` between the decision and its append, so that the append
    /// is a conflict: the decision is run again on what is there now, as a retry does, and the
    /// checks that follow look at that second run.
    ///
    /// # Panics
    ///
    /// If there is nothing to append and so no conflict: the decision is rejected or has no events,
    /// or `events` is empty.
    #[must_use = "nothing is checked before `then`"]
    #[track_caller]
    pub fn another_writer_appends(mut self, events: impl IntoIterator<Item = A::Event>) -> Self {
        if !matches!(&self.outcome, Ok(events) if !events.is_empty()) {
            let report = self.report("there is no conflict, because nothing would be appended");
            report.expecting("at least one event").fail();
        }
        let before = self.given.len();
        self.given.extend(events);
        assert!(
            self.given.len() > before,
            "the other writer appends nothing, so there is no conflict"
        );
        self.outcome = (self.decide)(&fold(&self.given));
        self
    }

    /// The state after the given and the decided events.
    ///
    /// # Panics
    ///
    /// If the decision is rejected.
    #[track_caller]
    pub fn state(&self) -> A {
        fold(self.given.iter().chain(self.accepted()))
    }

    #[track_caller]
    fn accepted(&self) -> &[A::Event] {
        match &self.outcome {
            Ok(events) => events,
            Err(_) => self.report("the decision is rejected").expecting("events").fail(),
        }
    }

    /// The same decision after its own events.
    #[track_caller]
    fn again(&self) -> Again<'_, A, R> {
        let state = self.state();
        Again {
            given: &self.given,
            decided: self.accepted(),
            outcome: (self.decide)(&state),
            state,
        }
    }

    fn report(&self, what: &str) -> Report {
        let report = Report::new(what).given(&self.given);
        report.state(&fold::<A>(&self.given)).actual(&self.outcome)
    }
}

/// A second run of a decision.
struct Again<'a, A: Aggregate, R> {
    given: &'a [A::Event],
    decided: &'a [A::Event],
    state: A,
    outcome: Answer<A, R>,
}

impl<A, R> Again<'_, A, R>
where
    A: Aggregate + Debug,
    A::Event: Debug + PartialEq,
    R: Debug,
{
    fn report(&self, what: &str) -> Report {
        let report = Report::new(what).given(self.given).first_run(self.decided);
        report.state(&self.state).actual(&self.outcome)
    }
}

impl<A, R> Debug for Decided<'_, A, R>
where
    A: Aggregate,
    A::Event: Debug,
    R: Debug,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decided")
            .field("given", &self.given)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}
