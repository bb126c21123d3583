//! Given, when, then: what passes, what fails, and what a failure tells.

use std::panic::{AssertUnwindSafe, catch_unwind};

use es_core::{Aggregate, Event};
use es_testing::spec::{Given, given};

#[derive(Event, Debug, Clone, PartialEq)]
enum OrderEvent {
    OrderPlaced { cents: u64 },
    MoneyPaid,
    OrderCancelled,
}
use OrderEvent::*;

#[derive(Debug, Clone, Default, PartialEq)]
struct Order {
    cents: Option<u64>,
    paid: bool,
    cancelled: bool,
}

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    type Id = i64;
    type Event = OrderEvent;

    fn evolve(&mut self, event: &OrderEvent) {
        match event {
            OrderPlaced { cents } => self.cents = Some(*cents),
            MoneyPaid => self.paid = true,
            OrderCancelled => self.cancelled = true,
        }
    }
}

#[derive(Debug, PartialEq)]
enum Refusal {
    NotPlaced,
    Cancelled,
}

impl Order {
    fn pay(&self) -> Result<Option<OrderEvent>, Refusal> {
        match self {
            Order { cents: None, .. } => Err(Refusal::NotPlaced),
            Order { cancelled: true, .. } => Err(Refusal::Cancelled),
            Order { paid: true, .. } => Ok(None),
            _ => Ok(Some(MoneyPaid)),
        }
    }

    fn pay_every_time(&self) -> OrderEvent {
        MoneyPaid
    }

    fn cancel(&self) -> Result<OrderEvent, Refusal> {
        match self.cancelled {
            true => Err(Refusal::Cancelled),
            false => Ok(OrderCancelled),
        }
    }
}

fn placed() -> Given<Order> {
    given([OrderPlaced { cents: 100 }])
}

/// The text with which a check fails.
fn failure(check: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(check)).expect_err("the check must fail");
    *panic.downcast::<String>().expect("a failure has a text")
}

#[test]
fn what_is_as_expected_passes() {
    placed().when(Order::pay).then([MoneyPaid]);
    placed().when(Order::pay).then([MoneyPaid]).then_again_nothing();
    given::<Order>([OrderPlaced { cents: 1 }, MoneyPaid]).when(Order::pay).then_nothing();
    Given::<Order>::no_events().when(Order::pay).then_rejected(Refusal::NotPlaced);
    placed().when(Order::cancel).then([OrderCancelled]).then_again_rejected(Refusal::Cancelled);
    let state = placed().when(Order::pay).state();
    assert!(state.paid);
}

#[test]
fn a_retry_decides_on_what_the_other_writer_left() {
    placed().when(Order::pay).another_writer_appends([MoneyPaid]).then_nothing();
    placed()
        .when(Order::pay)
        .another_writer_appends([OrderCancelled])
        .then_rejected(Refusal::Cancelled);
    placed()
        .when(Order::pay)
        .another_writer_appends([OrderPlaced { cents: 7 }])
        .then([MoneyPaid])
        .then_again_nothing();
}

#[test]
fn other_events_fail_with_given_state_expected_and_actual() {
    let text = failure(|| {
        placed().when(Order::pay).then([MoneyPaid, OrderCancelled]);
    });
    let expected = "\
the decision is not as expected
    given: 1 event
             1. OrderPlaced { cents: 100 }
    state: Order {
               cents: Some(
                   100,
               ),
               paid: false,
               cancelled: false,
           }
 expected: 2 events
             1. MoneyPaid
           * 2. OrderCancelled
   actual: 1 event
             1. MoneyPaid";
    assert_eq!(text, expected);
}

#[test]
fn an_unexpected_rejection_is_shown() {
    let text = failure(|| {
        Given::<Order>::no_events().when(Order::pay).then([MoneyPaid]);
    });
    assert!(text.contains("given: no events"), "{text}");
    assert!(text.ends_with("actual: rejection NotPlaced"), "{text}");
}

#[test]
fn a_missing_or_other_rejection_fails() {
    let text = failure(|| {
        placed().when(Order::pay).then_rejected(Refusal::Cancelled);
    });
    assert!(text.contains("expected: rejection Cancelled"), "{text}");
    assert!(text.contains("1. MoneyPaid"), "{text}");
    failure(|| {
        Given::<Order>::no_events().when(Order::pay).then_rejected(Refusal::Cancelled);
    });
    failure(|| {
        placed().when(Order::pay).then_nothing();
    });
}

#[test]
fn a_decision_that_does_more_when_repeated_fails() {
    let text = failure(|| {
        placed().when(Order::pay_every_time).then_again_nothing();
    });
    assert!(text.starts_with("the second run"), "{text}");
    assert!(text.contains("first run: 1 event"), "{text}");
    assert!(text.contains("paid: true"), "the state is that of the second run: {text}");
    failure(|| {
        placed().when(Order::cancel).then_again_nothing();
    });
    failure(|| {
        placed().when(Order::pay).then_again_rejected(Refusal::Cancelled);
    });
}

#[test]
fn without_an_append_there_is_no_conflict_to_test() {
    failure(|| {
        let _ =
            Given::<Order>::no_events().when(Order::pay).another_writer_appends([OrderCancelled]);
    });
    failure(|| {
        let _ = given::<Order>([OrderPlaced { cents: 1 }, MoneyPaid])
            .when(Order::pay)
            .another_writer_appends([OrderCancelled]);
    });
    failure(|| {
        Given::<Order>::no_events().when(Order::pay).state();
    });
}

#[test]
#[should_panic(expected = "the other writer appends nothing")]
fn another_writer_that_appends_nothing_is_a_mistake_of_the_test() {
    let _ = placed().when(Order::pay).another_writer_appends([]);
}
