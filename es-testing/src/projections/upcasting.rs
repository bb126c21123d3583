//! A projection before and after its events got an upcaster.

use std::marker::PhantomData;

use es_core::projection::{ApplyError, Projection};
use es_core::{Event, EventFilter, Fields, NewEvent, RecordedEvent};
use serde_json::json;

use super::models::SeenRow;
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
#[derive(Debug, Clone)]
pub(super) struct Payments<E>(PhantomData<E>);

impl<E> Payments<E> {
    pub(super) const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<E: Payment> Projection for Payments<E> {
    const NAME: &'static str = "payments";
    const VERSION: u32 = 1;
    type Row = SeenRow;

    fn selection(&self) -> EventFilter {
        EventFilter::of::<E>()
    }

    fn apply(
        &self,
        _key: &str,
        row: Option<SeenRow>,
        event: &RecordedEvent,
    ) -> Result<Option<SeenRow>, ApplyError> {
        let mut row = row.unwrap_or_default();
        row.numbers.push(event.decode_one::<E>()?.number());
        Ok(Some(row))
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
