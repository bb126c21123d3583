//! The projections that scenarios of the engine run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use es_core::projection::{ApplyError, Keying, Projection, Runner, Slot};
use es_core::{EventFilter, RecordedEvent, Retry};
use serde::{Deserialize, Serialize};

use super::SuiteHandler;
use super::parts::*;

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

    pub(super) fn check(&self, event: &RecordedEvent) -> Result<(), ApplyError> {
        if event.event_type != *SuiteHandler::POISON {
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

/// One row for each account.
#[derive(Debug, Clone)]
pub(super) struct Seen(pub(super) Poison);

impl Seen {
    pub(super) fn new() -> Self {
        Self(Poison::refused(0))
    }
}

impl Projection for Seen {
    const NAME: &'static str = "seen";
    const VERSION: u32 = 1;
    type Row = SeenRow;

    fn selection(&self) -> EventFilter {
        EventFilter::all().stored_aggregate_type("account")
    }

    fn apply(
        &self,
        _key: &str,
        row: Option<SeenRow>,
        event: &RecordedEvent,
    ) -> Result<Option<SeenRow>, ApplyError> {
        self.0.check(event)?;
        assert!(event.event_type != *PANIC, "this is how a bug looks");
        seen(row, event)
    }
}

/// The event type at which [`Seen`] panics.
pub(super) const PANIC: &str = "panic_found";
/// The event type that removes a row.
pub(super) const CLOSED: &str = "account_closed";

pub(super) fn seen(
    row: Option<SeenRow>,
    event: &RecordedEvent,
) -> Result<Option<SeenRow>, ApplyError> {
    if event.event_type == *CLOSED {
        return Ok(None);
    }
    let mut row = row.unwrap_or_default();
    row.numbers.push(number(event));
    Ok(Some(row))
}

/// The same rows from newer code, which has the numbers doubled.
#[derive(Debug, Clone)]
pub(super) struct Doubled;

impl Projection for Doubled {
    const NAME: &'static str = "seen";
    const VERSION: u32 = 2;
    type Row = SeenRow;

    fn selection(&self) -> EventFilter {
        EventFilter::all().stored_aggregate_type("account")
    }

    fn apply(
        &self,
        _key: &str,
        row: Option<SeenRow>,
        event: &RecordedEvent,
    ) -> Result<Option<SeenRow>, ApplyError> {
        let mut row = row.unwrap_or_default();
        row.numbers.push(number(event) * 2);
        Ok(Some(row))
    }
}

/// Rows across streams: each event concerns two.
#[derive(Debug, Clone)]
pub(super) struct Crossing;

impl Crossing {
    fn keys(&self, event: &RecordedEvent) -> Result<Vec<String>, ApplyError> {
        let number = number(event);
        // twice the same is once
        Ok(vec![format!("of 3: {}", number % 3), "all".to_owned(), "all".to_owned()])
    }
}

impl Projection for Crossing {
    const NAME: &'static str = "crossing";
    const VERSION: u32 = 1;
    type Row = SeenRow;

    fn selection(&self) -> EventFilter {
        EventFilter::all()
    }

    fn keying(&self) -> Keying<Self> {
        Keying::Across(Self::keys)
    }

    fn apply(
        &self,
        key: &str,
        row: Option<SeenRow>,
        event: &RecordedEvent,
    ) -> Result<Option<SeenRow>, ApplyError> {
        let number = number(event);
        if key != "all" && key != format!("of 3: {}", number % 3) {
            return Err(format!("number {number} does not belong to row {key}").into());
        }
        seen(row, event)
    }
}

/// A runner that waits for nothing.
pub(super) fn runner(store: &Store, sink: &Sink, holder: &str) -> Runner {
    let backoff = Retry { retries: u32::MAX, ..no_delay(0) };
    Runner::new(with_models(store, sink)).holder(holder).lease(TTL).backoff(backoff)
}

pub(super) fn no_delay(retries: u32) -> Retry {
    let none = std::time::Duration::ZERO;
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
    rows.map(|(key, value)| (key, value.decode().expect("rows are as they were written"))).collect()
}

pub(super) async fn lives<P: Projection>(store: &Store, projection: P) -> BTreeMap<String, P::Row> {
    match es_core::projection::live(store.clone(), projection).await {
        Ok(rows) => rows,
        Err(error) => panic!("folding the log failed: {error}"),
    }
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
