//! A projection before and after its events got an upcaster.

use std::marker::PhantomData;

use es_core::backend::NewEvent;
use es_core::event::Fields;
use es_core::projection::{FailurePolicy, Keying};
use es_core::{BoxError, Envelope, Event, Projection};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::parts::*;

/// The events as a program knows them that cannot read the oldest ones.
#[derive(Debug, Clone, PartialEq, Event)]
pub(super) enum Before {
    PaymentReceived { number: u64 },
}

/// The same in the program that follows it.
#[derive(Debug, Clone, PartialEq, Event)]
pub(super) enum After {
    #[event(version = 2, upcast(1 => rename))]
    PaymentReceived { number: u64 },
}

fn rename(payload: &mut Fields) {
    payload.rename("amount", "number");
}

/// What a payment tells.
pub(super) trait Payment: Event {
    fn number(&self) -> u64;
}

impl Payment for Before {
    fn number(&self) -> u64 {
        let Self::PaymentReceived { number } = self;
        *number
    }
}

impl Payment for After {
    fn number(&self) -> u64 {
        let Self::PaymentReceived { number } = self;
        *number
    }
}

/// The payments of each account, in order; the code is the same whatever its events are.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) struct Payments<E> {
    numbers: Vec<u64>,
    #[serde(skip)]
    events: PhantomData<fn() -> E>,
}

impl<E: Payment> Projection for Payments<E> {
    const NAME: &'static str = "payments";
    const ON_FAILURE: FailurePolicy = FailurePolicy::park_key();
    type Event = E;
    type Key = String;

    fn keying() -> Keying<Self> {
        Keying::<Self>::by_metadata(|recorded| recorded.stream.to_string())
    }

    fn evolve(_: &String, row: &mut Option<Self>, event: &Envelope<'_, E>) -> Result<(), BoxError> {
        let row = row.get_or_insert(Self { numbers: Vec::new(), events: PhantomData });
        row.numbers.push(event.data.number());
        Ok(())
    }
}

/// A payment in the form that only an upcaster can read.
pub(super) fn oldest(number: u64) -> NewEvent {
    NewEvent::new(new_id(), "payment_received", payload(&json!({ "amount": number })))
}

/// A payment in the form of the first program.
pub(super) fn older(number: u64) -> NewEvent {
    typed_event("payment_received", number)
}
