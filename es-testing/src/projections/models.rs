//! The projections that scenarios of the engine run.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use es_core::backend::{Definition, Position, RawKeying, ReadLog, RowChange, SinkError, Slot};
use es_core::environment::Environment;
use es_core::event::{EventFilter, Payload, RecordedEvent};
use es_core::execution::Retry;
use es_core::projection::{Health, Keying, Subscription, WaitError};
use es_core::{BoxError, Envelope, Event, Projection, Runner};
use serde::{Deserialize, Serialize};

use super::parts::*;
use crate::clock::ManualClock;

/// How often poison is refused; `u32::MAX` is for ever.
#[derive(Debug, Clone)]
pub(super) struct Poison(Arc<AtomicU32>);

impl Poison {
    pub(super) fn refused(times: u32) -> Self {
        Self(Arc::new(AtomicU32::new(times)))
    }

    pub(super) fn heal(&self) {
        self.0.store(0, Ordering::SeqCst);
    }

    pub(super) fn check(&self, event: &RecordedEvent) -> Result<(), BoxError> {
        if event.event_type != *POISON {
            return Ok(());
        }
        let left = self.0.load(Ordering::SeqCst);
        if left == 0 {
            return Ok(());
        }
        if left != u32::MAX {
            self.0.store(left - 1, Ordering::SeqCst);
        }
        Err(format!("number {} is poison", number(event)).into())
    }
}

/// What an account has seen, in order: neither order nor repetition is lost in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub(super) struct SeenRow {
    pub(super) numbers: Vec<u64>,
}

/// What scenarios write into accounts.
#[derive(Debug, Event)]
pub(super) enum AccountEvent {
    AmountPaidIn { number: u64 },
    AccountClosed { number: u64 },
    PoisonFound { number: u64 },
    PanicFound { number: u64 },
}

/// The rows of [`Seen`], as whoever reads them knows them.
impl Projection for SeenRow {
    const NAME: &'static str = "seen";
    type Event = AccountEvent;
    type Key = String;

    fn keying() -> Keying<Self> {
        Keying::<Self>::across_streams(|event| event.stream.to_string())
    }

    fn evolve(
        _: &String,
        row: &mut Option<Self>,
        event: &Envelope<'_, AccountEvent>,
    ) -> Result<(), BoxError> {
        *row = taken(row.take(), event);
        Ok(())
    }
}

/// One row for each account.
pub(super) struct Seen;

impl Seen {
    /// The model that can take whatever accounts do, but [`PANIC`].
    pub(super) fn model() -> Definition {
        Self::failing(Poison::refused(0))
    }

    /// The same, which cannot take poison either.
    pub(super) fn failing(poison: Poison) -> Definition {
        let selection = accounts();
        Definition::rows("seen", 1, selection, RawKeying::Streams, move |_, row, event| {
            poison.check(event)?;
            assert!(event.event_type != *PANIC, "this is how a bug looks");
            Ok(taken(row, event))
        })
    }
}

/// Whatever happens to accounts.
pub(super) fn accounts() -> EventFilter {
    EventFilter::all().stored_aggregate_type("account")
}

/// The event type that cannot be taken until it is [healed](Poison::heal).
pub(super) const POISON: &str = "poison_found";
/// The event type at which [`Seen`] panics.
pub(super) const PANIC: &str = "panic_found";
/// The event type that removes a row.
pub(super) const CLOSED: &str = "account_closed";

/// The row after an event.
pub(super) fn taken(row: Option<SeenRow>, event: &RecordedEvent) -> Option<SeenRow> {
    if event.event_type == *CLOSED {
        return None;
    }
    let mut row = row.unwrap_or_default();
    row.numbers.push(number(event));
    Some(row)
}

/// The same rows from newer code, which has the numbers doubled.
pub(super) struct Doubled;

impl Doubled {
    pub(super) fn model() -> Definition {
        let selection = accounts();
        Definition::rows("seen", 2, selection, RawKeying::Streams, |_, row, event| {
            let mut row: SeenRow = row.unwrap_or_default();
            row.numbers.push(number(event) * 2);
            Ok(Some(row))
        })
    }
}

/// Rows across streams: each event concerns two.
pub(super) struct Crossing;

impl Crossing {
    pub(super) fn model() -> Definition {
        let keying = RawKeying::Across(Arc::new(|event: &RecordedEvent| {
            let number = number(event);
            // twice the same is once
            Ok(vec![format!("of 3: {}", number % 3), "all".to_owned(), "all".to_owned()])
        }));
        Definition::rows("crossing", 1, EventFilter::all(), keying, |key, row, event| {
            let number = number(event);
            if key != "all" && key != format!("of 3: {}", number % 3) {
                return Err(format!("number {number} does not belong to row {key}").into());
            }
            Ok(taken(row, event))
        })
    }
}

fn subscription(store: &Store, sink: &Sink, model: &Definition) -> Subscription {
    Subscription::definition(with_models(store, sink), model.clone())
}

/// Waits until a model has come to a place.
pub(super) async fn waited(
    store: &Store,
    sink: &Sink,
    model: &Definition,
    place: Position,
    limit: Duration,
) -> Result<(), WaitError> {
    subscription(store, sink, model).wait_for(place, limit).await
}

/// How a model is.
pub(super) async fn health(
    store: &Store,
    sink: &Sink,
    clock: &ManualClock,
    model: &Definition,
) -> Result<Health, SinkError> {
    let environment = Environment::default().with_clock(clock.clone());
    subscription(store, sink, model).with_environment(environment).health().await
}

/// A runner that waits for nothing.
pub(super) fn runner(store: &Store, sink: &Sink, holder: &str) -> Runner {
    let backoff = Retry { retries: u32::MAX, ..no_delay(0) };
    Runner::new(with_models(store, sink)).holder(holder).lease(TTL).backoff(backoff)
}

pub(super) fn no_delay(retries: u32) -> Retry {
    let none = Duration::ZERO;
    Retry { retries, base: none, longest: none }
}

pub(super) async fn caught_up(runner: &mut Runner) {
    let caught_up = soon("a runner comes to the end of the log", runner.catch_up()).await;
    if let Err(error) = caught_up {
        panic!("nothing keeps the runner from the end of the log, but: {error}");
    }
}

/// The rows of a model of one of these projections.
pub(super) async fn stored(sink: &Sink, name: &str, slot: Slot) -> BTreeMap<String, SeenRow> {
    let rows = model(sink, name, slot).await.into_iter();
    rows.map(|(key, value)| (key, decoded(&value))).collect()
}

/// The active model has the rows to which the log folds.
pub(super) async fn serves_the_fold(store: &Store, sink: &Sink, model: Definition) {
    let served = stored(sink, model.name(), Slot::Active).await;
    let name = model.name().to_owned();
    assert_eq!(served, lives(store, model).await, "`{name}` is what the log folds to");
}

/// The rows to which the log folds, with each event taken by itself.
pub(super) async fn lives(store: &Store, model: Definition) -> BTreeMap<String, SeenRow> {
    let mut rows = HashMap::new();
    let read = ReadLog::from_start().filter(model.selection().clone());
    for event in read_selected(store, read).await {
        let changes = match model.changes(std::slice::from_ref(&event), &rows) {
            Ok(changes) => changes,
            Err(error) => panic!("folding the log failed at {}: {error}", event.position),
        };
        for RowChange { key, value } in changes {
            match value {
                Some(value) => rows.insert(key, value),
                None => rows.remove(&key),
            };
        }
    }
    rows.into_iter().map(|(key, value)| (key, decoded(&value))).collect()
}

fn decoded(row: &Payload) -> SeenRow {
    row.decode().expect("rows are as they were written")
}

/// A row with these numbers.
pub(super) fn numbers_of(numbers: &[u64]) -> SeenRow {
    SeenRow { numbers: numbers.to_vec() }
}

/// Appends one event of each number to each of these accounts in turn.
pub(super) async fn accounts_paid(
    store: &Store,
    accounts: &[&str],
    numbers: std::ops::RangeInclusive<u64>,
) {
    for number in numbers {
        for account in accounts {
            append(store, &stream(account), ANY, vec![event(number)]).await;
        }
    }
}
